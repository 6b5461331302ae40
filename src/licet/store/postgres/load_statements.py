"""The SQL that loads the rows of a batch from PostgreSQL, clause by clause of `licet.ledger.prefetch`.

The plan for a full batch has some 150 nodes, whose set-up takes longer than the lookups. So a batch of
grants, which ends no session by name and sweeps none, has its own statement with only the parts that it
needs: `tests/store/test_prefetch.py` shows that they suffice.

The rules:

- No statement may need statistics to be fast: a plan is made once per connection, perhaps while the tables
  are empty. So each lookup is written so that one index is best without statistics: it compares and orders
  columns together as in that index, and `+ 0` keeps the planner from using another index on a column.
- A part is written once. A statement has its own form of a part only if it omits the part's input.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import Cursor, RawCursor

from licet.ledger.holders import CLIENT_HOLDER, USER_HOLDER
from licet.ledger.prefetch import EVER_MS, SPARE, Need
from licet.options import COMMON
from licet.store.postgres.arrays import count_of, seat_of
from licet.store.postgres.connection import DriverConnection
from licet.store.rows import SESSION

NOW_MS = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

# Rows of several kinds have one shape, that of a session with `kind` before it.
MOMENT, NAMED, OLDEST, EXPIRED, SEAT_ROW, EARLY, POOL, CLIENT, NUMBER, WRITER, COUNT, IN_LINE = range(12)

# A part with OFFSET 0 is evaluated by itself for each row before it, so that all its conditions on a row can
# use the index. `now` is a value that is known before.
NOW = "(SELECT now_ms FROM moment)"
_EVER = EVER_MS
UNSIGNED = -1  # instead of a room: as many as the pool has seats


def lives(columns: str, values: str) -> str:
    """SQL: a session has these values and is alive; its expiry is the index's next column."""
    columns = f"({columns}, expires_at_ms)"
    return f"{columns} > ({values}, {NOW}) AND {columns} <= ({values}, {_EVER})"


def pools_of_expired(asked: str) -> str:
    """SQL for the pools with an expired seat, where more than 0 are asked for; looked up one by one."""
    return (
        f"SELECT pool.* FROM pool CROSS JOIN LATERAL (SELECT 1 FROM seat WHERE pool_id = pool.id"
        f" AND expires_at_ms <= {NOW} ORDER BY expires_at_ms LIMIT 1) AS seat"
        f" WHERE {asked} > 0 AND in_use > 0"
    )


def _has(columns: str, values: str) -> str:
    """SQL: a session has these values; its expiry is the index's next column."""
    columns = f"({columns}, expires_at_ms)"
    return f"{columns} > ({values}, 0) AND {columns} <= ({values}, {_EVER})"


# Of a row of seats: when the last of its sessions expires or did, swept or not, and when that was renewed;
# the `said` of `licet.ledger.prefetch`. A seat that is a session's own has a row that says it.
SAID = f"""
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

_ASKED_POOLS = """unnest(
    %(pools)s::bigint[], %(grants)s::integer[], %(rooms_of_pools)s::bigint[], %(rooms_until)s::bigint[],
    %(numbers)s::integer[]
  )"""


def _counted(asked: str, *, may_explain: str) -> str:
    """The pools that are asked, with what is known of them."""
    return f"""
  SELECT pool.id, pool.in_use, pool.numbers_used, pool.numbers_from_ms, asked.numbers, asked.room,
    {may_explain} OR pool.in_use + asked.grants > CASE
      WHEN asked.room < 0 THEN pool.seats WHEN {NOW} < asked.room_until_ms THEN asked.room ELSE 0
    END AS may_deny
  FROM {asked}
  CROSS JOIN LATERAL (SELECT * FROM pool WHERE pool.id = asked.pool_id OFFSET 0) AS pool"""


_EXPLAINED = "pool.id IN (SELECT pool_id FROM explained)"

# The parts of the statement that loads a batch, named after the clauses of `licet.ledger.prefetch`; each may
# use those before it. `moment` and `touched` are this store's own: the time, and the sessions found so far.
PARTS = {
    "moment": f"SELECT coalesce(%(now_ms)s::bigint, greatest(%(least_ms)s::bigint, {NOW_MS})) AS now_ms",
    "named": f"""
  SELECT found.*, asked.renewed, asked.ended
  FROM unnest(%(sids)s::bytea[], %(renewed)s::boolean[], %(ended)s::boolean[]) AS asked (sid, renewed, ended)
  CROSS JOIN LATERAL (
    SELECT * FROM session WHERE session.sid = asked.sid AND session.expires_at_ms + 0 > {NOW} OFFSET 0
  ) AS found""",
    "rooms": f"""
  SELECT asked.client_key, asked.room, live.sessions
  FROM unnest(%(clients)s::bigint[], %(rooms)s::integer[]) AS asked (client_key, room)
  CROSS JOIN LATERAL (
    SELECT count(*) AS sessions FROM session WHERE {lives("client_key", "asked.client_key")}
  ) AS live""",
    "oldest": f"""
  SELECT old.*
  FROM rooms CROSS JOIN LATERAL (
    SELECT * FROM session WHERE {lives("client_key", "rooms.client_key")}
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
  WHERE expires_at_ms <= {NOW}
  AND (%(tenants)s::bigint[] IS NULL OR tenant_id = ANY(%(tenants)s::bigint[]))
  ORDER BY expires_at_ms LIMIT %(sweep)s::integer""",
    "sweep_pools": f"""
  {pools_of_expired("%(sweep)s::integer")}
  AND (%(tenants)s::bigint[] IS NULL OR tenant_id = ANY(%(tenants)s::bigint[]))
  LIMIT %(sweep)s::integer""",
    "held": f"""
  SELECT seat.* FROM (
    SELECT pool_id, holder FROM touched
    UNION SELECT * FROM unnest(%(holder_pools)s::bigint[], %(holders)s::text[])
  ) AS asked (pool_id, holder)
  CROSS JOIN LATERAL ({seat_of("*", "asked")}) AS seat""",
    "counts": f"""
  SELECT asked.*, found.in_use::bigint AS in_use
  FROM unnest(
    %(count_pools)s::bigint[], %(count_names)s::text[], %(count_bounds)s::bigint[], %(explaining)s::boolean[]
  ) AS asked (pool_id, what, bound, may_explain)
  LEFT JOIN LATERAL ({count_of("asked")}) AS found ON true""",
    "places": "SELECT * FROM queue_place WHERE pool_id = ANY(%(queues)s::bigint[])",
    "explained": f"""
  SELECT pool_id FROM counts WHERE coalesce(in_use, 0) > bound GROUP BY pool_id
  HAVING bool_or(may_explain) OR (bool_or(what = '{COMMON}') AND count(*) > 1)""",
    "counted": _counted(
        f"""(
    SELECT pool_id, sum(grants) AS grants, max(room) AS room, max(room_until_ms) AS room_until_ms,
      max(numbers) AS numbers
    FROM (
      SELECT pool_id, 0 AS grants, {UNSIGNED} AS room, 0 AS room_until_ms, 0 AS numbers
        FROM touched WHERE ending
      UNION ALL SELECT id, 0, {UNSIGNED}, 0, 0 FROM sweep_pools
      UNION ALL SELECT pool_id, 0, {UNSIGNED}, 0, 0 FROM sweep WHERE pool_id IS NOT NULL
      UNION ALL SELECT * FROM {_ASKED_POOLS}
    ) AS every GROUP BY pool_id
  ) AS asked""",
        may_explain=_EXPLAINED,
    ),
    "counted_expired": f"""
  SELECT seat.* FROM counted CROSS JOIN LATERAL (
    SELECT * FROM seat WHERE pool_id = counted.id AND expires_at_ms <= {NOW} ORDER BY expires_at_ms OFFSET 0
  ) AS seat""",
    "numbers": f"""
  SELECT free.* FROM counted CROSS JOIN LATERAL (
    SELECT * FROM seat_free WHERE pool_id = counted.id AND from_ms <= {NOW} ORDER BY number
    LIMIT counted.numbers
  ) AS free WHERE counted.room >= 0
  UNION ALL SELECT free.* FROM counted CROSS JOIN LATERAL (
    SELECT * FROM seat_free WHERE pool_id = counted.id AND from_ms > {NOW} ORDER BY from_ms LIMIT 1
  ) AS free WHERE counted.room >= 0""",
    "earliest": f"""
  SELECT seat.* FROM counted CROSS JOIN LATERAL (
    SELECT * FROM seat WHERE counted.may_deny AND pool_id = counted.id AND expires_at_ms > {NOW}
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
    WHERE starts_with(asked.holder, '{CLIENT_HOLDER}') AND {lives("client_key", "asked.client_key")}
    AND pool_id = asked.pool_id AND holder = asked.holder
    ORDER BY client_key DESC, expires_at_ms DESC LIMIT asked.sessions_max
  ) AS other
  UNION ALL SELECT other.* FROM others_matter AS asked CROSS JOIN LATERAL (
    SELECT * FROM session
    WHERE starts_with(asked.holder, '{USER_HOLDER}') AND substr(holder, 1, 5) = '{USER_HOLDER}'
    AND {lives("pool_id, holder", "asked.pool_id, asked.holder")}
    ORDER BY pool_id DESC, holder DESC, expires_at_ms DESC LIMIT asked.sessions_max
  ) AS other""",
}


_SEAT_COLUMNS = "tenant_id number client_id pool_id holder taken_at_ms issued_at_ms expires_at_ms initials"
SEAT_SAID = (
    ", ".join(f"seat.{column}" for column in _SEAT_COLUMNS.split())
    + " || concat(' ', coalesce(said.expires_at_ms, 0), ' ', coalesce(said.renewed_at_ms, 0), ' ',"
    " seat.sources)"
)
COUNTED_AS = "CASE WHEN seat.counted <> '' THEN convert_to(seat.counted, 'UTF8') END"

# The same for a batch of grants: what a part of the whole has that comes of sessions which end is left out.
_ASKED = f"{_ASKED_POOLS} AS asked (pool_id, grants, room, room_until_ms, numbers)"
GRANTS = {
    "moment": PARTS["moment"],
    "rooms": PARTS["rooms"],
    "held": f"""
  SELECT seat.* FROM unnest(%(holder_pools)s::bigint[], %(holders)s::text[]) AS asked (pool_id, holder)
  CROSS JOIN LATERAL ({seat_of("*", "asked")}) AS seat""",
    "counted": _counted(_ASKED, may_explain="false"),
    "counted_expired": PARTS["counted_expired"],
    "earliest": PARTS["earliest"],
}
NUMBERED_GRANTS = GRANTS | {"numbers": PARTS["numbers"]}
_OF_OPTIONS = {name: PARTS[name] for name in ("counts", "places", "explained")}
_COUNTED = {"counted": _counted(_ASKED, may_explain=_EXPLAINED)}
GRANTS_WITH_OPTIONS = _OF_OPTIONS | GRANTS | _COUNTED
NUMBERED_GRANTS_WITH_OPTIONS = _OF_OPTIONS | NUMBERED_GRANTS | _COUNTED
# Where the counts are known: whether one of them may deny is then told by who asks.
_OF_KNOWN = {
    "places": PARTS["places"],
    "counted": _counted(_ASKED, may_explain="pool.id = ANY(%(explained)s::bigint[])"),
}
GRANTS_WITH_KNOWN_COUNTS = GRANTS | _OF_KNOWN
NUMBERED_GRANTS_WITH_KNOWN_COUNTS = NUMBERED_GRANTS | _OF_KNOWN

# The rows that come of a part, and of which kind they are; a part may be of no statement.
_SEATS = (("held", SEAT_ROW), ("counted_expired", SEAT_ROW), ("earliest", EARLY))
_SESSIONS = (("named", NAMED), ("sharing", NAMED), ("oldest", OLDEST), ("sweep", EXPIRED))
_NUMBERS = f"SELECT {NUMBER}, NULL, NULL, NULL, NULL, pool_id, NULL, number, NULL, from_ms, NULL FROM numbers"
_COUNTS = (
    f"SELECT {COUNT}, NULL, NULL, NULL, NULL, pool_id, what, in_use, NULL, NULL, NULL FROM counts"
    " WHERE in_use IS NOT NULL"
)
_PLACES = (
    f"SELECT {IN_LINE}, NULL, tenant_id, client_key, level::text, pool_id, holder, number, since_ms,"
    " until_ms, NULL FROM places"
)
_OF_EVERY = (
    (
        f"SELECT {POOL}, NULL, room, NULL, NULL, id, NULL, in_use, numbers_used, numbers_from_ms, NULL"
        " FROM counted"
    ),
    f"SELECT {CLIENT}, NULL, NULL, client_key, NULL, NULL, NULL, sessions, NULL, NULL, NULL FROM rooms",
    (
        f"SELECT {WRITER}, NULL, id, writer, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM tenant"
        " WHERE id = ANY(%(tenants)s::bigint[])"
    ),
)


class Statement(NamedTuple):
    """A statement as the server takes it, and the names of its parameters in their order."""

    text: bytes
    names: Sequence[str]

    def ask(self, raw: DriverConnection, asked: Mapping[str, object]) -> Cursor[tuple[Any, ...]]:
        """Ask for its rows; in a pipeline, the cursor has them after the sync."""
        values = [asked[name] for name in self.names]
        return RawCursor(raw).execute(self.text, values, prepare=True, binary=True)


def numbered(statement: str) -> Statement:
    """A statement whose parameters have names. The driver would look for them each time, in one this long."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    for at, name in enumerate(names, 1):
        statement = statement.replace(f"%({name})s", f"${at}")
    return Statement(statement.encode(), names)


def statement_of(parts: Mapping[str, str]) -> Statement:
    """The statement that loads a batch, made of these parts."""
    named = ", ".join(f"{name} AS MATERIALIZED ({part})" for name, part in parts.items())
    seats = " UNION ALL ".join(f"SELECT {kind} AS kind, * FROM {name}" for name, kind in _SEATS)
    rows = [f"SELECT {kind}, {SESSION} FROM {name}" for name, kind in _SESSIONS if name in parts]
    rows += [_NUMBERS] if "numbers" in parts else []
    rows += [_COUNTS] if "counts" in parts else []
    rows += [_PLACES] if "places" in parts else []
    rows = [
        *rows,
        f"SELECT seat.kind, {COUNTED_AS}, {SEAT_SAID} FROM ({seats}) AS seat {SAID}",
        *_OF_EVERY,
    ]
    return numbered(f"""
WITH {named}
SELECT {MOMENT} AS kind, NULL::bytea AS sid, setup.version AS tenant_id, setup.writer AS client_key,
  NULL AS scope, setup.seats_lag::integer::bigint AS pool_id, NULL AS holder,
  moment.now_ms AS started_at_ms,
  NULL::bigint AS renewed_at_ms, NULL::bigint AS expires_at_ms, NULL AS address
  FROM moment, setup
UNION ALL {" UNION ALL ".join(rows)}
""")


WHOLE = statement_of(PARTS)
OF_GRANTS = statement_of(GRANTS)
OF_NUMBERED_GRANTS = statement_of(NUMBERED_GRANTS)
OF_GRANTS_WITH_OPTIONS = statement_of(GRANTS_WITH_OPTIONS)
OF_NUMBERED_GRANTS_WITH_OPTIONS = statement_of(NUMBERED_GRANTS_WITH_OPTIONS)
OF_GRANTS_WITH_KNOWN_COUNTS = statement_of(GRANTS_WITH_KNOWN_COUNTS)
OF_NUMBERED_GRANTS_WITH_KNOWN_COUNTS = statement_of(NUMBERED_GRANTS_WITH_KNOWN_COUNTS)


def statement_for(need: Need, *, knows_counts: bool) -> Statement:
    """The smallest statement for what is needed, if no client has to end a session (L8).

    What options count is not read where the process `knows_counts`.
    """
    if not need.is_of_grants:
        return WHOLE
    if knows_counts:
        return OF_NUMBERED_GRANTS_WITH_KNOWN_COUNTS if need.numbers else OF_GRANTS_WITH_KNOWN_COUNTS
    if need.counts:
        return OF_NUMBERED_GRANTS_WITH_OPTIONS if need.numbers else OF_GRANTS_WITH_OPTIONS
    return OF_NUMBERED_GRANTS if need.numbers else OF_GRANTS
