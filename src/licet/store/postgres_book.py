"""The rows of a book in PostgreSQL: loading them before the ledger decides, saving them after.

The rules:

- All that a batch needs is one statement: its snapshot is one instant, and no step waits for the network.
- Every statement is for all rows of its kind at once. Rows go as arrays, one for each column, which are
  written here: a value costs a part of what the driver's own way of writing a list does.
- A statement that has to touch so many rows and no other counts them itself, and fails by a division by zero
  where it does not: so the transaction is lost before the COMMIT that travels with it.
- No statement may need statistics to be fast: a plan is made once for a connection, maybe while the tables
  are empty. So each lookup is written in such a way that one index serves it best, however little is known:
  columns are compared together and ordered as in that index, and one that has an index of its own is kept
  from it by `+ 0`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import astuple
from psycopg import Cursor

from licet.book import Book, SeatKey, Writes
from licet.ledger import CLIENT_HOLDER, USER_HOLDER, Command, End, Grant, Refresh, Spend, Sweep, holder_of
from licet.model import Client, Duplicates, Seat, Session, Tenant
from licet.store.journal import Folded
from licet.store.postgres_link import DriverConnection

_encode = msgspec.json.Encoder().encode  # The quickest way to write a list, and nearly PostgreSQL's.

_ROOM = 2**31 - 1  # no limit: the client is unknown, and its grant will be refused

_SESSION = (
    "sid, tenant_id, client_key, scope, pool_id, holder, started_at_ms, renewed_at_ms, expires_at_ms, address"
)
_SEAT = "pool_id, holder, tenant_id, client_id, initials, taken_at_ms, expires_at_ms"
_NOW_MS = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

# Rows of several kinds come in one shape, that of a session: `kind` first.
_MOMENT, _NAMED, _OLDEST, _EXPIRED, _SEAT_ROW, _POOL, _CLIENT = range(7)

# A part with OFFSET 0 is looked up by itself, for each row before it: so all that it says about a row can
# be a condition of the index. What `now` is, is a value that is known before.
_NOW = "(SELECT now_ms FROM moment)"
_EVER = 2**62


def _seat_of(columns: str, asked: str) -> str:
    """The one seat of the pool and holder that are asked for."""
    return (
        f"SELECT {columns} FROM seat WHERE pool_id = {asked}.pool_id"
        f" AND holder >= {asked}.holder AND holder <= {asked}.holder ORDER BY holder LIMIT 1"
    )


def _lives(columns: str, values: str) -> str:
    """That a session has these values and lives: its expiry is the index's next column."""
    columns = f"({columns}, expires_at_ms)"
    return f"{columns} > ({values}, {_NOW}) AND {columns} <= ({values}, {_EVER})"


_LOAD = f"""
WITH moment AS MATERIALIZED (
  SELECT coalesce(%(now_ms)s::bigint, greatest(%(least_ms)s::bigint, {_NOW_MS})) AS now_ms
),
named AS MATERIALIZED (
  SELECT found.*, asked.renews, asked.ends
  FROM unnest(%(sids)s::bytea[], %(renews)s::boolean[], %(ends)s::boolean[]) AS asked (sid, renews, ends)
  CROSS JOIN LATERAL (
    SELECT * FROM session WHERE session.sid = asked.sid AND session.expires_at_ms + 0 > {_NOW} OFFSET 0
  ) AS found
),
asking AS MATERIALIZED (
  SELECT asked.client_key, asked.room, live.sessions
  FROM unnest(%(clients)s::bigint[], %(rooms)s::integer[]) AS asked (client_key, room)
  CROSS JOIN LATERAL (
    SELECT count(*) AS sessions FROM session WHERE {_lives("client_key", "asked.client_key")}
  ) AS live
),
oldest AS MATERIALIZED (
  SELECT old.*
  FROM asking CROSS JOIN LATERAL (
    SELECT * FROM session WHERE {_lives("client_key", "asking.client_key")}
    ORDER BY number + 0 LIMIT greatest(asking.sessions - asking.room, 0)
  ) AS old
),
expired AS MATERIALIZED (
  SELECT * FROM session
  WHERE expires_at_ms <= {_NOW}
  AND (%(tenants)s::bigint[] IS NULL OR tenant_id = ANY(%(tenants)s::bigint[]))
  ORDER BY expires_at_ms LIMIT %(sweep)s::integer
),
touched AS MATERIALIZED (
  SELECT client_key, pool_id, holder, expires_at_ms, renews, ends FROM named
  UNION ALL SELECT client_key, pool_id, holder, expires_at_ms, false, true FROM oldest
),
pools AS MATERIALIZED (
  SELECT pool.id, pool.in_use, pool.in_use + asked.grants > pool.seats AS may_fill
  FROM (
    SELECT pool_id, sum(grants) AS grants
    FROM (
      SELECT pool_id, 0 AS grants FROM touched
      UNION ALL SELECT pool_id, 0 FROM expired
      UNION ALL SELECT * FROM unnest(%(pools)s::bigint[], %(grants)s::integer[])
    ) AS every GROUP BY pool_id
  ) AS asked
  CROSS JOIN LATERAL (SELECT * FROM pool WHERE pool.id = asked.pool_id OFFSET 0) AS pool
),
held AS MATERIALIZED (
  SELECT seat.* FROM (
    SELECT pool_id, holder FROM touched
    UNION SELECT * FROM unnest(%(holder_pools)s::bigint[], %(holders)s::text[])
  ) AS asked (pool_id, holder)
  CROSS JOIN LATERAL ({_seat_of("*", "asked")}) AS seat
),
counted AS MATERIALIZED (
  SELECT touched.*, count(*) FILTER (WHERE ends) OVER (PARTITION BY pool_id, holder) AS ending
  FROM touched WHERE pool_id IS NOT NULL
),
shared AS MATERIALIZED (
  SELECT client_key, pool_id, holder, ending
  FROM counted
  WHERE ends AND (renews OR expires_at_ms >= ({_seat_of("seat.expires_at_ms", "counted")}))
  UNION SELECT asked.*, %(commands)s::bigint FROM
    unnest(%(crowded)s::bigint[], %(crowded_pools)s::bigint[], %(crowded_holders)s::text[]) AS asked
),
seats AS (
  SELECT * FROM held
  UNION ALL SELECT seat.* FROM pools CROSS JOIN LATERAL (
    SELECT * FROM seat WHERE pool_id = pools.id AND expires_at_ms <= {_NOW} ORDER BY expires_at_ms OFFSET 0
  ) AS seat
  UNION ALL SELECT seat.* FROM pools CROSS JOIN LATERAL (
    SELECT * FROM seat WHERE pools.may_fill AND pool_id = pools.id AND expires_at_ms > {_NOW}
    ORDER BY expires_at_ms LIMIT (SELECT count(*) FROM touched) + %(commands)s::integer + 1
  ) AS seat
),
sharing AS (
  SELECT other.* FROM shared CROSS JOIN LATERAL (
    SELECT * FROM session
    WHERE starts_with(shared.holder, '{CLIENT_HOLDER}') AND {_lives("client_key", "shared.client_key")}
    AND pool_id = shared.pool_id AND holder = shared.holder
    ORDER BY client_key DESC, expires_at_ms DESC LIMIT shared.ending + 1
  ) AS other
  UNION ALL SELECT other.* FROM shared CROSS JOIN LATERAL (
    SELECT * FROM session
    WHERE starts_with(shared.holder, '{USER_HOLDER}') AND substr(holder, 1, 5) = '{USER_HOLDER}'
    AND {_lives("pool_id, holder", "shared.pool_id, shared.holder")}
    ORDER BY pool_id DESC, holder DESC, expires_at_ms DESC LIMIT shared.ending + 1
  ) AS other
)
SELECT {_MOMENT} AS kind, NULL::bytea AS sid, setup.version AS tenant_id, NULL::bigint AS client_key,
  NULL AS scope, NULL::bigint AS pool_id, NULL AS holder, moment.now_ms AS started_at_ms,
  NULL::bigint AS renewed_at_ms, NULL::bigint AS expires_at_ms, NULL AS address
  FROM moment, setup
UNION ALL SELECT {_NAMED}, {_SESSION} FROM named
UNION ALL SELECT {_NAMED}, {_SESSION} FROM sharing
UNION ALL SELECT {_OLDEST}, {_SESSION} FROM oldest
UNION ALL SELECT {_EXPIRED}, {_SESSION} FROM expired
UNION ALL SELECT {_SEAT_ROW}, NULL, tenant_id, NULL, client_id, pool_id, holder, taken_at_ms, NULL,
  expires_at_ms, initials FROM seats
UNION ALL SELECT {_POOL}, NULL, NULL, NULL, NULL, id, NULL, in_use, NULL, NULL, NULL FROM pools
UNION ALL SELECT {_CLIENT}, NULL, NULL, client_key, NULL, NULL, NULL, sessions, NULL, NULL, NULL FROM asking
"""
_READ_LIVE = f"""
WITH moment AS MATERIALIZED (SELECT greatest(%s::bigint, {_NOW_MS}) AS now_ms)
SELECT moment.now_ms, {_SESSION}
FROM moment LEFT JOIN session ON session.sid = ANY(%s::bytea[])
AND session.expires_at_ms + 0 > moment.now_ms
"""

_SPENT = """
SELECT used.client_key, used.jti
FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[]) AS asked (tenant_id, client_key, jti)
CROSS JOIN LATERAL (
  SELECT * FROM assertion_used AS it WHERE it.tenant_id = asked.tenant_id
  AND it.client_key = asked.client_key AND it.jti = asked.jti OFFSET 0
) AS used
"""


class _Bulk:
    """A statement for many rows. `ROWS` in it stands for them; `types` are those of their columns.

    An exact one fails when it does not touch as many rows as it was given.
    """

    def __init__(self, statement: str, types: str, *, exact: bool = True) -> None:
        names = {"b": "bytea", "i": "bigint", "t": "text"}
        arrays = ", ".join(f"%s::{names[it]}[]" for it in types)
        statement = statement.replace("ROWS", f"unnest({arrays})")
        if exact:
            statement = (
                f"WITH done AS ({statement} RETURNING 1)"
                " SELECT 1 / (count(*) = %s::integer)::integer FROM done"
            )
        self._statement = statement.encode()
        self._writers = [_WRITERS[it] for it in types]
        self._exact = exact

    def send(self, raw: DriverConnection, rows: Collection[Sequence[Any]]) -> None:
        """Execute it for these rows."""
        if rows:
            columns = zip(*rows, strict=True)
            arrays = [write(values) for write, values in zip(self._writers, columns, strict=True)]
            raw.execute(self._statement, [*arrays, len(rows)] if self._exact else arrays, prepare=True)


def _numbers(values: Iterable[int | None]) -> str:
    return "{" + _encode(list(values)).decode()[1:-1] + "}"


def _flags(values: Iterable[bool]) -> str:
    return "{" + ",".join(["t" if it else "f" for it in values]) + "}"


def _texts(values: Iterable[str | None]) -> str:
    values = list(values)
    written = _encode(values).decode()
    if "\\" in written:  # There JSON and PostgreSQL differ.
        return "{" + ",".join(["NULL" if it is None else _quoted(it) for it in values]) + "}"
    return "{" + written[1:-1] + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _bytes(values: Iterable[bytes]) -> str:
    return "{" + ",".join([f'"\\\\x{it.hex()}"' for it in values]) + "}"


_WRITERS: Mapping[str, Callable[[Iterable[Any]], str]] = {"b": _bytes, "i": _numbers, "t": _texts}

_SESSION_DELETE = _Bulk("DELETE FROM session USING ROWS AS old (sid) WHERE session.sid = old.sid", "b")
_SESSION_INSERT = _Bulk(f"INSERT INTO session ({_SESSION}) SELECT * FROM ROWS", "biititiiit")
_SESSION_RENEW = _Bulk(
    "UPDATE session SET renewed_at_ms = new.renewed_at_ms, expires_at_ms = new.expires_at_ms"
    " FROM ROWS AS new (sid, renewed_at_ms, expires_at_ms) WHERE session.sid = new.sid",
    "bii",
)
_SEAT_DELETE = _Bulk(
    "DELETE FROM seat USING ROWS AS old (pool_id, holder)"
    f" CROSS JOIN LATERAL ({_seat_of('ctid', 'old')}) AS found WHERE seat.ctid = found.ctid",
    "it",
)
_SEAT_INSERT = _Bulk(f"INSERT INTO seat ({_SEAT}) SELECT * FROM ROWS", "itittii")
_SEAT_UPDATE = _Bulk(
    "UPDATE seat SET tenant_id = new.tenant_id, client_id = new.client_id, initials = new.initials,"
    f" taken_at_ms = new.taken_at_ms, expires_at_ms = new.expires_at_ms FROM ROWS AS new ({_SEAT})"
    f" CROSS JOIN LATERAL ({_seat_of('ctid', 'new')}) AS found WHERE seat.ctid = found.ctid",
    "itittii",
)
# Added, not set, and overuse only shrinks: so the check `in_use <= seats + overuse` stands behind the
# ledger, whatever number it began with (L6).
_POOL_UPDATE = _Bulk(
    "UPDATE pool SET in_use = in_use + new.more,"
    " overuse = greatest(0, least(overuse, in_use + new.more - seats))"
    " FROM ROWS AS new (id, more) WHERE pool.id = new.id",
    "ii",
)
_ASSERTION_INSERT = _Bulk(
    "INSERT INTO assertion_used (tenant_id, client_key, jti, until_ms) SELECT * FROM ROWS", "iibi"
)
_ENTRY_INSERT = _Bulk(
    "INSERT INTO journal_entry (tenant_id, at_ms, kind, reason, pool, client_id, initials, address)"
    " SELECT * FROM ROWS",
    "iitttttt",
    exact=False,
)
_DENIAL_ADD = _Bulk(
    "INSERT INTO journal AS this (tenant_id, minute, kind, reason, pool, client_id,"
    " initials, times, first_at_ms, last_at_ms, seats, in_use, address) SELECT * FROM ROWS"
    " ON CONFLICT (tenant_id, minute, kind, reason, pool, client_id) DO UPDATE SET"
    " times = this.times + excluded.times, initials = excluded.initials,"
    " first_at_ms = least(this.first_at_ms, excluded.first_at_ms),"
    " last_at_ms = greatest(this.last_at_ms, excluded.last_at_ms),"
    " seats = excluded.seats, in_use = excluded.in_use, address = excluded.address",
    "iitttttiiiiit",
    exact=False,
)
_MINUTE_ADD = _Bulk(
    "INSERT INTO usage_minute AS this (tenant_id, pool, minute, seats, peak, in_use) SELECT * FROM ROWS"
    " ON CONFLICT (tenant_id, pool, minute) DO UPDATE SET"
    " seats = excluded.seats, peak = greatest(this.peak, excluded.peak), in_use = excluded.in_use",
    "itiiii",
    exact=False,
)
_HOUR_ADD = _Bulk(
    "INSERT INTO usage_hour AS this (tenant_id, pool, hour, client_id, initials, held_ms, idle_ms)"
    " SELECT * FROM ROWS"
    " ON CONFLICT (tenant_id, pool, hour, client_id) DO UPDATE SET"
    " held_ms = this.held_ms + excluded.held_ms, idle_ms = this.idle_ms + excluded.idle_ms,"
    " initials = excluded.initials",
    "itittii",
    exact=False,
)
_HOLDING_ADD = _Bulk(
    "INSERT INTO holding AS this"
    " (tenant_id, pool, minute, client_id, initials, taken_at_ms, freed_at_ms, times) SELECT * FROM ROWS"
    " ON CONFLICT (tenant_id, pool, minute, client_id) DO UPDATE SET"
    " times = this.times + excluded.times, initials = excluded.initials,"
    " taken_at_ms = least(this.taken_at_ms, excluded.taken_at_ms),"
    " freed_at_ms = greatest(this.freed_at_ms, excluded.freed_at_ms)",
    "itittiii",
    exact=False,
)


class Asked:
    """What the commands of a batch ask for, as parameters of the one statement that loads it.

    `tenants` are those that it is alone with, None for all; `now_ms` is None where the database is to tell,
    and `least_ms` what it must not go behind.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        tenants: Mapping[int, Tenant],
        *,
        locked: Collection[int] | None,
        least_ms: int,
        now_ms: int | None = None,
    ) -> None:
        self._tenants = tenants
        ends = {it.sid for it in commands if isinstance(it, End)}
        renews = {it.sid for it in commands if isinstance(it, Refresh)}
        named = ends | renews
        grants = [it for it in commands if isinstance(it, Grant)]
        by_client = Counter((it.tenant_id, it.client_key) for it in grants)
        by_pool = Counter(it.pool_id for it in grants if it.pool_id is not None)
        rooms = {key: self._room(*key) - count for key, count in by_client.items()}
        asking = [(it, key) for it in grants if (key := self._seat_key(it)) is not None]
        keys = {key for _, key in asking}
        # Of these clients a session may begin and end in this batch.
        crowded = {(it.client_key, *key) for it, key in asking if rooms[it.tenant_id, it.client_key] < 0}
        self.parameters: dict[str, object] = {
            "now_ms": now_ms,
            "least_ms": least_ms,
            "sids": _bytes(named),
            "renews": _flags(it in renews for it in named),
            "ends": _flags(it in ends for it in named),
            "clients": _numbers(key for _, key in rooms),
            "rooms": _numbers(rooms.values()),
            "tenants": None if locked is None else _numbers(locked),
            "sweep": sum(it.sessions_max for it in commands if isinstance(it, Sweep)),
            "pools": _numbers(by_pool),
            "grants": _numbers(by_pool.values()),
            "crowded": _numbers(it[0] for it in crowded),
            "crowded_pools": _numbers(it[1] for it in crowded),
            "crowded_holders": _texts(it[2] for it in crowded),
            "holder_pools": _numbers(key[0] for key in keys),
            "holders": _texts(key[1] for key in keys),
            "commands": len(commands),
        }

    def _room(self, tenant_id: int, client_key: int) -> int:
        client = self._client(tenant_id, client_key)
        return client.sessions_max if client else _ROOM

    def _seat_key(self, grant: Grant) -> SeatKey | None:
        client = self._client(grant.tenant_id, grant.client_key)
        pool = self._tenants[grant.tenant_id].pools.get(grant.pool_id or 0) if client else None
        if client is None or pool is None or pool.duplicates is Duplicates.NONE:
            return None  # Of a session that is still to be made there is no seat.
        return (pool.id, holder_of(pool, client, grant.sid))

    def _client(self, tenant_id: int, client_key: int) -> Client | None:
        tenant = self._tenants.get(tenant_id)
        return tenant.clients_by_key.get(client_key) if tenant else None


class Loaded:
    """What was found: the rows of a book, the moment and the version of the set-up that they are of."""

    def __init__(self, cursor: Cursor[tuple[Any, ...]], spent: Iterable[tuple[int, bytes]] = ()) -> None:
        self.now_ms = self.version = 0
        self._spent = spent
        self._sessions: dict[bytes, Session] = {}
        self._expired: list[Session] = []
        self._seats: list[Seat] = []
        self._in_use: dict[int, int] = {}
        self._live_sessions: dict[int, int] = {}
        self._started: dict[int, list[bytes]] = {}
        for kind, *row in cursor:
            self._add(kind, row)

    def book(self, tenants: Mapping[int, Tenant]) -> Book:
        """The book of these rows."""
        return Book(
            tenants=tenants,
            in_use=self._in_use,
            seats=self._seats,
            sessions=self._sessions.values(),
            expired=self._expired,
            live_sessions=self._live_sessions,
            started=self._started,
            spent=self._spent,
        )

    def _add(self, kind: int, row: list[Any]) -> None:
        if kind == _SEAT_ROW:
            self._seats.append(_seat(row))
        elif kind == _POOL:
            self._in_use[row[4]] = row[6]
        elif kind == _CLIENT:
            self._live_sessions[row[2]] = row[6]
        elif kind == _MOMENT:
            self.version, self.now_ms = row[1], row[6]
        elif kind == _EXPIRED:
            self._expired.append(_session(row))
        else:
            session = self._sessions[row[0]] = _session(row)
            if kind == _OLDEST:
                self._started.setdefault(session.client_key, []).append(session.sid)


def load(raw: DriverConnection, asked: Asked) -> Cursor[tuple[Any, ...]]:
    """Ask for the rows of a book; the cursor has them when the pipeline is through."""
    return raw.execute(_LOAD.encode(), asked.parameters, prepare=True, binary=True)


def load_spent(raw: DriverConnection, commands: Sequence[Command]) -> Iterable[tuple[int, bytes]]:
    """Ask which assertions of these commands are used; it has them when the pipeline is through."""
    asked = {(it.tenant_id, it.client_key, it.jti) for it in commands if isinstance(it, Spend)}
    if not asked:  # as nearly always
        return ()
    tenants, clients, hashes = zip(*asked, strict=True)
    parameters = [_numbers(tenants), _numbers(clients), _bytes(hashes)]
    return raw.execute(_SPENT.encode(), parameters, prepare=True, binary=True)


def save(raw: DriverConnection, book: Book) -> None:
    """Send the net effect of the book's changes, and the journal of them (L11)."""
    writes = Writes(book.changes)
    _SESSION_DELETE.send(raw, [(sid,) for sid in writes.sessions_gone])
    _SESSION_INSERT.send(raw, [astuple(it) for it in writes.sessions_new.values()])
    renewed = writes.sessions_renewed.values()
    _SESSION_RENEW.send(raw, [(it.sid, it.renewed_at_ms, it.expires_at_ms) for it in renewed])
    _SEAT_DELETE.send(raw, list(writes.seats_gone))
    _SEAT_INSERT.send(raw, [astuple(it) for it in writes.seats_new.values()])
    _SEAT_UPDATE.send(raw, [astuple(it) for it in writes.seats_kept.values()])
    _ASSERTION_INSERT.send(raw, [astuple(it) for it in writes.assertions_used])
    before = book.in_use_before
    _POOL_UPDATE.send(raw, [(key, it - before[key]) for key, it in book.in_use.items() if it != before[key]])
    folded = Folded(book)
    _ENTRY_INSERT.send(raw, folded.entries)
    _DENIAL_ADD.send(raw, [key + denial for key, denial in folded.denials.items()])
    _MINUTE_ADD.send(raw, [key + minute for key, minute in folded.minutes.items()])
    _HOUR_ADD.send(raw, [key + hour for key, hour in folded.hours.items()])
    _HOLDING_ADD.send(raw, [key + holding for key, holding in folded.holdings.items()])


def read_live(
    raw: DriverConnection, sids: Collection[bytes], least_ms: int
) -> tuple[int, dict[bytes, Session]]:
    """The database's now in milliseconds, and those of these sessions that live at it."""
    statement = _READ_LIVE.encode()
    rows = raw.execute(statement, [least_ms, _bytes(sids)], prepare=True, binary=True).fetchall()
    found = [_session(row[1:]) for row in rows if row[1] is not None]
    return rows[0][0], {it.sid: it for it in found}


def tenants_of_expired(raw: DriverConnection, least_ms: int, sessions_max: int) -> Cursor[tuple[Any, ...]]:
    """Ask for the tenants of the sessions that a sweep would find now."""
    statement = (
        "SELECT DISTINCT tenant_id FROM (SELECT tenant_id FROM session"
        f" WHERE expires_at_ms <= greatest(%s::bigint, (SELECT {_NOW_MS}))"
        " ORDER BY expires_at_ms LIMIT %s::integer) AS expired"
    )
    return raw.execute(statement.encode(), [least_ms, sessions_max], prepare=True)


def _session(row: Sequence[Any]) -> Session:
    sid, tenant_id, client_key, scope, pool_id, holder, started, renewed, expires, address = row
    return Session(
        sid=sid,
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


def _seat(row: Sequence[Any]) -> Seat:
    _, tenant_id, _, client_id, pool_id, holder, taken, _, expires, initials = row
    return Seat(
        pool_id=pool_id,
        holder=holder,
        tenant_id=tenant_id,
        client_id=client_id,
        initials=initials,
        taken_at_ms=taken,
        expires_at_ms=expires,
    )
