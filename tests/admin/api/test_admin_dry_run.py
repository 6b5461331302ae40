"""`dry_run=true` of the admin API: what would end is answered, and nothing is changed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from licet.formats import instant
from licet.store import schema
from support.admin.admin_site import API, AdminSite, mistakes, problem
from support.store.kinds import Place
from support.store.setup_site import JIM, START_MS

POOL = f"/tenants/{JIM}/pools/full"
CLIENT = f"/tenants/{JIM}/clients/c1"
OVER = {"expires_at": "1970-01-01T00:00:01Z"}
# Each ends sessions: those of c1 alone, or of c1 and c2.
ENDING: list[tuple[str, str, dict[str, Any] | None, int]] = [
    ("PATCH", POOL, OVER, 3),
    ("PATCH", f"/tenants/{JIM}/scopes/all", {"pool": None}, 3),
    ("PATCH", f"/tenants/{JIM}/users/U1", {"enabled": False}, 2),
    ("PATCH", CLIENT, {"enabled": False}, 2),
    ("PATCH", CLIENT, {"scopes": ["view"]}, 2),
    ("DELETE", CLIENT, None, 2),
    ("DELETE", f"/tenants/{JIM}", None, 3),
    ("POST", f"/tenants/{JIM}/sessions/end", {"client": "c1"}, 2),
    ("POST", f"/tenants/{JIM}/sessions/end", {"all": True}, 3),
]


@pytest.fixture
def site(make_place: Callable[[int], Place], tmp_path: Path) -> Iterator[AdminSite]:
    """An admin listener; c1 has two sessions, and c2 one."""
    found = AdminSite(make_place(START_MS), tmp_path)
    for client in ("c1", "c1", "c2"):
        found.grant(client)
    yield found
    found.close()


@pytest.mark.parametrize(("method", "path", "body", "ends"), ENDING)
def test_a_dry_run_tells_whose_sessions_would_end_and_ends_none(
    site: AdminSite, method: str, path: str, body: dict[str, Any] | None, ends: int
) -> None:
    """The same number ends when it is done in earnest."""
    version, events = site.version(), site.count(schema.event)
    options: dict[str, Any] = {} if body is None else {"json": body}
    told = site.call(method, f"{path}?dry_run=true", if_match="*", **options)
    assert told.status_code == 200, told.text
    clients = [{"tenant": JIM, "client_id": "c1", "user": "U1", "sessions": 2}]
    if ends > 2:
        clients.append({"tenant": JIM, "client_id": "c2", "user": "U2", "sessions": 1})
    assert told.json() == {
        "dry_run": True,
        "sessions_ended": ends,
        "sessions_cut_short": 0,
        "clients": clients,
        "clients_more": 0,
    }
    assert (site.version(), site.count(schema.event), site.count(schema.session)) == (version, events, 3)
    may_end = "" if method == "POST" else f"?may_end={ends}"  # which says itself that sessions end
    assert site.call(method, f"{path}{may_end}", if_match="*", **options).is_success
    assert site.count(schema.session) == 3 - ends


@pytest.mark.parametrize(("method", "path", "body", "ends"), ENDING[:-2])
def test_a_change_ends_no_more_sessions_than_the_caller_agrees_to(
    site: AdminSite, method: str, path: str, body: dict[str, Any] | None, ends: int
) -> None:
    """One digit that is wrong throws nobody out: 409 says how many would end, and nothing is changed."""
    version = site.version()
    options: dict[str, Any] = {} if body is None else {"json": body}
    for agreed in ("", f"?may_end={ends - 1}"):
        refused = problem(
            site.call(method, f"{path}{agreed}", if_match="*", **options), 409, "would-end-sessions"
        )
        assert refused["ending"]["sessions_ended"] == ends
        assert f"send may_end={ends} to agree" in refused["detail"]
    assert (site.version(), site.count(schema.session)) == (version, 3)


def test_a_change_that_ends_nothing_asks_for_nothing(site: AdminSite) -> None:
    """Also where sessions live."""
    assert site.call("PATCH", POOL, if_match="*", json={"seats": 1, "alerts": ["50"]}).is_success
    assert site.count(schema.session) == 3


def test_a_dry_run_counts_sessions_that_would_be_cut_short(site: AdminSite) -> None:
    """L7: the pool ends before they would."""
    soon = site.clock.now_ms() + 60_000
    told = site.call("PATCH", f"{POOL}?dry_run=true", if_match="*", json={"expires_at": instant(soon)}).json()
    assert (told["sessions_ended"], told["sessions_cut_short"]) == (0, 3)


def test_a_dry_run_of_something_new_makes_nothing(site: AdminSite) -> None:
    """200 and not 201, and no secret that nobody has."""
    body = {"client_id": "new", "user": "U1", "generate_secret": True}
    told = site.call("POST", f"/tenants/{JIM}/clients?dry_run=true", json=body)
    assert (told.status_code, told.json()["sessions_ended"]) == (200, 0)
    assert "lcs_" not in told.text
    problem(site.call("GET", f"/tenants/{JIM}/clients/new"), 404, "not-found")


def test_a_dry_run_refuses_what_would_be_refused(site: AdminSite) -> None:
    """The condition, the role, the values, and what stands on it."""
    problem(site.call("PATCH", f"{POOL}?dry_run=true", json=OVER), 428, "condition-needed")
    problem(site.call("PATCH", f"{POOL}?dry_run=true", json=OVER, if_match='"x"'), 412, "changed-meanwhile")
    refused = site.call("PATCH", f"{POOL}?dry_run=true", "viewer", json=OVER, if_match="*")
    problem(refused, 403, "not-allowed")
    problem(site.call("DELETE", f"{POOL}?dry_run=true", if_match="*"), 409, "not-possible")
    refused = site.call("PATCH", f"{POOL}?dry_run=true", "owner of Other", json=OVER, if_match="*")
    problem(refused, 404, "not-found")


def test_who_does_not_own_the_licence_is_refused_also_in_a_dry_run(site: AdminSite) -> None:
    """What it answers is what would be answered."""
    path = "/tenants/Other/pools/full"
    refused = site.call("PATCH", f"{path}?dry_run=true", "owner of Other", json=OVER, if_match="*")
    problem(refused, 403, "not-allowed")


def test_an_operation_without_a_dry_run_refuses_to_be_asked_for_one(site: AdminSite) -> None:
    """It would be done in earnest, unseen."""
    refused = site.call("DELETE", "/admins/nobody?dry_run=true", if_match="*")
    assert mistakes(refused) == {"query:dry_run": "This operation has no dry run."}


def test_the_set_up_file_has_its_plan_as_a_dry_run(site: AdminSite) -> None:
    """`rehearse` was its name before."""
    text = site.call("GET", "/declaration").text.replace("seats = 5", "seats = 6")
    headers = {"content-type": "application/toml"}
    told = site.call("PUT", "/declaration?dry_run=true", content=text, headers=headers, if_match="*")
    assert told.status_code == 200, told.text
    assert [step["target"] for step in told.json()["steps"]] == ["pool full"]
    assert site.call("GET", POOL).json()["seats"] == 5


def test_every_change_of_the_set_up_takes_a_dry_run(site: AdminSite) -> None:
    """The document says which do."""
    paths = site.node.send("GET", f"{API}/openapi.json").json()["paths"]
    for path, item in paths.items():
        for method, operation in item.items():
            names = {it["name"] for it in operation.get("parameters", ())}
            is_change = method != "get" and operation["tags"][0] in {
                "Tenants",
                "Pools",
                "Licences",
                "Scopes",
                "Users",
                "Clients",
                "Groups",
                "Sessions",
            }
            is_file = operation["operationId"] == "applyDeclaration"
            is_change = is_change and operation["operationId"] != "checkLicences"  # which is one
            assert ("dry_run" in names) == (is_change or is_file), (method, path)
