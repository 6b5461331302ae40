"""The admin API, two at once: entity tags, conditions, and who was first. RFC 9110 8.8.3, 13."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.admin.admin_site import API, AdminSite, problem
from support.store.kinds import Place
from support.store.setup_site import JIM, START_MS

POOL = f"/tenants/{JIM}/pools/full"
DECLARATION = "[tenant.Jim_Test.pool.full]\nseats = 9\n"
TOML = {"content-type": "application/toml"}


@pytest.fixture
def site(make_place: Callable[[int], Place], tmp_path: Path) -> Iterator[AdminSite]:
    """An admin listener on each kind of store."""
    found = AdminSite(make_place(START_MS), tmp_path)
    yield found
    found.close()


def etag(site: AdminSite, path: str = POOL) -> str:
    """The tag of what is there now."""
    return site.call("GET", path).headers["etag"]


def test_without_a_condition_nothing_is_changed(site: AdminSite) -> None:
    """RFC 6585 3: 428, for every method that changes what can be edited."""
    problem(site.call("PATCH", POOL, json={"seats": 7}), 428, "condition-needed")
    problem(site.call("DELETE", POOL), 428, "condition-needed")
    problem(site.call("PUT", "/declaration", content=DECLARATION, headers=TOML), 428, "condition-needed")
    problem(site.call("PATCH", "/admins/ada", json={"enabled": False}), 428, "condition-needed")
    assert site.pool().seats == 5


@pytest.mark.parametrize("wrong", ['"x"', "x", "", 'W/"x"', '"x", "y"'])
def test_whoever_comes_second_gets_what_is_there(wrong: str, site: AdminSite) -> None:
    """412 with both: what was sent stays with the caller, `current` and its tag are in the answer."""
    refused = site.call("PATCH", POOL, if_match=wrong, json={"seats": 7})
    told = problem(refused, 412, "changed-meanwhile")
    assert told["current"] == site.get(POOL)
    assert refused.headers["etag"] == etag(site)
    problem(site.call("DELETE", POOL, if_match=wrong), 412, "changed-meanwhile")
    assert site.pool().seats == 5


def test_a_weak_tag_is_no_condition_for_a_change(site: AdminSite) -> None:
    """RFC 9110 13.1.1: strong comparison."""
    problem(site.call("PATCH", POOL, if_match=f"W/{etag(site)}", json={"seats": 7}), 412, "changed-meanwhile")


def test_one_of_several_tags_is_enough(site: AdminSite) -> None:
    """RFC 9110 13.1.1: a list."""
    condition = f'"x", {etag(site)}'
    assert site.call("PATCH", POOL, if_match=condition, json={"seats": 7}).status_code == 200


def test_what_is_known_already_is_not_sent_again(site: AdminSite) -> None:
    """304, by weak comparison, with the tag and no content."""
    known = etag(site)
    for condition in (known, f"W/{known}", f'"x", {known}', "*"):
        headers = site.headers("viewer", if_none_match=condition)
        response = site.node.send("GET", API + POOL, headers=headers)
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", known)
    site.call("PATCH", POOL, if_match="*", json={"seats": 7})
    headers = site.headers("viewer", if_none_match=known)
    assert site.node.send("GET", API + POOL, headers=headers).json()["seats"] == 7


def test_a_change_that_changes_nothing_keeps_the_tag(site: AdminSite) -> None:
    """The tag is of the content."""
    before = etag(site)
    assert site.call("PATCH", POOL, if_match=before, json={"seats": 5}).headers["etag"] == before
    assert site.call("PATCH", POOL, if_match=before, json={}).headers["etag"] == before


def test_of_two_who_edit_at_once_one_is_told(site: AdminSite) -> None:
    """In the transaction itself: also on two nodes, none of them is overwritten unseen."""
    other = site.another_node(site.second())
    known = etag(site)
    seats = list(range(10, 18))

    async def edit(number: int) -> httpx.Response:
        node = site.node if number % 2 else other
        headers = site.headers("owner", if_match=known)
        return await node.request("PATCH", API + POOL, headers=headers, json={"seats": number})

    async def both(of_this: list[int]) -> list[httpx.Response]:
        return list(await asyncio.gather(*map(edit, of_this)))

    # Each node has a loop of its own; the threads of both meet in the store.
    first = site.node.run(lambda: both([number for number in seats if number % 2]))
    second = other.run(lambda: both([number for number in seats if not number % 2]))
    statuses = sorted(response.status_code for response in first + second)
    assert statuses == [200, *[412] * (len(seats) - 1)]
    (winner,) = (response for response in first + second if response.status_code == 200)
    assert site.pool().seats == winner.json()["seats"]
    for response in second:
        assert response.json().get("current", winner.json()) == winner.json()


def test_what_one_node_changes_the_other_shows_at_once(site: AdminSite) -> None:
    """Whoever looks next, wherever: a load balancer may send him to either."""
    other = site.another_node(site.second())
    assert site.get(POOL, node=other)["seats"] == 5
    site.call("PATCH", POOL, if_match="*", json={"seats": 8})
    assert site.get(POOL, node=other)["seats"] == 8
    made = site.call("POST", "/tenants", node=other, json={"name": "New", "seats": 1})
    assert made.status_code == 201
    assert site.get("/tenants/New")["name"] == "New"


def test_what_is_gone_is_removed_already(site: AdminSite) -> None:
    """RFC 9110 13.1.1: the state that is asked for is there, whatever the condition says."""
    user = f"/tenants/{JIM}/users/AB"
    known = site.call("POST", f"/tenants/{JIM}/users", json={"initials": "AB"}).headers["etag"]
    for _ in range(2):
        assert site.call("DELETE", user, if_match=known).status_code == 204
    assert site.call("DELETE", "/admins/nobody", if_match='"x"').status_code == 204
    problem(site.call("PATCH", user, if_match=known, json={"name": "x"}), 404, "not-found")
    problem(site.call("DELETE", "/tenants/No/users/AB", if_match="*"), 404, "not-found")


class TestDeclaration:
    """The set-up as a file."""

    def apply(self, site: AdminSite, query: str = "", **options: Any) -> httpx.Response:
        """The answer to a file."""
        options = {"content": DECLARATION, "headers": TOML, "if_match": "*"} | options
        return site.call("PUT", f"/declaration{query}", **options)

    def test_what_is_exported_is_what_is_there(self, site: AdminSite) -> None:
        """Applied again, it changes nothing."""
        exported = site.call("GET", "/declaration")
        assert exported.headers["content-type"] == "application/toml; charset=utf-8"
        known = exported.headers["etag"]
        done = self.apply(site, "?prune=true", content=exported.text, if_match=known)
        assert done.json() == {"is_done": True, "steps": [], "sessions_ended": 0, "notes": []}
        assert done.headers["etag"] == known
        one = site.call("GET", "/declaration?tenant=Other").text
        assert "[tenant.Other" in one
        assert "[tenant.Jim_Test" not in one

    def test_a_rehearsal_tells_and_does_nothing(self, site: AdminSite) -> None:
        """Also which sessions would end."""
        site.grant("c1")
        told = self.apply(site, "?rehearse=true&prune=true", content=DECLARATION).json()
        assert (told["is_done"], told["sessions_ended"]) == (False, 1)
        assert {"action": "set", "tenant": JIM, "target": "pool full", "detail": "seats 5 -> 9"} in told[
            "steps"
        ]
        assert site.pool().seats == 5
        done = self.apply(site, "?prune=true").json()
        assert done == told | {"is_done": True}
        assert site.pool().seats == 9
        assert site.tenant.clients == {}

    def test_only_what_was_seen_is_replaced(self, site: AdminSite) -> None:
        """412 has the file as it is now."""
        known = site.call("GET", "/declaration").headers["etag"]
        site.call("PATCH", POOL, if_match="*", json={"seats": 6})
        told = problem(self.apply(site, if_match=known), 412, "changed-meanwhile")
        assert told["current"] == site.call("GET", "/declaration").text
        assert site.pool().seats == 6

    def test_all_mistakes_are_told(self, site: AdminSite) -> None:
        """Each with its key."""
        refused = self.apply(site, content="[tenant.Jim_Test.pool.full]\nseats = true\nx = 1\n")
        told = problem(refused, 422, "invalid-value")
        assert [error["message"].partition(":")[0] for error in told["errors"]] == [
            "tenant.Jim_Test.pool.full.seats",
            "tenant.Jim_Test.pool.full.x",
        ]
        assert told["detail"] == "The declaration has 2 mistakes."
        problem(self.apply(site, content=b"\xff"), 400, "malformed-request")
        problem(self.apply(site, content="x = ["), 422, "invalid-value")
        problem(self.apply(site, headers={"content-type": "text/plain"}), 415, "wrong-media-type")
