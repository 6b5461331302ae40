"""Reading what the licence is used for: who holds which seats now, and what a span of time looked like.

The rules:

- What has expired is over at the moment when it expired, swept or not (L4).
- A peak is exact to the minute. Use is written only when it changes, so the last change before a span, or
  before a part of it, is carried into it.
- Seat-hours are kept by whole hours, counted from 1970 in UTC: a span has those of the hours that begin in it.
- Spans are half open, and what lies after now is left out.

It changes nothing, decides nothing, and speaks to any store through SQLAlchemy alone.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, func, select

from licet.model import EndReason, Tenant, Value
from licet.store import schema
from licet.store.journal import HOUR_MS, MINUTE_MS

# Every time zone of today is a multiple of a quarter of an hour away from UTC.
_QUARTER = 15


class LiveSession(Value, frozen=True, kw_only=True):
    """A session that lives: whose it is, and when it was begun, was last given a token, and expires."""

    sid: str
    client_id: str
    initials: str
    name: str
    scope: str
    started_at_ms: int
    renewed_at_ms: int
    expires_at_ms: int
    address: str


class SeatInUse(Value, frozen=True, kw_only=True):
    """A seat with the client and user whose grant took it, and all sessions that share it, oldest first."""

    holder: str
    client_id: str
    initials: str
    name: str
    taken_at_ms: int
    expires_at_ms: int
    sessions: tuple[LiveSession, ...]


class PoolNow(Value, frozen=True, kw_only=True):
    """A pool at one instant. One of its seats in use is free at `next_free_at_ms` at the latest."""

    pool: str
    seats: int
    in_use: int
    overuse: int
    next_free_at_ms: int | None
    expires_at_ms: int | None
    in_use_by: tuple[SeatInUse, ...]


class SeatsNow(Value, frozen=True, kw_only=True):
    """All pools of a tenant at one instant, and the sessions that need no seat."""

    tenant: str
    at_ms: int
    pools: tuple[PoolNow, ...]
    unlicensed: tuple[LiveSession, ...]


class Peak(Value, frozen=True, kw_only=True):
    """The most seats in use at once in a part of a span, those there were at its end, and the denials in it."""

    from_ms: int
    until_ms: int
    peak: int
    seats: int
    denials: int


class Held(Value, frozen=True, kw_only=True):
    """For how long a client's seats were held, together. `name` is empty when the user is no more."""

    client_id: str
    initials: str
    name: str
    held_ms: int


class Denials(Value, frozen=True, kw_only=True):
    """How often a client was denied a seat for one reason, when first and last."""

    client_id: str
    initials: str
    reason: str
    times: int
    first_at_ms: int
    last_at_ms: int


class Tally(Value, frozen=True, kw_only=True):
    """How many sessions began, and how many ended for which reason."""

    grants: int
    endings: Mapping[str, int]


class PoolUsage(Value, frozen=True, kw_only=True):
    """One pool in a span. `seats` is None when the pool is no more.

    `peak_at_ms` is the minute in which the peak was reached first; the start of the span when it was
    reached before.
    """

    pool: str
    seats: int | None
    peak: int
    peak_at_ms: int
    hours: tuple[Peak, ...]
    days: tuple[Peak, ...]
    held: tuple[Held, ...]
    denials: tuple[Denials, ...]
    sessions: Tally


class Usage(Value, frozen=True, kw_only=True):
    """All pools of a tenant in a span, and the sessions that needed no seat."""

    tenant: str
    from_ms: int
    until_ms: int
    pools: tuple[PoolUsage, ...]
    unlicensed: Tally


def seats(connection: Connection, tenant: Tenant, now_ms: int) -> SeatsNow:
    """Who holds what, as of `now_ms`."""
    of_seat: defaultdict[tuple[int, str] | None, list[LiveSession]] = defaultdict(list)
    for row in connection.execute(_live_sessions(tenant, now_ms)):
        of_seat[None if row.pool_id is None else (row.pool_id, row.holder)].append(_session(row))
    in_use: defaultdict[int, list[SeatInUse]] = defaultdict(list)
    for row in connection.execute(_live_seats(tenant, now_ms)):
        in_use[row.pool_id].append(_seat(row, of_seat[row.pool_id, row.holder]))
    pools = connection.execute(_all_of(schema.pool, tenant).order_by(schema.pool.c.name))
    return SeatsNow(
        tenant=tenant.name,
        at_ms=now_ms,
        pools=tuple(_pool_now(row, in_use[row.id]) for row in pools),
        unlicensed=tuple(of_seat[None]),
    )


def sessions(
    connection: Connection, tenant: Tenant, now_ms: int, *, client: str | None = None, user: str | None = None
) -> tuple[LiveSession, ...]:
    """The sessions that live at `now_ms`, oldest first; those of one client or user (its initials) only."""
    query = _live_sessions(tenant, now_ms)
    if client is not None:
        query = query.where(schema.client.c.client_id == client)
    if user is not None:
        query = query.where(schema.client.c.initials == user)
    return tuple(_session(row) for row in connection.execute(query))


def _all_of(table: Table, tenant: Tenant) -> Select[Any]:
    return select(table).where(table.c.tenant_id == tenant.id)


def _live_sessions(tenant: Tenant, now_ms: int) -> Select[Any]:
    session, client, user = schema.session, schema.client, schema.user
    return (
        select(session, client.c.client_id, client.c.initials, user.c.name)
        .join(client, client.c.key == session.c.client_key)
        .join(user, _same_user(client))
        .where(session.c.tenant_id == tenant.id, session.c.expires_at_ms > now_ms)
        .order_by(session.c.started_at_ms, session.c.sid)
    )


def _live_seats(tenant: Tenant, now_ms: int) -> Select[Any]:
    seat, user = schema.seat, schema.user
    return (
        select(seat, func.coalesce(user.c.name, "").label("name"))
        .outerjoin(user, _same_user(seat))
        .where(seat.c.tenant_id == tenant.id, seat.c.expires_at_ms > now_ms)
        .order_by(seat.c.taken_at_ms, seat.c.holder)
    )


def _same_user(table: Table) -> ColumnElement[bool]:
    return (schema.user.c.tenant_id == table.c.tenant_id) & (schema.user.c.initials == table.c.initials)


def _session(row: Row[Any]) -> LiveSession:
    return LiveSession(
        sid=row.sid.hex(),
        client_id=row.client_id,
        initials=row.initials,
        name=row.name,
        scope=row.scope,
        started_at_ms=row.started_at_ms,
        renewed_at_ms=row.renewed_at_ms,
        expires_at_ms=row.expires_at_ms,
        address=row.address,
    )


def _seat(row: Row[Any], sharing: list[LiveSession]) -> SeatInUse:
    return SeatInUse(
        holder=row.holder,
        client_id=row.client_id,
        initials=row.initials,
        name=row.name,
        taken_at_ms=row.taken_at_ms,
        expires_at_ms=row.expires_at_ms,
        sessions=tuple(sharing),
    )


def _pool_now(row: Row[Any], in_use_by: list[SeatInUse]) -> PoolNow:
    return PoolNow(
        pool=row.name,
        seats=row.seats,
        in_use=len(in_use_by),
        overuse=max(0, len(in_use_by) - row.seats),
        next_free_at_ms=min((seat.expires_at_ms for seat in in_use_by), default=None),
        expires_at_ms=row.expires_at_ms,
        in_use_by=tuple(in_use_by),
    )


def usage(
    connection: Connection,
    tenant: Tenant,
    from_ms: int,
    until_ms: int,
    *,
    now_ms: int,
    zone: tzinfo | None = UTC,
) -> Usage:
    """What happened from `from_ms` until `until_ms`, or until now when that is earlier.

    Days and hours begin by the clocks of `zone`; None is the zone of this machine.
    """
    span = _Span(connection, tenant.id, from_ms, min(until_ms, now_ms + 1), now_ms, zone)
    pools = {row.name: row for row in connection.execute(_all_of(schema.pool, tenant))}
    entries = span.journal()
    names = {*pools, *span.pools_held(), *(row.pool for row in entries)} - {""}
    return Usage(
        tenant=tenant.name,
        from_ms=from_ms,
        until_ms=min(until_ms, now_ms),
        pools=tuple(_pool_usage(span, name, pools.get(name), entries) for name in sorted(names)),
        unlicensed=_tally(entries, "", span.expired_sessions(None)),
    )


class _Step(NamedTuple):
    """Use changed: the most at once in this minute, and what was in use at its end."""

    minute: int
    peak: int
    in_use: int
    seats: int


class _Span(NamedTuple):
    """What is read of one tenant in a span. One that reaches up to now includes this very millisecond."""

    connection: Connection
    tenant_id: int
    from_ms: int
    until_ms: int
    now_ms: int
    zone: tzinfo | None

    @property
    def minutes(self) -> range:
        return range(self.from_ms // MINUTE_MS, -(-self.until_ms // MINUTE_MS))

    @property
    def hours(self) -> range:
        """Those that begin in it."""
        return range(-(-self.from_ms // HOUR_MS), -(-self.until_ms // HOUR_MS))

    def includes(self, at_ms: int) -> bool:
        return self.from_ms <= at_ms < self.until_ms

    def edges(self, floor: Callable[[int, tzinfo | None], int], step_ms: int) -> list[int]:
        """Where its parts begin, and its end. From the begin of one part, a step leads into the next."""
        edges = [self.from_ms]
        at_ms = floor(self.from_ms, self.zone)
        while (at_ms := floor(at_ms + step_ms, self.zone)) < self.until_ms:
            edges.append(at_ms)
        return [*edges, self.until_ms] if self.from_ms < self.until_ms else []

    def journal(self) -> Sequence[Row[Any]]:
        """What happened, folded over all of the span."""
        it = schema.journal.c
        key = (it.pool, it.kind, it.reason, it.client_id, it.initials)
        return self._all(
            select(
                *key,
                func.sum(it.times).label("times"),
                func.min(it.first_at_ms).label("first_at_ms"),
                func.max(it.last_at_ms).label("last_at_ms"),
            )
            .where(self._mine(schema.journal), self._in(it.minute, self.minutes))
            .group_by(*key)
        )

    def denied(self, pool: str) -> Sequence[Row[Any]]:
        """How many grants were denied, by quarters of an hour."""
        it = schema.journal.c
        quarter = (it.minute // _QUARTER).label("quarter")
        return self._all(
            select(quarter, func.max(it.minute).label("minute"), func.sum(it.times).label("times"))
            .where(self._mine(schema.journal), self._in(it.minute, self.minutes))
            .where(it.kind == "denied", it.pool == pool)
            .group_by(quarter)
        )

    def pools_held(self) -> set[str]:
        """Those of which seats came back that were held in this span."""
        it = schema.usage_hour.c
        query = select(it.pool).distinct().where(self._mine(schema.usage_hour))
        return {row.pool for row in self._all(query.where(self._in(it.hour, self.hours)))}

    def held(self, pool: str) -> Sequence[Row[Any]]:
        """For how long seats were held that came back."""
        it = schema.usage_hour.c
        key = (it.client_id, it.initials)
        return self._all(
            select(*key, func.sum(it.held_ms).label("held_ms"))
            .where(self._mine(schema.usage_hour), it.pool == pool, self._in(it.hour, self.hours))
            .group_by(*key)
        )

    def taken(self, pool_id: int) -> Sequence[Row[Any]]:
        """The seats that did not come back yet, though they may have expired, the first to expire first."""
        seat = schema.seat
        return self._all(select(seat).where(seat.c.pool_id == pool_id).order_by(seat.c.expires_at_ms))

    def steps(self, pool: str) -> list[_Step]:
        """How use changed, by quarters of an hour."""
        table, it = schema.usage_minute, schema.usage_minute.c
        quarter = (it.minute // _QUARTER).label("quarter")
        top = (
            select(quarter, func.max(it.minute).label("last"), func.max(it.peak).label("peak"))
            .where(self._mine(table), it.pool == pool, self._in(it.minute, self.minutes))
            .group_by(quarter)
            .subquery()
        )
        rows = self._all(
            select(it.minute, top.c.peak, it.in_use, it.seats)
            .join(top, it.minute == top.c.last)
            .where(self._mine(table), it.pool == pool)
            .order_by(it.minute)
        )
        return [_Step(*row) for row in rows]

    def last_before(self, pool: str) -> Row[Any] | None:
        """How many seats were in use when use last changed before the span."""
        table, it = schema.usage_minute, schema.usage_minute.c
        query = select(it.in_use, it.seats).where(self._mine(table), it.pool == pool)
        return self.connection.execute(
            query.where(it.minute < self.minutes.start).order_by(it.minute.desc()).limit(1)
        ).first()

    def first_with(self, pool: str, peak: int) -> int | None:
        """The first minute of the span with this peak."""
        it = schema.usage_minute.c
        return self.connection.execute(
            select(func.min(it.minute))
            .where(self._mine(schema.usage_minute), it.pool == pool, it.peak >= peak)
            .where(self._in(it.minute, self.minutes))
        ).scalar()

    def expired_sessions(self, pool_id: int | None) -> int:
        """How many sessions expired in the span that the journal does not know of yet."""
        it = schema.session.c
        return self.connection.execute(
            select(func.count())
            .select_from(schema.session)
            .where(self._mine(schema.session), it.pool_id.is_not_distinct_from(pool_id))
            .where(it.expires_at_ms >= self.from_ms, it.expires_at_ms < self.until_ms)
            .where(it.expires_at_ms <= self.now_ms)
        ).scalar_one()

    def user_names(self) -> dict[str, str]:
        user = schema.user
        query = select(user.c.initials, user.c.name).where(self._mine(user))
        return {row.initials: row.name for row in self._all(query)}

    def _mine(self, table: Table) -> ColumnElement[bool]:
        return table.c.tenant_id == self.tenant_id

    def _in(self, column: ColumnElement[int], units: range) -> ColumnElement[bool]:
        return (column >= units.start) & (column < units.stop)

    def _all(self, query: Select[Any]) -> Sequence[Row[Any]]:
        return self.connection.execute(query).all()


def _hour_of(at_ms: int, zone: tzinfo | None) -> int:
    local = datetime.fromtimestamp(at_ms // 1000, zone)
    return round(local.replace(minute=0, second=0).timestamp()) * 1000


def _day_of(at_ms: int, zone: tzinfo | None) -> int:
    local = datetime.fromtimestamp(at_ms // 1000, zone)
    return round(local.replace(hour=0, minute=0, second=0, fold=0).timestamp()) * 1000


def _pool_usage(span: _Span, name: str, pool: Row[Any] | None, entries: Sequence[Row[Any]]) -> PoolUsage:
    taken = span.taken(pool.id) if pool else ()
    timeline = _timeline(span, name, pool, taken)
    denied = span.denied(name)
    # A day and a half after midnight it is the next day, however the clocks are changed.
    days = _parts(span, span.edges(_day_of, 36 * HOUR_MS), timeline, denied)
    peak = max((part.peak for part in days), default=0)
    first = span.first_with(name, peak)
    return PoolUsage(
        pool=name,
        seats=pool.seats if pool else None,
        peak=peak,
        peak_at_ms=span.from_ms if first is None or timeline[0].in_use >= peak else first * MINUTE_MS,
        hours=_parts(span, span.edges(_hour_of, HOUR_MS), timeline, denied),
        days=days,
        held=_held(span, name, taken),
        denials=_denials(entries, name),
        sessions=_tally(entries, name, span.expired_sessions(pool.id) if pool else 0),
    )


def _timeline(span: _Span, name: str, pool: Row[Any] | None, taken: Sequence[Row[Any]]) -> list[_Step]:
    """How use changed, what was in use before the span at the front.

    Seats that expired and were not swept yet did so after everything that was written about their pool.
    """
    steps = [_before(span, name, pool, taken), *span.steps(name)]
    for seat in taken:
        if seat.expires_at_ms <= span.now_ms and span.includes(seat.expires_at_ms):
            last = steps[-1]
            minute = max(last.minute, seat.expires_at_ms // MINUTE_MS)
            steps.append(_Step(minute, last.in_use, max(0, last.in_use - 1), last.seats))
    if pool and span.includes(span.now_ms):
        live = sum(seat.expires_at_ms > span.now_ms for seat in taken)
        steps.append(_Step(max(steps[-1].minute, span.now_ms // MINUTE_MS), live, live, pool.seats))
    return steps


def _before(span: _Span, name: str, pool: Row[Any] | None, taken: Sequence[Row[Any]]) -> _Step:
    """What was in use when the span began."""
    row = span.last_before(name)
    if row is not None:
        expired = sum(seat.expires_at_ms < span.from_ms for seat in taken)
        in_use, seats = max(0, row.in_use - expired), row.seats
    else:  # Nothing was written, or it was so long ago that it is no longer kept.
        in_use = sum(seat.taken_at_ms < span.from_ms <= seat.expires_at_ms for seat in taken)
        seats = pool.seats if pool else 0
    return _Step(span.minutes.start - 1, in_use, in_use, seats)


def _parts(
    span: _Span, edges: Sequence[int], timeline: Sequence[_Step], denied: Iterable[Row[Any]]
) -> tuple[Peak, ...]:
    parts = []
    at = 0
    for from_ms, until_ms in pairwise(edges):
        minutes = range(from_ms // MINUTE_MS, -(-until_ms // MINUTE_MS))
        peak = timeline[at].in_use
        while at + 1 < len(timeline) and timeline[at + 1].minute < minutes.stop:
            at += 1
            peak = max(peak, timeline[at].peak)
        parts.append(
            Peak(
                from_ms=from_ms,
                until_ms=min(until_ms, span.now_ms),
                peak=peak,
                seats=timeline[at].seats,
                denials=sum(int(row.times) for row in denied if row.minute in minutes),
            )
        )
    return tuple(parts)


def _held(span: _Span, name: str, taken: Iterable[Row[Any]]) -> tuple[Held, ...]:
    """Who held seats for how long, the longest first."""
    held = Counter({(row.client_id, row.initials): int(row.held_ms) for row in span.held(name)})
    begin_ms, end_ms = span.hours.start * HOUR_MS, min(span.hours.stop * HOUR_MS, span.now_ms)
    for seat in taken:
        from_ms, until_ms = max(seat.taken_at_ms, begin_ms), min(seat.expires_at_ms, end_ms)
        if from_ms < until_ms:
            held[seat.client_id, seat.initials] += until_ms - from_ms
    names = span.user_names()
    return tuple(
        Held(client_id=client_id, initials=initials, name=names.get(initials, ""), held_ms=held_ms)
        for (client_id, initials), held_ms in held.most_common()
    )


def _denials(entries: Iterable[Row[Any]], pool: str) -> tuple[Denials, ...]:
    """Who was denied how often, the most often first."""
    denials = [
        Denials(
            client_id=row.client_id,
            initials=row.initials,
            reason=row.reason,
            times=int(row.times),
            first_at_ms=row.first_at_ms,
            last_at_ms=row.last_at_ms,
        )
        for row in entries
        if row.pool == pool and row.kind == "denied"
    ]
    return tuple(sorted(denials, key=lambda it: (-it.times, it.client_id, it.reason)))


def _tally(entries: Iterable[Row[Any]], pool: str, expired: int) -> Tally:
    of_kind: Mapping[str, Counter[str]] = {kind: Counter() for kind in ("granted", "denied", "ended")}
    for row in entries:
        if row.pool == pool:
            of_kind[row.kind][row.reason] += int(row.times)
    if expired:
        of_kind["ended"][EndReason.EXPIRED] += expired
    return Tally(grants=of_kind["granted"].total(), endings=dict(of_kind["ended"].most_common()))
