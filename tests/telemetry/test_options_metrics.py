"""The metrics of options: who waits in line and for how long, and which seats are reserved."""

from msgspec.structs import replace

from licet.lanes.commit import commit
from licet.options import Share
from support.examples import FULL as POOL
from support.examples import end, grant, jim_test
from support.kinds import Place
from support.scraping import made, of_pool, values
from support.store_site import begin

FULL = ("Jim_Test", "full")


def test_reserved_seats_and_those_of_them_in_use(place: Place) -> None:
    """L17: of a pool without any there is no series."""
    shares = (Share(who="user:TC", seats=2), Share(who="user:C1", seats=1))
    store = begin(place, jim_test(pools=(replace(POOL, reserve=shares),)))
    commit(store, [grant(1, 1), grant(3, 3)])
    found = values(made(store))
    assert of_pool(found, "licet_seats_reserved") == {FULL: 3}
    assert of_pool(found, "licet_seats_reserved_in_use") == {FULL: 1}
    assert of_pool(found, "licet_waiting") == {}


def test_who_waits_in_line_and_what_became_of_those_who_did(place: Place) -> None:
    """L19: a place that has lapsed is none, swept or not."""
    store = begin(place, jim_test(pools=(replace(POOL, seats=1, queue=3),)))
    commit(store, [grant(1, 1), grant(2, 2, queue=True), grant(3, 3, queue=True)])
    assert of_pool(values(made(store)), "licet_waiting") == {FULL: 2}
    place.clock.advance(seconds=20)
    commit(store, [end(1)])
    commit(store, [grant(2, 4)])
    place.clock.advance(seconds=20)
    store.probe()  # what time it is, an idle node hears so
    assert of_pool(values(made(store)), "licet_waiting") == {FULL: 0}
    commit(store, [grant(4, 5)])
    assert store.counted["served in line"] == 1
    assert store.counted["left the line"] == 1
    assert store.counted["waited in line ms"] == 20_000
