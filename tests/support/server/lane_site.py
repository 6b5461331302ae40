"""A commit lane with a committing process on a real store, and processes that replace it.

SIGSTOP makes a process wait, so that nothing here has to be quick.
"""

import asyncio
import math
import os
import signal
import socket
import sqlite3
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from anyio import fail_after
from anyio.lowlevel import checkpoint

from licet.clock import ManualClock
from licet.lanes.begun import COMMAND
from licet.lanes.frames import frame
from licet.lanes.process import Committer
from licet.lanes.process_main import start
from licet.ledger.commands import Command, Outcome, Sweep, Swept
from licet.platforms import processes
from licet.store.opening import SQLITE_NAME, StoreAt
from licet.store.sqlite.store import SqliteStore
from support.server.nursery import has_forked
from support.waiting import STEP_S

if TYPE_CHECKING:
    import subprocess


HANGS_AFTER_S = 60  # where a test would otherwise wait for ever; no honest run comes near
STRICT = (COMMAND[0], "-W", "error", *COMMAND[1:])


class Site(NamedTuple):
    """A data directory with `Jim_Test`, and a `Committer` on it with a process of its own."""

    data: Path
    committer: Committer
    told: list[str]
    versions: list[int]

    @property
    def pid(self) -> int:
        """The committing process."""
        return self.committer._process.pid

    async def working(self) -> None:
        """Wait until the process has answered something."""
        assert await self.committer.submit(Sweep(sessions_max=1)) == Swept(sessions=0)

    async def waiting(self, *commands: Command) -> list["asyncio.Task[Outcome]"]:
        """Submit these commands concurrently, and return their outcomes."""
        before = self.committer.queue_length
        tasks = [asyncio.create_task(self.committer.submit(command)) for command in commands]
        while self.committer.queue_length < before + len(commands):
            await checkpoint()
        await checkpoint()  # then they are sent as well
        return tasks

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Pause the process during a `with` block."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the store during a `with` block, so that a batch waits for its first lock."""
        with closing(sqlite3.connect(self.data / SQLITE_NAME)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield

    def sids(self) -> set[bytes]:
        """The sessions in the store."""
        with closing(sqlite3.connect(self.data / SQLITE_NAME)) as connection:
            return {row[0] for row in connection.execute("SELECT sid FROM session")}


def identity_of(data: Path) -> str:
    """The identity of the store."""
    store = SqliteStore(data / SQLITE_NAME, ManualClock())
    store.close()
    return store.identity


Start = Callable[[socket.socket], "subprocess.Popen[bytes]"]


@asynccontextmanager
async def at(
    data: Path,
    start_at: Start | None = None,
    *,
    identity: str = "",
    queue_max: int = 4096,
    batch_max: int = 256,
    answer_within_s: float = math.inf,
) -> AsyncIterator[Site]:
    """A committer that is closed at the end."""
    told, versions = list[str](), list[int]()
    started = start_at or starting(data, identity=identity, batch_max=batch_max)
    committer = Committer(
        started,
        on_end=told.append,
        on_kill=lambda why: told.append(f"killed: {why}"),
        saw_version=versions.append,
        queue_max=queue_max,
        answer_within_s=answer_within_s,
    )
    await committer.open()
    try:
        with fail_after(HANGS_AFTER_S):
            yield Site(data, committer, told, versions)
    except BaseException:
        committer._process.kill()  # Nothing is to be waited for any more.
        raise
    finally:
        with fail_after(HANGS_AFTER_S, shield=True):
            await committer.close()
    assert committer._process.poll() is not None


def starting(
    data: Path,
    command: Sequence[str] = STRICT,
    *,
    identity: str = "",
    batch_max: int = 256,
    url: str | None = None,
) -> Start:
    """A function that starts a committing process on this store; the usual one is forked."""
    how = start_forked if command is STRICT else start
    return partial(how, command, StoreAt(data, url), identity or identity_of(data), batch_max)


def start_forked(*order: Any) -> "subprocess.Popen[bytes]":
    """Like `start`, but the process has imported all of Licet."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        has_forked(monkeypatch, processes)
        return start(*order)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; the caller sets the time limit."""
    while not condition():  # noqa: ASYNC110 - no event of this process
        await asyncio.sleep(STEP_S)


def script(script: str) -> Sequence[str]:
    """A process that replaces the real one, and starts quickly."""
    return (sys.executable, "-S", "-c", f"import socket, sys; {script}")


def answering(replies: bytes, *, stays: bool = True) -> Sequence[str]:
    """A process that waits for a command, whatever it is, and answers these bytes."""
    then = "; connection.recv(1)" if stays else ""
    return script(
        "sys.stdin.read(); connection = socket.socket(fileno=int(sys.argv[-1])); connection.recv(4096)"
        f"; connection.sendall({replies!r}){then}"
    )


ENDS_AT_ONCE = script("pass")
WORKS = answering(frame((1, 0.0, {}, [Swept(sessions=0)])))


def in_turn(*commands: Sequence[str]) -> Start:
    """Start these processes one after the other, and the last one again and again."""
    return one_after_the_other(*(partial(start, command, StoreAt(Path()), "", 1) for command in commands))


def one_after_the_other(*starts: Start) -> Start:
    """Start these processes one after the other, and the last one again and again."""
    waiting = deque(starts)

    def start_at(theirs: socket.socket) -> "subprocess.Popen[bytes]":
        start_one = waiting.popleft() if len(waiting) > 1 else waiting[0]
        return start_one(theirs)

    return start_at
