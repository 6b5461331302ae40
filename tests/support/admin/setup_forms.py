"""Where the forms of the set-up are, and what a page says when one was sent."""

from urllib.parse import quote

import httpx

from licet.model import Tenant
from support.admin.dashboard import DashboardSite

HERE = "?tenant=Jim_Test"
PASSWORD_TYPED = "a brand new password"


def tenant_of(site: DashboardSite, name: str = "Jim_Test") -> Tenant:
    """A tenant as it is now."""
    with site.store() as store:
        tenant = store.tenant(name)
        assert tenant is not None
        return tenant


def edit(noun: str, name: str) -> str:
    """Where something of Jim_Test is changed."""
    return f"/set-up/{noun}/edit{HERE}&name={quote(name, safe='')}"


def removal(noun: str, name: str) -> str:
    """Where something of Jim_Test is removed."""
    return f"/set-up/{noun}/remove{HERE}&name={quote(name, safe='')}"


def done(page: httpx.Response, to: str) -> None:
    """It is saved, and the reader is sent on."""
    assert page.status_code == 303, page.text[:2000]
    assert page.headers["location"].startswith(to)
