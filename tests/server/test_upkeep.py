"""The loops beside the requests: they go on after a fault, say it once, and take work in bounded pieces."""

import asyncio
import threading
from functools import partial
from typing import Any

from licet.lanes.in_thread import in_thread
from licet.server.upkeep import Loop, run_loops
from licet.store.errors import StoreUnavailable


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
