"""The rows of a book in SQLite: loading them before the ledger decides, saving them after.

Every statement is for all rows of its kind at once. The driver gives the interpreter's lock away with each
step of a statement and has to win it back from the event loop: one step for a batch, and not one for a row,
is most of the speed of a commit. That is why rows come as one JSON value, and go as one `VALUES` list.
Lists have few lengths, so that each statement is prepared once for each of them and then is there.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec.structs import astuple

from licet.ledger.book import Book, SeatKey, Writes
from licet.ledger.commands import Command, End, Grant, Refresh, Spend, Sweep
from licet.ledger.rules import CLIENT_HOLDER, USER_HOLDER, holder_of
from licet.model import Client, Duplicates, Seat, Session, Tenant
from licet.store.errors import Contradiction
from licet.store.journal_rows import Folded

ROWS_MAX = 64  # of one statement; more of them are several statements
# How many of so many rows go into one statement: all of a few, and else a multiple of eight.
_FEW = 16
_LENGTHS = tuple(rows if rows <= _FEW else rows & -8 for rows in range(ROWS_MAX + 1))

_SESSION = (
    "sid, tenant_id, client_key, scope, pool_id, holder, started_at_ms, renewed_at_ms, expires_at_ms, address"
)
_SEAT = "pool_id, holder, tenant_id, client_id, initials, taken_at_ms, expires_at_ms, issued_at_ms, sources"
_SESSIONS = f"SELECT json_group_array(json_array(hex({_SESSION.replace('sid,', 'sid),', 1)})) FROM"
_SEATS = f"SELECT json_group_array(json_array({_SEAT})) FROM"

_SESSIONS_LIVE = f"{_SESSIONS} session WHERE expires_at_ms > ? AND sid IN (%s)"
_SESSIONS_NUMBERED = f"{_SESSIONS} session WHERE number IN (%s)"
_SESSIONS_EXPIRED = (
    f"{_SESSIONS} (SELECT * FROM session WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)"
)
_SESSIONS_OLDEST = (
    f"{_SESSIONS} (SELECT * FROM session WHERE number IN"
    " (SELECT number FROM session WHERE client_key = ? AND expires_at_ms > ? ORDER BY number LIMIT ?)"
    " ORDER BY number)"
)
_SESSIONS_OF_CLIENT_SEAT = (
    f"{_SESSIONS} (SELECT * FROM session"
    " WHERE client_key = ? AND pool_id = ? AND holder = ? AND expires_at_ms > ?"
    " ORDER BY expires_at_ms DESC LIMIT ?)"
)
_SESSIONS_OF_USER_SEAT = (
    f"{_SESSIONS} (SELECT * FROM session WHERE pool_id = ? AND holder = ? AND expires_at_ms > ?"
    " AND substr(holder, 1, 5) = 'user:' ORDER BY expires_at_ms DESC LIMIT ?)"
)
# How many sessions of each client live, and which is its oldest; answered by an index alone.
_CLIENTS = (
    "SELECT json_group_array(json_array(client_key, live, oldest)) FROM"
    " (SELECT client_key, count(*) AS live, min(number) AS oldest FROM session"
    " WHERE expires_at_ms > ? AND client_key IN (%s) GROUP BY client_key)"
)
_SEATS_OF_HOLDERS = f"{_SEATS} seat WHERE pool_id = ? AND holder IN (%s)"
_SEATS_EXPIRED = f"{_SEATS} seat WHERE pool_id = ? AND expires_at_ms <= ?"
_SEATS_EARLIEST = (
    f"{_SEATS} (SELECT * FROM seat WHERE pool_id = ? AND expires_at_ms > ? ORDER BY expires_at_ms LIMIT ?)"
)
# By each pool there is: what is on hold expires without a session.
_POOLS_OF_EXPIRED = (
    "SELECT json_group_array(id) FROM (SELECT id FROM pool WHERE in_use > 0 AND EXISTS"
    " (SELECT 1 FROM seat WHERE pool_id = pool.id AND expires_at_ms <= ?) LIMIT ?)"
)
_SPENT = (
    "SELECT json_group_array(json_array(client_key, hex(jti))) FROM assertion_used"
    " WHERE tenant_id = ? AND client_key = ? AND jti IN (%s)"
)
_POOL_IN_USE = "SELECT in_use FROM pool WHERE id = ?"


class _Bulk(NamedTuple):
    """A statement for many rows: what stands before and after its `VALUES` list, and the places of a row."""

    before: str
    places: int
    after: str = ""

    def run(self, raw: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], *first: object) -> None:
        """Execute it for these rows; `first` fills the places that stand before them.

        Raises Contradiction when it does not touch each of them once.
        """
        for part in _parts(rows):
            count = raw.execute(_text(self, len(part)), [*first, *chain.from_iterable(part)]).rowcount
            if count != len(part):
                raise Contradiction(f"{count} rows instead of {len(part)}: {self.before}")


@cache
def _text(bulk: _Bulk, rows: int) -> str:
    row = f"({', '.join('?' * bulk.places)})"
    return f"{bulk.before} {', '.join([row] * rows)} {bulk.after}"


_SESSION_INSERT = _Bulk(f"INSERT INTO session ({_SESSION}) VALUES", 10)
_SESSION_RENEW = _Bulk(
    "UPDATE session SET renewed_at_ms = new.column2, expires_at_ms = new.column3 FROM (VALUES",
    3,
    ") AS new WHERE sid = new.column1",
)
_SESSION_DELETE = _Bulk("DELETE FROM session WHERE sid IN (VALUES", 1, ")")
_SEAT_INSERT = _Bulk(f"INSERT INTO seat ({_SEAT}) VALUES", 9)
_SEAT_UPDATE = _Bulk(
    "UPDATE seat SET tenant_id = new.column3, client_id = new.column4, initials = new.column5,"
    " taken_at_ms = new.column6, expires_at_ms = new.column7, issued_at_ms = new.column8,"
    " sources = new.column9 FROM (VALUES",
    9,
    ") AS new WHERE pool_id = new.column1 AND holder = new.column2",
)
# Of one pool: SQLite looks pairs of pool and holder up by a walk through all seats.
_SEAT_DELETE = _Bulk("DELETE FROM seat WHERE pool_id = ? AND holder IN (VALUES", 1, ")")
_ASSERTION_INSERT = _Bulk("INSERT INTO assertion_used (tenant_id, client_key, jti, until_ms) VALUES", 4)
_ENTRY_INSERT = _Bulk(
    "INSERT INTO journal_entry (tenant_id, at_ms, kind, reason, pool, client_id, initials, address) VALUES", 8
)
_DENIAL_ADD = _Bulk(
    "INSERT INTO journal (tenant_id, minute, kind, reason, pool, client_id,"
    " initials, times, first_at_ms, last_at_ms, seats, in_use, address) VALUES",
    13,
    "ON CONFLICT DO UPDATE SET times = times + excluded.times, initials = excluded.initials,"
    " first_at_ms = min(first_at_ms, excluded.first_at_ms),"
    " last_at_ms = max(last_at_ms, excluded.last_at_ms),"
    " seats = excluded.seats, in_use = excluded.in_use, address = excluded.address",
)
_MINUTE_ADD = _Bulk(
    "INSERT INTO usage_minute (tenant_id, pool, minute, seats, peak, in_use) VALUES",
    6,
    "ON CONFLICT DO UPDATE SET"
    " seats = excluded.seats, peak = max(peak, excluded.peak), in_use = excluded.in_use",
)
_HOUR_ADD = _Bulk(
    "INSERT INTO usage_hour (tenant_id, pool, hour, client_id, initials, held_ms, idle_ms) VALUES",
    7,
    "ON CONFLICT DO UPDATE SET held_ms = held_ms + excluded.held_ms, idle_ms = idle_ms + excluded.idle_ms,"
    " initials = excluded.initials",
)
_HOLDING_ADD = _Bulk(
    "INSERT INTO holding (tenant_id, pool, minute, client_id, initials, taken_at_ms, freed_at_ms, times,"
    " addresses) VALUES",
    9,
    "ON CONFLICT DO UPDATE SET times = times + excluded.times, initials = excluded.initials,"
    " taken_at_ms = min(taken_at_ms, excluded.taken_at_ms),"
    " freed_at_ms = max(freed_at_ms, excluded.freed_at_ms), addresses = max(addresses, excluded.addresses)",
)
# Added, not set, and overuse only shrinks: so the check `in_use <= seats + overuse` stands behind the
# ledger, whatever number it began with (L6).
_POOL_UPDATE = (
    "UPDATE pool SET in_use = in_use + ?1, overuse = max(0, min(overuse, in_use + ?1 - seats)) WHERE id = ?2"
)


def read_live(raw: sqlite3.Connection, sids: Sequence[bytes], now_ms: int) -> Iterator[Session]:
    """Those of these sessions that live."""
    for part in _parts(sids):
        yield from _read_sessions(raw, _SESSIONS_LIVE % _places(part), now_ms, *part)


def load_book(
    raw: sqlite3.Connection,
    tenants: dict[int, Tenant],
    sessions_at_most: dict[int, int],
    now_ms: int,
    commands: Sequence[Command],
) -> Book:
    """The book of these commands, as `contract.Transaction.load` says.

    `sessions_at_most` remembers how many live sessions a client has at most, by its key: whose limit is
    out of reach need not be counted again.
    """
    return _Loading(raw, tenants, sessions_at_most, now_ms, commands).book()


def save_book(raw: sqlite3.Connection, book: Book) -> None:
    """Write the net effect of the book's changes, and the journal of them (L11).

    Raises Contradiction.
    """
    writes = Writes(book.changes)
    _SESSION_DELETE.run(raw, [(sid,) for sid in writes.sessions_gone])
    _SESSION_INSERT.run(raw, [astuple(it) for it in writes.sessions_new.values()])
    renewed = writes.sessions_renewed.values()
    _SESSION_RENEW.run(raw, [(it.sid, it.renewed_at_ms, it.expires_at_ms) for it in renewed])
    for pool_id, holders in _by_pool(writes.seats_gone).items():
        _SEAT_DELETE.run(raw, [(holder,) for holder in holders], pool_id)
    _SEAT_INSERT.run(raw, [astuple(it) for it in writes.seats_new.values()])
    _SEAT_UPDATE.run(raw, [astuple(it) for it in writes.seats_kept.values()])
    _ASSERTION_INSERT.run(raw, [astuple(it) for it in writes.assertions_used])
    before = book.in_use_before
    changed = [(it - before[key], key) for key, it in book.in_use.items() if it != before[key]]
    if changed and raw.executemany(_POOL_UPDATE, changed).rowcount != len(changed):
        raise Contradiction("a pool is gone")
    folded = Folded(book)
    _ENTRY_INSERT.run(raw, folded.entries)
    _DENIAL_ADD.run(raw, [key + denial for key, denial in folded.denials.items()])
    _MINUTE_ADD.run(raw, [key + minute for key, minute in folded.minutes.items()])
    _HOUR_ADD.run(raw, [key + hour for key, hour in folded.hours.items()])
    _HOLDING_ADD.run(raw, [key + holding for key, holding in folded.holdings.items()])


class _Loading:
    """Gathers the rows of a book, step by step; each step adds to what the next one looks up."""

    def __init__(
        self,
        raw: sqlite3.Connection,
        tenants: dict[int, Tenant],
        sessions_at_most: dict[int, int],
        now_ms: int,
        commands: Sequence[Command],
    ) -> None:
        self._sessions_at_most = sessions_at_most
        self._raw = raw
        self._tenants = tenants
        self._now_ms = now_ms
        self._commands = commands
        self._grants = [command for command in commands if isinstance(command, Grant)]
        self._tenant_of_client = {grant.client_key: grant.tenant_id for grant in self._grants}
        self._sessions: dict[bytes, Session] = {}
        self._expired: list[Session] = []
        self._pools_of_expired: set[int] = set()
        self._live_sessions: dict[int, int] = {}
        self._started: dict[int, list[bytes]] = {}
        self._crowded: set[int] = set()  # clients of which a session may begin and end in this batch
        self._in_use: dict[int, int] = {}
        self._seats: dict[SeatKey, Seat] = {}

    def book(self) -> Book:
        self._load_named_sessions()
        self._load_oldest_sessions()
        self._load_seats()
        self._load_pools()
        self._load_earliest_seats()
        self._load_sharing_sessions()
        return Book(
            tenants=self._tenants,
            in_use=self._in_use,
            seats=self._seats.values(),
            sessions=self._sessions.values(),
            expired=self._expired,
            live_sessions=self._live_sessions,
            started=self._started,
            spent=self._spent(),
        )

    def _spent(self) -> Iterator[tuple[int, bytes]]:
        asked: dict[tuple[int, int], set[bytes]] = {}
        for command in self._commands:
            if isinstance(command, Spend):
                asked.setdefault((command.tenant_id, command.client_key), set()).add(command.jti)
        for key, hashes in asked.items():
            for part in _parts(list(hashes)):
                for client_key, jti in _json(self._raw, _SPENT % _places(part), *key, *part):
                    yield client_key, bytes.fromhex(jti)

    def _load_named_sessions(self) -> None:
        named = [command.sid for command in self._commands if isinstance(command, Refresh | End)]
        self._add(read_live(self._raw, named, self._now_ms))
        for command in self._commands:
            if isinstance(command, Sweep):
                limit = (self._now_ms, command.sessions_max)
                self._expired += self._read(_SESSIONS_EXPIRED, *limit)
                self._pools_of_expired.update(_json(self._raw, _POOLS_OF_EXPIRED, *limit))

    def _load_oldest_sessions(self) -> None:
        grants = Counter(grant.client_key for grant in self._grants)
        live, first = self._out_of_reach(grants), []
        for part in _parts([key for key in grants if key not in live]):
            live.update(dict.fromkeys(part, 0))
            for key, count, oldest in _json(self._raw, _CLIENTS % _places(part), self._now_ms, *part):
                live[key] = count
                excess = self._excess(key, count, grants[key])
                if excess == 1:
                    first.append(oldest)
                elif excess > 1:
                    self._add_oldest(self._read(_SESSIONS_OLDEST, key, self._now_ms, excess))
        self._live_sessions = live
        self._sessions_at_most.update((key, live[key] + count) for key, count in grants.items())
        for part in _parts(first):
            self._add_oldest(self._read(_SESSIONS_NUMBERED % _places(part), *part))
        self._crowded = {key for key, count in grants.items() if self._excess(key, 0, count) > 0}

    def _out_of_reach(self, grants: Mapping[int, int]) -> dict[int, int]:
        """The clients whose limit these grants cannot reach, and how many sessions each has at most."""
        known = ((key, self._sessions_at_most.get(key)) for key in grants)
        return {
            key: at_most
            for key, at_most in known
            if at_most is not None and self._excess(key, at_most, grants[key]) <= 0
        }

    def _excess(self, key: int, live: int, grants: int) -> int:
        client = self._client(key)
        return live + grants - client.sessions_max if client else 0

    def _add_oldest(self, sessions: Iterable[Session]) -> None:
        for session in sessions:
            self._started.setdefault(session.client_key, []).append(session.sid)
            self._sessions[session.sid] = session

    def _load_seats(self) -> None:
        keys = {session.seat_key for session in self._sessions.values()}
        keys |= {self._seat_key(grant) for grant in self._grants}
        for pool_id, names in _by_pool(key for key in keys if key is not None).items():
            for part in _parts(names):
                self._add_seats(_SEATS_OF_HOLDERS % _places(part), pool_id, *part)

    def _seat_key(self, grant: Grant) -> SeatKey | None:
        client = self._client(grant.client_key)
        pool = self._tenants[grant.tenant_id].pools.get(grant.pool_id or 0) if client else None
        if client is None or pool is None or pool.duplicates is Duplicates.NONE:
            return None  # Of a session that is still to be made there is no seat.
        return (pool.id, holder_of(pool, client, grant.sid))

    def _load_pools(self) -> None:
        pool_ids = {grant.pool_id for grant in self._grants}
        pool_ids |= {session.pool_id for session in (*self._sessions.values(), *self._expired)}
        pool_ids |= self._pools_of_expired
        for pool_id in pool_ids:
            found = self._raw.execute(_POOL_IN_USE, (pool_id,)).fetchone()
            if pool_id is not None and found:
                self._in_use[pool_id] = found[0]
                self._add_seats(_SEATS_EXPIRED, pool_id, self._now_ms)

    def _load_earliest_seats(self) -> None:
        touched = len(self._commands) + len(self._sessions)
        wanted = Counter((grant.tenant_id, grant.pool_id) for grant in self._grants)
        for (tenant_id, pool_id), grants in wanted.items():
            if pool_id is None or pool_id not in self._in_use:
                continue
            if self._in_use[pool_id] + grants > self._tenants[tenant_id].pools[pool_id].seats:
                self._add_seats(_SEATS_EARLIEST, pool_id, self._now_ms, touched + 1)

    def _load_sharing_sessions(self) -> None:
        renewed = {command.sid for command in self._commands if isinstance(command, Refresh)}
        ending = {command.sid for command in self._commands if isinstance(command, End)}
        ending = ending.union(*self._started.values()) & self._sessions.keys()
        limits = Counter(session.seat_key for session in map(self._sessions.__getitem__, ending))
        shared: set[tuple[int, SeatKey]] = set()
        for session in map(self._sessions.__getitem__, ending):
            key = session.seat_key
            seat = self._seats.get(key) if key is not None else None
            if key is None or seat is None:
                continue
            is_last = session.sid in renewed or session.expires_at_ms >= seat.expires_at_ms
            if is_last or self._has_hold(seat):
                shared.add((session.client_key, key))
        for grant in self._grants:
            if grant.client_key in self._crowded and (key := self._seat_key(grant)) is not None:
                shared.add((grant.client_key, key))
        for client_key, key in shared:
            self._load_sharing(client_key, key, limits[key] + 1)

    def _load_sharing(self, client_key: int, key: SeatKey, limit: int) -> None:
        if key[1].startswith(CLIENT_HOLDER):
            of_client = (client_key, *key, self._now_ms, limit)
            self._add(self._read(_SESSIONS_OF_CLIENT_SEAT, *of_client))
        elif key[1].startswith(USER_HOLDER):
            self._add(self._read(_SESSIONS_OF_USER_SEAT, *key, self._now_ms, limit))

    def _has_hold(self, seat: Seat) -> bool:
        tenant = self._tenants[seat.tenant_id]
        return tenant.hold_s_of(tenant.pools[seat.pool_id]) > 0

    def _client(self, key: int) -> Client | None:
        tenant = self._tenants.get(self._tenant_of_client[key])
        return tenant.clients_by_key.get(key) if tenant else None

    def _read(self, statement: str, *parameters: object) -> list[Session]:
        return list(_read_sessions(self._raw, statement, *parameters))

    def _add(self, sessions: Iterable[Session]) -> None:
        self._sessions.update((session.sid, session) for session in sessions)

    def _add_seats(self, statement: str, *parameters: object) -> None:
        for row in _json(self._raw, statement, *parameters):
            seat = _seat(row)
            self._seats[seat.key] = seat


def _read_sessions(raw: sqlite3.Connection, statement: str, *parameters: object) -> Iterator[Session]:
    return map(_session, _json(raw, statement, *parameters))


def _json(raw: sqlite3.Connection, statement: str, *parameters: object) -> list[Any]:
    rows: list[Any] = msgspec.json.decode(raw.execute(statement, parameters).fetchone()[0])
    return rows


_Any = TypeVar("_Any")


def _parts(rows: Sequence[_Any]) -> Iterator[Sequence[_Any]]:
    """The rows in parts of one of `_LENGTHS` each, the longest first."""
    at, left = 0, len(rows)
    while left:
        length = _LENGTHS[min(left, ROWS_MAX)]
        yield rows[at : at + length]
        at, left = at + length, left - length


def _by_pool(keys: Iterable[SeatKey]) -> dict[int, list[str]]:
    """The holders of each pool."""
    holders: dict[int, list[str]] = {}
    for pool_id, holder in keys:
        holders.setdefault(pool_id, []).append(holder)
    return holders


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _session(row: list[Any]) -> Session:
    sid, tenant_id, client_key, scope, pool_id, holder, started, renewed, expires, address = row
    return Session(
        sid=bytes.fromhex(sid),
        tenant_id=tenant_id,
        client_key=client_key,
        scope=scope,
        pool_id=pool_id,
        holder=holder,
        started_at_ms=started,
        renewed_at_ms=renewed,
        expires_at_ms=expires,
        address=address,
    )


def _seat(row: list[Any]) -> Seat:
    pool_id, holder, tenant_id, client_id, initials, taken, expires, issued, sources = row
    return Seat(
        pool_id=pool_id,
        holder=holder,
        tenant_id=tenant_id,
        client_id=client_id,
        initials=initials,
        taken_at_ms=taken,
        expires_at_ms=expires,
        issued_at_ms=issued,
        sources=sources,
    )
