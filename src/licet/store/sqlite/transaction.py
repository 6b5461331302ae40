"""A transaction of the embedded store: loads what a batch needs, and saves the result."""

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from licet.ledger.book import AssertionUsed, Book, Change, GrantDenied, PlaceKept, PlaceLeft, PlaceTaken
from licet.ledger.commands import Command, Grant, Refresh, UseAssertion, uses_of
from licet.model import Session, Tenant
from licet.store.contract import Purpose
from licet.store.rows import NO_ROWS
from licet.store.snapshots import Tenants, read_version
from licet.store.sqlite.book import load_book, read_live, read_used
from licet.store.sqlite.connecting import asking
from licet.store.sqlite.memory import Memory
from licet.store.sqlite.saving import save_book, write
from licet.store.standings import with_repeated
from licet.store.unfolded import Unfolded

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from licet.ledger.again import Again
    from licet.store.rows import Row, Saving

_OF_NO_SEAT = frozenset((GrantDenied, AssertionUsed, PlaceTaken, PlaceKept, PlaceLeft))


class SetupRow(NamedTuple):
    """The row of the set-up: its version, and what it says of seats."""

    version: int
    seats_lag: int
    writer: int


class SqliteTransaction:
    """One write transaction; see `contract.Transaction`."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        raw: sqlite3.Connection,
        connection: "Connection | None",
        tenants: Tenants,
        memory: Memory,
        unfolded: Unfolded,
        row: SetupRow,
        now_ms: int,
        purpose: Purpose,
    ) -> None:
        self.now_ms = now_ms
        self.changes: list[Change] = []  # that were saved
        self.repeated: list[Again] = []
        self.entries = self.denials = 0  # that were appended to the journal
        self._used: set[tuple[int, bytes]] = set()  # the assertions of the batch that are used
        self._saved: tuple[Book, Saving[Sequence[Row]]] | None = None
        self._is_saved_twice = False
        self._memory = memory
        self._row = row
        self._purpose = purpose
        self._connection = connection
        self._raw = raw
        self._tenants = tenants
        self._version = row.version
        self._unfolded = unfolded
        self._changes_setup = False

    @property
    def connection(self) -> "Connection":
        """For changes of the set-up that must hold together with what the ledger decides. No batch has it."""
        assert self._connection is not None, "neither a batch nor a note changes the set-up"
        self._changes_setup = True
        return self._connection

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Execute a statement of the driver's own, with a `?` for each value."""
        self._raw.execute(statement, values)

    @property
    def writes_seats(self) -> bool:
        """Whether others must forget what they know of seats and sessions."""
        if self.repeated or (self._changes_setup and self._purpose is not Purpose.UPKEEP):
            return True
        return not _OF_NO_SEAT.issuperset(map(type, self.changes))

    def repeat(self, commands: Sequence[Command]) -> "Sequence[Again | None]":
        """What is granted again of these commands by standing decisions, in their order; it is saved."""
        if self._purpose is not Purpose.BATCH or not self._row.seats_lag:
            return ()
        if uses := uses_of(commands):
            asked = {(use.tenant_id, use.client_key, use.jti) for use in uses}
            self._used.update(read_used(self._raw, asked))
        found = self._memory.repeat(commands, self._version, self._used, self.now_ms)
        if found:
            self.repeated = [it for it in found if it is not None]
            rows = with_repeated(NO_ROWS, self.repeated, self.now_ms)
            write(self._raw, rows)
            self._note_appended(rows)
        return found

    def recall(self, commands: Sequence[Command]) -> Book | None:
        """The book of these commands where they only renew what is known; else None."""
        if self._purpose is not Purpose.BATCH or not self._row.seats_lag:
            return None
        kinds = set(map(type, commands))
        if not kinds <= {Grant, Refresh, UseAssertion}:
            return None
        sessions: dict[bytes, Session] = {}
        if Refresh in kinds:
            sids = [it.sid for it in commands if isinstance(it, Refresh)]
            sessions = {it.sid: it for it in read_live(self._raw, sids, self.now_ms)}
        tenants = self._current_tenants()
        return self._memory.recall(commands, tenants, sessions, self._used, self.now_ms)

    def load(self, commands: Sequence[Command]) -> Book:
        """Fill the book of these commands, as `licet.ledger.prefetch` says."""
        return load_book(
            self._raw,
            self._current_tenants(),
            self._memory,
            self.now_ms,
            commands,
            rows_lag=bool(self._row.seats_lag),
            # What this transaction has written is learnt when it is committed.
            knows_counts=self._purpose is Purpose.BATCH and self._saved is None and bool(self._row.seats_lag),
        )

    def save(self, book: Book) -> None:
        """Write the net effect of the book's changes, and the journal of them."""
        self._is_saved_twice = self._saved is not None
        rows = save_book(self._raw, book, self._unfolded)
        self._saved = (book, rows)
        self._note_appended(rows)
        self.changes += book.changes

    def remember(self) -> None:
        """Keep in mind what this transaction has committed, or that more was changed than seats."""
        if self._is_saved_twice:  # Only the last book is kept for this.
            self._memory.forget()
        elif self._purpose is Purpose.SETUP:
            if self.writes_seats:
                self._memory.forget()
        elif self._row.seats_lag:
            self._memory.learn_repeated(self.repeated, self.now_ms)
            if self._saved is not None:
                self._memory.learn(*self._saved, self._version, self.now_ms)

    def _note_appended(self, rows: "Saving[Sequence[Row]]") -> None:
        self.entries += len(rows.entries)
        self.denials += len(rows.denials)

    def _current_tenants(self) -> dict[int, Tenant]:
        ask = asking(self._raw)
        if self._changes_setup:
            version = read_version(ask)
            if version != self._version:  # A set-up that is not committed yet is not cached.
                return Tenants().refresh(ask, version)
        if self._version == self._tenants.version:
            return self._tenants.by_id
        return self._tenants.refresh(ask, self._version)
