"""Loads the rows of a book from SQLite before the ledger decides, and saves them after.

Every statement is for all rows of its kind at once. The driver releases the interpreter's lock at each step
of a statement and has to win it back from the event loop: one step per batch instead of one per row is most
of the speed of a commit. That is why rows are read as one JSON value, and written as one `VALUES` list. Lists
have few lengths, so that each statement is prepared once per length and then cached.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, NamedTuple, TypeVar

import msgspec

from licet.ledger.book import Book, CountKey, SeatKey
from licet.ledger.commands import Command
from licet.ledger.holders import CLIENT_HOLDER
from licet.ledger.numbers import Numbers
from licet.ledger.prefetch import Need, Sharing
from licet.ledger.seat_rows import said
from licet.model import Place, Seat, Session, Tenant
from licet.store.contract import LiveSessions
from licet.store.errors import Contradiction
from licet.store.rows import DENIAL, PLACE, SEAT, SESSION, Row, Saving, rows_of, to_place, to_seat, to_session
from licet.store.unfolded import COUNT_UNFOLDED, Unfolded
from licet.units import MINUTE_MS

ROWS_MAX = 64  # of one statement; more of them are several statements
# How many rows go into one statement: all, where they are few, and else a multiple of eight.
_FEW = 16
_LENGTHS = tuple(rows if rows <= _FEW else rows & -8 for rows in range(ROWS_MAX + 1))

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
# Of the options of pools: how many seats are counted so, and who waits.
_COUNTS = (
    "SELECT json_group_array(json_array(pool_id, what, in_use)) FROM seat_count"
    " WHERE pool_id = ? AND what IN (%s)"
)
_PLACES = f"SELECT json_group_array(json_array({PLACE})) FROM queue_place WHERE pool_id = ?"
_LAPSED = (
    f"SELECT json_group_array(json_array({PLACE})) FROM"
    " (SELECT * FROM queue_place WHERE until_ms <= ? ORDER BY until_ms LIMIT ?)"
)
_ASSERTIONS = (
    "SELECT json_group_array(json_array(client_key, hex(jti))) FROM assertion_used"
    " WHERE tenant_id = ? AND client_key = ? AND jti IN (%s)"
)


class _Bulk(NamedTuple):
    """A statement for many rows: its text before and after `VALUES`, and the placeholders of a row."""

    before: str
    places: int
    after: str = ""

    def run(self, raw: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], *first: object) -> None:
        """Execute it for these rows; `first` fills the placeholders before them.

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


class _BulkOfPool(_Bulk):
    """A statement for the rows of one pool, its first parameter: SQLite would scan for a list of pairs."""

    def run(self, raw: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], *first: object) -> None:
        """Execute it for these rows, of whatever pools."""
        asked: list[tuple[int, Any]] = [(row[0], row[1]) for row in rows]
        for pool_id, found in _by_pool(asked).items():
            super().run(raw, [(it,) for it in found], *first, pool_id)


_WRITES = Saving(
    sessions_gone=_Bulk("DELETE FROM session WHERE sid IN (VALUES", 1, ")"),
    sessions_new=_Bulk(f"INSERT INTO session ({SESSION}) VALUES", 10),
    sessions_renewed=_Bulk(
        "UPDATE session SET renewed_at_ms = new.column2, expires_at_ms = new.column3 FROM (VALUES",
        3,
        ") AS new WHERE sid = new.column1",
    ),
    seats_gone=_BulkOfPool("DELETE FROM seat WHERE pool_id = ? AND holder IN (VALUES", 1, ")"),
    numbers_gone=_BulkOfPool("DELETE FROM seat_free WHERE pool_id = ? AND number IN (VALUES", 1, ")"),
    seats_new=_Bulk(f"INSERT INTO seat ({SEAT}) VALUES", 11),
    seats_kept=_Bulk(
        "UPDATE seat SET tenant_id = new.column3, client_id = new.column4, initials = new.column5,"
        " taken_at_ms = new.column6, expires_at_ms = new.column7, issued_at_ms = new.column8,"
        " sources = new.column9 FROM (VALUES",
        9,
        ") AS new WHERE pool_id = new.column1 AND holder = new.column2",
    ),
    numbers_new=_Bulk("INSERT INTO seat_free (pool_id, number, from_ms) VALUES", 3),
    # Added, not set, like `pools` below: so the check finds a seat without a number, and one too many.
    numbers_counted=_Bulk(
        "UPDATE pool SET numbers_used = numbers_used + new.column2,"
        " numbers_free = numbers_free + new.column3, in_use = in_use + new.column4,"
        " room = CASE WHEN new.column5 < 0 THEN room ELSE new.column5 END,"
        " overuse = max(0, min(overuse, in_use + new.column4 - CASE WHEN new.column5 < 0"
        " THEN coalesce(room, seats) ELSE new.column5 END)) FROM (VALUES",
        5,
        ") AS new WHERE id = new.column1",
    ),
    # Added, not set, and `over` only shrinks, as with `pools` below (L16, L17).
    counts_up=_Bulk(
        "INSERT INTO seat_count (pool_id, what, tenant_id, in_use, at_most) VALUES",
        5,
        "ON CONFLICT DO UPDATE SET in_use = in_use + excluded.in_use, at_most = excluded.at_most,"
        " over = max(0, min(over, in_use + excluded.in_use - excluded.at_most))",
    ),
    counts_down=_Bulk(
        "UPDATE seat_count SET in_use = in_use - new.column3,"
        " over = max(0, min(over, in_use - new.column3 - at_most)) FROM (VALUES",
        3,
        ") AS new WHERE pool_id = new.column1 AND what = new.column2",
    ),
    places_gone=_BulkOfPool("DELETE FROM queue_place WHERE pool_id = ? AND holder IN (VALUES", 1, ")"),
    places_new=_Bulk(f"INSERT INTO queue_place ({PLACE}) VALUES", 8),
    places_kept=_Bulk(
        "UPDATE queue_place SET until_ms = new.column3 FROM (VALUES",
        3,
        ") AS new WHERE pool_id = new.column1 AND holder = new.column2",
    ),
    assertions_used=_Bulk("INSERT INTO assertion_used (tenant_id, client_key, jti, until_ms) VALUES", 4),
    # Added, not set, and overuse only shrinks: so the check on the pool guards behind the ledger, whatever
    # the number was before (L6).
    pools=_Bulk(
        "UPDATE pool SET in_use = in_use + new.column2,"
        " overuse = max(0, min(overuse, in_use + new.column2 - coalesce(room, seats))) FROM (VALUES",
        2,
        ") AS new WHERE id = new.column1",
    ),
    entries=_Bulk(
        "INSERT INTO journal_entry (tenant_id, at_ms, kind, reason, pool, client_id, initials, address)"
        " VALUES",
        8,
    ),
    denials=_Bulk(f"INSERT INTO denial_entry ({DENIAL}) VALUES", 10),
    denials_counted=_Bulk(
        "INSERT INTO journal (tenant_id, minute, kind, reason, pool, client_id,"
        " initials, times, first_at_ms, last_at_ms, seats, in_use, address)"
        f" SELECT column1, column2 / {MINUTE_MS}, 'denied', column3, column4, column5,"
        " column6, column7, column2, column2, column8, column9, column10 FROM (VALUES",
        10,
        ") WHERE true ON CONFLICT DO UPDATE SET times = times + excluded.times, initials = excluded.initials,"
        " first_at_ms = min(first_at_ms, excluded.first_at_ms),"
        " last_at_ms = max(last_at_ms, excluded.last_at_ms),"
        " seats = excluded.seats, in_use = excluded.in_use, address = excluded.address",
    ),
    minutes=_Bulk(
        "INSERT INTO usage_minute (tenant_id, pool, minute, seats, peak, in_use) VALUES",
        6,
        "ON CONFLICT DO UPDATE SET"
        " seats = excluded.seats, peak = max(peak, excluded.peak), in_use = excluded.in_use",
    ),
    hours=_Bulk(
        "INSERT INTO usage_hour (tenant_id, pool, hour, client_id, initials, held_ms, idle_ms) VALUES",
        7,
        "ON CONFLICT DO UPDATE SET held_ms = held_ms + excluded.held_ms,"
        " idle_ms = idle_ms + excluded.idle_ms, initials = excluded.initials",
    ),
    holdings=_Bulk(
        "INSERT INTO holding (tenant_id, pool, minute, client_id, initials, taken_at_ms, freed_at_ms, times,"
        " addresses, idle_from_ms) VALUES",
        10,
        "ON CONFLICT DO UPDATE SET times = times + excluded.times, initials = excluded.initials,"
        " taken_at_ms = min(taken_at_ms, excluded.taken_at_ms),"
        " freed_at_ms = max(freed_at_ms, excluded.freed_at_ms),"
        " addresses = max(addresses, excluded.addresses),"
        " idle_from_ms = max(idle_from_ms, excluded.idle_from_ms)",
    ),
)


def read_live(raw: sqlite3.Connection, sids: Sequence[bytes], now_ms: int) -> Iterator[Session]:
    """Those of these sessions that live."""
    for part in _parts(sids):
        yield from _read_sessions(raw, _NAMED % _places(part), now_ms, *part)


def read_numbered(raw: sqlite3.Connection, sids: Sequence[bytes], now_ms: int) -> LiveSessions:
    """Those of these sessions that live, with the numbers of their seats."""
    sessions: dict[bytes, Session] = {}
    numbers: dict[bytes, int] = {}
    for part in _parts(sids):
        for *row, number in _json(raw, _NAMED_NUMBERED % _places(part), now_ms, *part):
            session = _session(row)
            sessions[session.sid] = session
            if number:
                numbers[session.sid] = number
    return LiveSessions(now_ms, sessions, numbers)


def load_book(
    raw: sqlite3.Connection,
    tenants: dict[int, Tenant],
    sessions_at_most: dict[int, int],
    now_ms: int,
    commands: Sequence[Command],
    *,
    rows_lag: bool,
) -> Book:
    """The book of these commands, as `licet.ledger.prefetch` says.

    `sessions_at_most` remembers how many live sessions a client has at most, by its key: a client whose
    limit cannot be reached is not counted again.
    """
    return _Loading(raw, Need(commands, tenants), sessions_at_most, now_ms).book(tenants, rows_lag=rows_lag)


def save_book(raw: sqlite3.Connection, book: Book, unfolded: Unfolded) -> Saving[Sequence[Row]]:
    """Write the net effect of the book's changes, and the journal of them (L11); return it.

    Raises Contradiction.
    """
    saved = rows_of(book)
    if saved.denials:
        if unfolded.must_look:
            unfolded.found(*raw.execute(COUNT_UNFOLDED).fetchone())
        saved = unfolded.bounded(saved)
    write(raw, saved)
    return saved


def write(raw: sqlite3.Connection, saved: Saving[Sequence[Row]]) -> None:
    """Write these rows.

    Raises Contradiction.
    """
    for bulk, rows in zip(_WRITES, saved, strict=True):
        if rows:
            bulk.run(raw, rows)


class _Loading:
    """Collects the rows of a book, clause by clause; each clause may add to what the next one needs."""

    def __init__(
        self, raw: sqlite3.Connection, need: Need, sessions_at_most: dict[int, int], now_ms: int
    ) -> None:
        self._raw = raw
        self._need = need
        self._sessions_at_most = sessions_at_most
        self._now_ms = now_ms
        self._sessions: dict[bytes, Session] = {}
        self._oldest: dict[int, list[bytes]] = {}
        self._live: dict[int, int] = {}
        self._expired: list[Session] = []
        self._seats: dict[SeatKey, Seat] = {}
        self._rows: dict[SeatKey, Seat] = {}  # of those that are behind
        self._others_from_ms: dict[int, int] = {}
        self._in_use: dict[int, int] = {}

    def book(self, tenants: Mapping[int, Tenant], *, rows_lag: bool) -> Book:
        need = self._need
        self._add(read_live(self._raw, [*need.renewed, *need.ended], self._now_ms))
        self._load_oldest()
        self._load_held(need.held(self._sessions.values()))
        ending = need.ending(self._sessions, chain.from_iterable(self._oldest.values()))
        held = [*self._seats]
        self._load_counted(need.counted(ending) | self._load_swept())
        places = self._places()
        counts = self._counts(places)
        for pool_id, seats in need.earliest(self._in_use, held, self._now_ms, counts).items():
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
            assertions_used=self._used_assertions(),
            numbers=self._numbers() if need.numbers else None,
            rows=self._rows,
            rows_lag=rows_lag,
            others_from_ms=self._others_from_ms,
            counts=counts,
            places=places,
        )

    def _load_oldest(self) -> None:
        need, first = self._need, []
        for key in need.rooms:
            at_most = self._sessions_at_most.get(key)
            if at_most is not None and need.oldest(key, at_most) <= 0:
                self._live[key] = at_most
        for part in _parts([key for key in need.rooms if key not in self._live]):
            self._live.update(dict.fromkeys(part, 0))
            for key, live, oldest in _json(self._raw, _ROOMS % _places(part), self._now_ms, *part):
                self._live[key] = live
                excess = need.oldest(key, live)
                if excess == 1:
                    first.append(oldest)
                elif excess > 1:
                    self._add_oldest(_OLDEST, key, self._now_ms, excess)
        for part in _parts(first):
            self._add_oldest(_OLDEST_BY_NUMBER % _places(part), *part)
        self._sessions_at_most.update((key, self._live[key] + need.asking[key]) for key in need.rooms)

    def _add_oldest(self, statement: str, *parameters: object) -> None:
        for session in _read_sessions(self._raw, statement, *parameters):
            self._oldest.setdefault(session.client_key, []).append(session.sid)
            self._sessions[session.sid] = session

    def _load_held(self, keys: Iterable[SeatKey]) -> None:
        for pool_id, holders in _by_pool(keys).items():
            for part in _parts(holders):
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
        for pool_id in pool_ids:
            if found := self._raw.execute(_COUNTED, (pool_id,)).fetchone():
                self._in_use[pool_id] = found[0]
                self._add_seats(_COUNTED_EXPIRED, pool_id, self._now_ms)

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

    def _places(self) -> list[Place]:
        rows = [row for pool_id in self._need.queues for row in _json(self._raw, _PLACES, pool_id)]
        if self._need.sweep:
            rows += _json(self._raw, _LAPSED, self._now_ms, self._need.sweep)
        return [to_place(row) for row in rows]

    def _counts(self, places: Iterable[Place]) -> dict[CountKey, int]:
        asked = self._need.counts | self._need.waiting(places)
        return {
            (pool_id, what): in_use
            for asked_id, names in _by_pool(asked).items()
            for part in _parts(names)
            for pool_id, what, in_use in _json(self._raw, _COUNTS % _places(part), asked_id, *part)
        }

    def _used_assertions(self) -> Iterator[tuple[int, bytes]]:
        asked: dict[tuple[int, int], list[bytes]] = {}
        for tenant_id, client_key, jti in self._need.assertions:
            asked.setdefault((tenant_id, client_key), []).append(jti)
        for key, hashes in asked.items():
            for part in _parts(hashes):
                for client_key, jti in _json(self._raw, _ASSERTIONS % _places(part), *key, *part):
                    yield client_key, bytes.fromhex(jti)

    def _add(self, sessions: Iterable[Session]) -> None:
        self._sessions.update((session.sid, session) for session in sessions)

    def _add_seats(self, statement: str, *parameters: object) -> list[Seat]:
        """Add the seats that a statement finds; return them as their rows say."""
        found = []
        for *columns, newest in _json(self._raw, statement, *parameters):
            row = to_seat(columns)
            found.append(row)
            seat = self._seats[row.key] = row if newest is None else said(row, *newest)
            if seat is not row:
                self._rows[row.key] = row
        return found


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


def _by_pool(keys: Iterable[tuple[int, _Any]]) -> dict[int, list[_Any]]:
    """The holders, or numbers, of each pool."""
    found: dict[int, list[_Any]] = {}
    for pool_id, what in keys:
        found.setdefault(pool_id, []).append(what)
    return found


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _session(row: list[Any]) -> Session:
    row[0] = bytes.fromhex(row[0])
    return to_session(row)
