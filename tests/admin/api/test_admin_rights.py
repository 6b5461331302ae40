"""The admin API, who may what: roles, tenants that are not one's own, keys, cookies and forged requests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from licet.accounts import administrators
from licet.admin.authentication import FAILURES_PER_SOURCE_MAX, Identity
from licet.formats import instant
from licet.model import Role
from licet.store.errors import NotFound
from support.admin.admin_site import API, OTHER, PASSWORD, URL, AdminSite, problem
from support.store.kinds import Place, SqlitePlaces
from support.store.setup_site import JIM, START_MS

KEY = '{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'

# What every operation needs: a role, and a body where it takes one. All others are read by a viewer.
OPERATOR: dict[str, dict[str, Any] | None] = {
    "endSessions": {"all": True},
    "suspendClient": {"cool_down_s": 1},
    "resumeClient": None,
    "removePlace": None,
    "sendDeliveriesAgain": {"messages": ["msg_0"]},
}
OWNER: dict[str, dict[str, Any] | None] = {
    "changePool": {"alerts": ["50"]},
    "checkLicences": None,
    "installLicences": None,
    "makeStatement": None,
    "addUser": {"initials": "NN"},
    "changeUser": {"name": "Somebody"},
    "removeUser": None,
    "addGroup": {"name": "new"},
    "changeGroup": {"users": ["U1"]},
    "removeGroup": None,
    "addClient": {"client_id": "new", "user": "U1"},
    "changeClient": {"enabled": False},
    "removeClient": None,
    "addSecret": {},
    "removeSecret": None,
    "rotateSecret": {},
    "addClientKey": {"key": KEY},
    "removeClientKey": None,
    "changeTenant": {"no_seat_status": 429},
    "listAdmins": None,
    "addAdmin": {"name": "new", "password": "correct horse"},
    "getAdmin": None,
    "changeAdmin": {"enabled": False},
    "removeAdmin": None,
    "listApiKeys": None,
    "addApiKey": {"name": "new"},
    "getApiKey": None,
    "removeApiKey": None,
    "addWebhook": {"url": "https://example.com/alerts"},
    "changeWebhook": {"enabled": False},
    "removeWebhook": None,
    "getWebhookSecret": None,
    "rotateWebhookSecret": None,
    "testWebhook": None,
}
OWNER_OF_ALL: dict[str, dict[str, Any] | None] = {
    "addTenant": {"name": "New", "seats": 1},
    "removeTenant": None,
    "addPool": {"name": "new", "seats": 1},
    "removePool": None,
    "trustVendor": None,
    "distrustVendor": None,
    "removeLicence": None,
    "unsignPool": None,
    "addScope": {"name": "new"},
    "changeScope": {"read_only": True},
    "removeScope": None,
    "rotateKeys": {},
    "pruneKeys": None,
    "applyDeclaration": None,
}
VIEWER_OF_ALL = {"listKeys": None, "listVendors": None, "getVendor": None}
NAMES = {
    "tenant": JIM,
    "pool": "full",
    "vendor": "acme",
    "product": "jim2-api",
    "licence": "C-1",
    "serial": "1",
    "seq": "1",
    "scope": "all",
    "group": "sales",
    "initials": "U1",
    "client_id": "c1",
    "secret_id": "0" * 12,
    "kid": "2026-11",
    "sid": "0" * 40,
    "name": "ada",
    "webhook": "wh_000000000000",
    "request_id": "0-1",
}


@pytest.fixture(scope="module")
def site(sqlite_places: SqlitePlaces, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminSite]:
    """An admin listener that these tests share: each is refused, or changes what no other looks at."""
    directory = tmp_path_factory.mktemp("rights")
    found = AdminSite(sqlite_places.make(directory, START_MS), directory)
    yield found
    found.close()


@pytest.fixture(scope="module")
def operations(site: AdminSite) -> dict[str, tuple[str, str]]:
    """Method and path of every operation of the document, by its id."""
    paths = site.node.send("GET", f"{API}/openapi.json").json()["paths"]
    return {
        operation["operationId"]: (method.upper(), path.removeprefix(API))
        for path, item in paths.items()
        for method, operation in item.items()
    }


def needed(operation_id: str) -> Role:
    """The least role that may do it."""
    if operation_id in OPERATOR:
        return Role.OPERATOR
    return Role.OWNER if operation_id in {**OWNER, **OWNER_OF_ALL} else Role.VIEWER


def call(site: AdminSite, operation_id: str, at: tuple[str, str], who: str) -> Any:
    """The answer to somebody who calls an operation with all that it needs."""
    method, path = at
    body = (OPERATOR | OWNER | OWNER_OF_ALL).get(operation_id)
    options: dict[str, Any] = {} if body is None else {"json": body}
    if operation_id == "applyDeclaration":
        content = "[tenant.Jim_Test.pool.full]\nseats = 5\n"
        options = {"content": content, "headers": {"content-type": "application/toml"}}
    if operation_id == "listHolders":
        path += "?pool=full&at=2026-01-01"
    if operation_id == "getWhatIf":
        path += "?pool=full"
    if operation_id == "getCosts":
        path += "?by=group"
    return site.call(method, path.format_map(NAMES), who, if_match="*", **options)


def test_the_table_has_every_operation_that_changes_something(operations: dict[str, tuple[str, str]]) -> None:
    """A new one has to be put into it, so that nobody forgets who may."""
    assert {*OPERATOR, *OWNER, *OWNER_OF_ALL, *VIEWER_OF_ALL} <= operations.keys()
    webhooks = {name for name in operations if "Webhook" in name or "Deliver" in name}
    changing_ids = {name for name, (method, _) in operations.items() if method != "GET"}
    assert changing_ids - webhooks <= {*OPERATOR, *OWNER, *OWNER_OF_ALL}


def test_a_lower_role_is_refused_and_changes_nothing(
    site: AdminSite, operations: dict[str, tuple[str, str]]
) -> None:
    """403 for whoever may not, before anything else is said about the request."""
    version = site.version()
    for operation_id, at in operations.items():
        for role in Role:
            if not role.includes(needed(operation_id)):
                told = problem(call(site, operation_id, at, str(role)), 403, "not-allowed")
                assert told["detail"] == f"This takes the role {needed(operation_id)}; yours is {role}."
    assert site.version() == version


def test_whoever_reads_may_read_all_that_is_to_be_read(
    site: AdminSite, operations: dict[str, tuple[str, str]]
) -> None:
    """No 403 and no fault for the role that it takes."""
    for operation_id, at in operations.items():
        if at[0] == "GET":
            response = call(site, operation_id, at, str(needed(operation_id)))
            assert response.status_code in {200, 404}, (operation_id, response.text)


def test_nobody_without_a_key_gets_an_answer(site: AdminSite, operations: dict[str, tuple[str, str]]) -> None:
    """401, and how to be known: RFC 9110 11.6.1."""
    for method, path in operations.values():
        response = site.node.send(method, API + path.format_map(NAMES))
        problem(response, 401, "sign-in-needed")
        assert response.headers["www-authenticate"] == 'Bearer realm="licet"'


class TestTenants:
    """Who is of one tenant: there is no other one."""

    def test_what_is_of_another_tenant_is_not_there(
        self, site: AdminSite, operations: dict[str, tuple[str, str]]
    ) -> None:
        """404 for every operation, and nothing is changed."""
        version = site.version()
        for operation_id, at in operations.items():
            if "{tenant}" in at[1] and operation_id not in OWNER_OF_ALL:
                told = problem(call(site, operation_id, at, "owner of Other"), 404, "not-found")
                nobody = (at[0], at[1].replace("{tenant}", "Nobody"))
                also = problem(call(site, operation_id, nobody, "owner of Other"), 404, "not-found")
                assert told["detail"].replace(JIM, "") == also["detail"].replace("Nobody", "")
        assert site.version() == version

    def test_what_is_of_all_tenants_is_not_for_them(
        self, site: AdminSite, operations: dict[str, tuple[str, str]]
    ) -> None:
        """Tenants, pools and scopes themselves, the keys that sign, the set-up as a file."""
        for operation_id in (*OWNER_OF_ALL, *VIEWER_OF_ALL):
            problem(call(site, operation_id, operations[operation_id], "owner of Other"), 403, "not-allowed")

    def test_lists_have_only_their_own(self, site: AdminSite) -> None:
        """Tenants, overview, journal, findings, accounts, the file."""
        who = "owner of Other"
        assert site.get("/me", who) == {"actor": "key owner-of-other", "role": "owner", "tenant": OTHER}
        assert [it["name"] for it in site.get("/tenants", who)["items"]] == [OTHER]
        assert [it["tenant"] for it in site.get("/overview", who)["items"]] == [OTHER]
        assert {it["tenant"] for it in site.get("/journal", who)["items"]} <= {OTHER}
        assert {it["tenant"] for it in site.get("/check", who)["findings"]} <= {OTHER}
        assert site.get("/check", who)["nodes"] == []
        assert site.get("/admins", who)["items"] == []
        assert {it["tenant"] for it in site.get("/api-keys", who)["items"]} == {OTHER}
        assert "Jim_Test" not in site.call("GET", "/declaration", who).text
        problem(site.call("GET", "/declaration?tenant=Jim_Test", who), 404, "not-found")
        problem(site.call("GET", "/admins/ada", who), 404, "not-found")

    def test_an_owner_of_one_tenant_gives_out_accounts_of_that_one_only(self, site: AdminSite) -> None:
        """Not of another one, and not of all."""
        who = "owner of Other"
        made = site.call("POST", "/api-keys", who, json={"name": "mine", "role": "owner"})
        assert made.json()["tenant"] == OTHER
        wider = site.call("POST", "/api-keys", who, json={"name": "wider", "tenant": None})
        problem(wider, 403, "not-allowed")
        elsewhere = site.call("POST", "/api-keys", who, json={"name": "else", "tenant": JIM})
        assert problem(elsewhere, 422, "invalid-value")["errors"] == [
            {
                "pointer": "#/tenant",
                "code": "not_found",
                "message": f"There is no tenant {JIM}; there is: {OTHER}.",
                "limit": None,
            }
        ]
        assert site.call("DELETE", "/api-keys/owner", who).status_code == 204
        assert site.get("/me")["actor"] == "key owner"  # It is there still.

    def test_a_tenant_that_goes_meanwhile_is_not_answered_with_the_names_of_the_others(
        self, site: AdminSite
    ) -> None:
        """It was there when the call began, and is gone in the transaction."""
        owner = Identity(actor="key owner of Other", role=Role.OWNER, tenant_id=2)
        with pytest.raises(NotFound) as caught:
            site.context.change_now(owner, lambda change: change.tenant("Gone"))
        assert str(caught.value) == "there is no tenant Gone"
        assert caught.value.others == ()

    def test_a_tenant_that_is_gone_takes_its_keys_with_it(
        self, make_place: Callable[[int], Place], tmp_path: Path
    ) -> None:
        """Nobody is left who is of no tenant."""
        site = AdminSite(make_place(START_MS), tmp_path)
        try:
            assert site.call("DELETE", f"/tenants/{OTHER}", if_match="*").status_code == 204
            problem(site.call("GET", "/me", "owner of Other"), 401, "sign-in-needed")
            assert site.call("DELETE", f"/tenants/{OTHER}", if_match="*").status_code == 204
        finally:
            site.close()


class TestKeys:
    """`Authorization: Bearer lck_...`."""

    @pytest.mark.parametrize(
        "sent", ["Bearer", "Bearer x", "Bearer lck_0", "Basic YTpi", "lck_", "bearer \xff"]
    )
    def test_what_is_no_key_is_refused(self, sent: str, site: AdminSite) -> None:
        """401, and no fault."""
        response = site.node.send("GET", f"{API}/me", headers={"authorization": sent.encode("latin-1")})
        problem(response, 401, "sign-in-needed")

    def test_the_scheme_is_read_in_any_case(self, site: AdminSite) -> None:
        """RFC 9110 11.1."""
        headers = {"authorization": f"bEARER {site.keys['viewer']}"}
        assert site.node.send("GET", f"{API}/me", headers=headers).status_code == 200

    def test_a_key_ends_when_its_time_is_over_or_it_is_removed(
        self, make_place: Callable[[int], Place], tmp_path: Path
    ) -> None:
        """At once, on every node."""
        site = AdminSite(make_place(START_MS), tmp_path)
        try:
            body = {"name": "brief", "expires_at": instant(site.context.clock.now_ms() + 60_000)}
            site.keys["brief"] = site.call("POST", "/api-keys", json=body).json()["key"]
            assert site.get("/me", "brief")["role"] == "viewer"
            site.call("DELETE", "/api-keys/viewer")
            problem(
                site.call("GET", "/me", "viewer", node=site.another_node(site.second())),
                401,
                "sign-in-needed",
            )
        finally:
            site.close()

    def test_guessing_is_slowed_down(self, make_place: Callable[[int], Place], tmp_path: Path) -> None:
        """429 and when to try again; a key that is right is let through from there."""
        site = AdminSite(make_place(START_MS), tmp_path)
        try:
            assert site.call("GET", "/me").status_code == 200
            for number in range(FAILURES_PER_SOURCE_MAX):
                headers = {"authorization": f"Bearer lck_{number:012x}{'0' * 43}"}
                problem(site.node.send("GET", f"{API}/me", headers=headers), 401, "sign-in-needed")
            refused = site.node.send("GET", f"{API}/me", headers=headers)
            problem(refused, 429, "too-many-attempts")
            assert int(refused.headers["retry-after"]) > 0
            assert site.call("GET", "/me").status_code == 200
        finally:
            site.close()


class TestCookie:
    """The API for the dashboard's own scripts."""

    @pytest.fixture
    def cookie(self, site: AdminSite) -> dict[str, str]:
        """Those headers of a browser that is signed in as ada, an owner."""
        token = site.node.run(lambda: site.context.access.sign_in("ada", PASSWORD, "192.0.2.9"))
        return {"cookie": f"licet={token}"}

    def test_it_reads(self, cookie: dict[str, str], site: AdminSite) -> None:
        """As who is signed in."""
        assert site.node.send("GET", f"{API}/me", headers=cookie).json()["actor"] == "ada"

    @pytest.mark.parametrize("token", [None, "", "wrong"])
    def test_without_the_token_of_the_page_it_changes_nothing(
        self, token: str | None, cookie: dict[str, str], site: AdminSite
    ) -> None:
        """Another site can have the cookie sent, and cannot read the page."""
        headers = cookie | ({} if token is None else {"x-csrf-token": token})
        response = site.node.send("POST", f"{API}/keys", headers=headers, json={})
        problem(response, 403, "forged-request")

    def test_with_the_token_of_the_page_it_changes(self, cookie: dict[str, str], site: AdminSite) -> None:
        """In the name of who is signed in."""
        token = site.context.access.csrf(cookie["cookie"].removeprefix("licet="))
        headers = cookie | {"x-csrf-token": token}
        body = {"name": "by-ada"}
        assert site.node.send("POST", f"{API}/api-keys", headers=headers, json=body).status_code == 201
        assert site.event()[0] == "ada"

    def test_over_tls_only_the_cookie_of_tls_counts(self, cookie: dict[str, str], site: AdminSite) -> None:
        """A network in between could have planted the other one (RFC 6265bis, `__Host-`)."""
        url = "https://127.0.0.1"
        problem(site.node.send("GET", f"{API}/me", headers=cookie, url=url), 401, "sign-in-needed")
        token = cookie["cookie"].removeprefix("licet=")
        headers = {"cookie": f"__Host-licet={token}"}
        assert site.node.send("GET", f"{API}/me", headers=headers, url=url).status_code == 200


class TestOrigin:
    """Requests that a page of another site sends in an administrator's name."""

    @pytest.mark.parametrize(
        ("headers", "is_let_through"),
        [
            ({}, True),
            ({"origin": URL}, True),
            ({"sec-fetch-site": "same-origin", "origin": "https://licence.example.com"}, True),
            ({"sec-fetch-site": "none"}, True),
            ({"sec-fetch-site": "cross-site"}, False),
            ({"sec-fetch-site": "same-site", "origin": URL}, False),
            ({"origin": "http://evil.example"}, False),
            ({"origin": "http://127.0.0.1:9999"}, False),
            ({"origin": "null"}, False),
            ({"origin": "http://[::1"}, False),
        ],
    )
    def test_a_method_that_is_not_safe_is_asked_where_it_comes_from(
        self, headers: dict[str, str], is_let_through: bool, site: AdminSite
    ) -> None:
        """Sec-Fetch-Site, or Origin where a browser sends no other."""
        response = site.call("POST", f"/tenants/{JIM}/sessions/end", json={"client": "c1"}, headers=headers)
        if is_let_through:
            assert response.status_code == 200
        else:
            problem(response, 403, "forged-request")
        assert site.call("GET", "/me", headers=headers).status_code == 200

    @pytest.mark.parametrize(
        "host", ["127.0.0.1:8081", "localhost", "[::1]:80", "a.localhost", "licence.example.com."]
    )
    def test_it_is_known_by_its_names_and_every_address(self, host: str, site: AdminSite) -> None:
        """Those of its settings, and what can be no name of another site."""
        assert site.call("GET", "/me", headers={"host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host", ["evil.example", "localhost.evil.example", "", "127.0.0.1.evil.example", "[::1"]
    )
    def test_by_another_name_nothing_is_told(self, host: str, site: AdminSite) -> None:
        """DNS rebinding: 421, for reading as well."""
        problem(site.call("GET", "/me", headers={"host": host}), 421, "wrong-host")


def test_the_last_owner_of_all_stays(make_place: Callable[[int], Place], tmp_path: Path) -> None:
    """Otherwise nobody could change the accounts any more."""
    site = AdminSite(make_place(START_MS), tmp_path)
    try:
        for change in ({"enabled": False}, {"role": "viewer"}, {"tenant": OTHER}):
            problem(site.call("PATCH", "/admins/ada", if_match="*", json=change), 409, "not-possible")
        problem(site.call("DELETE", "/admins/ada", if_match="*"), 409, "not-possible")
        body = {"name": "grace", "password": "correct horse", "role": "owner"}
        made = site.call("POST", "/admins", json=body)
        assert made.status_code == 201
        assert site.call("DELETE", "/admins/ada", if_match="*").status_code == 204
        # Another password is another content, though nothing is to be seen of it.
        changed = site.call(
            "PATCH", "/admins/grace", if_match=made.headers["etag"], json={"password": "horse correct"}
        )
        assert changed.json() == made.json()
        assert changed.headers["etag"] != made.headers["etag"]
        with site.store.reading() as connection:
            found = administrators.find_admin(connection, "grace")
        assert found is not None
        assert site.context.passwords.verify_hash(found.password_hash, "horse correct")
    finally:
        site.close()


def test_the_document_is_of_what_is_served(site: AdminSite) -> None:
    """Nothing of a page is in it."""
    paths = site.node.send("GET", f"{API}/openapi.json").json()["paths"]
    assert all(path.startswith(API) for path in paths)
