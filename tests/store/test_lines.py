"""What a look finds for those who wait in line (L19): a hint for when to ask, on every kind of store."""

from pathlib import Path
from typing import Any

from licet.model import Pool
from licet.options import Priority
from licet.store.contract import Store
from licet.store.lines import lines_of
from licet.store.sqlite.connecting import connect
from support.examples import REPORT, REPORTS, grant, jim_test
from support.store.kinds import Place, SqlitePlaces
from support.store.store_site import START_MS, begin, do

FULL = Pool(
    id=1, name="full", seats=1, queue=5, priority=(Priority(who="client:Client3", level=5),), max_per_client=1
)


def store_at(place: Place) -> Store:
    """A pool with one seat and a queue, in which Client3 is first; and another pool."""
    every = jim_test(pools=(FULL, REPORTS), scopes=(*jim_test().scopes.values(), REPORT))
    return begin(place, every)


def test_the_line_is_in_its_order(place: Place) -> None:
    """The priority first, then who came first; with all that a look needs."""
    store = store_at(place)
    do(store, grant(1, 1), *(grant(client, client, queue=True) for client in (3, 2, 4)))
    [line] = store.read_lines([1]).values()
    assert [holder for _, holder in line.places] == ["client:Client3", "client:Client2", "client:Client1"]
    assert (line.in_use, line.expired) == (1, 0)
    assert line.counts == {"each=client:TestClientId": 1}


def test_what_has_lapsed_or_expired_does_not_count(place: Place) -> None:
    """Swept or not (L4)."""
    store = store_at(place)
    do(store, grant(1, 1), grant(2, 2, queue=True))
    place.clock.advance(seconds=30)
    store.probe()
    assert not store.read_lines([1])[1].places
    place.clock.advance(seconds=1200)
    store.probe()
    line = store.read_lines([1])[1]
    assert (line.in_use, line.expired) == (1, 1)


def test_several_pools_are_read_at_once_and_those_that_are_gone_left_out(place: Place) -> None:
    """One look for all."""
    store = store_at(place)
    do(store, grant(1, 1, scope="report", pool_id=2))
    found = store.read_lines([2, 1, 77])
    assert {pool_id: line.in_use for pool_id, line in found.items()} == {1: 0, 2: 1}


def test_it_is_found_by_indexes(sqlite_places: SqlitePlaces, tmp_path: Path) -> None:
    """However many seats and places there are: it is read each second."""
    place = sqlite_places.make(tmp_path, START_MS)
    store_at(place)
    raw = connect(tmp_path / "licet.db")
    plans: list[str] = []

    def ask(statement: str) -> Any:
        plans.extend(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}"))
        return raw.execute(statement).fetchall()

    lines_of(ask, [1, 2], START_MS)
    raw.close()
    place.close()
    assert sum(plan.startswith("SEARCH") for plan in plans) == 4
    assert [plan for plan in plans if plan.startswith("SCAN")] == ["SCAN expired"]  # what was found just now
