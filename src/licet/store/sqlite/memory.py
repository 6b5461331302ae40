"""Remembers in a process the seats and sessions that renewals need, so that they need not be read.

A grant to a holder that has a seat, and a refresh, move no seat between holders. The ledger decides them like
all commands, but on a book filled from memory, with the row of each seat and the maximum number of sessions
that each client may have now. If the outcome is more than renewals, the store loads a book and the ledger
decides again.

The rules:

- The memory is valid as long as nobody else writes sessions or seats. Each writer sets `setup.writer`, and a
  store that finds another writer there calls `forget`. A change of the set-up sets it too. Until
  `setup.seats_lag` is true, a process of a version that sets no writer may be running, and a store remembers
  nothing here.
- `learn` is called only after COMMIT, so nothing is learnt from a failed batch.
- Rows are remembered, not seats: a row may understate its seat (`licet.ledger.seat_rows`), but never
  overstates it, and shows whether it must be written again.
- A session is remembered after its first refresh, because its client will refresh it again. It is kept as it
  was last committed, and forgotten when it ends.
- The counts of options are remembered after they were read: a new seat is then decided with these counts.
- Everything is bounded: a full part is emptied.

    memory = Memory()
    book = memory.recall(commands, tenants, sessions, used, now_ms)  # grants, refreshes, uses of assertions
    ... decide; if only_renews(book): save, COMMIT, memory.learn(book, saved)
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from licet.ledger.again import Again
from licet.ledger.book import Book, SeatKey, SessionEnded, SessionRenewed
from licet.ledger.commands import Command, End, Grant, Refresh, UseAssertion
from licet.ledger.holders import SESSION_HOLDER, holder_of
from licet.model import Seat, Session, Tenant
from licet.store.known_counts import COUNTS_MAX, KnownCounts
from licet.store.rows import Saving
from licet.store.standings import Standings

SEATS_MAX: Final = 200_000  # some 80 MB at most
CLIENTS_MAX: Final = 1_000_000
SESSIONS_MAX: Final = 50_000  # some 22 MB

_MARK: Final = True  # Whoever writes has all of it forgotten.
_REPEATED: Final = frozenset((Grant, Refresh))


class Memory:
    """What one open store remembers.

    `sessions_at_most` is how many live sessions a client has at most, by its key.
    """

    def __init__(
        self, seats_max: int = SEATS_MAX, clients_max: int = CLIENTS_MAX, counts_max: int = COUNTS_MAX
    ) -> None:
        self.sessions_at_most: dict[int, int] = {}
        self._standings = Standings()
        self._rows: dict[SeatKey, Seat] = {}
        self._sessions: dict[bytes, Session] = {}
        self._counts = KnownCounts(counts_max)
        self._seats_max = seats_max
        self._clients_max = clients_max

    def forget(self) -> None:
        """Forget everything."""
        self.sessions_at_most.clear()
        self._standings.forget()
        self._rows.clear()
        self._sessions.clear()
        self._counts.forget()

    def counts(self, pool_id: int, names: AbstractSet[str]) -> dict[str, int] | None:
        """How many seats of a pool are counted, by name; as `KnownCounts.find`."""
        return self._counts.find(pool_id, names, _MARK)

    def row(self, key: SeatKey) -> Seat | None:
        """The row of a seat, if it is known: its `expires_at_ms` is a lower bound."""
        return self._rows.get(key)

    def repeat(
        self, commands: Sequence[Command], version: int, used: set[tuple[int, bytes]], now_ms: int
    ) -> Sequence[Again | None]:
        """The commands that standing decisions of this version grant again, and None for the others.

        In their order; empty where there is none. A command is not granted again after one by which a session
        of its client may end, with its seat: an end, or a grant that is decided on a book (L8). Each client
        that is granted a session has one more from now on. `used` are the assertions that are used, as in
        `Book`: those of what is granted again are added.
        """
        if _REPEATED.isdisjoint(map(type, commands)):
            return ()
        found: list[Again | None] = []
        ending: set[int | None] = set()
        is_any = False
        for command in commands:
            kept = None
            if isinstance(command, Grant):
                key = command.client_key
                if not ending or ending.isdisjoint((None, key)):
                    kept = self._again(command, version, used, now_ms)
                if kept is None:
                    ending.add(key)
            elif isinstance(command, Refresh):
                if not ending or ending.isdisjoint((None, command.client_key)):
                    kept = self._again(command, version, used, now_ms)
            elif isinstance(command, End):
                ending.add(command.client_key)
            if kept is not None:
                is_any = True
            found.append(kept)
        return found if is_any else ()

    def _again(
        self, command: Grant | Refresh, version: int, used: set[tuple[int, bytes]], now_ms: int
    ) -> Again | None:
        use = command.assertion
        if use is not None and use.key in used:
            return None  # The ledger refuses it.
        if isinstance(command, Grant):
            kept = self._granted(command, version, now_ms)
        else:
            kept = self._renewed(command, version, now_ms)
        if kept is not None and use is not None:
            used.add(use.key)
        return kept

    def _granted(self, grant: Grant, version: int, now_ms: int) -> Again | None:
        kept = self._standings.find(grant, version, now_ms)
        if kept is None:
            return None
        key, live = kept.client_key, self.sessions_at_most
        at_most = live.get(key, kept.sessions_max)
        if at_most >= kept.sessions_max:  # L8
            return None
        live[key] = at_most + 1
        return Again(grant, kept)

    def _renewed(self, refresh: Refresh, version: int, now_ms: int) -> Again | None:
        session = self._sessions.get(refresh.sid)
        if session is None:
            return None
        kept = self._standings.find_renewal(refresh, session, version, now_ms)
        return None if kept is None else Again(refresh, kept, session)

    def recall(
        self,
        commands: Sequence[Command],
        tenants: Mapping[int, Tenant],
        sessions: Mapping[bytes, Session],
        used: AbstractSet[tuple[int, bytes]],
        now_ms: int,
    ) -> Book | None:
        """A book of these grants, refreshes and uses of assertions.

        None where too little is known, or a session may end (L8). `sessions` are the sessions to be refreshed
        that live; `used` are the assertions of these commands that are used.
        """
        rows: dict[SeatKey, Seat] = {}
        asking: dict[int, int] = {}
        for command in commands:
            if isinstance(command, UseAssertion):
                continue
            if isinstance(command, Refresh):
                session = sessions.get(command.sid)
                key = None if session is None else session.seat_key
            else:
                assert isinstance(command, Grant)
                tenant = tenants.get(command.tenant_id)
                client = None if tenant is None else tenant.clients_by_key.get(command.client_key)
                if tenant is None or client is None:
                    return None
                asked = asking[client.key] = asking.get(client.key, 0) + 1
                at_most = self.sessions_at_most.get(client.key)
                if at_most is None or at_most + asked > client.sessions_max:  # L8
                    return None
                if command.other_pool_ids:  # In which it has a seat, is not known.
                    return None
                pool = None if command.pool_id is None else tenant.pools.get(command.pool_id)
                key = None if pool is None else (pool.id, holder_of(pool, client, command.sid))
            if key is not None and key not in rows:
                row = self._rows.get(key)
                if row is None or row.expires_at_ms <= now_ms:
                    return None
                rows[key] = row
        for client_key, asked in asking.items():
            self.sessions_at_most[client_key] += asked
        return Book(
            tenants=tenants,
            in_use={key[0]: 0 for key in rows},  # Nobody asks: see `ledger/book.py`, `only_renews`.
            seats=rows.values(),
            sessions=sessions.values(),
            live_sessions={key: self.sessions_at_most[key] - asked for key, asked in asking.items()},
            assertions_used=used,
            rows_lag=True,
        )

    def learn_repeated(self, repeated: Sequence[Again], now_ms: int) -> None:
        """Remember what was granted again at this moment. Call it after COMMIT, and before `learn`."""
        known = self._sessions
        for it in repeated:
            if (seat := self._standings.learn_repeated(it, now_ms)) is not None:
                self._rows[seat.key] = seat
            if it.session is not None:
                known[it.command.sid] = it.session_at(now_ms)

    def learn(self, book: Book, saved: Saving[Sequence[Any]], version: int, now_ms: int) -> None:
        """Remember the rows that a book had, and those that were saved of it. Call it after COMMIT.

        The book was decided at this moment, by this version of the set-up.
        """
        self._standings.learn(book, lambda _: version, now_ms)
        self._learn_sessions(book)
        self._counts.learn(book, lambda _: _MARK)
        known = self._rows
        for key in saved.seats_gone:
            known.pop((key[0], key[1]), None)
        for key, row in book.rows.items():
            if key in book.seats and not key[1].startswith(SESSION_HOLDER):
                known[key] = row
            else:
                known.pop(key, None)
        for columns in saved.seats_new:
            key = (columns[0], columns[1])
            if not key[1].startswith(SESSION_HOLDER):
                known[key] = book.seats[key]
        for columns in saved.seats_kept:
            key = (columns[0], columns[1])
            if key in known:
                known[key] = book.seats[key]
        if len(known) > self._seats_max:
            known.clear()
        if len(self.sessions_at_most) > self._clients_max:
            self.sessions_at_most.clear()

    def _learn_sessions(self, book: Book) -> None:
        known = self._sessions
        for change in book.changes:
            if isinstance(change, SessionRenewed):
                session = book.sessions.get(change.session.sid)
                if session is not None:
                    known[session.sid] = session
            elif isinstance(change, SessionEnded):
                known.pop(change.session.sid, None)
        if len(known) > SESSIONS_MAX:
            known.clear()
