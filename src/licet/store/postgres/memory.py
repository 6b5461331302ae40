"""Remembers what a connection has committed, so that a batch that moves no seat needs nothing loaded.

Such batches are grants to holders that have a seat, refreshes, denials by a full pool, uses of assertions.

The rules:

- A tenant is remembered while `tenant.writer` is this connection's number: then nobody else has written its
  sessions or seats. Only `licet_commit` can check that, under the locks. If it refuses a batch, the rows on
  which the batch was decided are forgotten and loaded, and the batch is decided again.
- Each connection has its own number, and begins with an empty memory. If the server still commits a batch
  after its node gave up on it, the batch has the number of a connection that no longer exists.
- The memory is correct except for the effects of time: a client may have fewer active sessions than it says.
- The memory has full pools, and when the first seat of each expires, until a seat of the pool is taken or
  freed, the holder of the first seat uses it again, or the whole seconds until its expiry change: for a
  second at most. It also has the holders that were denied and have no seat. A client that is denied by this
  memory is denied without a book from then on (`ledger/denied_again.py`).
- No assertions are remembered. Those of a batch count as new, and the call checks that (`one_call.py`).
- If nodes take turns in a tenant, the memory costs more than it saves: the second node writes NOBODY as the
  writer, and a node takes the tenant again after `TURNS` batches.
- Everything is bounded, and the oldest is forgotten.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from secrets import randbits
from typing import Final, TypeVar

from msgspec.structs import replace

from licet.ledger.again import Again
from licet.ledger.book import (
    Book,
    Counts,
    GrantDenied,
    SeatFreed,
    SeatKept,
    SeatKey,
    SeatTaken,
    SessionEnded,
    SessionRenewed,
    SessionStarted,
)
from licet.ledger.commands import Command, Grant, Refresh, UseAssertion, uses_of
from licet.ledger.denied_again import (
    DeniedAgain,
    FullPool,
    Repeated,
    StandingDenial,
    full_pool,
    standing_denial,
)
from licet.ledger.holders import holder_of
from licet.ledger.prefetch import Need
from licet.ledger.seat_rows import may_lag
from licet.model import Duplicates, Seat, Session, Tenant
from licet.store.known_counts import KnownCounts
from licet.store.rows import Row, Saving
from licet.store.standings import Standings

SESSIONS_MAX: Final = 20_000  # some 10 MB, and as many seats
SEATS_MAX: Final = 20_000
TENANTS_MAX: Final = 10_000
NOBODY: Final = 0  # in `tenant.writer`
TURNS: Final = 32  # a failed call costs a round trip: of 32 batches that is little

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Memory:
    """The memory of one connection. Use it from one thread."""

    def __init__(self, backend: int) -> None:
        self.writer = randbits(62) + 1  # never given twice
        self.backend = backend
        self.setup_version = self.setup_writer = -1
        self.rows_lag = False
        # A tenant's mark: all else is kept with it, and counts only while the tenant still has this mark.
        self._tenants: OrderedDict[int, object] = OrderedDict()
        self._turns: OrderedDict[int, int] = OrderedDict()
        self._sessions: OrderedDict[bytes, tuple[object, Session]] = OrderedDict()
        # A seat as it is, and as its row says (`ledger/seat_rows.py`).
        self._seats: OrderedDict[SeatKey, tuple[object, Seat, Seat]] = OrderedDict()
        self._live: OrderedDict[int, tuple[object, int]] = OrderedDict()
        self._full: OrderedDict[int, tuple[object, FullPool]] = OrderedDict()  # by pool
        self._without: OrderedDict[SeatKey, tuple[object, None]] = OrderedDict()  # holders without a seat
        # Sessions that were granted again, and when.
        self._again: OrderedDict[bytes, tuple[object, tuple[Again, int]]] = OrderedDict()
        self._standings = Standings()
        self._denials: OrderedDict[int, tuple[object, StandingDenial]] = OrderedDict()  # by client
        self._counts = KnownCounts()
        # Of this batch: how many sessions each client is granted again, and the seats of those; which clients
        # are denied again, and by which pools.
        self._asked: dict[int, int] = {}
        self._seats_used: set[tuple[int | None, str | None]] = set()
        self._denied: set[int] = set()
        self._denying: dict[int, FullPool] = {}
        self._doubted: frozenset[tuple[int, bytes]] = frozenset()  # assertions that are to be looked up

    def forget(self) -> None:
        """Forget everything: it is not known what became of a batch, or it should not have failed."""
        self._tenants.clear()

    def forget_tenants(self, tenant_ids: Iterable[int]) -> None:
        """Somebody else wrote in these tenants."""
        for tenant_id in tenant_ids:
            if self._tenants.pop(tenant_id, None) is not None:
                _put(self._turns, tenant_id, 0, TENANTS_MAX)

    def counts(self, need: Need) -> Counts | None:
        """What options count, of all that a batch needs; None where anything of it is not remembered.

        What it holds of a pool may be more than is needed, and is not to be changed.
        """
        if not need.counts or not self.rows_lag:
            return None
        found: Counts = {}
        for pool_id, names in need.counts.items():
            mark = self._tenants.get(need.tenant_of(pool_id))
            known = None if mark is None else self._counts.find(pool_id, names, mark)
            if known is None:
                return None
            found[pool_id] = known
        return found

    def forget_askers(self, commands: Iterable[Command]) -> None:
        """Forget what these commands need: it did not decide them, so it is loaded the next time."""
        self.doubt(commands)
        for command in commands:
            if isinstance(command, Grant):
                self._live.pop(command.client_key, None)
            elif isinstance(command, Refresh):
                self._sessions.pop(command.sid, None)
                self._again.pop(command.sid, None)

    def doubt(self, commands: Iterable[Command]) -> None:
        """Have each batch with any of the assertions of these commands loaded."""
        self._doubted = frozenset(use.key for use in uses_of(commands))

    def may_use(self, uses: Sequence[UseAssertion]) -> bool:
        """Whether these assertions may be new: no two are the same, and none is doubted."""
        keys = {use.key for use in uses}
        return len(keys) == len(uses) and self._doubted.isdisjoint(keys)

    def must_be(self, setup_version: int, setup_writer: int, *, rows_lag: bool) -> None:
        """Forget everything unless it was remembered of this set-up; `rows_lag` as in `Book`."""
        self.rows_lag = rows_lag
        if (setup_version, setup_writer) != (self.setup_version, self.setup_writer):
            self._tenants.clear()
            self.setup_version, self.setup_writer = setup_version, setup_writer

    def repeat(
        self, commands: Sequence[Command], at_ms: int, *, denied_at_ms: int | None = None
    ) -> Sequence[Repeated | None]:
        """What standing decisions grant or deny again at `at_ms`, in the order of the commands, else None.

        `denied_at_ms` as in `book`.
        """
        self._asked.clear()
        self._seats_used.clear()
        self._denied.clear()
        self._denying.clear()
        full_ms = None if denied_at_ms is None else max(at_ms, denied_at_ms)
        found = [self._repeat(command, at_ms, full_ms) for command in commands]
        if self._full:
            again = [it for it in found if type(it) is Again]
            self._seats_used.update([(it.standing.pool_id, it.standing.holder) for it in again])
            if self._denying and _is_first(self._denying, self._seats_used):
                self._denied.clear()
                self._denying.clear()
                return [it if type(it) is Again else None for it in found]
        return found

    @property
    def knows_full(self) -> bool:
        """Whether any pool may be full."""
        return bool(self._full)

    @property
    def denies_again(self) -> bool:
        """Whether anybody is denied again by what `repeat` has found."""
        return bool(self._denying)

    def _repeat(self, command: Command, at_ms: int, full_ms: int | None) -> Repeated | None:
        if isinstance(command, Grant):
            mark = self._tenants.get(command.tenant_id)
            kept = None if mark is None else self._standings.find(command, mark, at_ms)
            if kept is None:
                return None if full_ms is None else self._deny(command, full_ms)
            key = command.client_key
            count, asked = _of(mark, self._live.get(key)), self._asked.get(key, 0)
            if count is None or count + asked >= kept.sessions_max:  # L8
                return None
            self._asked[key] = asked + 1
            return Again(command, kept)
        if not isinstance(command, Refresh) or (mark := self._tenants.get(command.tenant_id)) is None:
            return None
        if (session := self._session(mark, command.sid)) is None:
            return None
        kept = self._standings.find_renewal(command, session, mark, at_ms)
        return None if kept is None else Again(command, kept, session)

    def _deny(self, grant: Grant, full_ms: int) -> DeniedAgain | None:
        """The denial of a grant that a standing one covers, if the pool is full at `full_ms`."""
        key, mark = grant.client_key, self._tenants.get(grant.tenant_id)
        of, kept = self._denials.get(key, (None, None))
        if kept is None or of is not mark or not kept.covers(grant):
            return None
        full = self._denying.get(kept.pool_id)
        if full is None:
            of, full = self._full.get(kept.pool_id, (None, None))
            if full is None or of is not mark or full.until_ms <= full_ms:
                return None
        if self._without.get(kept.key, (None,))[0] is not mark:
            return None
        count = _of(mark, self._live.get(key))
        if count is None or count + self._asked.get(key, 0) >= kept.sessions_max:  # L8
            return None
        self._denied.add(key)
        self._denying[kept.pool_id] = full
        return DeniedAgain(grant, kept, full)

    def book(
        self,
        commands: Sequence[Command],
        need: Need,
        tenants: Mapping[int, Tenant],
        at_ms: int,
        *,
        denied_at_ms: int | None = None,
    ) -> Book | None:
        """The book of these commands, if all that they need is remembered and lives at `at_ms`.

        None if not, and where a grant has to end another session (L8). `denied_at_ms` is what the time may be
        by now; where it is None, nobody may be denied by the book. In the book no assertion is used, which
        the database checks.
        """
        if not commands or need.ended or need.sweep or need.has_own_seats:
            return None
        asked = self._asked_by(commands, need, at_ms)
        if asked is None:
            return None
        sessions, live = asked
        known, full = [], dict[int, FullPool]()
        for key in need.held(sessions):
            if (seat := self._seat(key, at_ms)) is not None:
                known.append(seat)
            elif denied_at_ms is None or not self._is_denied(key, full, max(at_ms, denied_at_ms)):
                return None
        if (full or self._denying) and _is_first(
            full | self._denying, self._seats_used | {seat.key for seat, _ in known}
        ):
            return None  # The first seat to expire is used again in this batch.
        if full and any(_is_behind(full.get(seat.pool_id), seat) for seat, _ in known):
            return None
        return Book(
            tenants=tenants,
            # Where it is not known, 0 does no harm: all who ask have a seat.
            in_use=dict.fromkeys(need.grants, 0) | {pool_id: it.in_use for pool_id, it in full.items()},
            seats=[seat for seat, _ in known],
            sessions=sessions,
            live_sessions=live,
            rows={row.key: _as_compared(tenants, row) for _, row in known},
            rows_lag=self.rows_lag,
            others_from_ms={key: it.first_ms for key, it in full.items() if it.first_ms is not None},
            full=full,
        )

    def _asked_by(
        self, commands: Sequence[Command], need: Need, at_ms: int
    ) -> tuple[list[Session], dict[int, int]] | None:
        """The sessions to be refreshed, and how many each client has that asks; None as in `book`."""
        sessions: list[Session] = []
        live: dict[int, int] = {}
        for command in commands:
            assert isinstance(command, Grant | Refresh | UseAssertion)
            mark = self._tenants.get(command.tenant_id)
            if mark is None:
                return None
            if isinstance(command, UseAssertion):
                continue
            if isinstance(command, Grant):
                key = command.client_key
                count, asked = _of(mark, self._live.get(key)), self._asked.get(key, 0)
                # A client that is denied again in this batch may have asked for this before (L8).
                if count is None or key in self._denied or need.oldest(key, count + asked) > 0:
                    return None
                live[key] = count + asked
            else:
                session = self._session(mark, command.sid)
                if session is None or session.expires_at_ms <= at_ms:
                    return None
                sessions.append(session)
        return sessions, live

    def writer_after(self, tenant_id: int, writer: int) -> int:
        """The writer of a tenant after a batch that writes in it; `writer` is the one before."""
        if writer == self.writer:
            return writer
        turns = 0 if writer != NOBODY else self._turns.get(tenant_id, TURNS) + 1
        _put(self._turns, tenant_id, turns, TENANTS_MAX)
        return self.writer if turns > TURNS else NOBODY

    def begin(self, tenant_ids: Iterable[int]) -> None:
        """From now on these tenants are this connection's, if they were not before."""
        for tenant_id in tenant_ids:
            if tenant_id not in self._tenants:
                _put(self._tenants, tenant_id, object(), TENANTS_MAX)

    def learn_repeated(self, repeated: Sequence[Again], now_ms: int) -> None:
        """Remember what was granted again, at this moment. Call it before `learn`."""
        live, again = self._live, self._again
        for it in repeated:
            command = it.command
            key, mark = command.client_key, self._tenants[command.tenant_id]
            if (seat := self._standings.learn_repeated(it, now_ms)) is not None:
                _put(self._seats, seat.key, (mark, seat, seat), SEATS_MAX)
            self._lasts_longer(it.standing.pool_id, it.standing.holder)
            if it.session is not None:
                _put(self._sessions, command.sid, (mark, it.session_at(now_ms)), SESSIONS_MAX)
                continue
            count = _of(mark, live.get(key))
            assert count is not None, "by what was remembered"
            live[key] = (mark, count + 1)
            live.move_to_end(key)
            again[command.sid] = (mark, (it, now_ms))
        while len(again) > SESSIONS_MAX:
            again.popitem(last=False)

    def learn(self, book: Book, rows: Saving[Sequence[Row]], now_ms: int) -> None:
        """Remember what was committed, at this moment, and which rows were written."""
        denied: list[GrantDenied] = []
        tenant_of: dict[int, int] = {}  # of each pool that was asked, or gave or got back a seat
        written = {(row[0], row[1]) for row in (*rows.seats_new, *rows.seats_kept)}
        for change in book.changes:
            match change:
                case SessionStarted(session=session):
                    self._learn_session(book, session)
                    self._learn_client(book, session)
                case SessionRenewed(session=session):
                    self._learn_session(book, session)
                case SessionEnded(session=session):
                    self._sessions.pop(session.sid, None)
                    self._again.pop(session.sid, None)
                case SeatTaken(seat=seat) | SeatKept(seat=seat) | SeatFreed(seat=seat):
                    tenant_of[seat.pool_id] = seat.tenant_id
                    self._learn_seat(book, seat.tenant_id, seat.key, is_written=seat.key in written)
                    self._without.pop(seat.key, None)
                    if not isinstance(change, SeatKept) or change.is_due:
                        self._full.pop(seat.pool_id, None)
                    else:
                        self._lasts_longer(seat.pool_id, seat.holder)
                case GrantDenied(pool_id=pool_id) if pool_id in book.full:
                    self._learn_denial(book, change)
                case GrantDenied(pool_id=pool_id):
                    tenant_of[pool_id] = change.tenant_id
                    denied.append(change)
                case _:
                    pass
        if denied:
            self._learn_denied(book, denied, now_ms)
        self._standings.learn(book, self._tenants.get, now_ms)
        self._counts.learn(book, lambda pool_id: self._tenants.get(tenant_of.get(pool_id, 0)))

    def _lasts_longer(self, pool_id: int | None, holder: str | None) -> None:
        """A seat was used again: if it was the first to expire, another one may be now."""
        if pool_id is not None and pool_id in self._full and self._full[pool_id][1].holder == holder:
            del self._full[pool_id]

    def _is_denied(self, key: SeatKey, full: dict[int, FullPool], at_ms: int) -> bool:
        """Whether a holder has no seat and its pool is full, as far as is known; if so, add it to `full`."""
        pool_id = key[0]
        mark, found = self._full.get(pool_id, (None, None))
        if found is None or found.until_ms <= at_ms or mark is not self._tenants.get(found.tenant_id):
            return False
        if self._without.get(key, (None,))[0] is not mark:
            return False
        full[pool_id] = found
        return True

    def _learn_denied(self, book: Book, denied: Iterable[GrantDenied], now_ms: int) -> None:
        """Remember the denied holders and their pools, where a pool is full at the end of the batch."""
        full: dict[int, object] = {}  # the pools, with the marks of their tenants
        for change in denied:
            pool_id, tenant = change.pool_id, book.tenants[change.tenant_id]
            pool, client = tenant.pools[pool_id], tenant.clients_by_key[change.client_key]
            if pool.duplicates is Duplicates.NONE:
                continue
            if pool_id not in full:
                mark, found = self._tenants.get(tenant.id), full_pool(book, change, now_ms)
                if mark is None or found is None:
                    continue
                full[pool_id] = mark
                _put(self._full, pool_id, (mark, found), SEATS_MAX)
            key = (pool_id, holder_of(pool, client, b""))
            if key not in book.seats:
                _put(self._without, key, (full[pool_id], None), SEATS_MAX)
                live = book.live_sessions[client.key]
                _put(self._live, client.key, (full[pool_id], live), SEATS_MAX)

    def _learn_denial(self, book: Book, denied: GrantDenied) -> None:
        """Remember a client that was denied by what is remembered of a pool: it may ask once more."""
        mark, kept = self._tenants.get(denied.tenant_id), standing_denial(book, denied)
        if mark is not None and kept is not None:
            _put(self._denials, kept.client_key, (mark, kept), SEATS_MAX)

    def _session(self, mark: object, sid: bytes) -> Session | None:
        session = _of(mark, self._sessions.get(sid))
        if session is not None or (again := _of(mark, self._again.get(sid))) is None:
            return session
        it, at_ms = again
        return it.session_at(at_ms)

    def _learn_client(self, book: Book, session: Session) -> None:
        mark = self._tenants.get(session.tenant_id)
        if mark is not None:
            count = book.live_sessions[session.client_key]
            _put(self._live, session.client_key, (mark, count), SEATS_MAX)

    def _learn_session(self, book: Book, session: Session) -> None:
        mark = self._tenants.get(session.tenant_id)
        if mark is None or session.sid not in book.sessions:
            return
        _put(self._sessions, session.sid, (mark, book.sessions[session.sid]), SESSIONS_MAX)

    def _learn_seat(self, book: Book, tenant_id: int, key: SeatKey, *, is_written: bool) -> None:
        mark, seat = self._tenants.get(tenant_id), book.seats.get(key)
        row = seat if is_written else book.rows.get(key)
        if mark is None or seat is None or row is None:
            self._seats.pop(key, None)
        else:
            _put(self._seats, key, (mark, seat, row), SEATS_MAX)

    def _seat(self, key: SeatKey, at_ms: int) -> tuple[Seat, Seat] | None:
        """A seat that lives, as it is and as its row says."""
        mark, seat, row = self._seats.get(key, (None, None, None))
        if seat is None or row is None or seat.expires_at_ms <= at_ms:
            return None
        return (seat, row) if mark is self._tenants.get(seat.tenant_id) else None


def _is_first(full: Mapping[int, FullPool], used: AbstractSet[tuple[int | None, str | None]]) -> bool:
    """Whether one of these seats is the first to expire of a full pool."""
    return not used.isdisjoint([(pool_id, it.holder) for pool_id, it in full.items()])


def _is_behind(full: FullPool | None, seat: Seat) -> bool:
    """Whether a seat was used again since it was remembered: no seat of its full pool expires so early."""
    return full is not None and full.first_ms is not None and seat.expires_at_ms < full.first_ms


def _as_compared(tenants: Mapping[int, Tenant], row: Seat) -> Seat:
    """The row that the ledger compares with. One that may not lag differs always: it is written each time."""
    return row if may_lag(tenants[row.tenant_id], row) else replace(row, expires_at_ms=0)


def _of(mark: object, found: tuple[object, _Value] | None) -> _Value | None:
    """What was remembered, if its tenant was not forgotten since."""
    return None if found is None or found[0] is not mark else found[1]


def _put(where: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    where[key] = value
    where.move_to_end(key)
    if len(where) > most:
        where.popitem(last=False)
