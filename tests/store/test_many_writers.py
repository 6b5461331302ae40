"""What every store promises where many write at once: no seat twice, and no count that is wrong."""

import os
import threading
from collections import Counter
from functools import partial
from multiprocessing.synchronize import Barrier

from msgspec.structs import replace

from licet.clock import ManualClock
from licet.lanes.commit import commit
from licet.ledger.commands import Denied, Ended, Granted
from licet.store import schema
from support.examples import EACH, end, grant, jim_test
from support.kinds import Opener, Place
from support.store_site import SPAWN, START_MS, begin, do, in_use, numbers, rows, run_processes


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
        barrier = SPAWN.Barrier(2)
        run_processes(partial(_take_seats, place.opener, barrier, first) for first in (1000, 2000))
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
