"""Defines what every store promises to its callers.

A store loads what a batch of commands needs, saves what the ledger made of it, and decides nothing.
All of a transaction becomes durable at once, or nothing of it. No driver's exception leaves a store.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum, auto
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from licet.clock import Clock
from licet.ledger.book import Book
from licet.ledger.commands import Command
from licet.model import Session, Tenant

BUSY_S = 5.0  # how long a transaction waits for another one before the store counts as unreachable
REPORTS_MAX = 4  # that are made at once; more of them would only make each other slow
REPORT_S = 30.0  # for one; nobody looks at a page for longer than that


class Purpose(Enum):
    """What a transaction is for, which says whom it waits for and what it may do."""

    BATCH = auto()
    """One `load` and one `save`, alone with the tenants that its commands are of; no `connection`."""
    SETUP = auto()
    """Anything, alone in the store: batches wait for it, and it waits for them."""
    UPKEEP = auto()
    """By `connection`, what no batch and no set-up reads or writes; beside the batches."""


class Differences(NamedTuple):
    """What stores do not have in common: who has to know asks here, and not for a store's name."""

    many_machines: bool  # nodes on several machines may share it
    tenants_apart: bool  # batches of different tenants do not wait for each other
    answer_within_s: float  # what takes longer counts as out of reach, with the wait for a batch before it
    tells_changes: bool  # `watch` hears of a change of the set-up as soon as it is made


class Transaction(Protocol):
    """One unit of work, alone on the pools it touches, at one instant of the store's clock."""

    now_ms: int  # of a batch: from `load` on

    @property
    def connection(self) -> Connection:
        """For changes of the set-up that must hold together with what the ledger decides."""

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
        """What tells the time by which sessions are kept; no I/O."""

    @property
    def differences(self) -> Differences:
        """What this kind of store does not have in common with others."""

    @property
    def collisions(self) -> Counter[str]:
        """How often a transaction was `Collided`, by name."""

    @property
    def happened(self) -> Counter[str]:
        """How often what happened was committed by this store, as `licet.store.counters` names it."""

    def tenant(self, name: str) -> Tenant | None:
        """The tenant as it was when last looked at; no I/O."""

    def tenants(self) -> Mapping[int, Tenant]:
        """All tenants by their id, as they were when last looked at; no I/O."""

    @property
    def identity(self) -> str:
        """Which store it is, as far as another could take its place unseen: a file can be replaced."""

    @property
    def setup_version(self) -> int:
        """The version of the set-up that `tenants` are of; a later one is greater."""

    def refresh_tenants(self) -> None:
        """Look whether the set-up changed, and read what did."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that sees the store at one instant.

        Raises StoreUnavailable.
        """

    def reporting(self) -> AbstractContextManager[Connection]:
        """As `reading`, on a connection that nothing else waits for: for what people look at.

        `REPORTS_MAX` threads may be in it at once, one more waits for `BUSY_S`; what takes longer than
        `REPORT_S` is given up. Nothing can be written by it. Raises StoreUnavailable.
        """

    def transaction(self, purpose: Purpose = Purpose.SETUP) -> AbstractContextManager[Transaction]:
        """Begin; commit at the end of the block, roll back when it raises.

        Raises StoreUnavailable, Collided, Contradiction.
        """

    def read_sessions(self, sids: Sequence[bytes]) -> tuple[int, dict[bytes, Session]]:
        """The store's now in milliseconds, and those of these sessions that live at it.

        Raises StoreUnavailable.
        """

    def probe(self) -> None:
        """Return if the store answers and its tables are of this version.

        Raises StoreUnavailable, SchemaOutdated.
        """

    def watch(self) -> None:
        """From now on look at the set-up by itself when another store has changed it, where it can be told.

        And stand for election as the one that keeps house.
        """

    def keeps_house(self) -> bool:
        """Whether it is this store's turn to clear away what has expired or is aged; no I/O.

        One of all that watch has it, and another one when that is gone.
        """

    def upkeep(self) -> None:
        """Do what the store needs now and then; it keeps no commit waiting.

        Raises StoreUnavailable.
        """

    def close(self) -> None:
        """Let go of files and connections."""
