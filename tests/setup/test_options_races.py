"""Grants against changes of options and groups: one before the other, in every store (L15 to L17, L19)."""

import threading
from collections import Counter
from typing import Any

from licet.lanes.commit import commit
from licet.ledger.commands import Denied, Granted
from licet.model import Duplicates
from licet.options import COMMON, Share, names_counted
from licet.setup.change import changing
from licet.store import schema
from licet.store.contract import Store
from support.examples import CLIENTS, EACH, end, grant, jim_test
from support.store.kinds import Place
from support.store.store_site import begin, rows

ROUNDS = 4  # of each server beside a change
ADA, JIM = "ada", "Jim_Test"
SALES = Share(who="group:sales", seats=2)
CHANGES: tuple[dict[str, Any], ...] = (
    {"max": (SALES,)},
    {"reserve": (SALES,), "max": ()},
    {"seats": 3},
    {"reserve": (Share(who="user:C1", seats=1),), "queue": 3},
    {"exclude": ("user:C2",), "max_per_user": 1},
    {"duplicates": Duplicates.CLIENT},
    {"exclude": (), "max_per_user": None, "reserve": (), "queue": 0, "seats": 5},
)


class Asking(threading.Thread):
    """A server that grants and ends sessions as fast as it can: so many rounds as it is told to."""

    def __init__(self, store: Store, first: int) -> None:
        super().__init__()
        self._store, self._first = store, first
        self.is_over = threading.Event()
        self.rounds = threading.Semaphore(0)
        self.faults: list[object] = []
        self.kinds: Counter[type[object]] = Counter()

    def run(self) -> None:
        """Each client asks, and half of them end what they got."""
        number, mine = self._first, list[int]()
        while self.rounds.acquire() and not self.is_over.is_set():
            asked = [grant(key, number + key, queue=key % 2 == 0) for key in range(1, len(CLIENTS) + 1)]
            answers = commit(self._store, [*asked, *map(end, mine)])
            self.faults += [it for it in answers if isinstance(it, Exception)]
            self.kinds.update(type(it) for it in answers)
            granted = [
                number + key for key, it in enumerate(answers[: len(asked)], 1) if isinstance(it, Granted)
            ]
            mine = granted
            number += 100


def must_add_up(store: Store) -> None:
    """The counts are those of the seats, and what is above a limit now was in use before it."""
    with store.transaction() as transaction:  # alone in the store
        read = transaction.connection.execute
        seats = list(read(schema.seat.select()))
        counts = {row.what: row for row in read(schema.seat_count.select())}
        [pool] = read(schema.pool.select())
    found = Counter(name for row in seats for name in names_counted(row.counted))
    assert {what: row.in_use for what, row in counts.items() if row.in_use} == found
    assert all(row.in_use <= row.at_most + row.over for row in counts.values())
    assert pool.in_use == len(seats)
    if COMMON in counts:
        reserved = sum(row.number for row in rows(store, schema.pool_rule, kind="reserve"))
        assert counts[COMMON].in_use <= pool.seats - reserved + counts[COMMON].over


def test_a_grant_is_decided_by_the_options_before_a_change_or_by_those_after_it(place: Place) -> None:
    """Two servers grant while rules and groups change: no fault, and all adds up each time."""
    store = begin(place, jim_test(pools=(EACH,)))
    with changing(store, ADA) as change:
        change.tenant(JIM).add_group("sales", users=frozenset({"TC", "C1"}))
    asking = [Asking(place.open(), 10_000), Asking(place.open(), 500_000)]
    for thread in asking:
        thread.start()
    try:
        for turn, options in enumerate((*CHANGES, *CHANGES)):
            for thread in asking:
                thread.rounds.release(ROUNDS)
            with changing(store, ADA) as change:
                change.tenant(JIM).set_pool("full", **options)
            must_add_up(store)
            with changing(store, ADA) as change:
                users = {"TC", "C1", "C3"} if turn % 2 else {"TC", "C4"}
                change.tenant(JIM).set_group("sales", users=frozenset(users))
            must_add_up(store)
    finally:
        for thread in asking:
            thread.is_over.set()
            thread.rounds.release()
        for thread in asking:
            thread.join()
    assert [thread.faults for thread in asking] == [[], []]
    assert all(sum(thread.kinds[kind] for thread in asking) for kind in (Granted, Denied))
    must_add_up(store)
