"""Keeps one connection to PostgreSQL, reconnects by itself, and describes its failures.

The rules:

- Every use of a link has a deadline on this machine's monotonic clock, because a stopped server still answers
  keepalives, and a cancelled COMMIT would count as done.
- A doubtful connection is discarded. A new one is made in the background, at once, then after waits that
  double up to a second; in the meantime every use fails at once.
- No driver's exception leaves a link, and no message has a password: it has the host, port and database.
"""

import logging
import math
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from licet.store.contract import BUSY_S
from licet.store.errors import Collided, Contradiction, StoreUnavailable
from licet.store.postgres.memory import Memory
from licet.store.postgres.url import parameters_of, place_of
from licet.store.postgres.wrapping import Wrapping, cause_of
from licet.store.snapshots import Ask

if TYPE_CHECKING:
    from sqlalchemy import Connection

CONNECT_S = 2  # of one host; the least that the driver takes
TIDY_S = 1.0  # for a ROLLBACK
WAIT_FIRST_S = 0.05
WAIT_MAX_S = 1.0

_NO_ANSWER = "no answer in time"
_WRAPPING: Final = Wrapping()
_TCP: Mapping[str, Any] = {
    "connect_timeout": CONNECT_S,
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 2000,
}
# `on` is the least that L9 wants; a database may be set to more.
_DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"
)
# A COMMIT that no standby confirms holds its connection until one does. Where one waits already, more would
# use up all connections.
_UNCONFIRMED = (
    "SELECT count(*) FROM pg_stat_activity WHERE usename = current_user AND wait_event = 'SyncRep'"
    " AND clock_timestamp() - query_start > interval '1 second'"
)

_WORDS: Mapping[type[psycopg.Error], str] = {
    errors.ReadOnlySqlTransaction: "the database is read-only",
    errors.DiskFull: "the disk of the database is full",
    errors.TooManyConnections: "the database has too many connections",
    errors.LockNotAvailable: "another transaction took too long",
    errors.QueryCanceled: "the database took too long",
    errors.IdleInTransactionSessionTimeout: "this process took too long, and the database gave up on it",
    errors.AdminShutdown: "the database is being shut down",
    errors.CrashShutdown: "the database has crashed",
    errors.CannotConnectNow: "the database is starting or stopping",
}
_ELSEWHERE = ("25006", "57P")  # read-only; shutting down, starting, or gone
_COLLISIONS: Mapping[type[psycopg.Error], str] = {
    errors.SerializationFailure: "serialization_failure",
    errors.DeadlockDetected: "deadlock_detected",
}


class Doubtful(StoreUnavailable):
    """Whether a transaction was committed is unknown."""


class DriverConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection of the driver that collects the server's warnings.

    No wait is longer than `step_s`, and none goes past `deadline`.
    """

    deadline = step_s = math.inf
    memory: Memory | None = None  # of what it has committed, where the database has what that needs
    is_known = False  # whether the database was asked for it
    whole_loads = 0  # so many batches of grants more are loaded as if they had to end sessions (`book.py`)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.warnings: list[str] = []
        self.prepared_calls: set[bytes] = set()
        self.add_notice_handler(self._keep_warning)

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait as the driver does, until the deadline at most."""
        longest = min(self.step_s, max(0.0, self.deadline - monotonic()))
        if timeout is not None and timeout < longest:
            # Whoever asks for less time goes on with the connection afterwards.
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, None if longest == math.inf else longest)
        except errors._WaitTimeout:  # noqa: SLF001 - it has no other name
            self.pgconn.finish()
            with suppress(Exception):  # What is left of the query would go on waiting.
                gen.close()
            raise

    def _keep_warning(self, notice: errors.Diagnostic) -> None:
        # Not by its text, which is in the server's language.
        if notice.severity_nonlocalized == "WARNING":
            self.warnings.append(notice.message_primary or "a warning")


class Wire:
    """One connection, as the driver's object and, where it was wrapped, as SQLAlchemy's."""

    def __init__(self, raw: DriverConnection) -> None:
        self.raw = raw
        self._connection: Connection | None = None

    def wrap(self) -> "Connection":
        """The connection for SQLAlchemy. Call it between transactions."""
        if self._connection is None:
            assert self.raw.info.transaction_status == TransactionStatus.IDLE, "wrapped between transactions"
            self._connection = _WRAPPING.of(self.raw)
        return self._connection

    @property
    def connection(self) -> "Connection":
        """The same, wrapped before."""
        assert self._connection is not None, "a connection is wrapped between transactions"
        return self._connection

    @property
    def ask(self) -> Ask:
        """Executes statements that have no parameters."""
        return lambda statement: self.raw.execute(statement.encode())

    def throw_away(self) -> None:
        """Close it without a word to the server, which may not answer."""
        self.raw.close()
        if self._connection is not None:
            with suppress(Exception):
                self._connection.invalidate()
                self._connection.close()


class Link:
    """One connection, used by one thread at a time. It is opened by `begin`, or when it is first used.

    `options` are settings of the server for this connection. `writes` marks the link that commits.
    """

    def __init__(
        self, url: str, name: str, options: Mapping[str, str] | None = None, *, writes: bool = False
    ) -> None:
        logging.getLogger("psycopg").disabled = True  # Its exceptions have all that it logs.
        self._parameters = _parameters(url, name, options or {})
        self.place = place_of(self._parameters)
        self._name = name
        self._writes = writes
        self._wire: Wire | None = None
        self._down = f"{self.place}: {_NO_ANSWER}"  # why there is no connection, while there is none
        self._maker: threading.Thread | None = None
        self._tried = threading.Event()
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @contextmanager
    def using(self, within_s: float, *, each_s: float = math.inf) -> Iterator[Wire]:
        """The connection, in no transaction; what is left open at the end of the block is rolled back.

        `within_s` limits the whole block, `each_s` each statement in it. What takes longer raises
        StoreUnavailable. Raises StoreUnavailable, Contradiction, Collided.
        """
        deadline = monotonic() + within_s
        if not self._lock.acquire(timeout=min(within_s, BUSY_S)):
            raise StoreUnavailable(f"{self.place}: this process is busy with another transaction")
        try:
            wire = self._ready(deadline)
            wire.raw.deadline, wire.raw.step_s = deadline, each_s
            with self._throwing_away(wire), _faults(self.place):
                yield wire
        finally:
            self._lock.release()

    def take(self) -> Wire | None:
        """The connection, until it is given back; None where there is none, or it is used. It never waits."""
        if not self._lock.acquire(blocking=False):
            return None
        wire = None if self._closed.is_set() else self._wire
        if wire is None:
            self._lock.release()
        return wire

    def give_back(self, why: str = "") -> None:
        """Let others use the connection. If it is said why it is of no use any more, it is made anew."""
        try:
            if why:
                self._make_anew(why)
        finally:
            self._lock.release()

    def begin(self) -> None:
        """Begin to connect. The first use waits until that is done or has failed."""
        with self._lock:
            if self._wire is None and self._maker is None:
                self._make()

    def close(self) -> None:
        """Close the connection for good."""
        self._closed.set()
        with self._lock:
            self._throw_away()

    def _ready(self, deadline: float) -> Wire:
        """The connection. Where there is none, the first attempt to make one is waited for, and no other."""
        if self._closed.is_set():
            raise StoreUnavailable("the store is closed")
        if self._wire is None and self._maker is None:
            self._make()
        if self._wire is None:
            self._tried.wait(min(deadline - monotonic(), BUSY_S))
        if self._wire is None:
            raise StoreUnavailable(self._down)
        return self._wire

    @contextmanager
    def _throwing_away(self, wire: Wire) -> Iterator[None]:
        try:
            yield
        except BaseException as fault:
            if not _is_certain(fault) or not _tidied(wire.raw):
                self._make_anew(str(fault) if isinstance(fault, StoreUnavailable) else "")
            raise
        if wire.raw.info.transaction_status != TransactionStatus.IDLE and not _tidied(wire.raw):
            self._make_anew("")

    def _make_anew(self, why: str) -> None:
        self._throw_away()
        self._down = why or f"{self.place}: the connection is lost"
        if not self._closed.is_set():
            self._make()

    def _make(self) -> None:
        self._tried.clear()
        self._maker = threading.Thread(target=self._try, name=f"licet-connect-{self._name}", daemon=True)
        try:
            self._maker.start()
        except RuntimeError as fault:  # no thread is left: the next use tries again
            self._maker = None
            self._down = f"{self.place}: {fault}"
            self._tried.set()

    def _try(self) -> None:
        """Try to connect until it succeeds."""
        wait_s = WAIT_FIRST_S
        while not self._closed.is_set():
            try:
                self._wire = self._connect()
                break
            except StoreUnavailable as fault:
                self._down = str(fault)
            self._tried.set()
            # Nodes that lost it at the same time do not all come back at the same time.
            self._closed.wait(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            wait_s = min(2 * wait_s, WAIT_MAX_S)
        if self._maker is threading.current_thread():  # and not another one, if this was short-lived
            self._maker = None
        self._tried.set()
        if self._closed.is_set():
            self._throw_away()

    def _throw_away(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.throw_away()

    def _connect(self) -> Wire:
        with _faults(self.place):
            # The store begins and ends transactions itself.
            raw = DriverConnection.connect(**self._parameters, autocommit=True)
        raw.prepared_max = 500
        raw.deadline = monotonic() + CONNECT_S
        try:
            with _faults(self.place):
                raw.execute(_DURABLE)
                if self._writes:
                    _must_be_confirmed(raw, self.place)
        except BaseException:
            raw.close()
            raise
        return Wire(raw)


def _must_be_confirmed(raw: DriverConnection, place: str) -> None:
    [(waiting,)] = raw.execute(_UNCONFIRMED)
    if waiting:
        raise StoreUnavailable(f"{place}: no standby confirms a commit")


def _parameters(url: str, name: str, options: Mapping[str, str]) -> dict[str, Any]:
    given = parameters_of(url)
    settings = [f"-c {key}={value}" for key, value in options.items()]
    said = {"options": " ".join([str(given.get("options") or ""), *settings]).strip()}
    # The host that accepts writes: after a failover it is another one.
    own = {"target_session_attrs": "read-write", "application_name": f"licet {name}"}
    return {**_TCP, **own, **given, **said}


def _is_certain(fault: BaseException) -> bool:
    """Whether a fault leaves no doubt about the connection: it is ours, or the server's answer."""
    if not isinstance(fault, StoreUnavailable | Contradiction):
        return True
    cause = fault.__cause__
    if cause is None:
        return not isinstance(fault, Doubtful)
    return isinstance(cause, psycopg.Error) and cause.sqlstate is not None and not _is_over(cause)


def _is_over(cause: psycopg.Error) -> bool:
    """Whether the server's answer means that another host has to be found, like a demoted primary's."""
    return cause.sqlstate is not None and cause.sqlstate.startswith(_ELSEWHERE)


def _tidied(raw: DriverConnection) -> bool:
    """End a connection's transaction, if possible."""
    if raw.closed:
        return False
    raw.deadline = monotonic() + TIDY_S
    try:
        if raw.info.transaction_status != TransactionStatus.IDLE:
            raw.execute("ROLLBACK")
    except psycopg.Error:
        return False
    return raw.info.transaction_status == TransactionStatus.IDLE


@contextmanager
def _faults(place: str) -> Iterator[None]:
    """Turn the driver's exceptions into those that a store may raise."""
    try:
        yield
    except psycopg.Error as fault:
        raise as_a_store_says(fault, place) from fault
    except OSError as fault:
        raise StoreUnavailable(f"{place}: {_first_line(str(fault))}") from fault
    except Exception as fault:
        cause = cause_of(fault)
        if cause is None:
            raise
        if isinstance(cause, psycopg.Error):
            raise as_a_store_says(cause, place) from cause
        raise StoreUnavailable(f"{place}: {_first_line(str(cause))}") from fault


def as_a_store_says(fault: psycopg.Error, place: str) -> StoreUnavailable | Contradiction:
    """The exception of a store for one of the driver."""
    if isinstance(fault, errors.IntegrityError | errors.DataError):
        return Contradiction(_first_line(str(fault)))
    for kind, name in _COLLISIONS.items():
        if isinstance(fault, kind):
            return Collided(name, f"{place}: transactions are in each other's way ({name})")
    return StoreUnavailable(f"{place}: {_message(fault)}")


def _message(fault: psycopg.Error) -> str:
    for kind, words in _WORDS.items():
        if isinstance(fault, kind):
            return words
    if isinstance(fault, (errors._WaitTimeout, errors.ConnectionTimeout)):  # noqa: SLF001
        return _NO_ANSWER
    said = _first_line(str(fault)).rpartition(" failed: ")[2].removeprefix("FATAL:").strip()
    return "the database is read-only" if said == "session is read-only" else said or "no connection"


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
