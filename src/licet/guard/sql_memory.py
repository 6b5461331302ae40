"""Remembers who holds each numbered seat, in a table of the API's own database, for all its processes.

    memory = SqlMemory(lambda: psycopg.connect(dsn))

`SqlMemory.SCHEMA` is the table, for the API's migrations. The rules:

- One statement decides, and the database's clock measures silence. SQLite (3.35) and PostgreSQL have it.
- Before the table stands a dictionary of the process (`memory.py`), and a refusal of either is one. So
  whoever deletes rows, or sets the database's clock back, gets a holder a process, and no more.
- A holder that the table has let in passes by the dictionary for `cache`, or for a twelfth of `hold` where
  that is shorter. So long two processes may let in two holders when a seat changes hands.
- Statements run in a few threads of the memory's own, each with a connection; a seat has always the same one,
  so that the dictionary learns what happened in the order in which it happened. They start with the first
  question, and anew in a child after a fork. What waits for them is bounded, and so is for how long.
- A connection that was used before and does not answer for half of `timeout` may be half open: a firewall or
  a machine that is gone says nothing. The thread is left alone with it, and its place is taken by another
  with a connection of its own, which is asked once. What the old one learns later counts for nothing.
"""

import asyncio
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar, Final, Literal, NamedTuple
from zlib import crc32

from licet.guard.memory import Holder, Kept

CACHE: Final = timedelta(seconds=5)
CACHE_SHARE: Final = 12  # of `hold`: 5 s of the 60 that a licence has if it does not say
TIMEOUT: Final = timedelta(seconds=3)
THREADS: Final = 4  # a guess: some thousand statements a second
WAITING_MAX: Final = 1000  # of each thread: about a second of them
LEFT_MAX: Final = 8  # threads that wait on dead connections: TCP gives one up in about 15 minutes

Dialect = Literal["sqlite", "postgresql"]

_NOW_MS: Final[Mapping[Dialect, str]] = {
    "sqlite": "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)",
    # Unlike now(), it is read when it is needed: behind the lock of the row.
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)",
}
_GREATEST: Final[Mapping[Dialect, str]] = {"sqlite": "max", "postgresql": "greatest"}
_TAKE = """\
INSERT INTO licet_seat (seat, who, iat, seen) VALUES (:seat, :who, :iat, {now})
ON CONFLICT (seat) DO UPDATE
SET who = excluded.who, iat = {greatest}(licet_seat.iat, excluded.iat), seen = {now}
WHERE licet_seat.who = excluded.who OR excluded.iat >= licet_seat.iat + :hold
   OR licet_seat.seen NOT BETWEEN {now} - 1000 * :hold + 1 AND {now}
RETURNING iat"""
_LOOK = "SELECT iat, seen + 1000 * :hold - {now} FROM licet_seat WHERE seat = :seat"


_TOO_LATE = "the database does not answer in time"
_ALMOST = 0.9  # a clock may be behind another by a little


class OutOfReach(Exception):
    """The table cannot be asked now."""


class _Row(NamedTuple):
    """A seat that was taken, and its newest `iat`."""

    iat: int


class _Known(Holder):
    """A holder of the dictionary, and until when it passes without the table being asked."""

    __slots__ = ("until_s",)

    def __init__(self, who: str, iat: int, seen_s: float, until_s: float) -> None:
        super().__init__(who, iat, seen_s)
        self.until_s = until_s


class SqlMemory:
    """The table `licet_seat`, and a dictionary before it.

    `connect` makes a connection of a DB-API driver: `sqlite3`, or one of PostgreSQL that takes `%(name)s`, as
    psycopg. `dialect` says which, where the connection is wrapped in another class. `timeout` is how long an
    answer may take. `wall_ms` takes the place of the database's clock, for tests.
    """

    SCHEMA: ClassVar[str] = (
        "CREATE TABLE IF NOT EXISTS licet_seat"
        " (seat TEXT PRIMARY KEY, who TEXT NOT NULL, iat BIGINT NOT NULL, seen BIGINT NOT NULL)"
    )

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        dialect: Dialect | None = None,
        cache: timedelta = CACHE,
        timeout: timedelta = TIMEOUT,
        now_s: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] | None = None,
    ) -> None:
        if cache < timedelta(0) or timeout <= timedelta(0):
            raise ValueError("timeout must be more than nothing, and cache not less")
        self._connect = connect
        self._dialect = dialect
        self._cache_s = cache.total_seconds()
        self._timeout_s = timeout.total_seconds()
        self._now_s = now_s
        self._wall_ms = wall_ms
        self._known: dict[str, _Known] = {}
        # By the process: threads do not outlive a fork, and a connection of the parent's is the parent's.
        self._threads: dict[int, list[_Thread]] = {}
        self._left: list[_Thread] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"SqlMemory({len(self._known)})"

    @property
    def seats(self) -> int:
        """How many seats it knows a holder of."""
        return len(self._known)

    def recall(self, seat: str, who: str, iat: int) -> bool:
        """Whether the table has let this holder in a moment ago."""
        known = self._known.get(seat)
        if known is None or known.who != who or known.iat < iat:
            return False
        now_s = self._now_s()
        if now_s >= known.until_s:
            return False
        known.seen_s = now_s
        return True

    def take(self, seat: str, who: str, iat: int, hold_s: int) -> Kept | None:
        """Let the holder in, and keep that; or what stands in its way.

        Raises OutOfReach, or what the driver raises.
        """
        asked, half_s = self._ask(seat, who, iat, hold_s), self._timeout_s / 2
        wait([asked], half_s)
        if not asked.done():
            asked = self._asked_again(asked, seat, who, iat, hold_s)
            wait([asked], half_s)
        if asked.done():
            return asked.result()
        asked.cancel()
        raise OutOfReach(_TOO_LATE)

    async def atake(self, seat: str, who: str, iat: int, hold_s: int) -> Kept | None:
        """The same, for tasks."""
        asked, half_s = self._ask(seat, who, iat, hold_s), self._timeout_s / 2
        waiting = asyncio.wrap_future(asked)
        await asyncio.wait([waiting], timeout=half_s)
        if not waiting.done():
            again = self._asked_again(asked, seat, who, iat, hold_s)
            waiting = waiting if again is asked else asyncio.wrap_future(again)
            await asyncio.wait([waiting], timeout=half_s)
        if waiting.done():
            return waiting.result()
        waiting.cancel()
        raise OutOfReach(_TOO_LATE)

    def close(self) -> None:
        """End the threads, and close their connections."""
        for thread in self._threads.pop(os.getpid(), ()):
            thread.close()

    def _ask(self, seat: str, who: str, iat: int, hold_s: int) -> "_Asking":
        process = os.getpid()
        threads = self._threads.get(process)
        if threads is None:
            made = [self._thread() for _ in range(THREADS)]
            threads = self._threads.setdefault(process, made)  # one for all, whoever comes first
        thread = threads[crc32(seat.encode(errors="replace")) % len(threads)]
        return thread.submit(lambda: self._taken(thread, seat, who, iat, hold_s))

    def _asked_again(self, asked: "_Asking", seat: str, who: str, iat: int, hold_s: int) -> "_Asking":
        """The same question at another thread, if the one that has it is left alone; else as it is."""
        if asked.thread.waits_since(self._timeout_s / 2):
            self._leave(asked.thread)
        if not asked.thread.is_left:
            return asked
        asked.cancel()
        return self._ask(seat, who, iat, hold_s)

    def _leave(self, thread: "_Thread") -> None:
        """Put another thread in the place of one whose connection is dead, as long as few are left so."""
        with self._lock:
            self._left = [it for it in self._left if it.is_alive]
            threads = self._threads.get(os.getpid(), [])
            if thread in threads and len(self._left) < LEFT_MAX:
                thread.is_left = True
                self._left.append(thread)
                threads[threads.index(thread)] = self._thread()

    def _thread(self) -> "_Thread":
        return _Thread(self._connect, self._dialect, self._wall_ms)

    def _taken(self, thread: "_Thread", seat: str, who: str, iat: int, hold_s: int) -> Kept | None:
        """What becomes of it; in the one thread that this seat has."""
        if self.recall(seat, who, iat):  # somebody with the same token was first
            return None
        asked_s, known = self._now_s(), self._known.get(seat)
        if known is not None and (kept := known.in_the_way_of(who, iat, hold_s, asked_s)) is not None:
            return kept
        found = thread.take(seat, who, iat, hold_s)
        if thread.is_left:
            raise OutOfReach(_TOO_LATE)
        if isinstance(found, Kept):
            return found
        newest = found.iat if known is None else max(found.iat, known.iat)
        until_s = asked_s + min(self._cache_s, hold_s / CACHE_SHARE)
        self._known[seat] = _Known(who, newest, self._now_s(), until_s)
        return None


class _Asking(Future["Kept | None"]):
    """A question, and the thread that has it."""

    def __init__(self, thread: "_Thread") -> None:
        super().__init__()
        self.thread = thread


_Asked = tuple[_Asking, Callable[[], "Kept | None"]]


class _Thread:
    """A thread with a connection; it starts with its first question."""

    def __init__(
        self, connect: Callable[[], Any], dialect: Dialect | None, wall_ms: Callable[[], int] | None
    ) -> None:
        self._connect = connect
        self._dialect = dialect
        self._wall_ms = wall_ms
        self._asked: queue.Queue[_Asked | None] = queue.Queue(WAITING_MAX)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._connection: Any = None
        self._since_s: float | None = None  # when a question was put over the connection that was kept
        self.is_left = False  # another has its place

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._thread is not None and self._thread.is_alive()

    def waits_since(self, seconds: float) -> bool:
        """Whether it has waited for so long for an answer over the connection that it kept."""
        since_s = self._since_s
        return since_s is not None and time.monotonic() - since_s >= seconds * _ALMOST

    def submit(self, ask: Callable[[], Kept | None]) -> _Asking:
        """The answer, when it is there.

        Raises OutOfReach when too many wait.
        """
        future = _Asking(self)
        try:
            self._asked.put_nowait((future, ask))
        except queue.Full:
            raise OutOfReach("too many wait for the database") from None
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="licet-guard-seats", daemon=True)
                self._thread.start()
        return future

    def close(self) -> None:
        """End it behind what it was asked."""
        with self._lock:
            if self._thread is None:
                return
        self._asked.put(None)
        self._thread.join()

    def take(self, seat: str, who: str, iat: int, hold_s: int) -> _Row | Kept:
        """What the table says, over the connection that is kept or over a new one."""
        values = {"seat": seat, "who": who, "iat": iat, "hold": hold_s}
        if self._connection is not None:
            self._since_s = time.monotonic()
            try:
                return self._asked_table(values)
            except Exception:  # noqa: BLE001 - whatever a driver raises over a connection that has died
                self._forget()
            finally:
                self._since_s = None
            if self.is_left:
                raise OutOfReach(_TOO_LATE)
        self._connection = self._connect()
        try:
            return self._asked_table(values)
        except BaseException:
            self._forget()
            raise

    def _run(self) -> None:
        while not self.is_left and (asked := self._asked.get()) is not None:
            future, ask = asked
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(ask())
            except Exception as fault:  # noqa: BLE001 - it is raised to whoever asked
                future.set_exception(fault)
            del future, ask, asked
        self._forget()

    def _asked_table(self, values: dict[str, Any]) -> _Row | Kept:
        cursor = self._connection.cursor()
        found = self._one(cursor, _TAKE, values)
        kept = None
        if found is None:
            left = self._one(cursor, _LOOK, values)
            # A row that is gone by now: whoever comes again will see.
            kept = Kept(values["iat"], 1.0) if left is None else Kept(int(left[0]), float(left[1]) / 1000)
        cursor.close()
        self._connection.commit()
        return _Row(int(found[0])) if found is not None else kept or Kept(values["iat"], 1.0)

    def _one(self, cursor: Any, statement: str, values: dict[str, Any]) -> Any:
        is_sqlite = isinstance(self._connection, sqlite3.Connection)
        dialect = self._dialect or ("sqlite" if is_sqlite else "postgresql")
        now = _NOW_MS[dialect] if self._wall_ms is None else str(self._wall_ms())
        text = statement.replace("{now}", now).replace("{greatest}", _GREATEST[dialect])
        if dialect == "postgresql":
            for name in values:
                text = text.replace(f":{name}", f"%({name})s")
        cursor.execute(text, values)
        return cursor.fetchone()

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()
