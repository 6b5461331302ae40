"""The admin API, groups and the options of pools: conditions, rehearsals, contradictions, and who may."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from licet.admin_client import ANY
from support.admin.admin_site import AdminSite, mistakes, problem
from support.store.kinds import Place
from support.store.setup_site import JIM, START_MS

GROUPS = f"/tenants/{JIM}/groups"
FULL = f"/tenants/{JIM}/pools/full"
SALES = {"name": "sales", "users": ["U1"], "clients": ["c2"]}


@pytest.fixture
def site(make_place: Callable[[int], Place], tmp_path: Path) -> Iterator[AdminSite]:
    """An admin listener on each kind of store."""
    found = AdminSite(make_place(START_MS), tmp_path)
    yield found
    found.close()


def test_a_group_is_added_shown_changed_and_removed(site: AdminSite) -> None:
    made = site.call("POST", GROUPS, json=SALES)
    assert (made.status_code, made.json()) == (201, SALES)
    assert made.headers["location"] == f"/api/v1{GROUPS}/sales"
    assert site.get(GROUPS, "viewer")["items"] == [SALES]
    changed = site.call("PATCH", f"{GROUPS}/sales", if_match=made.headers["etag"], json={"clients": []})
    assert changed.json() == SALES | {"clients": []}
    stale = site.call("PATCH", f"{GROUPS}/sales", if_match=made.headers["etag"], json={"users": []})
    problem(stale, 412, "changed-meanwhile")
    assert site.get(f"{GROUPS}/sales")["users"] == ["U1"]
    etag = changed.headers["etag"]
    assert site.call("DELETE", f"{GROUPS}/sales", if_match=etag).status_code == 204
    problem(site.call("GET", f"{GROUPS}/sales"), 404, "not-found")


def test_a_program_works_with_groups_through_the_client(site: AdminSite) -> None:
    client = site.admin_client("owner of Other")
    client.add_group("Other", name="mine", clients=["c1"])
    assert [it.clients for it in client.list_groups("Other")] == [("c1",)]
    client.change_group("Other", "mine", users=[], clients=[], if_match=ANY)
    client.remove_group("Other", "mine", if_match=ANY)
    assert list(client.list_groups("Other")) == []


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"users": ["U1", "XX"]}, "#/users"),
        ({"clients": ["nobody"]}, "#/clients"),
        ({"users": ["too long"]}, "#/users/0"),
        ({"users": [1]}, "#/users/0"),
        ({"users": None}, "#/users"),
        ({"name": "a b"}, "#/name"),
        ({"members": []}, "#/members"),
    ],
)
def test_a_group_that_cannot_be_is_refused_at_its_place(
    site: AdminSite, sent: dict[str, Any], pointer: str
) -> None:
    assert pointer in mistakes(site.call("POST", GROUPS, json=SALES | sent))
    assert site.get(GROUPS)["items"] == []


def test_a_rehearsal_of_a_removal_removes_nothing(site: AdminSite) -> None:
    site.call("POST", GROUPS, json=SALES)
    rehearsed = site.call("DELETE", f"{GROUPS}/sales?dry_run=true", if_match="*")
    assert rehearsed.json()["sessions_ended"] == 0
    assert site.get(GROUPS)["items"] == [SALES]


def test_a_group_that_a_pool_names_is_not_removed(site: AdminSite) -> None:
    site.call("POST", GROUPS, json=SALES)
    site.call("PATCH", FULL, if_match="*", json={"reserve": [{"for": "group:sales", "seats": 1}]})
    told = problem(site.call("DELETE", f"{GROUPS}/sales", if_match="*"), 409, "not-possible")
    assert "named by reserve of pool full" in told["detail"]


def test_options_of_a_pool_are_changed_and_shown(site: AdminSite) -> None:
    site.call("POST", GROUPS, json=SALES)
    options = {
        "exclude": ["user:U3"],
        "include": ["client:c1", "group:sales"],
        "reserve": [{"for": "group:sales", "seats": 2}],
        "max": [{"for": "user:U1", "seats": 1}],
        "max_per_client": 3,
        "priority": [{"for": "group:sales", "level": -9}],
        "queue": 20,
        "queue_hold_s": 60,
    }
    changed = site.call("PATCH", FULL, if_match="*", json=options)
    assert options.items() <= changed.json().items(), changed.text
    assert site.get(FULL, "viewer") == changed.json()
    again = site.call("PATCH", FULL, if_match=changed.headers["etag"], json=options)
    assert again.headers["etag"] == changed.headers["etag"]


@pytest.mark.parametrize(
    ("sent", "both"),
    [
        (
            {"reserve": [{"for": "user:U1", "seats": 3}], "max": [{"for": "user:U1", "seats": 2}]},
            {"#/reserve", "#/max"},
        ),
        ({"exclude": ["user:U1"], "include": ["user:U1"]}, {"#/exclude", "#/include"}),
        ({"named": ["U1"], "include": ["user:U2"]}, {"#/named", "#/include"}),
        ({"reserve": [{"for": "user:U1", "seats": 900}], "alerts": ["50"]}, {"#/reserve"}),
    ],
)
def test_contradictions_are_refused_whole_at_both_places(
    site: AdminSite, sent: dict[str, Any], both: set[str]
) -> None:
    before = site.get(FULL)
    refused = site.call("PATCH", FULL, if_match="*", json=sent)
    told = problem(refused, 422, "invalid-value")
    assert {error["pointer"] for error in told["errors"]} == both
    assert {error["code"] for error in told["errors"]} == {"not_together"}
    assert len({error["message"] for error in told["errors"]}) == 1
    assert site.get(FULL) == before


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"exclude": ["TC"]}, "#/exclude/0"),
        ({"exclude": ["group:nobody"]}, "#/exclude"),
        ({"reserve": [{"for": "user:U1", "seats": 0}]}, "#/reserve/0/seats"),
        ({"reserve": [{"for": "user:U1"}]}, "#/reserve/0/seats"),
        ({"reserve": [{"who": "user:U1", "seats": 1}]}, "#/reserve/0/who"),
        ({"reserve": {"user:U1": 1}}, "#/reserve"),
        ({"max": [{"for": "user:U1", "seats": 1}] * 2}, "#/max"),
        ({"priority": [{"for": "user:U1", "level": 10}]}, "#/priority/0/level"),
        ({"queue": 1001}, "#/queue"),
        ({"queue_hold_s": 4}, "#/queue_hold_s"),
        ({"max_per_user": True}, "#/max_per_user"),
        ({"exclude": ["user:U1"] * 101}, "#/exclude"),
        ({"named": ["U1", "XX"]}, "#/named"),
    ],
)
def test_an_option_that_cannot_be_is_refused_at_its_place(
    site: AdminSite, sent: dict[str, Any], pointer: str
) -> None:
    before = site.get(FULL)
    assert pointer in mistakes(site.call("PATCH", FULL, if_match="*", json=sent))
    assert site.get(FULL) == before


def test_an_owner_of_the_tenant_sets_options_and_no_term_of_the_licence(site: AdminSite) -> None:
    who, pool = "owner of Other", "/tenants/Other/pools/full"
    assert site.call("PATCH", pool, who, if_match="*", json={"queue": 3}).json()["queue"] == 3
    for sent in ({"seats": 99}, {"overdraft": 1}, {"queue": 4, "hold_s": 5}):
        problem(site.call("PATCH", pool, who, if_match="*", json=sent), 403, "not-allowed")
    assert site.get(pool, who)["queue"] == 3
    problem(
        site.call("PATCH", pool, "operator of Other", if_match="*", json={"queue": 5}), 403, "not-allowed"
    )


def test_a_scope_has_pools_in_order_and_pool_is_the_first(site: AdminSite) -> None:
    site.call("POST", f"/tenants/{JIM}/pools", json={"name": "named", "seats": 2})
    scopes = f"/tenants/{JIM}/scopes"
    made = site.call("POST", scopes, json={"name": "wide", "pools": ["named", "full"]}).json()
    assert (made["pool"], made["pools"]) == ("named", ["named", "full"])
    changed = site.call("PATCH", f"{scopes}/wide", if_match="*", json={"pools": ["full"]}).json()
    assert (changed["pool"], changed["pools"]) == ("full", ["full"])
    for pools in (["full", "full"], ["nobody"], ["full"] * 5):
        refused = site.call("PATCH", f"{scopes}/wide", if_match="*", json={"pools": pools})
        problem(refused, 422, "invalid-value")
    both = site.call("PATCH", f"{scopes}/wide", if_match="*", json={"pool": "named", "pools": ["full"]})
    assert mistakes(both).keys() == {"#/pool", "#/pools"}
    assert site.get(f"{scopes}/wide")["pools"] == ["full"]
