"""Who owns the licence: every way by which an owner of one tenant could write its own, at a real server."""

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from licet.formats import instant
from licet.model import Tenant
from licet.setup.change import changing
from licet.setup.licence_terms import LicenceKept, is_counted, licence_fields, licence_names
from support.admin.dashboard import PASSWORD, DashboardSite, Reader
from support.admin.filling import form_of, resend, send
from support.many import few

OTHER = "/tenants/Other"
EXPIRES_MS = 4_000_000_000_000
WHY = "It is part of the licence, which an owner of all tenants changes."
NOT_YOURS = f"{WHY} Your role is for one tenant."

# What an owner of `Other` asks the API for, and the field that the answer names ('' is all of it).
BY_API: tuple[tuple[str, str, dict[str, Any] | None, set[str]], ...] = (
    ("PATCH", f"{OTHER}/pools/full", {"seats": 1_000_000}, {"#/seats"}),
    ("PATCH", f"{OTHER}/pools/full", {"expires_at": None}, {"#/expires_at"}),
    ("PATCH", f"{OTHER}/pools/full", {"duplicates": "user"}, {"#/duplicates"}),
    ("PATCH", f"{OTHER}/pools/full", {"hold_s": 60}, {"#/hold_s"}),
    ("PATCH", f"{OTHER}/pools/full?dry_run=true", {"seats": 9}, {"#/seats"}),
    ("PATCH", f"{OTHER}/pools/full", {"alerts": ["50"], "seats": 3}, {"#/seats"}),
    ("PATCH", f"{OTHER}/pools/full", {"duplicates": "none", "seats": 9}, {"#/duplicates", "#/seats"}),
    ("POST", f"{OTHER}/pools", {"name": "more", "seats": 9}, set()),
    ("POST", f"{OTHER}/pools", {"name": "full", "seats": 9}, set()),
    ("DELETE", f"{OTHER}/pools/spare", None, set()),
    ("POST", f"{OTHER}/scopes", {"name": "free-of-seats"}, set()),
    ("POST", f"{OTHER}/scopes", {"name": "read", "read_only": True}, set()),
    ("POST", f"{OTHER}/scopes", {"name": "payroll", "pool": "full"}, set()),
    ("PATCH", f"{OTHER}/scopes/all", {"pool": None}, set()),
    ("PATCH", f"{OTHER}/scopes/all", {"pool": "spare"}, set()),
    ("PATCH", f"{OTHER}/scopes/audit", {"read_only": False}, set()),
    ("DELETE", f"{OTHER}/scopes/audit", None, set()),
    ("PATCH", OTHER, {"session_ttl_s": 60, "access_ttl_s": 60}, {"#/session_ttl_s", "#/access_ttl_s"}),
    ("PATCH", OTHER, {"session_ttl_s": 86_400}, {"#/session_ttl_s"}),
    ("PATCH", OTHER, {"access_ttl_s": 1200}, {"#/access_ttl_s"}),
    ("PATCH", OTHER, {"token_format": "jwt"}, {"#/token_format", ""}),
    ("PATCH", OTHER, {"token_format": "jwt", "access_ttl_s": 600}, {"#/token_format"}),
    ("PATCH", OTHER, {"default_scope": "sync", "access_ttl_s": 1200}, {"#/access_ttl_s"}),
    ("PATCH", OTHER, {"time_zone": "Pacific/Kiritimati"}, {"#/time_zone"}),
    ("DELETE", OTHER, None, set()),
    ("POST", "/tenants", {"name": "Mine", "seats": 9}, set()),
    ("PATCH", f"{OTHER}/clients/Desk", {"scopes": None}, {"#/scopes"}),
    ("PATCH", f"{OTHER}/clients/Desk", {"scopes": ["all", "sync"]}, {"#/scopes"}),
    ("POST", f"{OTHER}/clients", {"client_id": "New", "user": "OU"}, {""}),
    ("POST", f"{OTHER}/clients", {"client_id": "New", "user": "OU", "scopes": ["sync"]}, {"#/scopes"}),
    ("PUT", "/declaration", None, set()),
    ("POST", "/keys", {}, set()),
    ("POST", "/api-keys", {"name": "wide", "role": "owner", "tenant": None}, {"#/tenant"}),
    (
        "POST",
        "/admins",
        {"name": "wide", "password": PASSWORD, "role": "owner", "tenant": None},
        {"#/tenant"},
    ),
    ("PATCH", "/admins/olga", {"tenant": None}, {"#/tenant"}),
)
# Pages that add, remove or change what is of the licence whole.
CLOSED = (
    ("/set-up/pools/add", {"name": "more", "seats": "9", "duplicates": "client", "expires": "never"}),
    ("/set-up/pools/remove?name=spare", {"ends": "0"}),
    ("/set-up/scopes/add", {"name": "free", "pool": ""}),
    ("/set-up/scopes/add", {"name": "free", "pool": "full"}),
    ("/set-up/scopes/edit?name=all", {"pool": ""}),
    ("/set-up/scopes/edit?name=audit", {"pool": ""}),
    ("/set-up/scopes/remove?name=audit", {"ends": "0"}),
    ("/set-up/tenants/add", {"name": "Mine", "seats": "9"}),
    ("/set-up/tenants/remove", {"typed": "Other"}),
)
# Fields that a page only shows, sent all the same.
FORGED = (
    ("/set-up/pools/edit?name=full", {"seats": "1000000"}),
    ("/set-up/pools/edit?name=full", {"expires": "never"}),
    ("/set-up/pools/edit?name=full", {"duplicates": "user"}),
    ("/set-up/pools/edit?name=full", {"hold": "1h"}),
    ("/set-up/tenants/edit", {"session_ttl": "31d"}),
    ("/set-up/tenants/edit", {"access_ttl": "1200"}),
    ("/set-up/tenants/edit", {"token_format": "jwt"}),
    ("/set-up/tenants/edit", {"time_zone": "Pacific/Kiritimati"}),
)


class LicenceSite(DashboardSite):
    """A server whose tenant `Other` has an owner of its own, `olga`."""

    def licence(self) -> Any:
        """The licences of all tenants, as the store has them."""
        with self.store() as store:
            store.refresh_tenants()
            return {name: _licence(tenant) for name, tenant in sorted(store.tenants().items())}

    def pool(self) -> Any:
        """The pool `full` of `Other`."""
        with self.store() as store:
            store.refresh_tenants()
            tenant = store.tenant("Other")
            assert tenant is not None
            return tenant.pool_named("full")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LicenceSite]:
    with LicenceSite(tmp_path_factory.mktemp("site")) as site:
        with site.changing() as change:
            other = change.add_tenant("Other", seats=2)
            other.set_pool("full", expires_at_ms=EXPIRES_MS)
            other.add_pool("spare", seats=1)
            other.add_scope("audit", read_only=True)
            other.add_scope("sync")  # needs no seat and may change data: sold to one program
            other.add_user("OU", name="Other User")
            other.add_client("Sync", user="OU", scopes=frozenset({"sync"}))
            other.add_client("Desk", user="OU", scopes=frozenset({"all", "view"}))
        site.add_owner("olga", "Other")
        yield site


@pytest.fixture(scope="module")
def olga(site: LicenceSite) -> Iterator[Reader]:
    """The owner of one tenant."""
    with site.reader("olga") as reader:
        yield reader


@pytest.fixture(scope="module")
def key(olga: Reader) -> str:
    """An API key that she made for herself."""
    made = _ask(olga, "POST", "/api-keys", {"name": "olgas", "role": "owner"})
    assert made.status_code == 201, made.text
    return str(made.json()["key"])


def _ask(reader: Reader, method: str, path: str, body: Any, key: str = "") -> httpx.Response:
    who = {"authorization": f"Bearer {key}"} if key else {"x-csrf-token": reader.csrf("/password")}
    headers = {"if-match": "*", **who}
    if path == "/declaration":
        headers["content-type"] = "application/toml"
        content = "[tenant.Other.pool.full]\nseats = 900\n"
        return reader.http.request(method, f"/api/v1{path}", headers=headers, content=content)
    given = {} if body is None else {"json": body}
    return reader.http.request(method, f"/api/v1{path}", headers=headers, **given)


@pytest.mark.parametrize(
    ("by", "method", "path", "body", "fields"),
    few([(by, *asked) for by in ("API key", "cookie") for asked in BY_API], 12),
)
def test_an_owner_of_one_tenant_does_not_write_its_own_licence_at_the_api(  # noqa: PLR0917 - a table
    site: LicenceSite,
    olga: Reader,
    key: str,
    by: str,
    method: str,
    path: str,
    body: Any,
    fields: set[str],
) -> None:
    """403, with the fields that are part of the licence; nothing of the request is done."""
    before = site.licence()
    answer = _ask(olga, method, path, body, key if by == "API key" else "")
    assert answer.status_code == 403, answer.text
    told = answer.json()
    assert told["type"] == "tag:licet,2026:not-allowed"
    assert {error["pointer"] for error in told.get("errors", ())} == fields, told
    if fields and told["code"] == "part_of_licence":
        assert told["detail"].endswith("only an owner of all tenants may do this."), told
    assert site.licence() == before
    assert site.pool().alerts == ("80", "90", "100", "denied", "expires")


@pytest.mark.parametrize(("path", "fields"), CLOSED)
def test_pages_that_change_the_licence_are_closed_to_an_owner_of_one_tenant(
    site: LicenceSite, olga: Reader, path: str, fields: dict[str, str]
) -> None:
    """403 for the form that is sent, whatever was shown."""
    before = site.licence()
    page = olga.http.post(path, data={"csrf": olga.csrf("/password"), **fields})
    assert page.status_code == 403, page.text
    assert site.licence() == before


@pytest.mark.parametrize(("path", "forged"), FORGED)
def test_a_field_of_the_licence_that_is_sent_though_it_is_only_shown_changes_nothing(
    site: LicenceSite, olga: Reader, path: str, forged: dict[str, str]
) -> None:
    before = site.licence()
    opened = olga.get(path)
    assert not forged.keys() & form_of(opened).keys()
    seen = opened.text.partition("<main")[2]
    assert seen.count(WHY) >= 3  # beside each field, why it is only shown
    page = resend(olga, opened, path, **forged)
    assert page.status_code in {303, 403, 422}, page.text
    assert site.licence() == before


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/set-up/clients/edit?name=Desk", {"scopes_all": "every"}),
        ("/set-up/clients/edit?name=Desk", {"scopes": ["all", "sync"]}),
        ("/set-up/clients/add", {"client_id": "New", "user": "OU", "scopes_all": "every"}),
    ],
)
def test_a_scope_that_needs_no_seat_and_may_write_is_given_to_no_other_client_on_a_page(
    site: LicenceSite, olga: Reader, path: str, fields: dict[str, str | list[str]]
) -> None:
    """The form comes back and says which scope; nothing is saved."""
    before = site.licence()
    page = send(olga, path, **fields)
    assert page.status_code == 422
    assert "sync needs no seat and may change data" in page.text
    assert site.licence() == before


def test_pages_show_an_owner_of_one_tenant_the_licence_and_no_button_to_change_it(
    site: LicenceSite, olga: Reader
) -> None:
    """Seats, rule, end and lives stand there as text."""
    for path in ("/set-up/pools", "/set-up/scopes"):
        assert f"{path}/add" not in olga.get(path).text.partition("<main")[2], path
    pool = olga.get("/set-up/pools/edit?name=full").text.partition("<main")[2]
    assert "<bdi>2</bdi>" in pool
    assert "<bdi>a client</bdi>" in pool
    assert "<bdi>2096-10-02" in pool
    assert "Remove" not in pool
    scope = olga.get("/set-up/scopes/edit?name=all").text.partition("<main")[2]
    assert f"You may look at this. {WHY}" in scope
    assert "<button" not in scope.partition("</form>")[0]
    tenant = olga.get("/set-up/tenants/edit").text.partition("<main")[2]
    assert "<bdi>20m</bdi>" in tenant
    assert "<bdi>references</bdi>" in tenant
    for path in ("/set-up/pools/add", "/set-up/pools/remove?name=spare", "/set-up/scopes/add"):
        page = olga.get(path)
        assert (page.status_code, NOT_YOURS in page.text) == (403, True), path
    del site


def test_an_owner_of_one_tenant_changes_all_the_rest(site: LicenceSite, olga: Reader, key: str) -> None:
    """Alerts, default scope, status, users, clients; and what names the licence as it is changes nothing."""
    before = site.licence()
    for method, path, body in (
        ("PATCH", f"{OTHER}/pools/full", {"alerts": ["50"], "seats": 2, "expires_at": instant(EXPIRES_MS)}),
        ("PATCH", f"{OTHER}/pools/full", {"alerts": ["80", "90", "100", "denied", "expires"]}),
        ("PATCH", OTHER, {"default_scope": "view", "no_seat_status": 429, "session_ttl_s": 1200}),
        ("PATCH", OTHER, {"default_scope": "all", "no_seat_status": 400, "strict_assertions": True}),
        ("POST", f"{OTHER}/users", {"initials": "NU"}),
        ("POST", f"{OTHER}/clients", {"client_id": "Till", "user": "NU", "scopes": ["all", "view"]}),
        ("PATCH", f"{OTHER}/clients/Till", {"scopes": ["audit"], "max_sessions": 3}),
        ("PATCH", f"{OTHER}/clients/Sync", {"scopes": ["sync", "view"]}),
        ("DELETE", f"{OTHER}/clients/Till", None),
    ):
        answer = _ask(olga, method, path, body, key)
        assert answer.is_success, (path, body, answer.text)
    page = send(olga, "/set-up/pools/edit?name=full", alerts="75")
    assert page.status_code == 303
    assert site.pool().alerts == ("75",)
    assert send(olga, "/set-up/pools/edit?name=full", alerts="80 90 100 denied expires").status_code == 303
    assert send(olga, "/set-up/tenants/edit", no_seat_status="503").status_code == 303
    assert site.licence() == before


def test_an_owner_of_all_tenants_changes_the_licence(site: LicenceSite) -> None:
    """By the API and by the pages, as before."""
    with site.reader("ada") as ada:
        assert _ask(ada, "PATCH", f"{OTHER}/pools/full", {"seats": 3}).json()["seats"] == 3
        page = send(ada, "/set-up/pools/edit?tenant=Other&name=full", seats="2")
        assert page.status_code == 303
        assert site.pool().seats == 2


def test_the_command_line_owns_the_licence(site: LicenceSite) -> None:
    """Whoever has the data directory is not asked for a role: a change without one keeps nothing."""
    with site.changing() as change:
        change.tenant("Other").add_scope("temporary")
        change.tenant("Other").remove_scope("temporary")
    with site.store() as store, pytest.raises(LicenceKept, match="scope temporary is new"):  # noqa: SIM117
        with changing(store, "olga", keeps_licence=True) as change:
            change.tenant("Other").add_scope("temporary")


def test_what_nobody_has_thought_of_belongs_to_the_licence() -> None:
    """A setting that is added to the model is an owner of all tenants' until it is said to be another's."""
    assert {"seats", "duplicates", "expires_at_ms", "hold_s"} <= licence_fields("pool")
    assert {"overdraft"} <= licence_fields("pool")
    options = {"exclude", "include", "named", "reserve", "max", "max_per_user", "max_per_client"}
    options |= {"priority", "queue", "queue_hold_s"}
    assert not {"alerts", *options} & licence_fields("pool")
    assert {"session_ttl_s", "access_ttl_s", "token_format"} <= licence_fields("tenant")
    assert not {"scope_default", "no_seat_status"} & licence_fields("tenant")
    assert licence_fields("scope") == {"pool", "other_pools", "read_only", "licensed"}
    assert licence_names("scope") == {"pool", "pools", "read_only", "licensed"}
    assert licence_fields("client") == licence_fields("group") == frozenset()
    assert [word for word in ("pool", "scope", "user", "client") if is_counted(word)] == ["pool", "scope"]


def _licence(tenant: Tenant) -> Any:
    """All of a tenant's licence, and which clients may have what."""
    found = msgspec.to_builtins(tenant)
    own = {"session_ttl_s", "access_ttl_s", "token_format", "time_zone"}
    pools = [dict(pool, alerts=None) for pool in found["pools"].values()]
    clients = {name: client["scopes"] for name, client in found["clients"].items() if name != "Sync"}
    return {name: found[name] for name in own} | {
        "pools": pools,
        "scopes": found["scopes"],
        "clients": clients,
    }
