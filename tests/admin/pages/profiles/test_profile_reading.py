"""What the page of a client or user reads: as many queries and rows as its bounds, whatever there is."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event

from licet.admin.pages.profiles.reading import HELD_A_PAGE, REFUSED_MAX, SEATS_MAX, Profile, Who, profile
from licet.journal import reach
from licet.journal.folding import fold_journal
from licet.model import Duplicates, Pool
from support.examples import client, end, grant, jim_test
from support.store.kinds import Place
from support.store.report_site import NOON_MS, Site

POOL = Pool(id=1, name="full", seats=60, duplicates=Duplicates.NONE)


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """A pool of which each session has a seat of its own."""
    place = make_place(NOON_MS)
    yield Site(place, jim_test(pools=[POOL], clients=[client(1, "Desk", "AB"), client(2, "Phone", "AB")]))
    place.close()


def read(site: Site, who: Who, name: str) -> tuple[Profile, int]:
    """A profile, and by how many queries."""
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.append(statement)

    with site.store.reporting() as connection:
        event.listen(connection, "before_cursor_execute", note)
        found = profile(connection, site.tenant, who, name, now_ms=site.now_ms, after=None)
        event.remove(connection, "before_cursor_execute", note)
    return found, len(asked)


def test_a_page_costs_as_many_queries_whatever_it_shows(site: Site) -> None:
    """And each part of it has a bound; what is beyond is counted, or on another page."""
    costs = set()
    for first in range(0, 60, 30):
        site.do(*(grant(1 + number % 2, number) for number in range(first, first + 30)))
        for who, name in ((Who.CLIENT, "Desk"), (Who.USER, "AB")):
            found, cost = read(site, who, name)
            costs.add(cost)
    assert len(costs) == 1
    assert (found.seats.count, len(found.seats.seats)) == (60, SEATS_MAX)
    site.do(*(end(number) for number in range(60)))
    for number in range(100, 112):
        site.do(
            grant(2, number), *(grant(1, 200 + 100 * number + it) for it in range(59)), grant(1, number + 50)
        )
        assert read(site, Who.CLIENT, "Phone")[1] <= max(costs)
        site.clock.advance(seconds=125)
        site.do(end(number), *(end(200 + 100 * number + it) for it in range(59)))
    found, cost = read(site, Who.CLIENT, "Desk")
    assert len(found.held.held) == HELD_A_PAGE
    assert found.held.next is not None
    assert len(found.denials) == REFUSED_MAX
    assert cost <= max(costs)


def test_where_more_happened_than_a_page_reads_it_shows_the_newest_and_says_so(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        site.do(grant(1, number), grant(2, 50 + number))
        site.clock.advance(seconds=60)
        site.do(end(number), end(50 + number))
    fold_journal(site.store)
    whole, _ = read(site, Who.CLIENT, "Desk")
    assert not whole.reach.is_cut
    assert len(whole.held.held) == HELD_A_PAGE
    monkeypatch.setattr(reach, "ROWS_MAX", 8)
    found, _ = read(site, Who.CLIENT, "Desk")
    assert found.reach.latest_ms is not None
    assert 0 < len(found.held.held) < HELD_A_PAGE
    assert all(it.freed_at_ms >= found.reach.latest_ms for it in found.held.held)
    assert found.held.held == whole.held.held[: len(found.held.held)]


def test_the_last_use_is_that_of_the_one_the_page_is_about(site: Site) -> None:
    """Also where a client is called like a user."""
    assert read(site, Who.CLIENT, "Desk")[0].last_use_ms is None
    assert not read(site, Who.CLIENT, "Nobody")[0].is_known
    site.do(grant(1, 1))
    site.clock.advance(seconds=90)
    site.do(grant(2, 2))
    assert read(site, Who.CLIENT, "Desk")[0].last_use_ms == NOON_MS
    assert read(site, Who.USER, "AB")[0].last_use_ms == NOON_MS + 90_000
    assert read(site, Who.USER, "Desk")[0].last_use_ms is None
