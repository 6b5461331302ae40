"""Who may do what on the dashboard's set-up, reports and alerts: roles, tenants, forged forms, accounts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from licet.accounts import administrators, api_keys
from licet.alerts import webhooks
from licet.model import Role
from licet.setup.change import changing
from support.admin.admin_site import PASSWORD as ADMIN_PASSWORD
from support.admin.admin_site import AdminSite
from support.admin.dashboard import DashboardSite, Reader, add_admin, heading
from support.admin.filling import form_of, resend, secret_on, send, wrong
from support.store.kinds import Place, SqlitePlaces
from support.store.setup_site import START_MS

JIM, OTHER = "?tenant=Jim_Test", "?tenant=Other"
LISTS = ("tenants", "pools", "scopes", "users", "clients", "webhooks")
REPORTS = ("/denials", "/usage", "/journal", "/alerts")
FORMS = (
    f"/set-up/pools/edit{JIM}&name=full",
    f"/set-up/scopes/edit{JIM}&name=all",
    f"/set-up/users/edit{JIM}&name=TC",
    f"/set-up/clients/edit{JIM}&name=Client1",
    f"/set-up/tenants/edit{JIM}",
)
OWNERS_LISTS = ("/set-up/administrators", "/set-up/keys")
OWNERS_ONLY = (
    "/set-up/tenants/add",
    f"/set-up/pools/add{JIM}",
    f"/set-up/pools/remove{JIM}&name=full",
    f"/set-up/clients/secrets/add{JIM}&name=Client1",
    f"/set-up/tenants/remove{JIM}",
    "/set-up/administrators/add",
    "/set-up/administrators/edit?name=vera",
    "/set-up/administrators/remove?name=vera",
    "/set-up/keys/add",
    "/set-up/webhooks/add",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A server with a second tenant, whose owner is `olga`."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as site:
        with site.changing() as change:
            other = change.add_tenant("Other", seats=2)
            other.add_user("OU", name="Other User")
            other.add_client("OtherClient", user="OU")
        site.add_owner("olga", "Other")
        yield site


@pytest.fixture(scope="module")
def olga(site: DashboardSite) -> Iterator[Reader]:
    """An owner of the tenant Other."""
    with site.reader("olga") as reader:
        yield reader


def test_nobody_sees_anything_without_a_sign_in(site: DashboardSite) -> None:
    with site.reader(None) as nobody:
        for path in (*REPORTS, *(f"/set-up/{it}" for it in LISTS), *FORMS, *OWNERS_ONLY, *OWNERS_LISTS):
            page = nobody.get(path)
            assert page.status_code == 303, path
            assert page.headers["location"].startswith("/sign-in"), path


def test_a_viewer_reads_the_set_up_and_has_nothing_to_change_it_with(vera: Reader) -> None:
    for path in (f"/set-up/{it}{JIM}" for it in LISTS):
        page = vera.get(path)
        assert page.status_code == 200, path
        assert "/add" not in page.text.partition("<main")[2], path
        assert "/set-up/administrators" not in page.text, path
        assert "/set-up/keys" not in page.text, path
    for path in FORMS:
        page = vera.get(path)
        assert page.status_code == 200, path
        assert "You may look at this. An owner may change it." in page.text
        assert '<fieldset class="all-fields" disabled>' in page.text
        assert "<button" not in page.text.partition("<main")[2].partition("</form>")[0], path
    for path in (*OWNERS_ONLY, *OWNERS_LISTS):
        assert vera.get(path).status_code == 403, path


@pytest.mark.parametrize("name", ["vera", "oscar"])
def test_a_form_of_who_is_no_owner_changes_nothing(site: DashboardSite, ada: Reader, name: str) -> None:
    """Whatever the page shows, the server looks at the role."""
    forms = {path: form_of(ada.get(path)) for path in FORMS}
    with site.reader(name) as reader:
        csrf = reader.csrf()
        for path, form in forms.items():
            assert reader.http.post(path, data=form | {"csrf": csrf}).status_code == 403, path
        for path in OWNERS_ONLY:
            assert reader.http.post(path, data={"csrf": csrf}).status_code == 403, path


def test_a_form_without_the_token_is_not_taken(site: DashboardSite, ada: Reader) -> None:
    """A page of another site can make a browser send a form, and cannot know the token."""
    form = form_of(ada.get(FORMS[0])) | {"seats": ["99"]}
    for token in ([], [""], ["x" * 43]):
        page = ada.http.post(
            FORMS[0], data={name: text for name, text in form.items() if name != "csrf"} | {"csrf": token}
        )
        assert page.status_code in {401, 403}
    with site.reader("ada") as other:  # of another sign-in of the same person
        page = other.http.post(FORMS[0], data=form)
        assert page.status_code in {401, 403}
    page = ada.http.post(FORMS[0], data=form, headers={"origin": "https://evil.example"})
    assert page.status_code == 403
    with site.store() as store:
        tenant = store.tenant("Jim_Test")
        assert tenant is not None
        pool = tenant.pool_named("full")
        assert pool is not None
        assert pool.seats == 5


def test_who_looks_after_one_tenant_sees_nothing_of_another(site: DashboardSite, olga: Reader) -> None:
    site.take("Client1").raise_for_status()
    for path in (*REPORTS, *(f"/set-up/{it}" for it in LISTS)):
        page = olga.get(path)
        assert page.status_code == 200, path
        for theirs in ("Jim_Test", "Client1", "TestClientId", ">vera<"):
            assert theirs not in page.text, (path, theirs)
        if path != "/alerts":
            assert olga.get(f"{path}{JIM}").status_code == 404 or path.startswith("/set-up/"), path
    for path in (*FORMS, f"/denials/holders{JIM}&pool=full&at=1", f"/usage{JIM}", f"/journal{JIM}"):
        assert olga.get(path).status_code == 404, path


def test_who_looks_after_one_tenant_changes_that_one_only(
    site: DashboardSite, ada: Reader, olga: Reader
) -> None:
    forms = {path: form_of(ada.get(path)) for path in FORMS}
    csrf = olga.csrf("/set-up/users/add")
    for path, form in forms.items():
        assert olga.http.post(path, data=form | {"csrf": csrf}).status_code == 404, path
    for path in ("/set-up/tenants/add", f"/set-up/tenants/remove{OTHER}"):
        assert olga.get(path).status_code == 403, path
        assert olga.http.post(path, data={"csrf": csrf}).status_code == 403, path
    page = send(olga, "/set-up/pools/edit?name=full", webhooks="75")
    assert page.status_code == 303
    assert "1 tenant" in heading(olga.get("/set-up/tenants"))
    del site


def test_an_account_that_she_makes_is_of_her_tenant(site: DashboardSite, olga: Reader) -> None:
    """Nobody gives out more than he has, whatever his form says."""
    page = send(
        olga,
        "/set-up/administrators/add",
        name="otto",
        password="long enough",
        role="owner",
        tenant="Jim_Test",
    )
    assert page.status_code == 303
    page = send(olga, "/set-up/keys/add", name="others-key", role="owner", tenant="")
    assert page.status_code == 200
    page = send(olga, "/set-up/webhooks/add", url="https://example.com/x", tenant="")
    assert page.status_code == 200
    with site.store() as store, store.reading() as connection:
        tenant = store.tenant("Other")
        assert tenant is not None
        otto = administrators.find_admin(connection, "otto")
        assert otto is not None
        assert otto.tenant_id == tenant.id
        (key,) = api_keys.read_api_keys(connection, tenant.id)
        assert key.name == "others-key"
        (webhook,) = webhooks.webhooks(connection, tenant.id)
        assert webhook.url == "https://example.com/x"


def test_an_administrator_is_added_changed_and_removed(site: DashboardSite, ada: Reader) -> None:
    path = "/set-up/administrators/add"
    page = send(ada, path, name="Grace", password="long enough", role="viewer", tenant="")
    assert wrong(page).keys() == {"name"}
    page = send(ada, path, name="grace", password="", role="viewer")
    assert wrong(page).keys() == {"password"}
    page = send(ada, path, name="grace", password="long enough", role="viewer", tenant="Other")
    assert page.status_code == 303
    assert wrong(send(ada, path, name="grace", password="long enough")) == {
        "name": "There is an administrator grace already."
    }
    with site.reader(None) as grace:
        assert grace.sign_in("grace", "long enough").status_code == 303
        page = send(ada, "/set-up/administrators/edit?name=grace", enabled=None)
        assert page.status_code == 303
        assert grace.get("/seats").status_code == 303  # signed out
    assert send(ada, "/set-up/administrators/remove?name=grace").status_code == 303
    assert ada.get("/set-up/administrators/edit?name=grace").status_code == 404
    assert "removed admin grace" in ada.get("/journal?kind=event").text


def test_somebody_edited_an_administrator_first(ada: Reader) -> None:
    path = "/set-up/administrators/edit?name=oscar"
    opened = ada.get(path)
    assert send(ada, path, role="viewer").status_code == 303
    page = resend(ada, opened, path, role="owner")
    assert page.status_code == 409
    assert "Somebody else was first." in page.text
    assert send(ada, path, role="operator").status_code == 303


def test_the_last_owner_stays(ada: Reader) -> None:
    page = send(ada, "/set-up/administrators/edit?name=ada", role="viewer")
    assert page.status_code == 422
    assert "last enabled owner of all tenants" in page.text
    assert "licet admin" not in page.text
    page = send(ada, "/set-up/administrators/remove?name=ada")
    assert page.status_code == 409


def test_an_api_key_is_shown_once_and_works_until_it_is_removed(site: DashboardSite, ada: Reader) -> None:
    page = send(ada, "/set-up/keys/add", name="deploy", role="viewer", expires="2031-01-31")
    assert heading(page) == "The API key deploy"
    key = secret_on(page)
    assert key not in ada.get("/set-up/keys").text
    with site.reader(None) as program:
        headers = {"authorization": f"Bearer {key}"}
        assert program.get("/api/v1/tenants", **headers).status_code == 200
        assert send(ada, "/set-up/keys/remove?name=deploy").status_code == 303
        assert program.get("/api/v1/tenants", **headers).status_code == 401
    assert wrong(send(ada, "/set-up/keys/add", name="late", expires="2001-01-01")).keys() == {"expires"}
    assert wrong(send(ada, "/set-up/keys/add", name="No Good")).keys() == {"name"}


def test_a_webhook_is_added_changed_rotated_tested_and_removed(
    site: DashboardSite, ada: Reader, vera: Reader
) -> None:
    page = send(ada, "/set-up/webhooks/add", url="http://example.com/T0KEN")
    assert wrong(page)["url"].startswith("A webhook is a URL like")
    page = send(ada, "/set-up/webhooks/add", url="https://example.com/T0KEN", tenant="Jim_Test")
    secret = secret_on(page)
    assert secret.startswith("whsec_")
    with site.store() as store, store.reading() as connection:
        hook = next(it for it in webhooks.webhooks(connection) if it.url.endswith("T0KEN"))
    path = f"?name={hook.id}"
    listed = vera.get("/set-up/webhooks").text
    assert "https://example.com" in listed
    assert "T0KEN" not in listed  # what follows the host may be a secret
    assert vera.get(f"/set-up/webhooks/edit{path}").status_code == 403
    assert secret_on(ada.get(f"/set-up/webhooks/secret{path}")) == secret
    assert vera.get(f"/set-up/webhooks/secret{path}").status_code == 403
    rotated = secret_on(send(ada, f"/set-up/webhooks/rotate{path}"))
    assert rotated != secret
    assert ada.post(f"/set-up/webhooks/test{path}").status_code == 303
    assert "webhook.test" in ada.get("/alerts").text
    opened = ada.get(f"/set-up/webhooks/edit{path}")
    assert send(ada, f"/set-up/webhooks/edit{path}", enabled=None).status_code == 303
    assert resend(ada, opened, f"/set-up/webhooks/edit{path}", url="https://example.org/").status_code == 409
    assert send(ada, f"/set-up/webhooks/remove{path}").status_code == 303
    assert ada.get(f"/set-up/webhooks/edit{path}").status_code == 404


def test_an_administrator_of_a_tenant_that_is_new_here_is_not_taken_for_one_of_all(
    sqlite_places: SqlitePlaces, tmp_path: Path
) -> None:
    """Another node added both: a form without the tenant could only offer all of them, and save that."""
    site = AdminSite(sqlite_places.make(tmp_path, START_MS), tmp_path)
    other = site.second()
    with changing(other, "ada") as change:
        tenant = change.add_tenant("New", seats=1).tenant
    add_admin(other, "nina", Role.OWNER, tenant.id)
    token = site.node.run(lambda: site.context.access.sign_in("ada", ADMIN_PASSWORD, "192.0.2.9"))
    cookie, path = {"cookie": f"licet={token}"}, "/set-up/administrators/edit?name=nina"
    fields = {"csrf": site.context.access.csrf(token), "role": "owner", "tenant": "", "enabled": "1"}
    assert site.node.send("POST", path, headers=cookie, data=fields).status_code == 404
    page = site.node.send("GET", path, headers=cookie)
    assert (page.status_code, 'value="New" checked' in page.text) == (200, True)
    with other.reading() as connection:
        nina = administrators.find_admin(connection, "nina")
    assert nina is not None
    assert nina.tenant_id == tenant.id
    site.close()


def test_what_no_store_could_look_for_is_not_there(
    make_place: Callable[[int], Place], tmp_path: Path
) -> None:
    """A NUL is no part of a text in PostgreSQL: that was a fault of ours."""
    site = AdminSite(make_place(START_MS), tmp_path)
    token = site.node.run(lambda: site.context.access.sign_in("ada", ADMIN_PASSWORD, "192.0.2.9"))
    cookie, csrf = {"cookie": f"licet={token}"}, site.context.access.csrf(token)
    for noun in ("administrators", "webhooks"):
        path = f"/set-up/{noun}/edit?name=a%00"
        assert site.node.send("GET", path, headers=cookie).status_code == 404
    done = site.node.send("POST", "/alerts", headers=cookie, data={"csrf": csrf, "id": "a\0"})
    assert done.status_code == 303
    site.close()
