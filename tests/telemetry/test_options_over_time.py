"""The metrics of options as time passes: places that lapsed and seats that expired count for nothing."""

from collections.abc import Callable, Iterator

import pytest

from licet.options import Share
from licet.setup.change import changing
from support.server.scraping import made, of_pool, values
from support.store.kinds import Place
from support.store.setup_site import ADA, JIM, START_MS, Site

FULL = (JIM, "full")
NAMES = ("licet_seats_reserved", "licet_seats_reserved_in_use", "licet_seat_queue_places")


def figures(site: Site) -> list[float | None]:
    """What a scrape says of the pool; None where it says nothing."""
    with site.store.transaction():
        pass  # which tells a store on PostgreSQL the time of the database
    found = values(made(site.store))
    return [of_pool(found, name).get(FULL) for name in NAMES]


@pytest.fixture
def site(make_place: Callable[[int], Place]) -> Iterator[Site]:
    """A pool of two seats."""
    site = Site(make_place(START_MS))
    site.begin(seats=2)
    yield site
    site.close()


def test_what_has_expired_counts_for_nothing_swept_or_not(site: Site) -> None:
    assert figures(site) == [None] * 3
    with changing(site.store, ADA) as change:
        change.tenant(JIM).set_pool("full", queue=5, reserve=(Share(who="client:c1", seats=1),))
    assert figures(site) == [1, 0, 0]
    site.grant("c1")
    site.grant("c2")
    site.ask("c3", queue=True)
    assert figures(site) == [1, 1, 1]
    site.clock.advance(seconds=31)
    assert figures(site) == [1, 1, 0]  # the place lapsed, swept or not
    site.clock.advance(seconds=1200)
    assert figures(site) == [1, 0, 0]
