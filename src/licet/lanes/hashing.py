"""Hashes passwords on a few worker threads, in front of which attempts wait in bounded lines.

One hash takes some 15 ms of a processor, so a client that sends wrong passwords could keep others waiting.
The rules:

- Three parts take turns: clients that authenticated before from their source, clients that are new there, and
  administrators. The first has priority; the second gets at most half of the turns while others wait, and
  half of the threads. No part can block another.
- Within a part the lines take turns, and each has at most 4 attempts in progress. The attempt names its line
  (`licet.web.throttle`): one for all new clients of a source, or one for each client and source that
  authenticated before.
- A full part drops the last attempt of its longest line for an attempt whose line is shorter.
- The limit on failures is checked again when an attempt's turn comes: failures in the meantime count.
- Equal checks are hashed once, however many wait for the result. If a client disconnects, its place is free.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from itertools import cycle
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from licet.lanes.contract import QueueFull

AT_ONCE_MAX = 4  # attempts of one line under way
ADMINS_WAITING_MAX = 32  # a guess: more administrators than sign in within one second

Hashed = TypeVar("Hashed")
Future = asyncio.Future


class TooManyFailures(Exception):
    """So many attempts failed that the next one has to wait for `wait_s` seconds."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many failed attempts; wait {wait_s} s before the next one")
        self.wait_s = wait_s


class Part(StrEnum):
    """Who waits."""

    KNOWN = "known"
    NEW = "new"
    ADMIN = "admin"


# Whose turn it is, and who follows where nobody of that part waits.
_TURNS = (
    (Part.KNOWN, Part.NEW, Part.ADMIN),
    (Part.NEW, Part.KNOWN, Part.ADMIN),
    (Part.KNOWN, Part.ADMIN, Part.NEW),
    (Part.ADMIN, Part.KNOWN, Part.NEW),
)


class Check(NamedTuple, Generic[Hashed]):
    """What is to be hashed. Two with one `key` are one.

    `do` runs on a worker thread. `is_right` is called with the result in the event loop, once, whether
    anybody still waits for it or not.
    """

    key: Hashable
    do: Callable[[], Hashed]
    is_right: Callable[[Hashed], bool]


class Attempting(Protocol):
    """One attempt to authenticate, as `licet.web.throttle.Attempt` counts it."""

    line: Hashable

    def may_begin(self) -> bool:
        """Whether it may be hashed now. Raises TooManyFailures."""

    def begin(self) -> None:
        """Count it as under way."""

    def end(self, *, is_right: bool | None) -> None:
        """Count it as over."""


class Hashing:
    """The worker threads, and the attempts that wait for them. Use it from one event loop.

    `queue_max` is how many clients may wait, half of them known and half of them new.
    """

    def __init__(self, *, workers: int, queue_max: int) -> None:
        self._workers = self._idle = workers
        self._pool = self._new_pool()
        half, share = queue_max // 2, max(1, workers // 2)
        self._parts = {
            Part.KNOWN: _Part(waiting_max=half, running_max=workers),
            Part.NEW: _Part(waiting_max=half, running_max=share),
            Part.ADMIN: _Part(waiting_max=ADMINS_WAITING_MAX, running_max=share),
        }
        self._turns = cycle(_TURNS)
        self._jobs: dict[Hashable, _Job] = {}
        self._waiting: dict[Future[Any], _Ticket] = {}

    def start(self, check: Check[Hashed], attempt: Attempting, part: Part) -> Future[Hashed]:
        """Hash something when its turn comes; the future raises TooManyFailures where it is refused then.

        Raises QueueFull, TooManyFailures.
        """
        attempt.may_begin()
        job = self._jobs.get(check.key) or _Job(check)
        future: Future[Hashed] = asyncio.get_running_loop().create_future()
        ticket = _Ticket(attempt, future, job, self._parts[part])
        if not job.is_running:
            self._make_room(ticket)
            ticket.part.add(ticket)
            self._waiting[future] = ticket
            future.add_done_callback(self._given_up)
        job.tickets.append(ticket)
        self._jobs[check.key] = job
        self._go_on()
        return future

    def give_up(self, future: Future[Any]) -> None:
        """Cancel what nobody waits for any more, unless it is being hashed already."""
        if future in self._waiting:
            future.cancel()

    @property
    def queue_max(self) -> int:
        """How many may wait."""
        return sum(part.waiting_max for part in self._parts.values())

    @property
    def queue_length(self) -> int:
        """How many wait for a thread, or have one."""
        return sum(len(part) for part in self._parts.values())

    def close(self) -> None:
        """End the threads; what waits is not done."""
        for future in list(self._waiting):
            future.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _make_room(self, ticket: "_Ticket") -> None:
        """Raises QueueFull, TooManyFailures."""
        part, line = ticket.part, ticket.attempt.line
        if not part.is_full:
            return
        last = part.last_of_longer(line)
        if last is None:
            raise TooManyFailures(1) if part.waits(line) else QueueFull
        self._drop(last)
        last.refuse(TooManyFailures(1))

    def _drop(self, ticket: "_Ticket") -> None:
        """Take a caller out of its line."""
        del self._waiting[ticket.future]
        ticket.part.remove(ticket)
        ticket.job.tickets.remove(ticket)
        if not ticket.job.tickets:
            del self._jobs[ticket.job.check.key]

    def _given_up(self, future: Future[Any]) -> None:
        if (ticket := self._waiting.get(future)) is not None:
            self._drop(ticket)
            self._go_on()

    def _go_on(self) -> None:
        """Give the threads that are idle to those whose turn it is."""
        while self._idle and (ticket := self._next()) is not None:
            self._run(ticket)

    def _next(self) -> "_Ticket | None":
        for part in next(self._turns):
            for ticket in self._parts[part].candidates():
                if self._may_begin(ticket):
                    return ticket
        return None

    def _may_begin(self, ticket: "_Ticket") -> bool:
        if ticket.future.done():  # It was cancelled before its turn.
            return False
        try:
            return ticket.attempt.may_begin()
        except TooManyFailures as refused:
            self._drop(ticket)
            ticket.refuse(refused)
            return False

    def _run(self, ticket: "_Ticket") -> None:
        job = ticket.job
        for other in job.tickets:  # Whoever waits for the same need not wait for a turn.
            del self._waiting[other.future]
            other.part.remove(other)
        job.is_running = True
        self._idle -= 1
        ticket.part.begun(ticket, 1)
        ticket.attempt.begin()
        self._begun(job).add_done_callback(lambda done: self._finished(ticket, done))

    def _begun(self, job: "_Job") -> Future[Any]:
        loop = asyncio.get_running_loop()
        try:
            return loop.run_in_executor(self._pool, job.check.do)
        except RuntimeError:  # no thread can be started
            # The pool keeps what it was given for a later thread: nobody waits for that any more.
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = self._new_pool()
            failed = loop.create_future()
            failed.set_exception(QueueFull())
            return failed

    def _new_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._workers, thread_name_prefix="licet-hash")

    def _finished(self, ticket: "_Ticket", done: Future[Any]) -> None:
        job = ticket.job
        del self._jobs[job.check.key]
        self._idle += 1
        ticket.part.begun(ticket, -1)
        fault = asyncio.CancelledError() if done.cancelled() else done.exception()
        is_right = None if fault else job.check.is_right(done.result())
        for waiter in job.tickets:
            waiter.attempt.end(is_right=is_right)
            if waiter.future.done():
                continue
            if fault:
                waiter.refuse(fault)
            else:
                waiter.future.set_result(done.result())
        self._go_on()


class _Job:
    """One check, and all who wait for it."""

    __slots__ = ("check", "is_running", "tickets")

    def __init__(self, check: Check[Any]) -> None:
        self.check = check
        self.tickets: list[_Ticket] = []
        self.is_running = False


class _Ticket:
    """One caller that waits, in a line of a part."""

    __slots__ = ("attempt", "future", "job", "part")

    def __init__(self, attempt: Attempting, future: Future[Any], job: _Job, part: "_Part") -> None:
        self.attempt = attempt
        self.future = future
        self.job = job
        self.part = part

    def refuse(self, why: BaseException) -> None:
        """Fail the future with this, unless it is done or cancelled."""
        if not self.future.done():
            self.future.set_exception(why)
            self.future.exception()  # Mark it as retrieved: the caller may be gone, which is no fault.


class _Part:
    """The lines of one part; the one whose turn is next is the first."""

    def __init__(self, *, waiting_max: int, running_max: int) -> None:
        self.waiting_max = waiting_max
        self._running_max = running_max
        self._lines: dict[Hashable, dict[_Ticket, None]] = {}
        self._waiting = 0
        self._running: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        return self._waiting + self._running.total()

    @property
    def is_full(self) -> bool:
        """Whether no more may wait."""
        return self._waiting >= self.waiting_max

    def waits(self, line: Hashable) -> bool:
        """Whether an attempt waits in this line."""
        return line in self._lines

    def last_of_longer(self, line: Hashable) -> _Ticket | None:
        """The last of the longest line, if that line is longer than this one would be with one more."""
        longest = max(self._lines.values(), key=len, default={})
        return next(reversed(longest)) if len(longest) > len(self._lines.get(line, ())) + 1 else None

    def add(self, ticket: _Ticket) -> None:
        """Put it at the end of its line."""
        self._lines.setdefault(ticket.attempt.line, {})[ticket] = None
        self._waiting += 1

    def remove(self, ticket: _Ticket) -> None:
        """Take it out of its line."""
        line = self._lines[ticket.attempt.line]
        del line[ticket]
        self._waiting -= 1
        if not line:
            del self._lines[ticket.attempt.line]

    def begun(self, ticket: _Ticket, by: int) -> None:
        """Count it as begun (`by` is 1), which ends the turn of its line, or as finished (-1)."""
        line = ticket.attempt.line
        self._running[line] += by
        if not self._running[line]:
            del self._running[line]
        if by > 0 and (waiting := self._lines.pop(line, None)) is not None:
            self._lines[line] = waiting

    def candidates(self) -> Iterator[_Ticket]:
        """Who may be next, in order; one that is removed meanwhile is followed by the next of its line."""
        if self._running.total() >= self._running_max:
            return
        for line in tuple(self._lines):
            seen: _Ticket | None = None
            while self._running[line] < AT_ONCE_MAX and (tickets := self._lines.get(line)):
                first = next(iter(tickets))
                if first is seen:
                    break
                seen = first
                yield first
