"""Reading what the licence is used for: who holds which seats now, and what a span of time looked like.

The rules:

- What has expired is over at the moment when it expired, swept or not (L4).
- A peak is exact to the minute. Use is written only when it changes, so the last change before a span, or
  before a part of it, is carried into it.
- Seat-hours are kept by whole hours of UTC: a span has those of the hours that begin in it.
- Spans are half open, begin with a whole minute, and end now at the latest.

It changes nothing, decides nothing, and speaks to any store through SQLAlchemy alone.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from itertools import pairwise
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, func, select

from licet.model import EndReason, Tenant, Value
from licet.store import schema
from licet.store.journal import HOUR_MS, MINUTE_MS
from licet.store.span import Span, Step, day_of, hour_of


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
    """A part of a span: the most seats in use at once, how many there were at its end, and the denials."""

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
    from_ms -= from_ms % MINUTE_MS
    end_ms = until_ms if until_ms < now_ms else now_ms + 1
    span = Span(connection, tenant.id, from_ms, end_ms, now_ms, zone)
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


def _pool_usage(span: Span, name: str, pool: Row[Any] | None, entries: Sequence[Row[Any]]) -> PoolUsage:
    taken = span.taken(pool.id) if pool else ()
    timeline = _timeline(span, name, pool, taken)
    denied = span.denied(name)
    # A day and a half after midnight it is the next day, however the clocks are changed.
    days = _parts(span, span.edges(day_of, 36 * HOUR_MS), timeline, denied)
    peak = max((part.peak for part in days), default=0)
    first = span.first_with(name, peak)
    return PoolUsage(
        pool=name,
        seats=pool.seats if pool else None,
        peak=peak,
        peak_at_ms=span.from_ms if first is None or timeline[0].in_use >= peak else first * MINUTE_MS,
        hours=_parts(span, span.edges(hour_of, HOUR_MS), timeline, denied),
        days=days,
        held=_held(span, name, taken),
        denials=_denials(entries, name),
        sessions=_tally(entries, name, span.expired_sessions(pool.id) if pool else 0),
    )


def _timeline(span: Span, name: str, pool: Row[Any] | None, taken: Sequence[Row[Any]]) -> list[Step]:
    """How use changed, what was in use before the span at the front.

    Seats that expired and were not swept yet did so after everything that was written about their pool.
    """
    steps = [_before(span, name, pool, taken), *span.steps(name)]
    for seat in taken:
        if seat.expires_at_ms <= span.now_ms and span.includes(seat.expires_at_ms):
            last = steps[-1]
            minute = max(last.minute, seat.expires_at_ms // MINUTE_MS)
            steps.append(Step(minute, last.in_use, max(0, last.in_use - 1), last.seats))
    if pool and span.includes(span.now_ms):
        live = sum(seat.expires_at_ms > span.now_ms for seat in taken)
        steps.append(Step(max(steps[-1].minute, span.now_ms // MINUTE_MS), live, live, pool.seats))
    return steps


def _before(span: Span, name: str, pool: Row[Any] | None, taken: Sequence[Row[Any]]) -> Step:
    """What was in use when the span began."""
    row = span.last_before(name)
    if row is not None:
        expired = sum(seat.expires_at_ms < span.from_ms for seat in taken)
        in_use, seats = max(0, row.in_use - expired), row.seats
    else:  # Nothing was written, or it was so long ago that it is no longer kept.
        in_use = sum(seat.taken_at_ms < span.from_ms <= seat.expires_at_ms for seat in taken)
        seats = pool.seats if pool else 0
    return Step(span.minutes.start - 1, in_use, in_use, seats)


def _parts(
    span: Span, edges: Sequence[int], timeline: Sequence[Step], denied: Iterable[Row[Any]]
) -> tuple[Peak, ...]:
    """What the parts of a span between these edges looked like."""
    begins = [edge_ms // MINUTE_MS for edge_ms in edges[:-1]]
    denials: Counter[int] = Counter()
    for row in denied:
        denials[bisect_right(begins, row.minute) - 1] += int(row.times)
    parts = []
    at = 0
    for part, (from_ms, until_ms) in enumerate(pairwise(edges)):
        peak = timeline[at].in_use
        while at + 1 < len(timeline) and timeline[at + 1].minute * MINUTE_MS < until_ms:
            at += 1
            peak = max(peak, timeline[at].peak)
        parts.append(
            Peak(
                from_ms=from_ms,
                until_ms=min(until_ms, span.now_ms),
                peak=peak,
                seats=timeline[at].seats,
                denials=denials[part],
            )
        )
    return tuple(parts)


def _held(span: Span, name: str, taken: Iterable[Row[Any]]) -> tuple[Held, ...]:
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
