"""Loads the rows of a book from PostgreSQL, before the ledger decides.

`licet.store.postgres.saving` writes what the ledger made of them.

The rules:

- One statement loads all that a batch needs: its snapshot is one instant, and no step waits for the network.
  So what follows from rows read before is SQL here, clause by clause of `licet.ledger.prefetch`.
- No statement may need statistics to be fast: a plan is made once per connection, maybe while the tables are
  empty. So each lookup is written so that one index serves it best without statistics: columns are compared
  together and ordered as in that index, and `+ 0` keeps the planner from another index on a column.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from psycopg import Cursor

from licet.ledger.book import Book, Counts, SeatKey
from licet.ledger.holders import CLIENT_HOLDER, USER_HOLDER
from licet.ledger.numbers import Numbers
from licet.ledger.prefetch import EVER_MS, FEW, SPARE, Need
from licet.ledger.seat_rows import said
from licet.model import Place, Seat, Session, Tenant
from licet.store.contract import LiveSessions
from licet.store.postgres.arrays import byte_strings, flags, numbers, seat_of, texts
from licet.store.postgres.connection import DriverConnection
from licet.store.postgres.counts import load_counts
from licet.store.rows import PLACE, SESSION, to_place, to_seat, to_session

_NOW_MS = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

# Rows of several kinds have one shape, that of a session with `kind` before it.
_MOMENT, _NAMED, _OLDEST, _EXPIRED, _SEAT_ROW, _EARLY, _POOL, _CLIENT, _NUMBER, _WRITER = range(10)

# A part with OFFSET 0 is evaluated by itself for each row before it, so that all its conditions on a row can
# use the index. `now` is a value that is known before.
_NOW = "(SELECT now_ms FROM moment)"
_EVER = EVER_MS
_UNSIGNED = -1  # instead of a room: as many as the pool has seats


def _lives(columns: str, values: str) -> str:
    """SQL: a session has these values and is alive; its expiry is the index's next column."""
    columns = f"({columns}, expires_at_ms)"
    return f"{columns} > ({values}, {_NOW}) AND {columns} <= ({values}, {_EVER})"


def _pools_of_expired(asked: str) -> str:
    """SQL for the pools with an expired seat, where more than 0 are asked for; looked up one by one."""
    return (
        f"SELECT pool.* FROM pool CROSS JOIN LATERAL (SELECT 1 FROM seat WHERE pool_id = pool.id"
        f" AND expires_at_ms <= {_NOW} ORDER BY expires_at_ms LIMIT 1) AS seat"
        f" WHERE {asked} > 0 AND in_use > 0"
    )


def _has(columns: str, values: str) -> str:
    """SQL: a session has these values; its expiry is the index's next column."""
    columns = f"({columns}, expires_at_ms)"
    return f"{columns} > ({values}, 0) AND {columns} <= ({values}, {_EVER})"


# Of a row of seats: when the last of its sessions expires or did, swept or not, and when that was renewed;
# the `said` of `licet.ledger.prefetch`. A seat that is a session's own has a row that says it.
_SAID = f"""
LEFT JOIN LATERAL (
  (
    SELECT newest.* FROM (
      SELECT key FROM client WHERE starts_with(seat.holder, '{CLIENT_HOLDER}')
      AND client.tenant_id = seat.tenant_id
      AND client.client_id = substr(seat.holder, {len(CLIENT_HOLDER) + 1}) OFFSET 0
    ) AS sharer CROSS JOIN LATERAL (
      SELECT expires_at_ms, renewed_at_ms FROM session WHERE {_has("client_key", "sharer.key")}
      AND pool_id = seat.pool_id AND holder = seat.holder
      ORDER BY client_key DESC, expires_at_ms DESC LIMIT 1
    ) AS newest
  ) UNION ALL (
    SELECT expires_at_ms, renewed_at_ms FROM session
    WHERE starts_with(seat.holder, '{USER_HOLDER}') AND substr(holder, 1, 5) = '{USER_HOLDER}'
    AND {_has("pool_id, holder", "seat.pool_id, seat.holder")}
    ORDER BY pool_id DESC, holder DESC, expires_at_ms DESC LIMIT 1
  )
) AS said ON true
"""

# The parts of the statement that loads a batch, named after the clauses of `licet.ledger.prefetch`; each may
# use those before it. `moment` and `touched` are this store's own: the time, and the sessions found so far.
PARTS = {
    "moment": f"SELECT coalesce(%(now_ms)s::bigint, greatest(%(least_ms)s::bigint, {_NOW_MS})) AS now_ms",
    "named": f"""
  SELECT found.*, asked.renewed, asked.ended
  FROM unnest(%(sids)s::bytea[], %(renewed)s::boolean[], %(ended)s::boolean[]) AS asked (sid, renewed, ended)
  CROSS JOIN LATERAL (
    SELECT * FROM session WHERE session.sid = asked.sid AND session.expires_at_ms + 0 > {_NOW} OFFSET 0
  ) AS found""",
    "rooms": f"""
  SELECT asked.client_key, asked.room, live.sessions
  FROM unnest(%(clients)s::bigint[], %(rooms)s::integer[]) AS asked (client_key, room)
  CROSS JOIN LATERAL (
    SELECT count(*) AS sessions FROM session WHERE {_lives("client_key", "asked.client_key")}
  ) AS live""",
    "oldest": f"""
  SELECT old.*
  FROM rooms CROSS JOIN LATERAL (
    SELECT * FROM session WHERE {_lives("client_key", "rooms.client_key")}
    ORDER BY number + 0 LIMIT greatest(rooms.sessions - rooms.room, 0)
  ) AS old""",
    "touched": """
  SELECT client_key, pool_id, holder, expires_at_ms, renewed, ended, ended AS ending FROM named
  UNION ALL
  SELECT client_key, pool_id, holder, expires_at_ms,
    sid IN (SELECT sid FROM named WHERE renewed) AS renewed, false, true
  FROM oldest""",
    "sweep": f"""
  SELECT * FROM session
  WHERE expires_at_ms <= {_NOW}
  AND (%(tenants)s::bigint[] IS NULL OR tenant_id = ANY(%(tenants)s::bigint[]))
  ORDER BY expires_at_ms LIMIT %(sweep)s::integer""",
    "sweep_pools": f"""
  {_pools_of_expired("%(sweep)s::integer")}
  AND (%(tenants)s::bigint[] IS NULL OR tenant_id = ANY(%(tenants)s::bigint[]))
  LIMIT %(sweep)s::integer""",
    "held": f"""
  SELECT seat.* FROM (
    SELECT pool_id, holder FROM touched
    UNION SELECT * FROM unnest(%(holder_pools)s::bigint[], %(holders)s::text[])
  ) AS asked (pool_id, holder)
  CROSS JOIN LATERAL ({seat_of("*", "asked")}) AS seat""",
    "counted": f"""
  SELECT pool.id, pool.in_use, pool.numbers_used, pool.numbers_from_ms, asked.numbers, asked.room,
    asked.may_explain OR pool.in_use + asked.grants > CASE
      WHEN asked.room < 0 THEN pool.seats WHEN {_NOW} < asked.room_until_ms THEN asked.room ELSE 0
    END AS may_deny
  FROM (
    SELECT pool_id, sum(grants) AS grants, max(room) AS room, max(room_until_ms) AS room_until_ms,
      max(numbers) AS numbers, bool_or(may_explain) AS may_explain
    FROM (
      SELECT pool_id, 0 AS grants, {_UNSIGNED} AS room, 0 AS room_until_ms, 0 AS numbers, false AS may_explain
        FROM touched WHERE ending
      UNION ALL SELECT id, 0, {_UNSIGNED}, 0, 0, false FROM sweep_pools
      UNION ALL SELECT pool_id, 0, {_UNSIGNED}, 0, 0, false FROM sweep WHERE pool_id IS NOT NULL
      UNION ALL SELECT * FROM unnest(
        %(pools)s::bigint[], %(grants)s::integer[], %(rooms_of_pools)s::bigint[], %(rooms_until)s::bigint[],
        %(numbers)s::integer[], %(explained)s::boolean[]
      )
    ) AS every GROUP BY pool_id
  ) AS asked
  CROSS JOIN LATERAL (SELECT * FROM pool WHERE pool.id = asked.pool_id OFFSET 0) AS pool""",
    "counted_expired": f"""
  SELECT seat.* FROM counted CROSS JOIN LATERAL (
    SELECT * FROM seat WHERE pool_id = counted.id AND expires_at_ms <= {_NOW} ORDER BY expires_at_ms OFFSET 0
  ) AS seat""",
    "numbers": f"""
  SELECT free.* FROM counted CROSS JOIN LATERAL (
    SELECT * FROM seat_free WHERE pool_id = counted.id AND from_ms <= {_NOW} ORDER BY number
    LIMIT counted.numbers
  ) AS free WHERE counted.room >= 0
  UNION ALL SELECT free.* FROM counted CROSS JOIN LATERAL (
    SELECT * FROM seat_free WHERE pool_id = counted.id AND from_ms > {_NOW} ORDER BY from_ms LIMIT 1
  ) AS free WHERE counted.room >= 0""",
    "earliest": f"""
  SELECT seat.* FROM counted CROSS JOIN LATERAL (
    SELECT * FROM seat WHERE counted.may_deny AND pool_id = counted.id AND expires_at_ms > {_NOW}
    ORDER BY expires_at_ms LIMIT (SELECT count(*) FROM held WHERE pool_id = counted.id) + 1 + {SPARE}
  ) AS seat""",
    "others_matter": f"""
  SELECT DISTINCT client_key, pool_id, holder, sessions_max
  FROM (
    SELECT *, 1 + count(*) FILTER (WHERE ending) OVER (PARTITION BY pool_id, holder) AS sessions_max
    FROM (
      SELECT *, false AS crowded FROM touched WHERE pool_id IS NOT NULL
      UNION ALL SELECT *, NULL, false, false, false, true
      FROM unnest(%(crowded)s::bigint[], %(crowded_pools)s::bigint[], %(crowded_holders)s::text[])
    ) AS every
  ) AS asked
  WHERE crowded OR (ending AND (
    expires_at_ms >= ({seat_of("seat.expires_at_ms", "asked")})
    OR renewed
    OR (ended AND pool_id = ANY(%(with_hold)s::bigint[]))
  ))""",
    "sharing": f"""
  SELECT other.* FROM others_matter AS asked CROSS JOIN LATERAL (
    SELECT * FROM session
    WHERE starts_with(asked.holder, '{CLIENT_HOLDER}') AND {_lives("client_key", "asked.client_key")}
    AND pool_id = asked.pool_id AND holder = asked.holder
    ORDER BY client_key DESC, expires_at_ms DESC LIMIT asked.sessions_max
  ) AS other
  UNION ALL SELECT other.* FROM others_matter AS asked CROSS JOIN LATERAL (
    SELECT * FROM session
    WHERE starts_with(asked.holder, '{USER_HOLDER}') AND substr(holder, 1, 5) = '{USER_HOLDER}'
    AND {_lives("pool_id, holder", "asked.pool_id, asked.holder")}
    ORDER BY pool_id DESC, holder DESC, expires_at_ms DESC LIMIT asked.sessions_max
  ) AS other""",
}


_SEAT_COLUMNS = "tenant_id number client_id pool_id holder taken_at_ms issued_at_ms expires_at_ms initials"
_SEAT = (
    ", ".join(f"seat.{column}" for column in _SEAT_COLUMNS.split())
    + " || concat(' ', coalesce(said.expires_at_ms, 0), ' ', coalesce(said.renewed_at_ms, 0), ' ',"
    " seat.sources)"
)
_COUNTED = "CASE WHEN seat.counted <> '' THEN convert_to(seat.counted, 'UTF8') END"


def statement_of(parts: Mapping[str, str]) -> str:
    """The statement that loads a batch, made of these parts."""
    named = ", ".join(f"{name} AS MATERIALIZED ({part})" for name, part in parts.items())
    return f"""
WITH {named}
SELECT {_MOMENT} AS kind, NULL::bytea AS sid, setup.version AS tenant_id, setup.writer AS client_key,
  NULL AS scope, setup.seats_lag::integer::bigint AS pool_id, NULL AS holder,
  moment.now_ms AS started_at_ms,
  NULL::bigint AS renewed_at_ms, NULL::bigint AS expires_at_ms, NULL AS address
  FROM moment, setup
UNION ALL SELECT {_NAMED}, {SESSION} FROM named
UNION ALL SELECT {_NAMED}, {SESSION} FROM sharing
UNION ALL SELECT {_OLDEST}, {SESSION} FROM oldest
UNION ALL SELECT {_EXPIRED}, {SESSION} FROM sweep
UNION ALL SELECT {_SEAT_ROW}, {_COUNTED}, {_SEAT} FROM held AS seat {_SAID}
UNION ALL SELECT {_SEAT_ROW}, {_COUNTED}, {_SEAT} FROM counted_expired AS seat {_SAID}
UNION ALL SELECT {_EARLY}, {_COUNTED}, {_SEAT} FROM earliest AS seat {_SAID}
UNION ALL SELECT {_POOL}, NULL, room, NULL, NULL, id, NULL, in_use, numbers_used, numbers_from_ms, NULL
  FROM counted
UNION ALL SELECT {_NUMBER}, NULL, NULL, NULL, NULL, pool_id, NULL, number, NULL, from_ms, NULL FROM numbers
UNION ALL SELECT {_CLIENT}, NULL, NULL, client_key, NULL, NULL, NULL, sessions, NULL, NULL, NULL FROM rooms
UNION ALL SELECT {_WRITER}, NULL, id, writer, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM tenant
  WHERE id = ANY(%(tenants)s::bigint[])
"""


_LOAD = statement_of(PARTS)

# Of what is known of the counts follows who has the seats, which is asked for where a limit may deny.
_COUNTING = f"""
WITH moment AS MATERIALIZED (SELECT %(now_ms)s::bigint AS now_ms)
SELECT {_COUNTED}, {_SEAT} FROM (
  SELECT * FROM unnest(%(holder_pools)s::bigint[], %(holders)s::text[])
  UNION SELECT own.pool_id, own.holder
  FROM unnest(%(client_pools)s::bigint[], %(clients)s::bigint[]) AS asked (pool_id, client_key)
  CROSS JOIN LATERAL (
    SELECT pool_id, holder FROM session WHERE {_lives("client_key", "asked.client_key")}
    AND pool_id = asked.pool_id ORDER BY client_key, expires_at_ms LIMIT {FEW}
  ) AS own
) AS asked (pool_id, holder)
CROSS JOIN LATERAL ({seat_of("*", "asked")}) AS seat {_SAID}
"""

_READ_LIVE = f"""
WITH moment AS MATERIALIZED (SELECT greatest(%s::bigint, {_NOW_MS}) AS now_ms)
SELECT moment.now_ms, {SESSION}
FROM moment LEFT JOIN session ON session.sid = ANY(%s::bytea[])
AND session.expires_at_ms + 0 > moment.now_ms
"""

_NUMBER_AT = 1 + len(SESSION.split(","))  # the column behind those of a session
_READ_NUMBERED = _READ_LIVE.replace(SESSION, f"{SESSION}, ({seat_of('seat.number', 'session')})", 1)

_TENANTS_OF_EXPIRED = f"""
WITH moment AS MATERIALIZED (SELECT greatest(%s::bigint, {_NOW_MS}) AS now_ms)
SELECT tenant_id FROM (
  SELECT tenant_id FROM session WHERE expires_at_ms <= {_NOW} ORDER BY expires_at_ms LIMIT %s::integer
) AS expired
UNION
SELECT tenant_id FROM ({_pools_of_expired("%s::integer")} LIMIT %s::integer) AS overdue
UNION
SELECT tenant_id FROM (
  SELECT tenant_id FROM queue_place WHERE until_ms <= {_NOW} ORDER BY until_ms LIMIT %s::integer
) AS lapsed
"""

_LAPSED = (
    f"SELECT {PLACE} FROM queue_place WHERE until_ms <= %s"
    " AND (%s::bigint[] IS NULL OR tenant_id = ANY(%s::bigint[])) ORDER BY until_ms LIMIT %s"
)
_ASSERTIONS = """
SELECT used.client_key, used.jti
FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[]) AS asked (tenant_id, client_key, jti)
CROSS JOIN LATERAL (
  SELECT * FROM assertion_used AS it WHERE it.tenant_id = asked.tenant_id
  AND it.client_key = asked.client_key AND it.jti = asked.jti OFFSET 0
) AS used
"""


def parameters(
    need: Need, *, locked: Collection[int] | None, least_ms: int, now_ms: int | None = None
) -> dict[str, object]:
    """What a batch needs, as parameters of the one statement that loads it.

    `locked` are the tenants that the batch has locked, None for all. `now_ms` is None where the database's
    clock is to be read, and `least_ms` is the earliest value that it may give.
    """
    named = need.renewed | need.ended
    crowded = [(client_key, *key) for client_key, key in need.crowded]
    at_ms = least_ms if now_ms is None else now_ms
    rooms = [need.room(key, at_ms) if key in need.numbers else (_UNSIGNED, 0) for key in need.grants]
    return {
        "now_ms": now_ms,
        "least_ms": least_ms,
        "tenants": None if locked is None else numbers(locked),
        "sids": byte_strings(named),
        "renewed": flags(sid in need.renewed for sid in named),
        "ended": flags(sid in need.ended for sid in named),
        "clients": numbers(need.rooms),
        "rooms": numbers(need.rooms.values()),
        "sweep": need.sweep,
        "holder_pools": numbers(key[0] for key in need.holders),
        "holders": texts(key[1] for key in need.holders),
        "pools": numbers(need.grants),
        "grants": numbers(need.grants.values()),
        "rooms_of_pools": numbers(room for room, _ in rooms),
        "rooms_until": numbers(until_ms for _, until_ms in rooms),
        "numbers": numbers(need.numbers.get(key, 0) for key in need.grants),
        "explained": flags(key in need.explained for key in need.grants),
        "with_hold": numbers(need.pools_with_hold()),
        "crowded": numbers(client_key for client_key, _, _ in crowded),
        "crowded_pools": numbers(pool_id for _, pool_id, _ in crowded),
        "crowded_holders": texts(holder for _, _, holder in crowded),
    }


class Loaded:
    """The rows of a book that were found, with their instant, the set-up's version, and who wrote last."""

    def __init__(self, cursor: Cursor[tuple[Any, ...]], used: Iterable[tuple[int, bytes]] = ()) -> None:
        self.now_ms = self.version = self.setup_writer = 0
        self.writers: dict[int, int] = {}  # of each tenant that is locked
        self._used = used
        self._sessions: dict[bytes, Session] = {}
        self._expired: list[Session] = []
        self._seats: dict[SeatKey, Seat] = {}
        self._rows: dict[SeatKey, Seat] = {}  # of those that are behind
        self.rows_lag = False
        self._early: dict[int, list[Seat]] = {}  # those that expire first, as their rows say
        self._in_use: dict[int, int] = {}
        self._live_sessions: dict[int, int] = {}
        self._started: dict[int, list[bytes]] = {}
        self._numbered: list[tuple[int, int, int]] = []
        self._free: dict[int, list[tuple[int, int]]] = {}
        self._places: list[Place] = []
        self._counts: Counts = {}
        for kind, *row in cursor:
            self._add(kind, row)

    def book(self, tenants: Mapping[int, Tenant], need: Need) -> Book:
        """The book of these rows."""
        return Book(
            tenants=tenants,
            in_use=self._in_use,
            seats=self._seats.values(),
            sessions=self._sessions.values(),
            expired=self._expired,
            live_sessions=self._live_sessions,
            started=self._started,
            assertions_used=self._used,
            numbers={
                pool_id: Numbers(used=used, from_ms=from_ms, free=self._free.get(pool_id, ()))
                for pool_id, used, from_ms in self._numbered
            },
            rows=self._rows,
            rows_lag=self.rows_lag,
            others_from_ms=self._others_from_ms(),
            counts=self._counts,
            exceeded=need.exceeded(self._counts, self.now_ms),
            places=self._places,
        )

    def add_options(
        self,
        raw: DriverConnection,
        need: Need,
        locked: Collection[int] | None,
        asked: Iterable[tuple[Any, ...]],
    ) -> bool:
        """Add what is counted and who waits, as `asked` with `load_options`, and what follows from that.

        `locked` are the tenants of the batch, None for all. Whether anything had to be asked for.
        """
        for row in asked:
            if row[3] is None:
                self._counts.setdefault(row[0], {})[row[1]] = row[2]
            else:
                self._places.append(to_place(row))
        if waiting := need.waiting(self._places):
            for row in load_counts(raw, waiting):
                self._counts.setdefault(row[0], {})[row[1]] = row[2]
        if need.sweep:
            tenants = None if locked is None else numbers(locked)
            lapsed = [self.now_ms, tenants, tenants, need.sweep]
            self._places += map(to_place, raw.execute(_LAPSED.encode(), lapsed, prepare=True))
        counting = need.counting(self._in_use, self._counts, self.now_ms)
        if counting is not None:
            asked_for = {
                "now_ms": self.now_ms,
                "holder_pools": numbers(key for key, those in counting.holders.items() for _ in those),
                "holders": texts(holder for those in counting.holders.values() for holder in those),
                "client_pools": numbers(pool_id for pool_id, keys in counting.own.items() for _ in keys),
                "clients": numbers(key for keys in counting.own.values() for key in keys),
            }
            for row in raw.execute(_COUNTING.encode(), asked_for, prepare=True, binary=True):
                self._add_seat([*row], is_early=False)
        return bool(need.sweep or waiting or counting is not None)

    def _others_from_ms(self) -> dict[int, int]:
        """Of pools of which not every seat was loaded: before which moment no other one expires."""
        loaded = Counter(pool_id for pool_id, _ in self._seats)
        return {
            pool_id: max(row.expires_at_ms for row in rows)
            for pool_id, rows in self._early.items()
            if loaded[pool_id] < self._in_use[pool_id]
        }

    def _add_seat(self, columns: list[Any], *, is_early: bool) -> None:
        row, expires_at_ms, issued_at_ms = _seat(columns)
        seat = self._seats[row.key] = said(row, expires_at_ms, issued_at_ms)
        if seat is not row:
            self._rows[row.key] = row
        if is_early:
            self._early.setdefault(row.pool_id, []).append(row)

    def _add(self, kind: int, row: list[Any]) -> None:
        if kind in {_SEAT_ROW, _EARLY}:
            self._add_seat(row, is_early=kind == _EARLY)
        elif kind == _POOL:
            self._in_use[row[4]] = row[6]
            if row[1] >= 0:
                self._numbered.append((row[4], row[7], row[8]))
        elif kind == _NUMBER:
            self._free.setdefault(row[4], []).append((row[6], row[8]))
        elif kind == _CLIENT:
            self._live_sessions[row[2]] = row[6]
        elif kind == _MOMENT:
            self.version, self.setup_writer, self.now_ms = row[1], row[2], row[6]
            self.rows_lag = bool(row[4])
        elif kind == _WRITER:
            self.writers[row[1]] = row[2]
        elif kind == _EXPIRED:
            self._expired.append(to_session(row))
        else:
            session = self._sessions[row[0]] = to_session(row)
            if kind == _OLDEST:
                self._started.setdefault(session.client_key, []).append(session.sid)


def load(raw: DriverConnection, asked: Mapping[str, object]) -> Cursor[tuple[Any, ...]]:
    """Ask for the rows of a book by these `parameters`; the cursor has them after the pipeline's sync."""
    return raw.execute(_LOAD.encode(), asked, prepare=True, binary=True)


def load_used(raw: DriverConnection, need: Need) -> Iterable[tuple[int, bytes]]:
    """Ask which of the assertions are used; the result is there after the pipeline's sync."""
    if not need.assertions:  # as nearly always
        return ()
    tenants, clients, hashes = zip(*need.assertions, strict=True)
    asked = [numbers(tenants), numbers(clients), byte_strings(hashes)]
    return raw.execute(_ASSERTIONS.encode(), asked, prepare=True, binary=True)


def read_live(
    raw: DriverConnection, sids: Collection[bytes], least_ms: int, *, is_numbered: bool
) -> LiveSessions:
    """Those of these sessions that live at the database's now, with the numbers of their seats if asked."""
    statement = (_READ_NUMBERED if is_numbered else _READ_LIVE).encode()
    rows = raw.execute(statement, [least_ms, byte_strings(sids)], prepare=True, binary=True).fetchall()
    found = [row for row in rows if row[1] is not None]
    sessions = {row[1]: to_session(row[1:_NUMBER_AT]) for row in found}
    numbers = {row[1]: row[_NUMBER_AT] for row in found if row[_NUMBER_AT]} if is_numbered else {}
    return LiveSessions(rows[0][0], sessions, numbers)


def tenants_of_expired(raw: DriverConnection, least_ms: int, sessions_max: int) -> Cursor[tuple[Any, ...]]:
    """Ask for the tenants of the sessions and seats that a sweep would clear now."""
    return raw.execute(_TENANTS_OF_EXPIRED.encode(), [least_ms, *[sessions_max] * 4], prepare=True)


def _seat(row: Sequence[Any]) -> tuple[Seat, int, int]:
    """The seat as its row says; and when the last of its sessions expires, and was renewed, else 0."""
    counted, tenant_id, number, client_id, pool_id, holder, taken, issued, expires, more = row
    initials, last, newest, *sources = more.split(" ", 3)  # Initials have no space.
    counted = "" if counted is None else counted.decode()
    seat = to_seat(
        (
            pool_id,
            holder,
            tenant_id,
            client_id,
            initials,
            taken,
            expires,
            issued,
            "".join(sources),
            number,
            counted,
        )
    )
    return seat, int(last), int(newest)
