"""Runs the commit lane in a separate process, so that it does not share an interpreter's lock with the loop.

    submit -> frame -> [ all that is there: load, decide, save, COMMIT ] -> frame -> waiters continue

This module is the server's side, and `process_main.py` is the committing process. `frames.py` defines the
messages over the socket pair between them: commands one way and outcomes the other, in the same order. While
the process commits a batch, the loop reads and answers other requests, whose commands are the next batch
(`portions.py`). So neither waits for the other, and there is nothing to tune.

A `Lane` does the same in a thread, more slowly: see docs/explanation/performance.md. If the process dies, the
outcome of commands in progress is unknown, and their clients get an error; another process is started. One
that lives and does not answer is killed (`silence.py`), and is then one that died: what was under way may be
committed or not. The next is started when it has ended, so two never work at the same time.
"""

import asyncio
import contextlib
import math
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, cast

import msgspec

from licet.lanes.contract import QUEUE_MAX, QueueFull, Submitter, Waiter
from licet.lanes.deadlines import Deadlines
from licet.lanes.frames import Failed, Frames, Reply, decode_replies, encode, frame
from licet.lanes.portions import Portion
from licet.lanes.silence import KILL_AFTER_S, TELL_AFTER_S, Silence
from licet.ledger.commands import Command, Outcome
from licet.store.errors import StoreUnavailable

RESTART_AFTER_S: Final = 0.05  # the first time; twice as long each further time, until a batch was answered
RESTART_AFTER_S_MAX: Final = 1.0
FINISH_WITHIN_S: Final = 10.0  # what is under way; a store that does not answer is given up long before
END_WITHIN_S: Final = 5.0  # a process whose socket was closed, and that has nothing left to do
DIE_WITHIN_S: Final = 5.0  # a process that was killed; one that waits for a disk dies when that has answered

_BEING_STARTED: Final = "the committing process is being started again"
_NOT_ENDED: Final = "the committing process was killed, as it did not answer, and has not ended yet"
_SILENT: Final = "the committing process does not answer"


class CommitFault(Exception):
    """A bug showed in the committing process; the text is its traceback."""


class Committer(asyncio.Protocol, Submitter[Command, Outcome]):
    """The server's side. `start` makes the process, with its end of the socket pair.

    `begun` is the first one, where it has been started already, and our end.

    Use it from one event loop. It calls `on_end` with the reason when the process ended, and was not told
    to; `on_kill` before, when it is killed for its silence, with the length of that; `saw_version` with the
    version of the set-up that the process decides on; `committed` after each batch, with how many commands it
    had, how many seconds it took, and what it counted.
    """

    def __init__(
        self,
        start: Callable[[socket.socket], "subprocess.Popen[bytes]"],
        *,
        begun: "tuple[subprocess.Popen[bytes], socket.socket] | None" = None,
        on_end: Callable[[str], None],
        on_kill: Callable[[str], None] = lambda _: None,
        saw_version: Callable[[int], None],
        committed: Callable[[int, float, Mapping[str, int]], None] = lambda *_: None,
        queue_max: int = QUEUE_MAX,
        answer_within_s: float = math.inf,
        kill_after_s: float = KILL_AFTER_S,
    ) -> None:
        self._start = start
        self._begun = begun
        self._on_end = on_end
        self._on_kill = on_kill
        self._saw_version = saw_version
        self._committed = committed
        self._queue_max = queue_max
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self._loop, answer_within_s)
        self._silence = Silence(
            self._loop,
            lambda: bool(self._waiters),
            self._kill,
            tell_after_s=min(answer_within_s, TELL_AFTER_S),
            kill_after_s=kill_after_s,
        )
        self._absent = _BEING_STARTED
        self._portion = Portion()
        self._unsent: list[msgspec.Raw] = []
        self._waiters: deque[Waiter[Outcome]] = deque()
        self._transport: asyncio.WriteTransport | None = None
        self._closing = asyncio.Event()
        self._ended = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._restart_after_s = RESTART_AFTER_S
        self._restarting: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start the process. What is submitted at once waits until it is ready."""
        if self._begun is None:
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    self._process = self._start(theirs)
                except BaseException:
                    ours.close()
                    raise
        else:
            (self._process, ours), self._begun = self._begun, None
        self._frames = Frames()
        self._ended.clear()
        await self._loop.create_connection(lambda: self, sock=ours)

    @property
    def is_open(self) -> bool:
        """Whether there is a process to submit to."""
        return self._transport is not None

    @property
    def trouble(self) -> str:
        """Why the process does not commit at the moment; '' where nothing is known against it."""
        if self._transport is None:
            return self._absent
        return _SILENT if self._silence.is_long and self._waiters else ""

    @property
    def pid(self) -> int:
        """The process, or the last one."""
        return self._process.pid

    @property
    def queue_length(self) -> int:
        """How many commands have no outcome yet."""
        return len(self._waiters)

    def put(self, command: Command, waiter: Waiter[Outcome]) -> None:
        """Have a command committed; who waits has its outcome when it is durable.

        Raises QueueFull, StoreUnavailable. The waiter gets StoreUnavailable, CommitFault.
        """
        if self._closing.is_set() or len(self._waiters) >= self._queue_max:
            raise QueueFull
        if self._transport is None:
            raise StoreUnavailable(self._absent)
        encoded = msgspec.Raw(encode(command))  # What cannot be encoded fails here, alone.
        if not self._unsent:
            self._idle.clear()
            self._silence.watch()
            self._loop.call_soon(self._send)
        self._unsent.append(encoded)
        self._waiters.append(waiter)
        self._deadlines.watch(waiter)
        if len(self._unsent) >= self._portion.size:
            self._send()

    async def close(self) -> None:
        """Take nothing new, finish what is under way, and end the process."""
        self._closing.set()
        with contextlib.suppress(TimeoutError):  # it may be stopped, or its store may hang
            await asyncio.wait_for(self._idle.wait(), FINISH_WITHIN_S)
        if self._restarting is not None:
            await asyncio.wait([self._restarting])  # let a start that has begun finish first
        if self._transport is not None:
            self._transport.abort()  # `close` would wait until a process that is stopped has read all
            await self._ended.wait()
        await self._buried()

    def _send(self) -> None:
        if self._transport is not None and self._unsent:
            self._transport.write(frame(self._unsent))
        self._unsent.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The process is connected."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Outcomes arrived: they are those of the oldest commands."""
        for payload in self._frames.feed(data):
            version, took_s, counted, replies = decode_replies(payload)
            self._saw_version(version)
            self._committed(len(replies), took_s, counted)
            self._portion.saw(len(self._waiters))
            for reply in replies:
                _answer(self._waiters.popleft(), reply)
            self._restart_after_s = RESTART_AFTER_S
            self._silence.end()
        if not self._waiters:
            self._idle.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The process is gone: what was under way is unknown, and another process is started."""
        del exc
        self._transport = None
        self._silence.begin_anew()
        self._ended.set()
        lost = Failed(is_unavailable=True, text="the committing process ended; what was under way is unknown")
        for waiter in self._waiters:
            _answer(waiter, lost)
        self._waiters.clear()
        self._unsent.clear()
        self._idle.set()
        if not self._closing.is_set():
            self._restarting = self._loop.create_task(self._restart())

    def _kill(self, silent_s: float) -> None:
        """End a process that hangs. If it is stopped, it would not see that its socket is closed."""
        assert self._transport is not None, "who is gone is asked nothing"
        self._on_kill(f"no answer for {silent_s:g} s")
        self._absent = _NOT_ENDED
        self._process.kill()
        self._transport.abort()  # it may live on in a wait for the disk: nobody has to wait for that

    async def _restart(self) -> None:
        code = await self._buried()
        if code is None:
            return
        self._absent, why = _BEING_STARTED, f"exit code {code}"
        while True:
            self._on_end(why)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._restart_after_s)
            if self._closing.is_set():
                return
            self._restart_after_s = min(2 * self._restart_after_s, RESTART_AFTER_S_MAX)
            try:
                await self.open()
            except OSError as fault:  # no process or file descriptor is left: try again
                why = f"it cannot be started again: {fault}"
            else:
                return

    async def _buried(self) -> int | None:
        """Wait for the process, which is ending; return its exit code.

        None if it has not ended though it was killed, and this is to close: it waits for a disk that hangs.
        """
        while True:
            try:
                code = await asyncio.to_thread(_bury, self._process)
            except RuntimeError:  # no thread is left to wait in
                if (code := self._process.poll()) is not None:
                    return code
                self._process.kill()
                await asyncio.sleep(RESTART_AFTER_S)
            else:
                if code is not None or self._closing.is_set():
                    return code


def _bury(process: "subprocess.Popen[bytes]") -> int | None:
    try:
        return process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(DIE_WITHIN_S)
    return None


def _answer(waiter: Waiter[Outcome], reply: Reply) -> None:
    if waiter.done():  # It went away or gave up; what was committed for it stays.
        return
    if isinstance(reply, Failed):
        waiter.set_exception(
            StoreUnavailable(reply.text) if reply.is_unavailable else CommitFault(reply.text)
        )
    else:
        waiter.set_result(reply)
