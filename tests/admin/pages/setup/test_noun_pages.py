"""What holds for the pages of every noun of the set-up alike: names that there are not, and who was first."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from licet.admin.authentication import Identity
from licet.admin.pages.forms import Form
from licet.admin.pages.frame import Visit
from licet.admin.pages.setup.noun import Noun
from licet.admin.pages.setup.nouns.administrators import Administrators
from licet.admin.pages.setup.nouns.clients import Clients
from licet.admin.pages.setup.nouns.pools import Pools
from licet.admin.pages.setup.nouns.scopes import Scopes
from licet.admin.pages.setup.nouns.tenants import Tenants
from licet.admin.pages.setup.nouns.users import Users
from licet.admin.pages.setup.nouns.webhooks import Webhooks
from licet.admin.pages.setup.saving import Gone, remove, save
from licet.alerts import webhooks
from licet.model import Role
from licet.setup.change import changing
from support.admin.admin_site import AdminSite
from support.admin.dashboard import DashboardSite, Reader, add_admin
from support.admin.setup_forms import HERE
from support.store.kinds import SqlitePlaces
from support.store.setup_site import START_MS

EDITED = ("pools", "scopes", "users", "clients", "administrators", "webhooks")
NAMED = (*EDITED, "keys", "clients/secrets", "clients/keys")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A server with two tenants."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as site:
        with site.changing() as change:
            change.add_tenant("Other", seats=1)
        yield site


@pytest.mark.parametrize("noun", EDITED)
def test_a_page_of_nothing_leads_to_the_list(ada: Reader, noun: str) -> None:
    """Another tenant was chosen on the page of one: its name says nothing there."""
    page = ada.get(f"/set-up/{noun}/edit{HERE}")
    assert (page.status_code, page.headers["location"]) == (303, f"/set-up/{noun}{HERE}")


def test_a_page_of_no_tenant_leads_to_the_list_of_them(ada: Reader) -> None:
    page = ada.get("/set-up/tenants/edit")
    assert (page.status_code, page.headers["location"]) == (303, "/set-up/tenants")


@pytest.mark.parametrize("noun", NAMED)
def test_what_is_not_there_is_not_found_by_any_page(ada: Reader, noun: str) -> None:
    """Neither to be changed nor to be removed, and a form for it is not taken."""
    named = {"clients/secrets": "name=Client1&secret=", "clients/keys": "name=Client1&key="}.get(
        noun, "name="
    )
    csrf = ada.csrf()
    for action in ("edit", "remove") if noun in EDITED else ("remove",):
        path = f"/set-up/{noun}/{action}{HERE}&{named}no-such"
        for page in (ada.get(path), ada.http.post(path, data={"csrf": csrf})):
            assert page.status_code == 404, path
            assert "no-such" in page.text, path
            assert "It may have been removed." in page.text, path


def there_is(site: AdminSite) -> dict[type[Noun[Any]], str]:
    """One of each noun, by the name that its page has for it."""
    with changing(site.store, "ada") as change:
        change.add_tenant("Leaving", seats=1)
        change.tenant("Jim_Test").add_pool("spare", seats=1)
        change.tenant("Jim_Test").add_scope("more", read_only=True)
        change.tenant("Jim_Test").add_user("GO", name="Gone")
        change.tenant("Jim_Test").add_client("Gone", user="GO")
    with webhooks.changing(site.store, "ada") as hooks:
        hook = hooks.add("https://example.com/", tenant_id=None)
    add_admin(site.store, "grace", Role.VIEWER)
    site.store.refresh_tenants()
    return {
        Tenants: "Leaving",
        Pools: "spare",
        Scopes: "more",
        Clients: "Gone",
        Users: "GO",
        Administrators: "grace",
        Webhooks: hook.id,
    }


def test_what_is_removed_while_a_form_is_saved_is_not_made_again(
    sqlite_places: SqlitePlaces, tmp_path: Path
) -> None:
    """The page had found it; the transaction does not any more."""
    site = AdminSite(sqlite_places.make(tmp_path, START_MS), tmp_path)
    ada = Identity(actor="ada", role=Role.OWNER, tenant_id=None)
    nouns, tenants = there_is(site), tuple(site.store.tenants().values())
    tenant = site.store.tenant("Jim_Test")
    visit = Visit(identity=ada, csrf="", tenants=tenants, tenant=tenant, now_ms=START_MS)
    for described, name in nouns.items():
        noun = described(site.context, visit, tenant)
        part = noun.find(name)
        assert part is not None, name
        form = Form(noun.fields(part), noun.texts(part))
        values = form.values()
        noun.prepare(form, values, part)
        assert remove(noun, name, ends=0).is_done, name
        with pytest.raises(Gone, match=f"{name} was removed by somebody else"):
            save(noun, form, name, values, ends=0)
        assert name not in described(site.context, visit, site.store.tenant("Jim_Test")).parts()
    site.close()
