"""Runs one batch in PostgreSQL: by one call if it moves no seat, otherwise in two round trips.

With two round trips, the tenants are locked before the batch is decided. With one call, the batch is decided
first; the call locks the tenants and checks that nothing has changed since. See `store.py` and `one_call.py`.
"""

from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from psycopg import Cursor, Pipeline
from psycopg.pq import PipelineStatus

from licet.clock import FollowingClock
from licet.ledger.again import Again
from licet.ledger.book import (
    AssertionUsed,
    Book,
    Change,
    Counts,
    GrantDenied,
    PlaceKept,
    PlaceLeft,
    PlaceTaken,
)
from licet.ledger.commands import Command, Sweep, UseAssertion, uses_of
from licet.ledger.denied_again import DeniedAgain
from licet.ledger.later import holds_until_ms, move
from licet.ledger.prefetch import Need
from licet.store.errors import Outdated
from licet.store.postgres import load_statements
from licet.store.postgres.arrays import numbers
from licet.store.postgres.book import Loaded, load_used, parameters, tenants_of_expired
from licet.store.postgres.connection import Doubtful, DriverConnection, Wire
from licet.store.postgres.memory import NOBODY, Memory
from licet.store.postgres.one_call import CAN_CALL, Call, Refused, commit_by_call
from licet.store.postgres.saving import look, save
from licet.store.rows import NO_ROWS, rows_of
from licet.store.snapshots import Tenants
from licet.store.standings import with_denied, with_repeated
from licet.store.unfolded import Unfolded

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from licet.ledger.denied_again import Repeated
    from licet.model import Seat, Session

# Classes of advisory locks, each with keys of its own: "lic" in ASCII, and a number.
SETUP_LOCK, TENANT_LOCK = 0x6C_69_63_00, 0x6C_69_63_01  # LEADER_LOCK is a third
_LOCK_MAX = 0x7FFF_FFFF
_WHOLE_LOADS = 32  # batches after one that needed it: so L8 costs one more round trip in 32 batches at most

BEGIN = b"BEGIN ISOLATION LEVEL READ COMMITTED"
# A batch sets `tenant.writer`. Triggers notice all writers that do not say that they are a batch.
_LOCK_BATCH = (
    f"SELECT pg_advisory_xact_lock_shared({SETUP_LOCK}, 0), set_config('licet.is_batch', 'yes', true)"
    f" UNION ALL SELECT pg_advisory_xact_lock({TENANT_LOCK}, tenant), '' FROM unnest(%s::integer[]) AS tenant"
).encode()
_WRITERS = (
    b"UPDATE tenant SET writer = new.writer FROM unnest(%s::bigint[], %s::bigint[]) AS new (id, writer)"
    b" WHERE tenant.id = new.id"
)


class Batch:
    """One load and one save; see `contract.Transaction`."""

    def __init__(
        self,
        wire: Wire,
        pipelines: ExitStack,
        tenants: Tenants,
        unfolded: Unfolded,
        clock: FollowingClock,
    ) -> None:
        self.now_ms = 0
        self._pipelines = pipelines
        self._raw = wire.raw
        self._ask = wire.ask
        self._tenants = tenants
        self._unfolded = unfolded
        self._clock = clock
        self._commands: Sequence[Command] = ()
        self._locked: set[int] = set()
        self._remembered: tuple[dict[tuple[int, str], Seat], dict[bytes, Session]] | None = None
        self._writers: dict[int, int] = {}
        self._book: Book | None = None
        self._recalled: Book | None = None
        self._needed: tuple[int, Need] | None = None  # of all commands, by this version of the set-up
        self.repeated: list[Again] = []
        self.denied: list[DeniedAgain] = []
        self.changes: list[Change] = []  # that were saved

    @property
    def connection(self) -> "Connection":
        """A batch has none: it has locked some tenants and not the set-up."""
        raise AssertionError("a batch changes no set-up")

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Nothing: `save` and `commit` write what a batch has to write."""
        del statement, values
        raise AssertionError("a batch executes no statement of others")

    def repeat(self, commands: Sequence[Command]) -> "Sequence[Repeated | None]":
        """What standing decisions grant or deny again of the commands, in their order; `commit` writes it.

        Empty where there is none, and where another command needs a book that has to be loaded, or an
        assertion may have been used: one call writes all commands or none.
        """
        memory, heard_ms = self._raw.memory, self._clock.heard_ms
        # Before an upgrade is finished, code may be at work that believes the row of a seat.
        if memory is None or not memory.rows_lag or memory.setup_version != self._tenants.version:
            return ()
        if (uses := uses_of(commands)) and not memory.may_use(uses):
            return ()
        # Now and then the denials that wait to be folded must be counted: then a batch is loaded.
        may_deny = memory.knows_full and not self._unfolded.must_look
        denied_at_ms = self._clock.now_ms() if may_deny else None
        found = memory.repeat(commands, heard_ms, denied_at_ms=denied_at_ms)
        others = [command for command, kept in zip(commands, found, strict=True) if kept is None]
        if others:
            version, tenants = self._tenants.version, self._tenants.by_id
            need = Need(others, tenants)
            book = self._recalled = memory.book(others, need, tenants, heard_ms, denied_at_ms=denied_at_ms)
            if book is None:
                if len(others) == len(commands):
                    self._needed = (version, need)  # for `load`
                return ()
            self._remembered = book.seats.copy(), book.sessions.copy()
        if not commands:
            return ()
        self.repeated = [it for it in found if type(it) is Again]
        if memory.denies_again:
            self.denied = [it for it in found if type(it) is DeniedAgain]
        self.now_ms, self._commands = heard_ms, commands
        self._locked = {command.tenant_id for command in commands if not isinstance(command, Sweep)}
        return found

    def recall(self, commands: Sequence[Command]) -> Book | None:
        """A book of what this connection remembers, for the last moment that it knows; else None."""
        del commands  # those that `repeat` has left
        return self._recalled

    def load(self, commands: Sequence[Command]) -> Book:
        """Fill the book of these commands, as `licet.ledger.prefetch` says."""
        if self._remembered is not None:  # What was decided on the memory does not count.
            assert self._raw.memory is not None
            self._raw.memory.forget_askers(commands)
            # One call writes all commands or none: begin anew, with what is known now.
            if self.repeated or self.denied:
                raise Outdated
            self.now_ms, self._remembered = 0, None
        assert not self.now_ms, "a batch loads once"
        self._commands = commands
        if self._needed is not None:
            version, need = self._needed
            return self._load(need, version)
        version, tenants = self._tenants.version, self._tenants.by_id
        return self._load(Need(commands, tenants), version)

    def save(self, book: Book) -> None:
        """Keep the net effect of the book's changes, and the journal of them; `commit` writes them."""
        self._book = book
        self.changes += book.changes

    def commit(self) -> None:
        """Write, and commit, in one round trip.

        Raises Outdated.
        """
        if not self.now_ms:
            return
        if self.repeated or self.denied or self._remembered is not None:
            self._commit_by_call()
            return
        with self._pipelines:
            if self._raw.info.pipeline_status == PipelineStatus.OFF:
                self._pipelines.enter_context(self._raw.pipeline())
            if self._book is not None:
                rows = save(self._raw, self._book, self._unfolded)
                self._write_writers(self._book)
            commit = send_commit(self._raw)
        must_hold(self._raw, commit)
        memory = self._raw.memory
        if memory is not None and self._book is not None:
            memory.begin(key for key, writer in self._writers.items() if writer == memory.writer)
            memory.learn(self._book, rows, self.now_ms)

    def forget(self) -> None:
        """Forget everything: it is not known what becomes of this batch, or it should not have failed."""
        if self._raw.memory is not None:
            self._raw.memory.forget()

    def _load(self, need: Need, version: int) -> Book:
        raw, tenants = self._raw, self._tenants.by_id
        pipeline: Pipeline | None = self._pipelines.enter_context(raw.pipeline())
        assert pipeline is not None
        locked = self._locked = self._tenants_of(self._commands, pipeline)
        raw.execute(BEGIN)
        raw.execute(_LOCK_BATCH, [_lock_numbers(locked)], prepare=True)
        counts = self._counts_of(need)
        statement = (
            load_statements.WHOLE
            if raw.whole_loads
            else load_statements.statement_for(need, knows_counts=counts is not None)
        )
        asked = parameters(need, locked=locked, least_ms=self._clock.heard_ms, counts=counts)
        cursor = statement.ask(raw, asked)
        asked_used = load_used(raw, need)
        unfolded = look(raw) if self._unfolded.must_look else None
        can_call = None if raw.is_known else raw.execute(CAN_CALL)
        # Not by leaving the pipeline: after what that sends, the database would not notice that this node is
        # idle in a transaction.
        pipeline.sync()
        used = tuple(asked_used)
        if unfolded is not None:
            [(waiting,)] = unfolded
            self._unfolded.found(waiting)
        loaded = Loaded(cursor, used, counts)
        self._clock.hear(loaded.now_ms)
        self.now_ms = loaded.now_ms
        if can_call is not None:
            raw.is_known, raw.memory = True, _memory(can_call)
        self._check_memory(loaded)
        if loaded.version != version:  # The set-up cannot change from here on: load it again.
            self._pipelines.close()
            tenants = self._tenants.refresh(self._ask, loaded.version)
            need, pipeline = Need(self._commands, tenants), None
            loaded = self._load_again(need, used)
        elif counts is not None and self._counts_of(need) is None:  # Another node has written since.
            need = Need(self._commands, tenants)
            loaded = self._load_again(need, used)
            pipeline.sync()  # as above
        elif need.is_of_grants:
            must_end_one = loaded.must_end_one(need)
            if must_end_one and statement is not load_statements.WHOLE:
                loaded = self._load_again(need, used)
                pipeline.sync()  # as above
            raw.whole_loads = _WHOLE_LOADS if must_end_one else max(0, raw.whole_loads - 1)
        if loaded.add_options(raw, need, locked) and pipeline is not None:
            pipeline.sync()  # as above
        return loaded.book(tenants, need)

    def _counts_of(self, need: Need) -> Counts | None:
        """What options count, of all that grants need, as far as is known; else None."""
        if self._raw.memory is None or self._raw.whole_loads or not need.is_of_grants:
            return None
        return self._raw.memory.counts(need)

    def _load_again(self, need: Need, used: Iterable[tuple[int, bytes]]) -> Loaded:
        """Load all that is needed, for the moment at which the batch was loaded."""
        asked = parameters(need, locked=self._locked, least_ms=0, now_ms=self.now_ms)
        return Loaded(load_statements.WHOLE.ask(self._raw, asked), used)

    def _check_memory(self, loaded: Loaded) -> None:
        """Forget what is remembered of what others have written since."""
        self._writers = loaded.writers
        memory = self._raw.memory
        if memory is not None:
            memory.must_be(loaded.version, loaded.setup_writer, rows_lag=loaded.rows_lag)
            memory.forget_tenants(key for key, writer in loaded.writers.items() if writer != memory.writer)

    def _write_writers(self, book: Book) -> None:
        """Set the last writer of each tenant in which this batch writes sessions or seats.

        A batch that only denies may become the writer of a tenant that has none: then it remembers the full
        pool.
        """
        memory, new = self._raw.memory, {}
        written = {_tenant_of(change) for change in book.changes} - {None}
        denied = {change.tenant_id for change in book.changes if isinstance(change, GrantDenied)}
        for tenant_id in written | denied:
            assert tenant_id is not None
            before = self._writers.get(tenant_id, NOBODY)
            if before != NOBODY and tenant_id not in written:
                continue
            after = NOBODY if memory is None else memory.writer_after(tenant_id, before)
            if after != before:
                new[tenant_id] = self._writers[tenant_id] = after
        if new:
            self._raw.execute(_WRITERS, [numbers(new), numbers(new.values())], prepare=True)

    def _commit_by_call(self) -> None:
        book, memory, decided_ms = self._book, self._raw.memory, self.now_ms
        assert memory is not None
        if book is None and not self.repeated and not self.denied:
            return
        until_ms = self._holds_until_ms(book)
        if until_ms is None:
            memory.forget_askers(self._commands)
            raise Outdated
        call = Call(decided_ms, until_ms, _lock_numbers(self._locked), numbers(self._locked))
        rows = NO_ROWS if book is None else rows_of(book)
        if self.denied:
            rows = with_denied(rows, self.denied, decided_ms)
        rows = self._unfolded.bounded(rows)
        if self.repeated:
            rows = with_repeated(rows, self.repeated, decided_ms)
        answer = commit_by_call(self._raw, memory, call, rows)
        match answer:
            case Refused.SETUP:
                memory.forget()
            case Refused.WRITER:
                memory.forget_tenants(self._locked)
            case Refused.LATE:
                memory.forget_askers(self._commands)
            case Refused.USED:
                memory.doubt(self._commands)
            case _:
                self.now_ms = answer
                self._clock.hear(answer)
                memory.learn_repeated(self.repeated, answer)
                if book is not None:
                    move(book, answer - decided_ms)
                    memory.learn(book, rows, answer)
                return
        raise Outdated

    def _holds_until_ms(self, book: Book | None) -> int | None:
        """The moment before which all commands would be decided as they were; None if not even now."""
        until_ms = [it.until_ms(self.now_ms) for it in self.repeated]
        until_ms += [it.full.until_ms for it in self.denied]
        if book is not None:
            assert self._remembered is not None
            seats, sessions = self._remembered
            others = sum(not isinstance(it, UseAssertion) for it in self._commands)
            others -= len(self.repeated) + len(self.denied)
            held_ms = holds_until_ms(book, others, self.now_ms, seats=seats, sessions=sessions)
            if held_ms is None:
                return None
            until_ms.append(held_ms)
        return min(until_ms)

    def _tenants_of(self, commands: Sequence[Command], pipeline: Pipeline) -> set[int]:
        """The tenants of these commands; of a sweep, those in which it would find something to clear."""
        sessions_max = sum(command.sessions_max for command in commands if isinstance(command, Sweep))
        named = {command.tenant_id for command in commands if not isinstance(command, Sweep)}
        if not sessions_max:
            return named
        cursor = tenants_of_expired(self._raw, self._clock.heard_ms, sessions_max)
        pipeline.sync()
        return named.union(tenant_id for (tenant_id,) in cursor)


def send_commit(raw: DriverConnection) -> Cursor[Any]:
    """Send a COMMIT, and take note of warnings from now on."""
    raw.warnings.clear()
    return raw.execute(b"COMMIT")


def must_hold(raw: DriverConnection, commit: Cursor[Any]) -> None:
    """Raise unless it is committed.

    PostgreSQL gives no more than a warning when a commit stopped waiting for its standby.
    """
    if commit.statusmessage != "COMMIT" or raw.warnings:
        said = raw.warnings[0] if raw.warnings else commit.statusmessage
        raise Doubtful(f"it is not certain that a commit holds: {said}")


def _memory(can_call: Cursor[Any]) -> Memory | None:
    [(backend, functions)] = can_call
    return Memory(backend) if functions else None


def _tenant_of(change: Change) -> int | None:
    """The tenant of which a change writes a session or a seat."""
    match change:
        case GrantDenied() | AssertionUsed() | PlaceTaken() | PlaceKept() | PlaceLeft():
            return None
        case _:
            subject: Session | Seat = change.session if hasattr(change, "session") else change.seat
            return subject.tenant_id


def _lock_numbers(tenant_ids: Collection[int]) -> str:
    """The locks of these tenants as one array, ascending: all batches take locks in this order."""
    return "{" + ",".join(map(str, sorted({id_ & _LOCK_MAX for id_ in tenant_ids}))) + "}"
