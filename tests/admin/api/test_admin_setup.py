"""The admin API, the set-up: what an owner can do with tenants, pools, scopes, users, clients and secrets."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from licet.formats import instant, moment_of
from support.admin.admin_site import API, AdminSite, mistakes, problem
from support.store.kinds import Place
from support.store.setup_site import JIM, START_MS

JIM_PATH = f"/tenants/{JIM}"


@pytest.fixture
def site(make_place: Callable[[int], Place], tmp_path: Path) -> Iterator[AdminSite]:
    """An admin listener on each kind of store."""
    found = AdminSite(make_place(START_MS), tmp_path)
    yield found
    found.close()


# Of each noun: its path, a body that makes one, its name in addresses, a change, and what is shown then.
NOUNS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any], dict[str, Any]]] = {
    "tenant": (
        "/tenants",
        {"name": "New_1", "seats": 3, "session_ttl_s": 900, "access_ttl_s": 300},
        "New_1",
        {
            "no_seat_status": 429,
            "default_scope": "view",
            "token_format": "jwt",
            "strict_assertions": True,
            "time_zone": "Asia/Kathmandu",
        },
        {
            "name": "New_1",
            "session_ttl_s": 900,
            "access_ttl_s": 60,
            "default_scope": "view",
            "no_seat_status": 429,
            "token_format": "jwt",
            "strict_assertions": True,
            "time_zone": "Asia/Kathmandu",
            "licence_required": False,
        },
    ),
    "pool": (
        f"{JIM_PATH}/pools",
        {"name": "mobile", "seats": 2, "alerts": ["denied", "50"]},
        "mobile",
        {
            "seats": 0,
            "duplicates": "user",
            "expires_at": instant(START_MS + 5_000),
            "hold_s": 60,
            "max": [{"for": "user:U1", "seats": 1}],
            "priority": [{"for": "client:c1", "level": -3}],
            "queue": 20,
        },
        {
            "name": "mobile",
            "seats": 0,
            "duplicates": "user",
            "expires_at": instant(START_MS + 5_000),
            "alerts": ["50", "denied"],
            "hold_s": 60,
            "overdraft": None,
            "exclude": [],
            "include": [],
            "named": [],
            "reserve": [],
            "max": [{"for": "user:U1", "seats": 1}],
            "max_per_user": None,
            "max_per_client": None,
            "priority": [{"for": "client:c1", "level": -3}],
            "queue": 20,
            "queue_hold_s": 30,
            "effective_hold_s": 60,
            "signed": False,
            "signed_seats": None,
            "effective_seats": 0,
            "steps": [],
        },
    ),
    "scope": (
        f"{JIM_PATH}/scopes",
        {"name": "a:b/c", "read_only": True},
        "a%3Ab%2Fc",
        {"pool": "full", "read_only": False},
        {"name": "a:b/c", "pool": "full", "pools": ["full"], "read_only": False},
    ),
    "user": (
        f"{JIM_PATH}/users",
        {"initials": "T.C", "name": "Ada Byron", "password": "correct horse"},
        "T.C",
        {"enabled": False, "password": None},
        {
            "initials": "T.C",
            "name": "Ada Byron",
            "enabled": False,
            "has_password": False,
            "cost_centre": None,
        },
    ),
    "client": (
        f"{JIM_PATH}/clients",
        {"client_id": "Bureau/é 1%", "user": "U1", "scopes": ["view"]},
        "Bureau%2F%C3%A9%201%25",
        {"user": "U2", "scopes": None, "grant_types": ["client_credentials"], "introspects": True},
        {
            "client_id": "Bureau/é 1%",
            "user": "U2",
            "enabled": True,
            "max_sessions": 100,
            "scopes": None,
            "grant_types": ["client_credentials"],
            "introspects": True,
            "password_allowed": True,
            "authenticates_by": ["password"],
            "suspended_until": None,
        },
    ),
}


@pytest.mark.parametrize("noun", NOUNS)
def test_what_is_made_is_shown_changed_and_removed(noun: str, site: AdminSite) -> None:
    """201 with its address, 200 with what it is then, 204; and its events name who did it."""
    path, body, name, change, changed = NOUNS[noun]
    made = site.call("POST", path, json=body)
    assert made.status_code == 201, made.text
    where = made.headers["location"].removeprefix(API)
    assert where == f"{path}/{name}"
    shown = site.call("GET", where)
    assert shown.headers["etag"] == made.headers["etag"]
    assert made.json().items() >= shown.json().items()
    edited = site.call("PATCH", where, if_match=made.headers["etag"], json=change)
    assert (edited.status_code, edited.json()) == (200, changed)
    assert edited.headers["etag"] != made.headers["etag"]
    assert site.call("GET", where).headers["etag"] == edited.headers["etag"]
    assert changed in site.get(path)["items"]
    removed = site.call("DELETE", where, if_match=edited.headers["etag"])
    assert (removed.status_code, removed.content) == (204, b"")
    problem(site.call("GET", where), 404, "not-found")
    assert changed not in site.get(path)["items"]
    actor, _, action, target, _ = site.event()
    assert (actor, action) == ("key owner", "remove")
    assert target.startswith(noun)
    site.check()


@pytest.mark.parametrize("noun", NOUNS)
def test_a_name_is_taken_once(noun: str, site: AdminSite) -> None:
    """409, and no word about the command line."""
    path, body, *_ = NOUNS[noun]
    assert site.call("POST", path, json=body).status_code == 201
    told = problem(site.call("POST", path, json=body), 409, "already-there")["detail"]
    assert told.startswith(f"There is a {noun} ")
    assert "licet" not in told


WRONG: list[tuple[str, str, dict[str, Any], dict[str, str]]] = [
    ("POST", "/tenants", {}, {"#/name": "It is missing.", "#/seats": "It is missing."}),
    (
        "POST",
        "/tenants",
        {"name": "a b", "seats": -1, "sets": 5},
        {
            "#/name": "A name is 1 to 64 letters, digits, _ . -, and begins with a letter or digit.",
            "#/seats": "At least 0.",
            "#/sets": "There is no such field; did you mean seats?",
        },
    ),
    ("PATCH", JIM_PATH, {"access_ttl_s": 1201}, {"#/access_ttl_s": "Tenant Jim_Test: access_ttl is 1 s to"}),
    ("PATCH", JIM_PATH, {"default_scope": "no"}, {"#/default_scope": "There is no scope no in tenant"}),
    (
        "PATCH",
        JIM_PATH,
        {"strict_assertions": "yes"},
        {"#/strict_assertions": "True or false is needed."},
    ),
    ("PATCH", JIM_PATH, {"token_format": "saml"}, {"#/token_format": "Allowed: 'reference' or 'jwt'"}),
    (
        "PATCH",
        JIM_PATH,
        {"token_format": "jwt", "session_ttl_s": 700_000, "access_ttl_s": 90_000},
        {"#/access_ttl_s": "Tenant Jim_Test: access_ttl is at most 1 day where token_format is jwt"},
    ),
    ("PATCH", JIM_PATH, {"no_seat_status": 200}, {"#/no_seat_status": "Allowed: 400, 429 or 503."}),
    ("PATCH", f"{JIM_PATH}/pools/full", {"seats": "5"}, {"#/seats": "A whole number is needed."}),
    ("PATCH", f"{JIM_PATH}/pools/full", {"seats": True}, {"#/seats": "A whole number is needed."}),
    ("PATCH", f"{JIM_PATH}/pools/full", {"seats": 10**30}, {"#/seats": "At most 1000000."}),
    ("PATCH", f"{JIM_PATH}/pools/full", {"duplicates": "x"}, {"#/duplicates": "Allowed: 'client', 'user'"}),
    ("PATCH", f"{JIM_PATH}/pools/full", {"alerts": ["101"]}, {"#/alerts/0": "An alert is a percentage"}),
    ("PATCH", f"{JIM_PATH}/pools/full", {"hold_s": 86_401}, {"#/hold_s": "At most 86400."}),
    ("PATCH", f"{JIM_PATH}/pools/full", {"hold_s": -1}, {"#/hold_s": "At least 0."}),
    (
        "PATCH",
        f"{JIM_PATH}/pools/full",
        {"expires_at": 5},
        {"#/expires_at": "A date or an instant is written 2027-01-31"},
    ),
    ("POST", f"{JIM_PATH}/scopes", {"name": "a", "pool": "no"}, {"#/pool": "There is no pool no in tenant"}),
    ("PATCH", f"{JIM_PATH}/scopes/view", {"pool": "full"}, {"#/pool": "Scope view is built in"}),
    ("PATCH", f"{JIM_PATH}/scopes/view", {"read_only": False}, {"#/read_only": "Scope view is built in"}),
    ("POST", f"{JIM_PATH}/users", {"initials": "TOOLONG"}, {"#/initials": "Initials are 2 or 3 letters"}),
    (
        "POST",
        f"{JIM_PATH}/users",
        {"initials": "AB", "password": "short"},
        {"#/password": "At least 8 characters."},
    ),
    (
        "POST",
        f"{JIM_PATH}/users",
        {"initials": "AB", "password": "lcs_correct horse"},
        {"#/password": "A password does not begin with lcs_"},
    ),
    (
        "POST",
        f"{JIM_PATH}/users",
        {"initials": "AB", "name": "Ada Byron", "password": "byron+ada"},
        {"#/password": "A password is more than a name"},
    ),
    ("PATCH", f"{JIM_PATH}/users/U1", {"password": "qwertyuiop"}, {"#/password": "A password must be hard"}),
    ("PATCH", f"{JIM_PATH}/users/U1", {"name": "a\nb"}, {"#/name": "It has no control characters."}),
    ("PATCH", f"{JIM_PATH}/users/U1", {"name": "a\u2028b"}, {"#/name": "User U1: a name is 1 to 100"}),
    ("PATCH", f"{JIM_PATH}/clients/c1", {"user": "ZZ"}, {"#/user": "There is no user ZZ in tenant"}),
    ("PATCH", f"{JIM_PATH}/clients/c1", {"scopes": ["no"]}, {"#/scopes": "There is no scope no in tenant"}),
    ("PATCH", f"{JIM_PATH}/clients/c1", {"grant_types": []}, {"#/grant_types": "At least 1 of them."}),
    ("PATCH", f"{JIM_PATH}/clients/c1", {"max_sessions": 0}, {"#/max_sessions": "At least 1."}),
    (
        "POST",
        f"{JIM_PATH}/clients",
        {"client_id": "new", "user": "U1", "secret_expires_at": "2027-01-31"},
        {"#/secret_expires_at": "Secret_expires_at is about a generated secret."},
    ),
    (
        "POST",
        f"{JIM_PATH}/clients/c1/secrets",
        {"expires_at": "2020-01-31"},
        {"#/expires_at": "A new secret expires later than now"},
    ),
    (
        "PUT",
        f"{JIM_PATH}/clients/c1/suspension",
        {"cool_down_s": 86_401},
        {"#/cool_down_s": "At most 86400."},
    ),
]


def test_each_wrong_value_is_told_with_its_place(sqlite_site: AdminSite) -> None:
    """RFC 9457, RFC 6901: a message beside the field, and nothing is changed."""
    version = sqlite_site.version()
    for method, path, body, expected in WRONG:
        told = mistakes(sqlite_site.call(method, path, if_match="*", json=body))
        assert told.keys() == expected.keys(), (path, body, told)
        assert all(told[where].startswith(text) for where, text in expected.items()), (path, body, told)
    assert sqlite_site.version() == version


@pytest.fixture(scope="module")
def sqlite_site(sqlite_places: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminSite]:
    """An admin listener that tests share which change nothing."""
    directory = tmp_path_factory.mktemp("setup")
    found = AdminSite(sqlite_places.make(directory, START_MS), directory)
    yield found
    found.close()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'"a"', b"null", b"5", b'{"seats": \xff}', b'{"name": NaN}']
)
def test_what_is_no_json_object_is_told_so(content: bytes, sqlite_site: AdminSite) -> None:
    """400 or 422, and never a fault."""
    headers = {"content-type": "application/json"}
    response = sqlite_site.call("POST", "/tenants", content=content, headers=headers)
    assert response.status_code in {400, 422}, response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_a_text_that_no_store_takes_is_refused(sqlite_site: AdminSite) -> None:
    """A lone surrogate, a NUL."""
    headers = {"content-type": "application/json"}
    for name in (rb"\ud800", rb"\u0000"):
        content = b'{"initials": "AB", "name": "' + name + b'"}'
        response = sqlite_site.call("POST", f"{JIM_PATH}/users", content=content, headers=headers)
        assert mistakes(response).keys() == {"#/name"}
    problem(sqlite_site.call("GET", f"{JIM_PATH}/users/%00"), 404, "not-found")
    problem(sqlite_site.call("GET", "/admins/%00"), 404, "not-found")
    assert sqlite_site.call("GET", f"{JIM_PATH}/journal?client=%00").status_code == 422
    assert sqlite_site.call("GET", f"{JIM_PATH}/users/%ff").status_code == 404


def test_no_answer_and_no_log_has_a_password(site: AdminSite) -> None:
    """What was sent in vain is as secret as what was kept."""
    for body in (
        {"initials": "AB", "password": "tell nobody", "seats": 1},
        {"initials": "AB", "password": "tell nobody\n"},
        {"initials": "AB", "name": "Ada", "password": "tell nobody"},
    ):
        assert "tell nobody" not in site.call("POST", f"{JIM_PATH}/users", json=body).text
    made = site.call("POST", "/api-keys", json={"name": "deploy"}).json()["key"]
    assert "tell nobody" not in site.node.log.text()
    assert made not in site.node.log.text() + str(site.get("/api-keys"))


def test_a_generated_secret_is_told_once(site: AdminSite) -> None:
    """It works for the client, and the password does not any more unless that is said."""
    body = {"client_id": "Desk", "user": "U1", "generate_secret": True}
    made = site.call("POST", f"{JIM_PATH}/clients", json=body).json()
    assert made["secret"]["secret"].startswith(f"lcs_{made['secret']['secret_id']}")
    assert (made["password_allowed"], made["authenticates_by"]) == (False, ["secret"])
    kept = site.context.client_secrets().find(site.client("Desk"), made["secret"]["secret"], START_MS)
    assert kept is not None
    where = f"{JIM_PATH}/clients/Desk/secrets"
    second = site.call("POST", where, json={"expires_at": instant(START_MS + 1000)})
    secret_path = second.headers["location"].removeprefix(API)
    assert site.get(secret_path) == {
        "secret_id": second.json()["secret_id"],
        "created_at": instant(START_MS),
        "expires_at": instant(START_MS + 1000),
        "last_used_at": None,
    }
    assert {it["secret_id"] for it in site.get(where)["items"]} == {
        made["secret"]["secret_id"],
        second.json()["secret_id"],
    }
    for _ in range(2):  # What is gone is gone.
        assert site.call("DELETE", secret_path).status_code == 204
    problem(site.call("GET", secret_path), 404, "not-found")
    assert "lcs_" not in str(site.get(where))


def test_what_is_in_use_is_not_removed(site: AdminSite) -> None:
    """409 says by what."""
    told = problem(site.call("DELETE", f"{JIM_PATH}/pools/full", if_match="*"), 409, "not-possible")
    assert told["detail"].startswith("Pool full is drawn on by scope all")
    problem(site.call("DELETE", f"{JIM_PATH}/users/U1", if_match="*"), 409, "not-possible")
    problem(site.call("DELETE", f"{JIM_PATH}/scopes/all", if_match="*"), 409, "not-possible")


def test_a_client_is_suspended_and_resumed(site: AdminSite) -> None:
    """An operator gives it no seat for a while."""
    operator = site.admin_client("operator")
    suspended = operator.suspend_client(JIM, "c1", cool_down_s=300)
    assert suspended.suspended_until == moment_of(START_MS + 300_000)
    for _ in range(2):
        operator.resume_client(JIM, "c1")
    assert operator.get_client(JIM, "c1").suspended_until is None
    problem(site.call("PUT", f"{JIM_PATH}/clients/no/suspension", json={"cool_down_s": 1}), 404, "not-found")


class TestLists:
    """Pages of a list, by key."""

    def test_all_of_it_comes_in_pages(self, site: AdminSite) -> None:
        """`next` and `Link` lead on; whoever follows meets each once."""
        found, path = [], f"{API}{JIM_PATH}/clients?limit=2&user=U1"
        for number in range(5):
            body = {"client_id": f"x{number}", "user": "U1"}
            assert site.call("POST", f"{JIM_PATH}/clients", json=body).status_code == 201
        while path:
            page = site.node.send("GET", path, headers=site.headers("viewer"))
            found += [client["client_id"] for client in page.json()["items"]]
            link = page.links.get("next")
            assert (link is None) == (page.json()["next"] is None)
            path = link["url"] if link else ""
        assert found == ["c1", "x0", "x1", "x2", "x3", "x4"]

    def test_a_page_stays_right_while_the_list_changes(self, site: AdminSite) -> None:
        """What is added or removed before the cursor moves nothing behind it."""
        users = f"{JIM_PATH}/users"
        first = site.get(f"{users}?limit=2")
        assert [user["initials"] for user in first["items"]] == ["U1", "U2"]
        assert site.call("POST", users, json={"initials": "A0"}).status_code == 201
        site.call("DELETE", f"{JIM_PATH}/clients/c2", if_match="*")
        site.call("DELETE", f"{users}/U2", if_match="*")  # the one that the cursor names
        rest = site.get(f"{users}?limit=2&cursor={first['next']}")
        assert ([user["initials"] for user in rest["items"]], rest["next"]) == (["U3"], None)

    def test_filters(self, site: AdminSite) -> None:
        """By part of a name, and by what may be."""
        site.call("PATCH", f"{JIM_PATH}/clients/c2", if_match="*", json={"enabled": False})
        clients = f"{JIM_PATH}/clients"
        assert [it["client_id"] for it in site.get(f"{clients}?enabled=false")["items"]] == ["c2"]
        assert [it["client_id"] for it in site.get(f"{clients}?matching=C3")["items"]] == ["c3"]
        assert [it["initials"] for it in site.get(f"{JIM_PATH}/users?matching=user%202")["items"]] == ["U2"]
        assert [it["name"] for it in site.get("/tenants?matching=oth")["items"]] == ["Other"]

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=501", "limit=x", "cursor=%20", "cursor=AAAA", "enabled=2"]
    )
    def test_a_wrong_query_is_told(self, query: str, sqlite_site: AdminSite) -> None:
        """422 names the parameter."""
        told = mistakes(sqlite_site.call("GET", f"{JIM_PATH}/clients?{query}"))
        assert told.keys() == {f"query:{query.partition('=')[0]}"}
