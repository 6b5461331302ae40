"""The rows of a book in PostgreSQL: loading them before the ledger decides.

After that they are saved by `postgres_saving`.

The rules:

- All that a batch needs is one statement: its snapshot is one instant, and no step waits for the network.
- No statement may need statistics to be fast: a plan is made once for a connection, maybe while the tables
  are empty. So each lookup is written in such a way that one index serves it best, however little is known:
  columns are compared together and ordered as in that index, and one that has an index of its own is kept
  from it by `+ 0`.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from psycopg import Cursor

from licet.ledger.book import Book, SeatKey
from licet.ledger.commands import Command, End, Grant, Refresh, Spend, Sweep
from licet.ledger.rules import CLIENT_HOLDER, USER_HOLDER, holder_of
from licet.model import Client, Duplicates, Seat, Session, Tenant
from licet.store.postgres.arrays import SESSION, byte_strings, flags, numbers, seat_of, texts
from licet.store.postgres.connection import DriverConnection

_ROOM = 2**31 - 1  # no limit: the client is unknown, and its grant will be refused

_NOW_MS = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

# Rows of several kinds come in one shape, that of a session: `kind` first.
_MOMENT, _NAMED, _OLDEST, _EXPIRED, _SEAT_ROW, _POOL, _CLIENT = range(7)

# A part with OFFSET 0 is looked up by itself, for each row before it: so all that it says about a row can
# be a condition of the index. What `now` is, is a value that is known before.
_NOW = "(SELECT now_ms FROM moment)"
_EVER = 2**62


def _lives(columns: str, values: str) -> str:
    """That a session has these values and lives: its expiry is the index's next column."""
    columns = f"({columns}, expires_at_ms)"
    return f"{columns} > ({values}, {_NOW}) AND {columns} <= ({values}, {_EVER})"


def _pools_of_expired(asked: str) -> str:
    """The pools that have an expired seat, where more than 0 are asked for; each is looked up by itself."""
    return (
        f"SELECT pool.* FROM pool CROSS JOIN LATERAL (SELECT 1 FROM seat WHERE pool_id = pool.id"
        f" AND expires_at_ms <= {_NOW} ORDER BY expires_at_ms LIMIT 1) AS seat"
        f" WHERE {asked} > 0 AND in_use > 0"
    )


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
overdue AS MATERIALIZED (
  {_pools_of_expired("%(sweep)s::integer")}
  AND (%(tenants)s::bigint[] IS NULL OR tenant_id = ANY(%(tenants)s::bigint[]))
  LIMIT %(sweep)s::integer
),
pools AS MATERIALIZED (
  SELECT pool.id, pool.in_use, pool.in_use + asked.grants > pool.seats AS may_fill
  FROM (
    SELECT pool_id, sum(grants) AS grants
    FROM (
      SELECT pool_id, 0 AS grants FROM touched
      UNION ALL SELECT pool_id, 0 FROM expired
      UNION ALL SELECT id, 0 FROM overdue
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
  CROSS JOIN LATERAL ({seat_of("*", "asked")}) AS seat
),
counted AS MATERIALIZED (
  SELECT touched.*, count(*) FILTER (WHERE ends) OVER (PARTITION BY pool_id, holder) AS ending
  FROM touched WHERE pool_id IS NOT NULL
),
shared AS MATERIALIZED (
  SELECT client_key, pool_id, holder, ending
  FROM counted
  WHERE ends AND (
    renews OR pool_id = ANY(%(with_hold)s::bigint[])
    OR expires_at_ms >= ({seat_of("seat.expires_at_ms", "counted")})
  )
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
UNION ALL SELECT {_NAMED}, {SESSION} FROM named
UNION ALL SELECT {_NAMED}, {SESSION} FROM sharing
UNION ALL SELECT {_OLDEST}, {SESSION} FROM oldest
UNION ALL SELECT {_EXPIRED}, {SESSION} FROM expired
UNION ALL SELECT {_SEAT_ROW}, NULL, tenant_id, NULL, client_id, pool_id, holder, taken_at_ms,
  issued_at_ms, expires_at_ms, initials || ' ' || sources FROM seats
UNION ALL SELECT {_POOL}, NULL, NULL, NULL, NULL, id, NULL, in_use, NULL, NULL, NULL FROM pools
UNION ALL SELECT {_CLIENT}, NULL, NULL, client_key, NULL, NULL, NULL, sessions, NULL, NULL, NULL FROM asking
"""
_READ_LIVE = f"""
WITH moment AS MATERIALIZED (SELECT greatest(%s::bigint, {_NOW_MS}) AS now_ms)
SELECT moment.now_ms, {SESSION}
FROM moment LEFT JOIN session ON session.sid = ANY(%s::bytea[])
AND session.expires_at_ms + 0 > moment.now_ms
"""

_TENANTS_OF_EXPIRED = f"""
WITH moment AS MATERIALIZED (SELECT greatest(%s::bigint, {_NOW_MS}) AS now_ms)
SELECT tenant_id FROM (
  SELECT tenant_id FROM session WHERE expires_at_ms <= {_NOW} ORDER BY expires_at_ms LIMIT %s::integer
) AS expired
UNION
SELECT tenant_id FROM ({_pools_of_expired("%s::integer")} LIMIT %s::integer) AS overdue
"""

_SPENT = """
SELECT used.client_key, used.jti
FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[]) AS asked (tenant_id, client_key, jti)
CROSS JOIN LATERAL (
  SELECT * FROM assertion_used AS it WHERE it.tenant_id = asked.tenant_id
  AND it.client_key = asked.client_key AND it.jti = asked.jti OFFSET 0
) AS used
"""


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
            "sids": byte_strings(named),
            "renews": flags(it in renews for it in named),
            "ends": flags(it in ends for it in named),
            "clients": numbers(key for _, key in rooms),
            "rooms": numbers(rooms.values()),
            "tenants": None if locked is None else numbers(locked),
            "sweep": sum(it.sessions_max for it in commands if isinstance(it, Sweep)),
            "pools": numbers(by_pool),
            "grants": numbers(by_pool.values()),
            "crowded": numbers(it[0] for it in crowded),
            "crowded_pools": numbers(it[1] for it in crowded),
            "crowded_holders": texts(it[2] for it in crowded),
            "holder_pools": numbers(key[0] for key in keys),
            "holders": texts(key[1] for key in keys),
            "commands": len(commands),
            "with_hold": numbers(self._pools_with_hold(commands)),
        }

    def _pools_with_hold(self, commands: Sequence[Command]) -> Iterable[int]:
        """Of the tenants of which a session may end."""
        named = {it.tenant_id for it in commands if isinstance(it, Grant | End)}
        for tenant in (self._tenants[it] for it in named & self._tenants.keys()):
            yield from (it.id for it in tenant.pools.values() if tenant.hold_s_of(it))

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
    parameters = [numbers(tenants), numbers(clients), byte_strings(hashes)]
    return raw.execute(_SPENT.encode(), parameters, prepare=True, binary=True)


def read_live(
    raw: DriverConnection, sids: Collection[bytes], least_ms: int
) -> tuple[int, dict[bytes, Session]]:
    """The database's now in milliseconds, and those of these sessions that live at it."""
    statement = _READ_LIVE.encode()
    rows = raw.execute(statement, [least_ms, byte_strings(sids)], prepare=True, binary=True).fetchall()
    found = [_session(row[1:]) for row in rows if row[1] is not None]
    return rows[0][0], {it.sid: it for it in found}


def tenants_of_expired(raw: DriverConnection, least_ms: int, sessions_max: int) -> Cursor[tuple[Any, ...]]:
    """Ask for the tenants of the sessions and seats that a sweep would find now."""
    return raw.execute(_TENANTS_OF_EXPIRED.encode(), [least_ms, *[sessions_max] * 3], prepare=True)


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
    _, tenant_id, _, client_id, pool_id, holder, taken, issued, expires, initials_and_sources = row
    initials, _, sources = initials_and_sources.partition(" ")  # Initials have no space.
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
