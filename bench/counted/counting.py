"""Counts the work of requests instead of timing it, so that the result is the same on every machine.

It counts, for each request, the bytecode instructions of Python, except those of the event loop and of this
package; the loops of SQLite's virtual machine, by its progress handler; and the pages written to SQLite's
WAL. Work inside C code is not counted; valgrind can do that.
"""

import asyncio
import queue
import selectors
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from bench.counted.work import KINDS, Sign, Work, work

REQUESTS = 128  # of each kind; two of each client
COMES_AGAIN = ("grant", "refresh", "introspect", "verify")
_STATUSES = {
    "denial": HTTPStatus.BAD_REQUEST,
    "wrong": HTTPStatus.UNAUTHORIZED,
    "verify": HTTPStatus.NO_CONTENT,
}  # of the kinds whose status is not 200
_PAGE_BYTES, _FRAME_BYTES, _HEAD_BYTES = 4096, 24, 32  # of SQLite's WAL
# Code that waits, which it does another number of times in each run.
_WAITING = (
    *(str(Path(asyncio.__file__).parent),),
    selectors.__file__,
    threading.__file__,
    queue.__file__,
    str(Path(__file__).parents[1]),  # the code that sends the requests
)


class Counts(NamedTuple):
    """The counts of one kind of request, for each request; `files` are the instructions of each file."""

    instructions: float
    sqlite_loops: float
    wal_pages: float
    files: dict[str, float]


class Tracer:
    """Counts the instructions of all threads that start while it is installed, as long as it is `active`."""

    def __init__(self) -> None:
        self.active = False
        self.counts: Counter[CodeType] = Counter()
        self._is_waiting: dict[CodeType, bool] = {}

    def begin(self) -> None:
        """Count from now on."""
        self.counts.clear()
        self.active = True

    def end(self, requests: int) -> Counts:
        """Stop counting; returns the counts for each of so many requests."""
        self.active = False
        files: Counter[str] = Counter()
        for code, found in self.counts.items():
            files[_short(code.co_filename)] += found
        return Counts(
            instructions=round(files.total() / requests, 1),
            sqlite_loops=0.0,
            wal_pages=0.0,
            files={
                name: round(count / requests, 1) for name, count in sorted(files.items()) if count >= requests
            },
        )

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        """Let a function that is entered be traced by instruction, unless it is one that waits."""
        del event, argument
        code = frame.f_code
        if code not in self._is_waiting:
            self._is_waiting[code] = code.co_filename.startswith(_WAITING)
        if self._is_waiting[code]:
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return self._instruction

    def _instruction(self, frame: FrameType, event: str, argument: object) -> Any:
        del argument
        if event == "opcode" and self.active:
            self.counts[frame.f_code] += 1
        return self._instruction


class Loops:
    """Counts the loops of SQLite's virtual machine, as a progress handler."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        """Count a loop, and let SQLite go on."""
        self.count += 1
        return 0


def count(
    directory: Path, kinds: Sequence[str] = KINDS, requests: int = REQUESTS, sign: Sign | None = None
) -> dict[str, Counts]:
    """The counts of each of these kinds of request; `sign` signs the pools.

    A kind whose requests may repeat byte for byte has two results: one with clients that ask twice, whose
    first request is parsed; and `again`, with clients that have asked before.
    """
    with counting_loops() as loops, tracing() as tracer, work(directory, sign) as (made, runner):
        # Run each kind once before, so that work that is done only once is not counted.
        for kind in kinds:
            runner.run(_ask(made, kind, 16, tracer, loops))
        found = {}
        for kind in kinds:
            found[kind] = runner.run(_ask(made, kind, requests, tracer, loops))
            if kind in COMES_AGAIN:
                found[f"{kind} again"] = runner.run(_ask(made, kind, requests, tracer, loops))
        return found


def calibrate() -> float:
    """The instructions of code that never changes, to compare versions of Python."""
    with tracing() as tracer:
        tracer.active = True
        exec(_CALIBRATION, {"__name__": "calibration"})  # noqa: S102 - a text of this file
        tracer.active = False
    return float(tracer.counts.total())


async def _ask(made: Work, kind: str, count: int, tracer: Tracer, loops: Loops) -> Counts:
    requests = await made.requests(kind, count)
    pages, looped = _pages(made.wal), loops.count
    tracer.begin()
    answers = await made.answer(requests)
    counts = tracer.end(count)
    wanted = _STATUSES.get(kind, HTTPStatus.OK)
    assert all(answer.status == wanted for answer in answers), answers
    return counts._replace(
        sqlite_loops=round((loops.count - looped) / count, 1),
        wal_pages=round((_pages(made.wal) - pages) / count, 2),
    )


def _short(file: str) -> str:
    """A file by its package, wherever it is installed."""
    parts = Path(file).parts
    for mark in ("site-packages", "src"):
        if mark in parts:
            return "/".join(parts[parts.index(mark) + 1 :])
    return parts[-1]


def _pages(wal: Path) -> int:
    size = wal.stat().st_size if wal.exists() else 0
    return max(0, size - _HEAD_BYTES) // (_PAGE_BYTES + _FRAME_BYTES)


@contextmanager
def tracing() -> Iterator[Tracer]:
    """Let instructions be counted during a `with` block."""
    tracer, before = Tracer(), sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # noqa: SLF001 - 3.12 needs it on one frame before
    threading.settrace(tracer)
    sys.settrace(tracer)
    try:
        yield tracer
    finally:
        sys.settrace(before)
        threading.settrace(before)


@contextmanager
def counting_loops() -> Iterator[Loops]:
    """Count the loops of all connections to SQLite that are made during a `with` block."""
    loops, connect = Loops(), sqlite3.connect

    def counting(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **named)
        connection.set_progress_handler(loops, 1)
        return connection

    sqlite3.connect = counting  # type: ignore[assignment]
    try:
        yield loops
    finally:
        sqlite3.connect = connect


# It does what a server does most: calls, attributes, small values, strings, dictionaries, branches.
_CALIBRATION = """
class Point:
    def __init__(self, *, name, value=None, kind=""):
        self.name = name
        self.value = value
        self.kind = kind or "plain"
        self._seen = {}

    @property
    def key(self):
        return None if self.value is None else (self.name, self.value)

    def put(self, other, *, is_new):
        is_new = is_new or other.name in self._seen
        (self._seen if is_new else {})[other.name] = other
        if (key := other.key) is not None:
            self._seen.setdefault(key, set()).add(other.name)

def parse(text):
    form = {}
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        if name in form and name in KNOWN:
            raise ValueError(name)
        form[name] = value
    return form

def check(form, point):
    if form.get("grant_type") is None:
        raise ValueError("grant_type")
    if point is None or not point.name or point.kind != "plain":
        return False
    try:
        found = form["scope"]
    except KeyError:
        found = ""
    return isinstance(found, str) and len(found) < 100

def decide(book, point, now):
    match point:
        case Point(name=name) if name in book:
            return [("kept", name)]
        case Point():
            seat = Point(name=point.name, value=now, kind=point.kind)
            return [("started", seat), ("taken", seat.key)]

def answer(changes, now):
    content = {"token": f"lca_{now:x}", "type": "Bearer", "life": max(1, now // 1000)}
    if changes and changes[0][0] == "started":
        content["refresh"] = "lcr_" + str(now)
    return {key: it for key, it in content.items() if it}

KNOWN = frozenset({"grant_type", "scope"})
book, first = {}, Point(name="first")
for now in range(50):
    point = Point(name=f"name{now % 40}", value=now)
    first.put(point, is_new=now % 2 == 0)
    if check(parse("grant_type=client_credentials&scope=all"), point):
        changes = decide(book, point, now)
        book[point.name] = changes
        answer(changes, now)
"""
