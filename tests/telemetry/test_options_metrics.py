"""The metrics of options: who waits in line and for how long, and which seats are reserved."""

import pytest
from msgspec.structs import replace

from licet.lanes.commit import commit
from licet.options import Share
from support.examples import FULL as POOL
from support.examples import end, grant, jim_test, refresh
from support.server.scraping import Values, made, of_pool, values
from support.store.kinds import Place
from support.store.store_site import begin

FULL = ("Jim_Test", "full")


def test_reserved_seats_and_those_of_them_in_use(place: Place) -> None:
    """L17: of a pool without any there is no series."""
    shares = (Share(who="user:TC", seats=2), Share(who="user:C1", seats=1))
    store = begin(place, jim_test(pools=(replace(POOL, reserve=shares),)))
    commit(store, [grant(1, 1), grant(3, 3)])
    found = values(made(store))
    assert of_pool(found, "licet_seats_reserved") == {FULL: 3}
    assert of_pool(found, "licet_seats_reserved_in_use") == {FULL: 1}
    assert of_pool(found, "licet_seat_queue_places") == {}


def test_who_waits_in_line_and_what_became_of_those_who_did(place: Place) -> None:
    """L19: a place that has lapsed is none, swept or not."""
    store = begin(place, jim_test(pools=(replace(POOL, seats=1, queue=3),)))
    commit(store, [grant(1, 1), grant(2, 2, queue=True), grant(3, 3, queue=True)])
    assert of_pool(values(made(store)), "licet_seat_queue_places") == {FULL: 2}
    place.clock.advance(seconds=20)
    commit(store, [end(1)])
    commit(store, [grant(2, 4)])
    place.clock.advance(seconds=20)
    store.probe()  # what time it is, an idle node hears so
    assert of_pool(values(made(store)), "licet_seat_queue_places") == {FULL: 0}
    commit(store, [grant(4, 5)])
    assert store.counted["served in line"] == 1
    assert store.counted["left the line"] == 1
    found = values(made(store))
    assert of_histogram(found, "licet_seat_queue_wait_seconds") == (
        {"1.0": 0, "5.0": 0, "10.0": 0, "30.0": 1, "60.0": 1},
        1,
        20,
    )
    left = "licet_seat_queue_left_total"
    assert [found[left, (("served", served),)] for served in ("true", "false")] == [1, 1]


def test_a_wait_counts_up_to_its_bound(place: Place) -> None:
    """L19: of a second just over, of an hour and more, and of a seat that came at once."""
    store = begin(place, jim_test(pools=(replace(POOL, seats=1, queue=3, queue_hold_s=300),)))
    number = 0
    for minutes, seconds in ((0, 0), (0, 1), (0, 1.001), (70, 0)):
        number += 10
        commit(store, [grant(1, number), grant(2, number + 1, queue=True)])
        for minute in range(minutes):
            place.clock.advance(seconds=60)
            commit(store, [refresh(1, number), grant(2, 10_000 + minute, queue=True)])
        place.clock.advance(seconds=seconds)
        commit(store, [end(number), grant(2, number + 2)])
        commit(store, [end(number + 2)])
    buckets, times, seconds = of_histogram(values(made(store)), "licet_seat_queue_wait_seconds")
    assert (buckets["1.0"], buckets["5.0"], buckets["60.0"], times) == (2, 3, 3, 4)
    assert seconds == pytest.approx(4202.001)


def of_histogram(found: Values, name: str) -> tuple[dict[str, float], float, float]:
    """The buckets up to a minute, how many values there are, and their sum."""
    buckets = {dict(labels)["le"]: value for (it, labels), value in found.items() if it == f"{name}_bucket"}
    short = {bound: value for bound, value in buckets.items() if float(bound) <= 60}
    return short, found[f"{name}_count", ()], found[f"{name}_sum", ()]
