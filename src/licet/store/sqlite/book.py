"""Loads the rows of a book from SQLite, before the ledger decides.

`licet.store.sqlite.saving` writes what the ledger made of them.

Every statement is for all rows of its kind at once. At each step of a statement the driver releases the
interpreter's lock, and has to get it back from the event loop: most of the speed of a commit comes from one
step per batch instead of one per row. So rows are read as one JSON value, and written as one `VALUES` list.
Lists have few lengths, so that a statement is prepared once per length and then cached.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Any

import msgspec

from licet.ledger.book import Book, Counts, SeatKey
from licet.ledger.commands import Command
from licet.ledger.holders import CLIENT_HOLDER
from licet.ledger.numbers import Numbers
from licet.ledger.prefetch import FEW, Need, Sharing
from licet.ledger.seat_rows import said
from licet.model import Place, Seat, Session, Tenant
from licet.store.contract import LiveSessions
from licet.store.rows import PLACE, SEAT, SESSION, to_place, to_seat, to_session
from licet.store.sqlite.memory import Memory
from licet.store.sqlite.parts import by_pool, parts

_COLUMNS = f"hex({SESSION.replace('sid,', 'sid),', 1)}"
_SESSIONS = f"SELECT json_group_array(json_array({_COLUMNS})) FROM"
# Of a seat: when the last of its sessions expires or did, swept or not, and when that was renewed; `said` in
# `licet.ledger.prefetch`. A seat that is a session's own has a row that says it.
_SAID = (
    "CASE substr(seat.holder, 1, 5) WHEN 'clien' THEN json((SELECT json_array(expires_at_ms, renewed_at_ms)"
    " FROM session WHERE client_key = (SELECT key FROM client WHERE client.tenant_id = seat.tenant_id"
    f" AND client.client_id = substr(seat.holder, {len(CLIENT_HOLDER) + 1}))"
    " AND session.pool_id = seat.pool_id AND session.holder = seat.holder"
    " ORDER BY session.expires_at_ms DESC LIMIT 1))"
    " WHEN 'user:' THEN json((SELECT json_array(expires_at_ms, renewed_at_ms) FROM session"
    " WHERE substr(session.holder, 1, 5) = 'user:'"
    " AND session.pool_id = seat.pool_id AND session.holder = seat.holder"
    " ORDER BY session.expires_at_ms DESC LIMIT 1)) END"
)
_SEATS = f"SELECT json_group_array(json_array({SEAT}, {_SAID})) FROM"

# Each is named after the clause of `licet.ledger.prefetch` that asks for it.
_NAMED = f"{_SESSIONS} session WHERE expires_at_ms > ? AND sid IN (%s)"
_NUMBER_OF_SEAT = (
    "coalesce((SELECT number FROM seat WHERE pool_id = session.pool_id AND holder = session.holder), 0)"
)
_NAMED_NUMBERED = _NAMED.replace(_COLUMNS, f"{_COLUMNS}, {_NUMBER_OF_SEAT}", 1)
# How many sessions of each client live, and which is its oldest; answered by an index alone.
_ROOMS = (
    "SELECT json_group_array(json_array(client_key, live, oldest)) FROM"
    " (SELECT client_key, count(*) AS live, min(number) AS oldest FROM session"
    " WHERE expires_at_ms > ? AND client_key IN (%s) GROUP BY client_key)"
)
_OLDEST = (
    f"{_SESSIONS} (SELECT * FROM session WHERE number IN"
    " (SELECT number FROM session WHERE client_key = ? AND expires_at_ms > ? ORDER BY number LIMIT ?)"
    " ORDER BY number)"
)
_OLDEST_BY_NUMBER = f"{_SESSIONS} session WHERE number IN (%s)"
_SWEEP = f"{_SESSIONS} (SELECT * FROM session WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)"
# Looks at every pool, because a seat on hold expires without a session.
_SWEEP_POOLS = (
    "SELECT json_group_array(id) FROM (SELECT id FROM pool WHERE in_use > 0 AND EXISTS"
    " (SELECT 1 FROM seat WHERE pool_id = pool.id AND expires_at_ms <= ?) LIMIT ?)"
)
_HELD = f"{_SEATS} seat WHERE pool_id = ? AND holder IN (%s)"
_COUNTED = "SELECT in_use FROM pool WHERE id = ?"
_COUNTED_EXPIRED = f"{_SEATS} seat WHERE pool_id = ? AND expires_at_ms <= ?"
_EARLIEST = (
    f"{_SEATS} (SELECT * FROM seat WHERE pool_id = ? AND expires_at_ms > ? ORDER BY expires_at_ms LIMIT ?)"
    " AS seat"
)
# Of seats that are a session's own: those of a client, as many as `counting` asks for at most.
_COUNTING_OWN = (
    f"{_SEATS} seat WHERE pool_id = ?1 AND holder IN (SELECT holder FROM session"
    " WHERE client_key = ?2 AND expires_at_ms > ?3 AND session.pool_id = ?1 ORDER BY expires_at_ms LIMIT ?4)"
)
_SHARING_OF_CLIENT = (
    f"{_SESSIONS} (SELECT * FROM session"
    " WHERE client_key = ? AND pool_id = ? AND holder = ? AND expires_at_ms > ?"
    " ORDER BY expires_at_ms DESC LIMIT ?)"
)
_SHARING_OF_USER = (
    f"{_SESSIONS} (SELECT * FROM session WHERE pool_id = ? AND holder = ? AND expires_at_ms > ?"
    " AND substr(holder, 1, 5) = 'user:' ORDER BY expires_at_ms DESC LIMIT ?)"
)
# One statement for each signed pool that is asked: what is known of its numbers.
_NUMBERS = (
    "SELECT json_array(numbers_used, numbers_from_ms, (SELECT json_group_array(json_array(number, from_ms))"
    " FROM (SELECT * FROM (SELECT number, from_ms FROM seat_free WHERE pool_id = ?1 AND from_ms <= ?2"
    " ORDER BY number LIMIT ?3)"
    " UNION ALL SELECT * FROM (SELECT number, from_ms FROM seat_free WHERE pool_id = ?1 AND from_ms > ?2"
    " ORDER BY from_ms LIMIT 1)))) FROM pool WHERE id = ?1"
)
# Of the options of a pool: how many seats are counted so, and whether anybody waits, if that is asked for.
_COUNTS = (
    "SELECT json_group_object(what, in_use) FROM json_each(?{names}) AS asked"
    " CROSS JOIN seat_count ON pool_id = ?1 AND what = asked.value"
)
_WAITING_COUNTS = _COUNTS.format(names=2)
_COUNTED_AND_WAITING = (
    "SELECT in_use, EXISTS (SELECT 1 FROM queue_place WHERE pool_id = ?2) FROM pool WHERE id = ?1"
)
_COUNTED_BY_OPTIONS = _COUNTED_AND_WAITING.replace("FROM pool", f", ({_COUNTS.format(names=3)}) FROM pool", 1)
_PLACES = f"SELECT json_group_array(json_array({PLACE})) FROM queue_place WHERE pool_id = ?"
_LAPSED = (
    f"SELECT json_group_array(json_array({PLACE})) FROM"
    " (SELECT * FROM queue_place WHERE until_ms <= ? ORDER BY until_ms LIMIT ?)"
)
_ASSERTIONS = (
    "SELECT json_group_array(json_array(it.client_key, hex(it.jti))) FROM (VALUES %s) AS asked"
    " CROSS JOIN assertion_used AS it ON it.tenant_id = asked.column1 AND it.client_key = asked.column2"
    " AND it.jti = asked.column3"
)


def read_live(raw: sqlite3.Connection, sids: Sequence[bytes], now_ms: int) -> Iterator[Session]:
    """Those of these sessions that live."""
    for part in parts(sids):
        yield from _read_sessions(raw, _NAMED % _places(part), now_ms, *part)


def read_numbered(raw: sqlite3.Connection, sids: Sequence[bytes], now_ms: int) -> LiveSessions:
    """Those of these sessions that live, with the numbers of their seats."""
    sessions: dict[bytes, Session] = {}
    numbers: dict[bytes, int] = {}
    for part in parts(sids):
        for *row, number in _json(raw, _NAMED_NUMBERED % _places(part), now_ms, *part):
            session = _session(row)
            sessions[session.sid] = session
            if number:
                numbers[session.sid] = number
    return LiveSessions(now_ms, sessions, numbers)


def read_used(
    raw: sqlite3.Connection, assertions: Iterable[tuple[int, int, bytes]]
) -> Iterator[tuple[int, bytes]]:
    """Those of these assertions, by tenant, client and `jti`, that are used: by client and `jti`."""
    for part in parts([*assertions]):
        rows = ", ".join(["(?, ?, ?)"] * len(part))
        for client_key, jti in _json(raw, _ASSERTIONS % rows, *chain.from_iterable(part)):
            yield client_key, bytes.fromhex(jti)


def load_book(
    raw: sqlite3.Connection,
    tenants: dict[int, Tenant],
    memory: Memory,
    now_ms: int,
    commands: Sequence[Command],
    *,
    rows_lag: bool,
    knows_counts: bool,
) -> Book:
    """The book of these commands, as `licet.ledger.prefetch` says.

    A client whose limit cannot be reached, as `memory` has it, is not counted again. Nor is what options
    count, if that `knows_counts`.
    """
    loading = _Loading(raw, Need(commands, tenants), memory, now_ms, knows_counts=knows_counts)
    return loading.book(tenants, rows_lag=rows_lag)


class _Loading:
    """Collects the rows of a book, clause by clause; each clause may add to what the next one needs."""

    def __init__(
        self, raw: sqlite3.Connection, need: Need, memory: Memory, now_ms: int, *, knows_counts: bool
    ) -> None:
        self._raw = raw
        self._need = need
        self._memory = memory
        self._knows_counts = knows_counts
        self._now_ms = now_ms
        self._sessions: dict[bytes, Session] = {}
        self._oldest: dict[int, list[bytes]] = {}
        self._live: dict[int, int] = {}
        self._expired: list[Session] = []
        self._seats: dict[SeatKey, Seat] = {}
        self._rows: dict[SeatKey, Seat] = {}  # of those that are behind
        self._others_from_ms: dict[int, int] = {}
        self._in_use: dict[int, int] = {}
        self._counts: Counts = {}
        self._counted: dict[int, AbstractSet[str]] = {}  # of which more than these are known
        self._places: list[Place] = []

    def book(self, tenants: Mapping[int, Tenant], *, rows_lag: bool) -> Book:
        need = self._need
        self._add(read_live(self._raw, [*need.renewed, *need.ended], self._now_ms))
        self._load_oldest()
        self._load_held(need.held(self._sessions.values()))
        ending = need.ending(self._sessions, chain.from_iterable(self._oldest.values()))
        held = [*self._seats]
        self._load_counted(need.counted(ending) | self._load_swept())
        self._load_waiting()
        self._load_lapsed()
        self._load_counting()
        for pool_id, seats in need.earliest(self._in_use, held, self._now_ms, self._counts).items():
            found = self._add_seats(_EARLIEST, pool_id, self._now_ms, seats)
            if len(found) == seats:
                self._others_from_ms[pool_id] = max(row.expires_at_ms for row in found)
        for sharing in need.sharing(ending, self._seats):
            self._load_sharing(sharing)
        return Book(
            tenants=tenants,
            in_use=self._in_use,
            seats=self._seats.values(),
            sessions=self._sessions.values(),
            expired=self._expired,
            live_sessions=self._live,
            started=self._oldest,
            assertions_used=read_used(self._raw, need.assertions),
            numbers=self._numbers() if need.numbers else None,
            rows=self._rows,
            rows_lag=rows_lag,
            others_from_ms=self._others_from_ms,
            counts=self._counts,
            counted=self._counted,
            exceeded=need.exceeded(self._counts, self._now_ms) if self._counts else None,
            places=self._places,
        )

    def _load_oldest(self) -> None:
        need, first = self._need, []
        known, uncounted = self._memory.sessions_at_most, []
        for key, room in need.rooms.items():
            at_most = known.get(key)
            if at_most is not None and at_most <= room:
                self._live[key] = at_most
            else:
                uncounted.append(key)
        for part in parts(uncounted):
            self._live.update(dict.fromkeys(part, 0))
            for key, live, oldest in _json(self._raw, _ROOMS % _places(part), self._now_ms, *part):
                self._live[key] = live
                excess = need.oldest(key, live)
                if excess == 1:
                    first.append(oldest)
                elif excess > 1:
                    self._add_oldest(_OLDEST, key, self._now_ms, excess)
        for part in parts(first):
            self._add_oldest(_OLDEST_BY_NUMBER % _places(part), *part)
        for key, asking in need.asking.items():
            known[key] = self._live[key] + asking

    def _add_oldest(self, statement: str, *parameters: object) -> None:
        for session in _read_sessions(self._raw, statement, *parameters):
            self._oldest.setdefault(session.client_key, []).append(session.sid)
            self._sessions[session.sid] = session

    def _load_held(self, keys: Iterable[SeatKey]) -> None:
        for pool_id, holders in by_pool(keys).items():
            self._load_held_of(pool_id, holders)

    def _load_held_of(self, pool_id: int, holders: Sequence[str]) -> None:
        for part in parts(holders):
            self._add_seats(_HELD % _places(part), pool_id, *part)

    def _load_swept(self) -> set[int]:
        """Load the sessions that have expired; return the pools that have expired seats."""
        limit = self._need.sweep
        if not limit:
            return set()
        self._expired += _read_sessions(self._raw, _SWEEP, self._now_ms, limit)
        # With the pools of the sessions: a seat must be back before what its sessions said of it is gone.
        pools = {pool_id for session in self._expired if (pool_id := session.pool_id) is not None}
        return pools.union(_json(self._raw, _SWEEP_POOLS, self._now_ms, limit))

    def _load_counted(self, pool_ids: Iterable[int]) -> None:
        need = self._need
        for pool_id in pool_ids:
            if pool_id in need.counts or pool_id in need.queues:
                found = self._counted_by_options(pool_id)
            else:
                found = self._raw.execute(_COUNTED, (pool_id,)).fetchone()
            if found:
                self._in_use[pool_id] = found[0]
                self._add_seats(_COUNTED_EXPIRED, pool_id, self._now_ms)

    def _counted_by_options(self, pool_id: int) -> Any:
        names: AbstractSet[str] = self._need.counts.get(pool_id, frozenset())
        known = self._memory.counts(pool_id, names) if self._knows_counts else None
        queue = pool_id if pool_id in self._need.queues else None
        if known is not None:
            self._counts[pool_id], self._counted[pool_id] = known, names
            found = self._raw.execute(_COUNTED_AND_WAITING, (pool_id, queue)).fetchone()
        else:
            parameters = (pool_id, queue, _array(names))
            found = self._raw.execute(_COUNTED_BY_OPTIONS, parameters).fetchone()
            if found:
                self._add_counts(pool_id, names, msgspec.json.decode(found[2]))
        if found and found[1]:
            self._places += map(to_place, _json(self._raw, _PLACES, pool_id))
        return found

    def _add_counts(self, pool_id: int, names: Iterable[str], counts: dict[str, int]) -> None:
        """Add what was found of these; of what is not counted yet, there is no row."""
        before = self._counts.get(pool_id, {})
        known = {what: before[what] for what in self._counted.pop(pool_id, before)}
        self._counts[pool_id] = {**known, **dict.fromkeys(names, 0), **counts}

    def _load_sharing(self, sharing: Sharing) -> None:
        key, limit = sharing.seat_key, sharing.sessions_max
        if key[1].startswith(CLIENT_HOLDER):
            of_client = (sharing.client_key, *key, self._now_ms, limit)
            self._add(_read_sessions(self._raw, _SHARING_OF_CLIENT, *of_client))
        else:
            self._add(_read_sessions(self._raw, _SHARING_OF_USER, *key, self._now_ms, limit))

    def _numbers(self) -> dict[int, Numbers]:
        found = {}
        for pool_id, count in self._need.numbers.items():
            for row in self._raw.execute(_NUMBERS, (pool_id, self._now_ms, count)):
                used, from_ms, free = msgspec.json.decode(row[0])
                found[pool_id] = Numbers(used=used, from_ms=from_ms, free=free)
        return found

    def _load_lapsed(self) -> None:
        if limit := self._need.sweep:
            self._places += map(to_place, _json(self._raw, _LAPSED, self._now_ms, limit))

    def _load_waiting(self) -> None:
        if self._places:
            for pool_id, names in self._need.waiting(self._places).items():
                found = self._raw.execute(_WAITING_COUNTS, (pool_id, _array(names))).fetchone()
                self._add_counts(pool_id, names, msgspec.json.decode(found[0]))

    def _load_counting(self) -> None:
        if self._counts and (found := self._need.counting(self._in_use, self._counts, self._now_ms)):
            for pool_id, holders in found.holders.items():
                self._load_held_of(pool_id, [*holders])
            for pool_id, clients in found.own.items():
                for client_key in clients:
                    self._add_seats(_COUNTING_OWN, pool_id, client_key, self._now_ms, FEW)

    def _add(self, sessions: Iterable[Session]) -> None:
        self._sessions.update((session.sid, session) for session in sessions)

    def _add_seats(self, statement: str, *parameters: object) -> list[Seat]:
        """Add the seats that a statement finds; return them as their rows say."""
        found = []
        for columns in _json(self._raw, statement, *parameters):
            newest = columns.pop()
            row = to_seat(columns)
            found.append(row)
            seat = row if newest is None else said(row, *newest)
            self._seats[row.key] = seat
            if seat is not row:
                self._rows[row.key] = row
        return found


def _read_sessions(raw: sqlite3.Connection, statement: str, *parameters: object) -> Iterator[Session]:
    return map(_session, _json(raw, statement, *parameters))


def _json(raw: sqlite3.Connection, statement: str, *parameters: object) -> list[Any]:
    rows: list[Any] = msgspec.json.decode(raw.execute(statement, parameters).fetchone()[0])
    return rows


def _array(names: Collection[str]) -> str:
    return msgspec.json.encode([*names]).decode()


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _session(row: list[Any]) -> Session:
    row[0] = bytes.fromhex(row[0])
    return to_session(row)
