"""Loads the rows of a book from PostgreSQL, before the ledger decides.

`licet.store.postgres.saving` writes what the ledger made of them.

The rules:

- One statement loads all that a batch needs, as of one instant and in one round trip. So the SQL itself
  computes which rows to read next (`load_statements.py`).
- A batch of grants has a smaller statement, which finds how many sessions each client has, but not which. If
  one of them must end (L8), the full statement is executed too, in the same transaction and for the same
  moment. Some of the next batches then execute it at once, because they may need it as well.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from psycopg import Cursor

from licet.ledger.book import Book, Counts, SeatKey
from licet.ledger.numbers import Numbers
from licet.ledger.prefetch import FEW, Need
from licet.ledger.seat_rows import said
from licet.model import Place, Seat, Session, Tenant
from licet.store.postgres.arrays import byte_strings, count_of, flags, numbers, seat_of, texts
from licet.store.postgres.connection import DriverConnection
from licet.store.postgres.load_statements import (
    CLIENT,
    COUNT,
    COUNTED_AS,
    EARLY,
    EXPIRED,
    IN_LINE,
    MOMENT,
    NOW,
    NOW_MS,
    NUMBER,
    OLDEST,
    POOL,
    SAID,
    SEAT_ROW,
    SEAT_SAID,
    UNSIGNED,
    WRITER,
    lives,
    numbered,
    pools_of_expired,
)
from licet.store.rows import PLACE, to_place, to_seat, to_session

# Who has the seats that a limit counts: asked for after the counts, where a limit may deny.
_COUNTING = numbered(f"""
WITH moment AS MATERIALIZED (SELECT %(now_ms)s::bigint AS now_ms)
SELECT {COUNTED_AS}, {SEAT_SAID} FROM (
  SELECT * FROM unnest(%(holder_pools)s::bigint[], %(holders)s::text[])
  UNION SELECT own.pool_id, own.holder
  FROM unnest(%(client_pools)s::bigint[], %(clients)s::bigint[]) AS asked (pool_id, client_key)
  CROSS JOIN LATERAL (
    SELECT pool_id, holder FROM session WHERE {lives("client_key", "asked.client_key")}
    AND pool_id = asked.pool_id ORDER BY client_key, expires_at_ms LIMIT {FEW}
  ) AS own
) AS asked (pool_id, holder)
CROSS JOIN LATERAL ({seat_of("*", "asked")}) AS seat {SAID}
""")

_TENANTS_OF_EXPIRED = f"""
WITH moment AS MATERIALIZED (SELECT greatest(%s::bigint, {NOW_MS}) AS now_ms)
SELECT tenant_id FROM (
  SELECT tenant_id FROM session WHERE expires_at_ms <= {NOW} ORDER BY expires_at_ms LIMIT %s::integer
) AS expired
UNION
SELECT tenant_id FROM ({pools_of_expired("%s::integer")} LIMIT %s::integer) AS overdue
UNION
SELECT tenant_id FROM (
  SELECT tenant_id FROM queue_place WHERE until_ms <= {NOW} ORDER BY until_ms LIMIT %s::integer
) AS lapsed
"""

_LAPSED = (
    f"SELECT {PLACE} FROM queue_place WHERE until_ms <= %s"
    " AND (%s::bigint[] IS NULL OR tenant_id = ANY(%s::bigint[])) ORDER BY until_ms LIMIT %s"
)
_COUNTS = f"""
SELECT asked.pool_id, asked.what, found.in_use
FROM unnest(%s::bigint[], %s::text[]) AS asked (pool_id, what)
CROSS JOIN LATERAL ({count_of("asked")}) AS found
"""
_ASSERTIONS = """
SELECT used.client_key, used.jti
FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[]) AS asked (tenant_id, client_key, jti)
CROSS JOIN LATERAL (
  SELECT * FROM assertion_used AS it WHERE it.tenant_id = asked.tenant_id
  AND it.client_key = asked.client_key AND it.jti = asked.jti OFFSET 0
) AS used
"""


def parameters(
    need: Need,
    *,
    locked: Collection[int] | None,
    least_ms: int,
    now_ms: int | None = None,
    counts: Counts | None = None,
) -> dict[str, object]:
    """What a batch needs, as parameters of the one statement that loads it.

    `locked` are the tenants that the batch has locked, None for all. `now_ms` is None where the database's
    clock is to be read, and `least_ms` is the earliest value that it may give. `counts` are what options
    count, where that is known.
    """
    named = need.renewed | need.ended
    crowded = [(client_key, *key) for client_key, key in need.crowded]
    at_ms = least_ms if now_ms is None else now_ms
    bounds = need.bounds(at_ms) if counts is None else ()
    rooms = [need.room(key, at_ms) if key in need.numbers else (UNSIGNED, 0) for key in need.grants]
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
        "count_pools": numbers(bound.pool_id for bound in bounds),
        "count_names": texts(bound.what for bound in bounds),
        "count_bounds": numbers(bound.most for bound in bounds),
        "explaining": flags(bound.may_deny for bound in bounds),
        "explained": numbers(() if counts is None else need.explained(counts, at_ms)),
        "queues": numbers(need.queues),
        "with_hold": numbers(need.pools_with_hold()),
        "crowded": numbers(client_key for client_key, _, _ in crowded),
        "crowded_pools": numbers(pool_id for _, pool_id, _ in crowded),
        "crowded_holders": texts(holder for _, _, holder in crowded),
    }


class Loaded:
    """The rows that were found for a book, their moment, the version of the set-up, and the last writers."""

    def __init__(
        self,
        cursor: Cursor[tuple[Any, ...]],
        used: Iterable[tuple[int, bytes]] = (),
        counts: Counts | None = None,  # where they were known
    ) -> None:
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
        self._is_known = counts is not None
        self._counts: Counts = {} if counts is None else counts
        self._waited_for: set[int] = set()  # pools with the counts of those who wait, too
        for kind, *row in cursor:
            self._add(kind, row)

    def book(self, tenants: Mapping[int, Tenant], need: Need) -> Book:
        """The book of these rows."""
        if not self._is_known:
            for pool_id, names in need.counts.items():  # Of what is not counted yet, there is no row.
                self._counts[pool_id] = dict.fromkeys(names, 0) | self._counts.get(pool_id, {})
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
            counted=self._counted(need),
            exceeded=need.exceeded(self._counts, self.now_ms),
            places=self._places,
        )

    def add_options(
        self,
        raw: DriverConnection,
        need: Need,
        locked: Collection[int] | None,
    ) -> bool:
        """Load what the counts of options and the queues make necessary; return whether anything was.

        `locked` are the tenants of the batch, None for all.
        """
        if waiting := need.waiting(self._places):
            self._add_waiting(raw, need, waiting)
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
            for row in _COUNTING.ask(raw, asked_for):
                self._add_seat([*row], is_early=False)
        return bool(need.sweep or waiting or counting is not None)

    def _add_waiting(self, raw: DriverConnection, need: Need, waiting: Mapping[int, Collection[str]]) -> None:
        self._waited_for.update(waiting)
        for pool_id, names in waiting.items():
            before = self._counts.get(pool_id, {})  # where it is known, not to be changed
            asked = {what: before.get(what, 0) for what in need.counts.get(pool_id, ())}
            self._counts[pool_id] = asked | dict.fromkeys(names, 0)
        for pool_id, what, in_use in _load_counts(raw, waiting):
            self._counts[pool_id][what] = in_use

    def _counted(self, need: Need) -> Mapping[int, AbstractSet[str]]:
        """What is meant of the counts, where more of them are known."""
        if not self._is_known:
            return {}
        return {pool_id: names for pool_id, names in need.counts.items() if pool_id not in self._waited_for}

    def must_end_one(self, need: Need) -> bool:
        """Whether a client may have more sessions than it could keep (L8)."""
        return any(need.oldest(key, live) > 0 for key, live in self._live_sessions.items())

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
        if kind in {SEAT_ROW, EARLY}:
            self._add_seat(row, is_early=kind == EARLY)
        elif kind in {POOL, NUMBER, COUNT, IN_LINE}:
            self._add_of_pool(kind, row)
        elif kind == CLIENT:
            self._live_sessions[row[2]] = row[6]
        elif kind == MOMENT:
            self.version, self.setup_writer, self.now_ms = row[1], row[2], row[6]
            self.rows_lag = bool(row[4])
        elif kind == WRITER:
            self.writers[row[1]] = row[2]
        elif kind == EXPIRED:
            self._expired.append(to_session(row))
        else:
            session = self._sessions[row[0]] = to_session(row)
            if kind == OLDEST:
                self._started.setdefault(session.client_key, []).append(session.sid)

    def _add_of_pool(self, kind: int, row: list[Any]) -> None:
        pool_id = row[4]
        if kind == NUMBER:
            self._free.setdefault(pool_id, []).append((row[6], row[8]))
        elif kind == COUNT:
            self._counts.setdefault(pool_id, {})[row[5]] = row[6]
        elif kind == IN_LINE:
            _, tenant_id, client_key, level, _, holder, *moments = row[:-1]
            self._places.append(to_place((pool_id, holder, tenant_id, client_key, int(level), *moments)))
        else:
            self._in_use[pool_id] = row[6]
            if row[1] >= 0:
                self._numbered.append((pool_id, row[7], row[8]))


def _load_counts(raw: DriverConnection, names: Mapping[int, Collection[str]]) -> Iterable[tuple[Any, ...]]:
    pairs = [(pool_id, what) for pool_id, of_pool in names.items() for what in of_pool]
    asked = [numbers(pool_id for pool_id, _ in pairs), texts(what for _, what in pairs)]
    return raw.execute(_COUNTS.encode(), asked, prepare=True, binary=True)


def load_used(raw: DriverConnection, need: Need) -> Iterable[tuple[int, bytes]]:
    """Ask which of the assertions are used; the result is there after the pipeline's sync."""
    if not need.assertions:  # as nearly always
        return ()
    tenants, clients, hashes = zip(*need.assertions, strict=True)
    asked = [numbers(tenants), numbers(clients), byte_strings(hashes)]
    return raw.execute(_ASSERTIONS.encode(), asked, prepare=True, binary=True)


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
