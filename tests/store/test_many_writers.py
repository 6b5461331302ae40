"""What every store promises where many write at once: no seat twice, and no count that is wrong."""

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.synchronize import Barrier
from typing import Any

import pytest
from msgspec.structs import replace

from licet.clock import ManualClock
from licet.lanes.commit import commit
from licet.ledger.book import Book
from licet.ledger.commands import Command, Denied, Ended, Granted
from licet.model import Duplicates, Group
from licet.options import Share, names_counted
from licet.store import schema
from licet.store.contract import Purpose, Store
from support.examples import EACH, client, end, grant, jim_test
from support.store.beside import BESIDE, run_beside
from support.store.kinds import Opener, Place
from support.store.store_site import START_MS, begin, do, in_use, numbers, rows


class TestManyWriters:
    """Two stores on one place: threads, and processes."""

    def test_threads_of_two_stores_never_give_a_seat_too_many_nor_lose_one(self, place: Place) -> None:
        """L6."""
        first = begin(place, jim_test(pools=(replace(EACH, seats=3),)))
        stores = [first, place.open()]
        granted: list[int] = []
        faults: list[object] = []
        barrier = threading.Barrier(4)

        def take_and_give_back(thread: int) -> None:
            store = stores[thread % 2]
            barrier.wait()
            for number in range(1000 * thread, 1000 * thread + 60, 2):
                answers = commit(store, [grant(thread + 1, number), grant(thread + 1, number + 1)])
                mine = [number + at for at, answer in enumerate(answers) if isinstance(answer, Granted)]
                granted.extend(mine)
                answers = [*answers, *commit(store, [end(it) for it in mine])]
                faults.extend(answer for answer in answers if isinstance(answer, Exception))

        threads = [threading.Thread(target=take_and_give_back, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert in_use(first) == 0
        times: Counter[str] = Counter()
        for row in rows(first, schema.whole_journal):
            times[row.kind] += row.times
        assert times["granted"] == times["ended"] == len(granted)
        assert times["granted"] + times["denied"] == 240
        assert max(row.peak for row in rows(first, schema.usage_minute)) <= 3

    def test_two_processes_give_five_seats_five_times(self, place: Place) -> None:
        """L6, L9. Both are killed as soon as they are done; what they were answered holds."""
        store = begin(place, jim_test(pools=(EACH,)))
        barrier = BESIDE.Barrier(2)
        run_beside(partial(_take_seats, place.opener, barrier, first) for first in (1000, 2000))
        assert in_use(store) == 5
        assert len(rows(store, schema.session)) == 5
        assert sum(row.times for row in rows(store, schema.whole_journal, kind="granted")) == 5
        assert sum(row.times for row in rows(store, schema.whole_journal, kind="denied")) == 2 * GRANTS - 5
        first, *_ = numbers([row.sid for row in rows(store, schema.session)])
        [ended] = do(store, end(first))
        assert isinstance(ended, Ended)
        assert ended.seat_released


GRANTS = 40


def _take_seats(opener: Opener, barrier: Barrier, first: int) -> None:
    store = opener(ManualClock(START_MS))
    barrier.wait()
    for number in range(first, first + GRANTS):
        [answer] = commit(store, [grant(1, number)])
        assert isinstance(answer, Granted | Denied), answer
    os._exit(0)  # Nothing is closed or flushed, as if it was killed.


# At their bounds all the time: 6 seats, 2 of which are reserved, and 2 at most for a group of 16 clients.
CROWD = 64
CROWD_POOL = replace(
    EACH,
    seats=6,
    duplicates=Duplicates.CLIENT,
    reserve=(Share(who="group:desk", seats=2),),
    max=(Share(who="group:sales", seats=2),),
)
CROWDED = jim_test(
    pools=(CROWD_POOL,),
    clients=tuple(client(key, f"App{key}", f"U{key % 8}") for key in range(1, CROWD + 1)),
    groups=(
        Group(name="desk", clients=frozenset(f"App{key}" for key in range(1, 9))),
        Group(name="sales", clients=frozenset(f"App{key}" for key in range(5, 21))),
    ),
)
NODES = 4


@pytest.mark.parametrize("rounds", [4, pytest.param(120, marks=[pytest.mark.wide, pytest.mark.timeout(600)])])
def test_nodes_at_the_bounds_of_limits_and_reserves_give_exactly_what_they_may(
    place: Place, rounds: int
) -> None:
    """L16, L17: 64 clients at 4 nodes; no count is ever wrong, and no idle reserved seat given away."""
    store = begin(place, CROWDED)
    barrier = BESIDE.Barrier(NODES)
    run_beside(partial(_crowd, place.opener, barrier, node, rounds) for node in range(NODES))
    seats = rows(store, schema.seat)
    counted = Counter(name for row in seats for name in names_counted(row.counted))
    assert {row.what: row.in_use for row in rows(store, schema.seat_count) if row.in_use} == counted
    assert in_use(store) == len(seats)
    denials = {row.reason for row in rows(store, schema.whole_journal, kind="denied")}
    assert {"max_reached", "reserved"} <= denials


def test_a_count_that_is_forgotten_by_a_node_is_seen(place: Place) -> None:
    """Behind the ledger stands the check of the tables: no seat is given above a limit."""
    store = begin(place, CROWDED)
    with pytest.raises(AssertionError):
        _crowd_once(_Forgetful(store), 0, 60)
    assert Counter(row.client_id in SALES for row in rows(store, schema.seat))[True] <= 2


SALES = {f"App{key}" for key in range(5, 21)}
DESK = {f"App{key}" for key in range(1, 9)}


class _Forgetful:
    """A store whose books know of no count."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def transaction(self, purpose: Purpose = Purpose.SETUP) -> Iterator[Any]:
        """One that loads all but counts."""
        with self._store.transaction(purpose) as transaction:
            load = transaction.load

            def load_less(commands: Sequence[Command]) -> Book:
                book = load(commands)
                book.counts.clear()
                book.counts_before.clear()
                book.exceeded = {}
                return book

            vars(transaction)["load"] = load_less
            yield transaction


def _crowd(opener: Opener, barrier: Barrier, node: int, rounds: int) -> None:
    store = opener(ManualClock(START_MS))
    barrier.wait()
    _crowd_once(store, node, rounds)


def _crowd_once(store: Any, node: int, rounds: int) -> None:
    """Grants of a quarter of the clients, endings of what they got, and a look at the seats."""
    dice = random.Random(node)  # noqa: S311 - what is chosen by lot guards nothing
    number, mine = 1_000_000 * (node + 1), list[int]()
    keys = range(1 + node, CROWD + 1, NODES)
    for _ in range(rounds):
        asked = dice.sample(keys, 8)
        commands: list[Command] = [grant(key, number + at) for at, key in enumerate(asked)]
        dice.shuffle(mine)
        commands += [end(it) for it in mine[len(mine) // 2 :]]
        mine = mine[: len(mine) // 2]
        answers = commit(store, commands)
        assert not [it for it in answers if isinstance(it, Exception)], answers
        mine += [number + at for at, it in enumerate(answers[: len(asked)]) if isinstance(it, Granted)]
        number += len(asked)
        held = [row.client_id for row in rows(store, schema.seat)]
        reserved = min(2, sum(it in DESK for it in held))
        assert sum(it in SALES for it in held) <= 2
        assert len(held) - reserved <= 4, "an idle reserved seat was given away"
    commit(store, [end(it) for it in mine])
