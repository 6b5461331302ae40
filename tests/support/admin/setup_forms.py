"""The paths of the forms in the set-up pages, and the check that a form was saved."""

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
    """The path of the form that changes an object of Jim_Test."""
    return f"/set-up/{noun}/edit{HERE}&name={quote(name, safe='')}"


def removal(noun: str, name: str) -> str:
    """The path of the form that removes an object of Jim_Test."""
    return f"/set-up/{noun}/remove{HERE}&name={quote(name, safe='')}"


def done(page: httpx.Response, to: str) -> None:
    """Check that the form was saved, and that the answer redirects to a path that begins so."""
    assert page.status_code == 303, page.text[:2000]
    assert page.headers["location"].startswith(to)
