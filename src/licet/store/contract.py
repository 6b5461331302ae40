"""Defines what every store promises to its callers.

A store loads what a batch of commands needs, saves what the ledger made of it, and decides nothing.
A transaction becomes durable as a whole or not at all. No driver's exception leaves a store.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple, Protocol

from licet.clock import Clock
from licet.ledger.book import Book, SeatKey
from licet.ledger.commands import Command
from licet.model import Place, Session, Tenant

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from licet.ledger.denied_again import Repeated
    from licet.store.snapshots import Ask

BUSY_S = 5.0  # how long a transaction waits for another one before the store counts as unreachable
REPORTS_MAX = 4  # made at once; more would only slow each other down
REPORT_S = 30.0  # for one; nobody waits for a page for longer


class Purpose(Enum):
    """What a transaction is for: this decides what it waits for and what it may do."""

    BATCH = auto()
    """One `load` and one `save`, alone with the tenants that its commands are of; no `connection`."""
    SETUP = auto()
    """Anything, alone in the store: batches wait for it, and it waits for them."""
    UPKEEP = auto()
    """By `connection`, what no batch and no set-up reads or writes; beside the batches."""
    NOTE = auto()
    """As `UPKEEP`, by `execute` alone: a server writes so before it has SQLAlchemy."""


class Differences(NamedTuple):
    """How the kinds of stores differ: callers ask for a property, never for a store's name."""

    many_machines: bool  # nodes on several machines may share it
    tenants_apart: bool  # batches of different tenants do not wait for each other
    answer_within_s: float  # longer, with the wait for the batch before, counts as out of reach
    notifies_changes: bool  # `watch` learns of a change of the set-up as soon as it is made


class LiveSessions(NamedTuple):
    """Sessions that live at `now_ms`, by their id.

    `numbers` says of those with a seat in a signed pool which number it has (L13).
    """

    now_ms: int
    sessions: dict[bytes, Session]
    numbers: dict[bytes, int]


class Reading(Protocol):
    """A question about sessions that was sent, and whose answer nobody waits for in a thread."""

    @property
    def socket(self) -> int:
        """What becomes readable when more of the answer has come."""

    def proceed(self) -> LiveSessions | None:
        """Take what has come; the answer, or None while more is to come. Raises StoreUnavailable."""

    def give_up(self) -> Exception:
        """Wait no longer; return what those who asked are told."""

    def end(self) -> None:
        """It is over, and nobody looks at the socket any more."""


class PoolLine(NamedTuple):
    """What there is to know of a pool for which somebody waits.

    `expired` of its seats `in_use` have expired by their rows. `counts` are those of its options. `places`
    are those that have not lapsed, the first in line first.
    """

    in_use: int
    expired: int
    counts: dict[str, int]
    places: dict[SeatKey, Place]


class Transaction(Protocol):
    """One unit of work, alone on the pools it touches, at one instant of the store's clock."""

    # In a batch: set by `load`, and by the commit where a store learns only then what the time is. All that
    # was decided is then as much later.
    now_ms: int

    @property
    def connection(self) -> "Connection":
        """For changes of the set-up that must hold together with what the ledger decides."""

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Execute a statement of the driver's own, with a `?` for each value."""

    def repeat(self, commands: Sequence[Command]) -> "Sequence[Repeated | None]":
        """What is granted or denied again of these commands by standing decisions, in their order.

        It is saved. Empty where there is none, else as many as commands. Call it first of all: the other
        commands are decided after these, on a book.
        """

    def recall(self, commands: Sequence[Command]) -> Book | None:
        """A book of these commands from what the store remembers, in the memory that its kind has; else None.

        What is decided on it counts only where it `only_renews`.
        """

    def load(self, commands: Sequence[Command]) -> Book:
        """Fill the book of these commands, as of this transaction.

        It holds every tenant, and what `licet.ledger.prefetch.Need` says of these commands; it may hold more.
        """

    def save(self, book: Book) -> None:
        """Write the net effect of the book's changes, and the journal of them (L11)."""


class Store(Protocol):
    """A place where a licence is kept. Safe to use from several threads, and beside other processes."""

    @property
    def clock(self) -> Clock:
        """The clock by which sessions live and expire; no I/O."""

    @property
    def differences(self) -> Differences:
        """How this kind of store differs from others."""

    @property
    def collisions(self) -> Counter[str]:
        """How often a transaction was `Collided`, by name."""

    @property
    def counted(self) -> Counter[str]:
        """How often this store committed each kind of event, as `licet.store.counters` names them."""

    def tenant(self, name: str) -> Tenant | None:
        """The tenant as last read; no I/O."""

    def tenants(self) -> Mapping[int, Tenant]:
        """All tenants by their id, as last read; no I/O."""

    @property
    def identity(self) -> str:
        """Identifies the store, so that a file that was replaced is detected."""

    @property
    def setup_version(self) -> int:
        """The version of the set-up that `tenants` are of; a later one is greater."""

    def refresh_tenants(self) -> None:
        """Read again what has changed of the set-up."""

    def reading(self) -> "AbstractContextManager[Connection]":
        """A connection that sees the store at one instant.

        Raises StoreUnavailable.
        """

    def looking(self) -> "AbstractContextManager[Ask]":
        """As `reading`, by statements of the driver's own: a server asks so before it has SQLAlchemy.

        Raises StoreUnavailable.
        """

    def reporting(self) -> "AbstractContextManager[Connection]":
        """As `reading`, on a connection that no request waits for: for pages and reports.

        `REPORTS_MAX` threads may use it at once, one more waits for `BUSY_S`; a report that takes longer than
        `REPORT_S` is cancelled. The connection is read-only. Raises StoreUnavailable.
        """

    def transaction(self, purpose: Purpose = Purpose.SETUP) -> AbstractContextManager[Transaction]:
        """Begin; commit at the end of the block, roll back when it raises.

        Raises StoreUnavailable, Collided, Contradiction.
        """

    def read_sessions(self, sids: Sequence[bytes]) -> LiveSessions:
        """Those of these sessions that live at the store's now, with the numbers of their seats.

        Raises StoreUnavailable.
        """

    def start_reading(self, sids: Sequence[bytes]) -> Reading | None:
        """Ask for these sessions, and do not wait for the answer; None where `read_sessions` has to.

        For an event loop; a question that was sent has to be followed to its end.
        """

    def read_lines(self, pool_ids: Collection[int]) -> dict[int, PoolLine]:
        """Who waits for seats of these pools; without those that are not there any more.

        Raises StoreUnavailable.
        """

    def probe(self) -> None:
        """Return if the store answers and its tables are of this version.

        Raises StoreUnavailable, SchemaOutdated.
        """

    def watch(self) -> None:
        """From now on read the set-up again when another node changes it, where the store notifies of that.

        Also stand for election as leader.
        """

    def is_leader(self) -> bool:
        """Whether this node is the leader, which removes what has expired or is too old; no I/O.

        One of all nodes that watch is the leader; when it is gone, another one becomes it.
        """

    def upkeep(self) -> None:
        """Do the maintenance that the store needs now and then, without keeping a commit waiting.

        Raises StoreUnavailable.
        """

    def settle(self) -> None:
        """Do what the batches have left to do, if it is due: call it when their answers are sent.

        What cannot be done now is done by a server's housekeeping.
        """

    def close(self) -> None:
        """Close files and connections."""
