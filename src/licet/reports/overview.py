"""Reads a summary of every tenant: its pools now and over the last 24 hours, sessions, today's denials.

The number of queries is the same for one tenant and for a page of 500 of them. A seat that has expired is
free from that instant on, swept or not (L4). The module only reads.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, Row, ScalarSelect, Select, Table, func, select

from licet.journal.summary import QUARTER, summed_until_ms
from licet.model import Tenant, Value
from licet.reports.effective_seats import effective_seats
from licet.reports.options.now import NOTHING, options_now
from licet.reports.seats_on_hold import has_hold, seats_on_hold
from licet.reports.usage_queries import day_of
from licet.store import schema
from licet.store.paging import LIMIT, bounded, read_cursor, write_cursor
from licet.store.seats_now import EXPIRES_AT_MS, is_over, lives
from licet.units import DAY_MS, MINUTE_MS, QUARTER_MS


class Point(Value, frozen=True, kw_only=True):
    """A quarter of an hour from `at_ms` on: the most seats in use at once, and the seats of the pool."""

    at_ms: int
    peak: int
    seats: int


class ScopeSessions(Value, frozen=True, kw_only=True):
    """How many sessions of a scope are alive. Those that need no seat are not `licensed`."""

    scope: str
    licensed: bool
    sessions: int


class PoolOverview(Value, frozen=True, kw_only=True):
    """A pool at one instant, and its last 24 hours.

    `peak` is today's, first reached in the minute of `peak_at_ms` (None when nothing was in use today). One
    of its seats is free at `next_free_at_ms` at the latest (None when none is in use). `points` are the
    quarters of an hour of the last 24 hours, the oldest first. `overdraft` is above its seats (L14); of
    these, `reserved` are for some alone (L17). `waiting` clients stand in line (L19).
    """

    pool: str
    seats: int
    overdraft: int
    in_use: int
    on_hold: int
    overuse: int
    reserved: int
    reserved_in_use: int
    waiting: int
    peak: int
    peak_at_ms: int | None
    denials: int
    next_free_at_ms: int | None
    expires_at_ms: int | None
    sessions: int
    points: tuple[Point, ...]


class TenantOverview(Value, frozen=True, kw_only=True):
    """A tenant at one instant: today's `denials` of all pools, and `unlicensed`, the sessions without a seat.

    `failures` are today's failed authentications.
    """

    id: int
    tenant: str
    pools: tuple[PoolOverview, ...]
    sessions: tuple[ScopeSessions, ...]
    unlicensed: int
    denials: int
    failures: int


class Overview(Value, frozen=True, kw_only=True):
    """A page of tenants by name; `next` is the cursor of the next page, None at the end."""

    at_ms: int
    tenants: tuple[TenantOverview, ...]
    next: str | None


def overview(
    connection: Connection,
    now_ms: int,
    *,
    tenant_id: int | None = None,
    matching: str = "",
    zone: tzinfo | None = UTC,
    after: str | None = None,
    limit: int = LIMIT,
    known: Callable[[str], Tenant | None] = lambda _: None,
) -> Overview:
    """All tenants, or the one of `tenant_id`; those with `matching` in their name, whatever the case.

    Today begins at midnight by the clocks of `zone`; None is the zone of this machine. `after` is the cursor
    of the page before. `known` is a tenant of this name as it was read, with what is signed
    for its pools (L13). Raises InvalidCursor.
    """
    limit = bounded(limit)
    tenants = connection.execute(_tenants(tenant_id, matching, after).limit(limit + 1)).all()
    shown = tenants[:limit]
    tenants_known = {row.id: known(row.name) for row in shown}
    read = _Reading(connection, [row.id for row in shown], now_ms, day_of(now_ms, zone), tenants_known)
    return Overview(
        at_ms=now_ms,
        tenants=tuple(read.tenant(row) for row in shown),
        next=write_cursor(shown[-1].name) if len(tenants) > limit else None,
    )


def _tenants(tenant_id: int | None, matching: str, after: str | None) -> Select[Any]:
    tenant = schema.tenant.c
    query = select(tenant.id, tenant.name).where(schema.is_there).order_by(tenant.name)
    if tenant_id is not None:
        query = query.where(tenant.id == tenant_id)
    if matching:
        query = query.where(func.lower(tenant.name).contains(matching.lower(), autoescape=True))
    if after is not None:
        [name] = read_cursor(after, tuple[str])
        query = query.where(tenant.name > name)
    return query


class _Change(NamedTuple):
    """Use of a pool in a quarter of an hour in which it changed."""

    quarter: int
    peak: int
    in_use: int
    seats: int


class _Reading:
    """Reads some tenants: one query for each kind of row, however many tenants there are."""

    def __init__(
        self,
        connection: Connection,
        ids: Collection[int],
        now_ms: int,
        today_ms: int,
        known: Mapping[int, Tenant | None],
    ) -> None:
        self._connection = connection
        self._known = known
        self._ids = sorted(ids)
        self._now_ms = now_ms
        self._today_ms = today_ms
        self._quarters = range((now_ms - DAY_MS) // QUARTER_MS, now_ms // QUARTER_MS + 1)
        self._pools = _by(self._rows(self._query_pools()), "tenant_id")
        self._expired = _by(self._rows(self._query_expired()), "pool_id")
        self._sessions = _by(self._rows(self._query_sessions()), "tenant_id")
        have_hold = any(has_hold(pool) for pools in self._pools.values() for pool in pools)
        self._on_hold = seats_on_hold(connection, now_ms, self._mine(schema.pool)) if have_hold else {}
        self._options = options_now(connection, known.values(), now_ms)
        self._denied = {(row.tenant_id, row.pool): int(row.times) for row in self._rows(self._query_denied())}
        self._failed = {row.tenant_id: int(row.times) for row in self._rows(self._query_failed())}
        self._top = {(row.tenant_id, row.pool): row for row in self._rows(self._query_top())}
        self._changes = self._read_changes()

    def tenant(self, row: Row[Any]) -> TenantOverview:
        """The overview of one tenant."""
        pools = tuple(self._pool(pool) for pool in self._pools[row.id])
        sessions = self._by_scope(row.id)
        return TenantOverview(
            id=row.id,
            tenant=row.name,
            pools=pools,
            sessions=sessions,
            unlicensed=sum(session.sessions for session in sessions if not session.licensed),
            denials=sum(pool.denials for pool in pools),
            failures=self._failed.get(row.id, 0),
        )

    def _by_scope(self, tenant_id: int) -> tuple[ScopeSessions, ...]:
        """The licensed scopes first, then by the number of sessions."""
        counted: defaultdict[tuple[bool, str], int] = defaultdict(int)
        for session in self._sessions[tenant_id]:
            counted[session.pool_id is not None, session.scope] += session.sessions
        found = (
            ScopeSessions(scope=scope, licensed=licensed, sessions=sessions)
            for (licensed, scope), sessions in counted.items()
        )
        return tuple(sorted(found, key=lambda scope: (not scope.licensed, -scope.sessions, scope.scope)))

    def _pool(self, row: Row[Any]) -> PoolOverview:
        key = (row.tenant_id, row.name)
        expired = self._expired[row.id]
        in_use = row.in_use - len(expired)
        has = effective_seats(row, self._known.get(row.tenant_id), self._now_ms)
        options = self._options.get(row.id, NOTHING)
        points, carried = self._points(row, expired, in_use, has.seats)
        top = self._top.get(key)
        peak, peak_at_ms = (top.peak, top.minute * MINUTE_MS) if top else (0, None)
        if carried and carried >= peak:
            peak, peak_at_ms = carried, self._today_ms
        return PoolOverview(
            pool=row.name,
            seats=has.seats,
            overdraft=has.overdraft,
            in_use=in_use,
            on_hold=self._on_hold.get(row.id, 0),
            overuse=has.overuse(in_use),
            reserved=options.reserved,
            reserved_in_use=options.reserved_in_use,
            waiting=options.waiting,
            peak=peak,
            peak_at_ms=peak_at_ms if peak else None,
            denials=self._denied.get(key, 0),
            next_free_at_ms=row.next_free_at_ms,
            expires_at_ms=row.expires_at_ms,
            sessions=sum(
                session.sessions for session in self._sessions[row.tenant_id] if session.pool_id == row.id
            ),
            points=points,
        )

    def _points(
        self, row: Row[Any], expired: Sequence[Row[Any]], in_use: int, seats_now: int
    ) -> tuple[tuple[Point, ...], int]:
        """The quarters of the last 24 hours, and what was in use when today began.

        Seats that expired and are not swept yet expired after the last row of their pool.
        """
        changes = {counted.quarter: counted for counted in self._changes.get((row.tenant_id, row.name), ())}
        gone = [pool.expires_at_ms // QUARTER_MS for pool in expired]
        now, seats = row.before_in_use, row.before_seats
        if now is None:
            now, seats = (0, seats_now) if changes else (row.in_use, seats_now)
        now -= sum(quarter < self._quarters.start for quarter in gone)
        points: list[Point] = []
        carried = now if self._today_ms // QUARTER_MS < self._quarters.start else 0
        for quarter in self._quarters:
            if quarter == self._today_ms // QUARTER_MS:
                carried = now
            peak = now
            if (change := changes.get(quarter)) is not None:
                peak, now, seats = max(peak, change.peak), change.in_use, change.seats
            now -= sum(ended == quarter for ended in gone)
            points.append(Point(at_ms=quarter * QUARTER_MS, peak=max(0, peak), seats=seats))
        last = points[-1]
        points[-1] = Point(at_ms=last.at_ms, peak=max(last.peak, in_use), seats=seats_now)
        return tuple(points), max(0, carried)

    def _query_pools(self) -> Select[Any]:
        """The pools, when their next seats are free, and what was in use when the last 24 hours began."""
        pool, seat = schema.pool, schema.seat
        next_free = (
            select(func.min(EXPIRES_AT_MS))
            .where(seat.c.pool_id == pool.c.id, lives(self._now_ms))
            .scalar_subquery()
        )
        minute, summed, first = schema.usage_minute, schema.usage_summary, self._quarters.start
        before = (
            func.coalesce(
                _last_before(minute, minute.c.minute, first * QUARTER, name),
                _last_before(summed, summed.c.quarter, first, name),  # where minutes are kept for only a day
            ).label(f"before_{name}")
            for name in ("in_use", "seats")
        )
        token_format = (
            select(schema.tenant.c.token_format)
            .where(schema.tenant.c.id == pool.c.tenant_id)
            .scalar_subquery()
            .label("token_format")
        )
        query = select(pool, next_free.label("next_free_at_ms"), token_format, *before)
        return query.where(self._mine(pool)).order_by(pool.c.name)

    def _query_expired(self) -> Select[Any]:
        """The seats that have expired and are not swept yet."""
        pool, seat = schema.pool, schema.seat
        return (
            select(seat.c.pool_id, EXPIRES_AT_MS.label("expires_at_ms"))
            .join_from(pool, seat, seat.c.pool_id == pool.c.id)
            .where(self._mine(pool), is_over(self._now_ms))
        )

    def _query_sessions(self) -> Select[Any]:
        """How many sessions are alive, by scope and pool, found by the index of each client's sessions."""
        return _live_sessions(self._mine(schema.client), self._now_ms)

    def _query_denied(self) -> Select[Any]:
        entry = schema.whole_denials.c
        return (
            select(entry.tenant_id, entry.pool, func.sum(entry.times).label("times"))
            .where(self._mine(schema.whole_denials))
            .where(entry.minute >= self._today_ms // MINUTE_MS, entry.last_at_ms >= self._today_ms)
            .group_by(entry.tenant_id, entry.pool)
        )

    def _query_failed(self) -> Select[Any]:
        failure = schema.authentication_failure.c
        return (
            select(failure.tenant_id, func.sum(failure.times).label("times"))
            .where(self._mine(schema.authentication_failure))
            .where(failure.minute >= self._today_ms // MINUTE_MS, failure.last_at_ms >= self._today_ms)
            .group_by(failure.tenant_id)
        )

    def _query_top(self) -> Select[Any]:
        """The highest peak of today, and its first minute."""
        usage = schema.usage_minute.c
        pool = schema.pool
        rank = func.row_number().over(partition_by=pool.c.id, order_by=(usage.peak.desc(), usage.minute))
        ranked = (
            select(usage.tenant_id, usage.pool, usage.peak, usage.minute, rank.label("rank"))
            .join_from(pool, schema.usage_minute, _same_pool(schema.usage_minute))
            .where(self._mine(pool), usage.minute >= self._today_ms // MINUTE_MS)
            .subquery()
        )
        return select(ranked).where(ranked.c.rank == 1)

    def _read_changes(self) -> dict[tuple[int, str], list[_Change]]:
        """How use changed in the last 24 hours: from the sums as far as they go, then from the minutes."""
        summed = (summed_until_ms(self._connection) or 0) // QUARTER_MS
        first = min(max(self._quarters.start, summed), self._quarters.stop)
        changes: defaultdict[tuple[int, str], list[_Change]] = defaultdict(list)
        sums = schema.usage_summary
        for query in (
            select(sums)
            .join_from(schema.pool, sums, _same_pool(sums))
            .where(sums.c.quarter >= self._quarters.start, sums.c.quarter < first),
            self._query_minutes(first),
        ):
            for row in self._rows(query.where(self._mine(schema.pool))):
                changes[row.tenant_id, row.pool].append(_Change(row.quarter, row.peak, row.in_use, row.seats))
        return changes

    def _query_minutes(self, first: int) -> Select[Any]:
        minute, pool = schema.usage_minute, schema.pool
        usage = minute.c
        top = (
            select(pool.c.tenant_id, pool.c.name.label("pool"), (usage.minute // QUARTER).label("quarter"))
            .add_columns(func.max(usage.minute).label("last"), func.max(usage.peak).label("peak"))
            .join_from(pool, minute, _same_pool(minute))
            .where(self._mine(pool), usage.minute >= first * QUARTER)
            .group_by(pool.c.id, "quarter")
            .subquery()
        )
        same = (
            (usage.tenant_id == top.c.tenant_id) & (usage.pool == top.c.pool) & (usage.minute == top.c.last)
        )
        return (
            select(usage.tenant_id, usage.pool, top.c.quarter, top.c.peak, usage.in_use, usage.seats)
            .join_from(top, minute, same)
            .join(pool, _same_pool(minute))
        )

    def _mine(self, table: FromClause) -> ColumnElement[bool]:
        return table.c.tenant_id.in_(self._ids)

    def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        return self._connection.execute(query).all()


def sessions_of_pools(connection: Connection, tenant_id: int, now_ms: int) -> dict[int, int]:
    """How many sessions of a tenant are alive on seats of each pool, by the pool's id."""
    found: defaultdict[int, int] = defaultdict(int)
    for session in connection.execute(_live_sessions(schema.client.c.tenant_id == tenant_id, now_ms)):
        if session.pool_id is not None:
            found[session.pool_id] += session.sessions
    return dict(found)


def _live_sessions(of_client: ColumnElement[bool], now_ms: int) -> Select[Any]:
    client, session = schema.client, schema.session.c
    by = (session.tenant_id, session.scope, session.pool_id)
    return (
        select(*by, func.count().label("sessions"))
        .join_from(client, schema.session, session.client_key == client.c.key)
        .where(of_client, session.expires_at_ms > now_ms)
        .group_by(*by)
    )


def _last_before(table: Table, unit: ColumnElement[int], first: int, name: str) -> ScalarSelect[Any]:
    """A column of the last row of a pool before this minute or quarter."""
    query = select(table.c[name]).where(_same_pool(table), unit < first)
    return query.order_by(unit.desc()).limit(1).correlate(schema.pool).scalar_subquery()


def _same_pool(table: Table) -> ColumnElement[bool]:
    # Without an index of the pools: else SQLite reads all rows of the tenants, and looks up the pool of each.
    tenant_id, name = schema.pool.c.tenant_id + 0, schema.pool.c.name.concat("")
    return (table.c.tenant_id == tenant_id) & (table.c.pool == name)


def _by(rows: Iterable[Row[Any]], name: str) -> defaultdict[Any, list[Row[Any]]]:
    """The rows, by one of their columns."""
    found: defaultdict[Any, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[getattr(row, name)].append(row)
    return found
