"""The loops beside the requests: they go on after a fault, say it once, and take work in bounded pieces."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import islice
from types import SimpleNamespace
from typing import Any

from licet.lanes.in_thread import in_thread
from licet.server.housekeeping import Housekeeping
from licet.server.loops import Loop, run_loops
from licet.store import schema
from licet.store.errors import StoreUnavailable
from licet.web.last_uses import KEEP_TURNS, LastUses
from licet.web.sessions_read import Read
from support.examples import SMALL, grant, jim_test, sid, view
from support.store.kinds import Place
from support.store.store_site import begin, do, rows


class Log:
    """What was logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def error(self, event: str, **fields: Any) -> None:
        """One line."""
        self.lines.append((event, fields))

    info = warning = exception = error


class Faulty:
    """Work that fails as it is told to, once for each turn; None is a turn that works."""

    def __init__(self, *faults: Exception | None) -> None:
        self._faults = list(faults)
        self.is_over = asyncio.Event()

    async def __call__(self) -> None:
        """One turn."""
        if not self._faults:
            self.is_over.set()
            return
        if (fault := self._faults.pop(0)) is not None:
            raise fault


def test_a_loop_goes_on_while_all_others_wait_for_the_store() -> None:
    """A change of the set-up takes effect within a second, also where housekeeping waits for a lock."""
    is_free, has_looked = threading.Event(), threading.Event()
    waiting = [Loop(f"{number}", 60.0, partial(in_thread, is_free.wait, 60)) for number in range(40)]

    async def run() -> None:
        loops = iter([*waiting, Loop("look", 60.0, partial(in_thread, has_looked.set))])
        running = asyncio.create_task(run_loops(loops, Log()))
        while not has_looked.is_set():
            await asyncio.wait({running}, timeout=0.01)
            assert not running.done()
        is_free.set()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    try:
        asyncio.run(asyncio.wait_for(run(), 30))
    finally:
        is_free.set()
    assert has_looked.is_set()


def logged(*faults: Exception | None) -> list[tuple[str, str, bool]]:
    """What a loop logs of these turns: its name, the detail, and whether a traceback is with it."""
    log = Log()

    async def run() -> None:
        work = Faulty(*faults)
        running = asyncio.create_task(run_loops(iter([Loop("sweep", 0.0, work)]), log))
        await asyncio.wait_for(work.is_over.wait(), 10)
        running.cancel()

    asyncio.run(run())
    assert {event for event, _ in log.lines} <= {"housekeeping_failed"}
    return [(fields["what"], fields["detail"], fields["exc_info"] is not None) for _, fields in log.lines]


def test_a_fault_is_logged_once_until_the_loop_works_again() -> None:
    """A store that is down for an hour is one line, and one more when it is down again."""
    down = StoreUnavailable("down")
    line = ("sweep", "StoreUnavailable: down", False)
    assert logged(down, down, down) == [line]
    assert logged(down, None, down) == [line, line]


def test_another_fault_is_another_line_and_a_bug_has_its_traceback() -> None:
    """The first cause does not hide the second."""
    assert logged(StoreUnavailable("down"), LookupError("a bug")) == [
        ("sweep", "StoreUnavailable: down", False),
        ("sweep", "LookupError: a bug", True),
    ]


def test_loops_that_are_cancelled_leave_no_work_behind_in_a_thread() -> None:
    """The store is closed next: a transaction under way would lose what it was to write."""
    may_end, ended = threading.Event(), []

    async def run() -> None:
        has_begun, loop = asyncio.Event(), asyncio.get_running_loop()

        def work() -> None:
            loop.call_soon_threadsafe(has_begun.set)
            ended.append(may_end.wait(60))

        running = asyncio.create_task(run_loops(iter([Loop("sweep", 0.0, partial(in_thread, work))]), Log()))
        await has_begun.wait()
        running.cancel()
        await asyncio.wait([running], timeout=0)
        assert not running.done()
        may_end.set()
        await asyncio.wait([running])
        assert ended

    asyncio.run(run())


def test_a_node_that_does_not_lead_folds_denials_and_nothing_else(make_place: Callable[[int], Place]) -> None:
    """The leader may be a node of version 0.2.0, which knows nothing of them."""
    place = make_place(1_700_000_000_000)
    store = begin(place, jim_test(pools=(SMALL,)))
    do(store, grant(1, 1), grant(2, 2))
    follower: Any = SimpleNamespace(transaction=store.transaction, is_leader=lambda: False)
    parts: Any = SimpleNamespace(store=follower)
    nobody: Any = None
    upkeep = Housekeeping(parts, nobody, nobody)
    asyncio.run(upkeep.fold_journal())
    asyncio.run(upkeep.fold_denials())
    assert [row.kind for row in rows(store, schema.journal)] == ["denied"]
    assert rows(store, schema.denial_entry) == []
    place.close()


def uses_written(
    make_place: Callable[[int], Place], *turns: int, fails_at: int = -1, room: int = 100, stops: bool = False
) -> list[int]:
    """How many sessions have a use in the store after each turn, before which so many more were used."""
    place = make_place(1_700_000_000_000)
    store = begin(place)
    sids = [sid(number) for number in range(1, sum(turns) + 1)]
    do(store, *(view(1, number + 1) for number in range(len(sids))))
    read = store.read_sessions(sids)
    uses, written, coming = LastUses[bytes, Read](room), [], iter(sids)
    endpoints: Any = SimpleNamespace(uses=uses)
    authenticator: Any = SimpleNamespace(secrets_used=LastUses(), keys_used=LastUses())
    parts: Any = SimpleNamespace(store=store, authenticator=authenticator)
    nobody: Any = None

    def unavailable(*_: object) -> None:
        raise StoreUnavailable("down")

    async def run() -> None:
        upkeep = Housekeeping(parts, endpoints, nobody)
        for turn, count in enumerate(turns):
            for one in islice(coming, count):
                uses.note(one, Read(read.now_ms, read.sessions[one]))
            away: Any = SimpleNamespace(transaction=unavailable)
            upkeep._store = away if turn == fails_at else store
            with suppress(StoreUnavailable):
                await upkeep.note_uses()
            written.append(len(rows(store, schema.session_use)))
        if stops:
            await upkeep.note_used()
            written.append(len(rows(store, schema.session_use)))

    asyncio.run(run())
    place.close()
    return written


def test_uses_are_written_within_half_a_minute_a_few_in_each_turn(make_place: Callable[[int], Place]) -> None:
    """A turn is a second."""
    written = uses_written(make_place, 28, *[0] * 29)
    assert written[KEEP_TURNS - 1] == 0
    assert written[KEEP_TURNS:] == [2 * part for part in range(1, 15)] + [28]


def test_uses_are_written_earlier_when_there_are_many(make_place: Callable[[int], Place]) -> None:
    """There is room for eight: what is more than four is written at once."""
    assert uses_written(make_place, 1, 2, 3, 1, room=8) == [0, 0, 2, 3]


def test_uses_that_could_not_be_written_are_written_with_the_next(make_place: Callable[[int], Place]) -> None:
    """A store that is away for a moment loses none of them."""
    assert uses_written(make_place, 6, 1, fails_at=0, room=8) == [0, 3]


def test_a_server_that_stops_writes_all_of_them(make_place: Callable[[int], Place]) -> None:
    """They are not lost, as with one that is killed."""
    assert uses_written(make_place, 5, 0, stops=True) == [0, 0, 5]
