"""The admin API, the queue of a pool: who waits, in which order, and how a place is taken away (L19)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from licet.formats import instant
from licet.ledger.commands import Denied
from licet.setup.change import changing
from support.admin.admin_site import AdminSite, problem
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS

FULL = f"/tenants/{JIM}/pools/full"


@pytest.fixture
def site(make_place: Callable[[int], Place], tmp_path: Path) -> Iterator[AdminSite]:
    """An admin listener with a pool of one seat, for which three may wait."""
    found = AdminSite(make_place(START_MS), tmp_path)
    with changing(found.store, ADA) as change:
        change.tenant(JIM).set_pool("full", seats=1, queue=3)
    found.grant("c1")
    yield found
    found.close()


def line(site: AdminSite) -> list[str]:
    """The clients that wait, by the API."""
    with site.store.transaction():
        pass  # which tells a store on PostgreSQL the time of the database
    items = site.get(f"{FULL}/queue", "viewer")["items"]
    assert [it["place"] for it in items] == list(range(1, len(items) + 1))
    return [it["client_id"] for it in items]


def test_who_waits_is_listed_first_come_first(site: AdminSite) -> None:
    assert line(site) == []
    assert isinstance(site.ask("c3", queue=True), Denied)
    site.clock.advance(seconds=2)
    site.ask("c2", queue=True)
    assert site.get(f"{FULL}/queue", "viewer")["items"] == [
        {
            "place": place,
            "client_id": f"c{number}",
            "user": f"U{number}",
            "user_name": f"User {number}",
            "level": 0,
            "since": instant(since_ms),
            "until": instant(since_ms + 30_000),
        }
        for place, number, since_ms in ((1, 3, START_MS), (2, 2, START_MS + 2000))
    ]
    assert [it["client_id"] for it in site.get(f"{FULL}/queue?limit=1")["items"]] == ["c3"]


def test_a_place_that_lapsed_is_not_listed_though_its_row_is_still_there(site: AdminSite) -> None:
    site.ask("c2", queue=True)
    site.clock.advance(seconds=31)
    assert line(site) == []


def test_an_operator_takes_a_place_away_and_the_client_comes_back_as_the_last(site: AdminSite) -> None:
    site.ask("c2", queue=True)
    site.ask("c3", queue=True)
    assert site.call("DELETE", f"{FULL}/queue/c2", "operator").status_code == 204
    assert line(site) == ["c3"]
    assert site.event()[0] == "key operator"
    assert site.event()[2:] == ("remove place", "client c2", "in the queue of pool full")
    site.ask("c2", queue=True)
    assert line(site) == ["c3", "c2"]


def test_a_place_that_is_not_there_is_taken_away_without_an_event(site: AdminSite) -> None:
    before = site.event()
    for _ in range(2):
        assert site.call("DELETE", f"{FULL}/queue/c2", "operator").status_code == 204
    assert site.event() == before


def test_a_rehearsal_takes_no_place_away(site: AdminSite) -> None:
    site.ask("c2", queue=True)
    assert site.call("DELETE", f"{FULL}/queue/c2?dry_run=true", "operator").json()["sessions_ended"] == 0
    assert line(site) == ["c2"]


def test_the_queue_of_what_is_not_there_is_not_found(site: AdminSite) -> None:
    problem(site.call("GET", f"/tenants/{JIM}/pools/fuller/queue"), 404, "not-found")
    told = problem(site.call("DELETE", f"{FULL}/queue/nobody", "operator"), 404, "not-found")
    assert told["detail"].startswith("There is no client nobody")
    problem(site.call("DELETE", f"/tenants/{JIM}/pools/fuller/queue/c2", "operator"), 404, "not-found")


def test_who_looks_only_or_is_of_another_tenant_takes_no_place_away(site: AdminSite) -> None:
    site.ask("c2", queue=True)
    problem(site.call("DELETE", f"{FULL}/queue/c2", "viewer"), 403, "not-allowed")
    problem(site.call("DELETE", f"{FULL}/queue/c2", "owner of Other"), 404, "not-found")
    problem(site.call("GET", f"{FULL}/queue", "owner of Other"), 404, "not-found")
    assert line(site) == ["c2"]
