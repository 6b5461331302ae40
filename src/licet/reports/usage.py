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
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import pairwise
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, func, or_, select

from licet.journal.summary import QUARTER
from licet.model import Duplicates, EndReason, NoSeatReason, Tenant, Value
from licet.reports.period import DeniedClient, Span, Step, day_of, hour_of
from licet.reports.period import Session as SessionKey
from licet.reports.seats_needed import SPARED, seats_needed
from licet.seat_sources import addresses
from licet.store import schema
from licet.store.journal_rows import HOUR_MS, MINUTE_MS, idle_since

_HOURS_TOLD, _DAYS_TOLD = 48, 92  # a longer span is told in days, and in months
_DAYS_A_MONTH = 30.44


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
    """A seat, who took it, and the sessions that share it, oldest first; without one it is on hold.

    `addresses` is how many asked for its tokens in a day: 17 is more than 16, 0 is not known.
    """

    holder: str
    client_id: str
    initials: str
    name: str
    taken_at_ms: int
    issued_at_ms: int
    expires_at_ms: int
    addresses: int
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
    """For how long a client's seats were held, together. `name` is empty when the user is no more.

    `idle_ms` of that passed between the last token of a seat and its return.
    """

    client_id: str
    initials: str
    name: str
    held_ms: int
    idle_ms: int


class HeldByUser(Value, frozen=True, kw_only=True):
    """The same of all clients of a user."""

    initials: str
    name: str
    held_ms: int
    idle_ms: int


class HeatCell(Value, frozen=True, kw_only=True):
    """One hour of the week, by the reader's clock: Monday is 0. Only those that the span has are told.

    `mean` is the mean of the peaks of these hours, `peak` the highest of them.
    """

    weekday: int
    hour: int
    mean: float
    peak: int
    denials: int


class Remaining(Value, frozen=True, kw_only=True):
    """The denials that would have remained if the pool had had so many seats."""

    seats: int
    denials: int


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

    `peak` is the high-water mark, and `peak_at_ms` the minute in which it was reached first; the start of the
    span when it was reached before. `remaining` begins with the seats there are, and ends where no more seats
    would have helped: see `with_seats`.
    """

    pool: str
    seats: int | None
    peak: int
    peak_at_ms: int
    hours: tuple[Peak, ...]
    days: tuple[Peak, ...]
    heat: tuple[HeatCell, ...]
    held_ms: int
    idle_ms: int
    held: tuple[Held, ...]
    users: tuple[HeldByUser, ...]
    denials: tuple[Denials, ...]
    remaining: tuple[Remaining, ...]
    sessions: Tally

    @property
    def denied(self) -> int:
        """How many denials there were."""
        return sum(it.times for it in self.denials)

    @property
    def idle_share(self) -> float:
        """How much of the time in which seats were held they were idle: 0 to 1."""
        return self.idle_ms / self.held_ms if self.held_ms else 0.0


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
    connection: Connection,
    tenant: Tenant,
    now_ms: int,
    *,
    sid: bytes | None = None,
    client: str | None = None,
    user: str | None = None,
    after: tuple[int, bytes] | None = None,
    limit: int | None = None,
) -> tuple[LiveSession, ...]:
    """The sessions that live at `now_ms`, oldest first; those of one client or user (its initials) only.

    A page of them begins behind `after`, the start and sid of a session.
    """
    session = schema.session.c
    query = _live_sessions(tenant, now_ms).limit(limit)
    if sid is not None:
        query = query.where(session.sid == sid)
    if after is not None:
        started_at_ms, last = after
        same = and_(session.started_at_ms == started_at_ms, session.sid > last)
        query = query.where(or_(session.started_at_ms > started_at_ms, same))
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
        # Of the client, too: sessions have an index by their client, and none by their tenant.
        .where(client.c.tenant_id == tenant.id, session.c.tenant_id == tenant.id)
        .where(session.c.expires_at_ms > now_ms)
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
        issued_at_ms=row.issued_at_ms or row.taken_at_ms,
        expires_at_ms=row.expires_at_ms,
        addresses=addresses(row.sources),
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
    happened = _Happened(span.denied(), span.sessions())
    gone = {name for name in span.pools_held() - pools.keys() if span.held(name)}
    names = {*pools, *gone, *happened.pools}
    return Usage(
        tenant=tenant.name,
        from_ms=from_ms,
        until_ms=min(until_ms, now_ms),
        pools=tuple(_pool_usage(span, tenant, name, pools.get(name), happened) for name in sorted(names)),
        unlicensed=happened.tally("", span.expired_sessions(None)),
    )


class _Happened:
    """The denials and sessions of a span, by pool."""

    def __init__(self, denied: Iterable[DeniedClient], sessions: Mapping[SessionKey, int]) -> None:
        self._denied: defaultdict[str, list[DeniedClient]] = defaultdict(list)
        for it in denied:
            self._denied[it.pool].append(it)
        self._sessions = sessions

    @property
    def pools(self) -> set[str]:
        """Those in which anything happened."""
        return {*self._denied, *(it.pool for it in self._sessions)} - {""}

    def denied(self, pool: str) -> Sequence[DeniedClient]:
        """The denials of a pool, in their order."""
        return self._denied.get(pool, ())

    def tally(self, pool: str, expired: int) -> Tally:
        """The sessions of a pool, and so many that expired and were not cleared away."""
        grants, endings = 0, Counter({EndReason.EXPIRED.value: expired} if expired else {})
        for it, times in self._sessions.items():
            if it.pool == pool and it.kind == "granted":
                grants += times
            elif it.pool == pool:
                endings[it.reason] += times
        return Tally(grants=grants, endings=dict(sorted(endings.items(), key=lambda it: (-it[1], it[0]))))


def _pool_usage(
    span: Span, tenant: Tenant, name: str, pool: Row[Any] | None, happened: _Happened
) -> PoolUsage:
    taken = span.taken(pool.id) if pool else ()
    timeline = _timeline(span, name, pool, taken)
    denied = happened.denied(name)
    hours = _parts(span, span.edges(hour_of, HOUR_MS), timeline, denied)
    # A day and a half after midnight it is the next day, however the clocks are changed.
    days = _parts(span, span.edges(day_of, 36 * HOUR_MS), timeline, denied)
    held = _held(span, tenant, name, taken)
    peak = max((part.peak for part in days), default=0)
    return PoolUsage(
        pool=name,
        seats=pool.seats if pool else None,
        peak=peak,
        peak_at_ms=_peak_at_ms(span, name, timeline, peak),
        hours=hours,
        days=days,
        heat=_heat(hours, span.zone),
        held_ms=sum(it.held_ms for it in held),
        idle_ms=sum(it.idle_ms for it in held),
        held=held,
        users=_users(held),
        denials=_denials(denied),
        remaining=_remaining(tenant, pool, denied),
        sessions=happened.tally(name, span.expired_sessions(pool.id) if pool else 0),
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


def _peak_at_ms(span: Span, name: str, timeline: Sequence[Step], peak: int) -> int:
    """The minute in which a peak was reached first."""
    if timeline[0].in_use >= peak:
        return span.from_ms
    step = next((it for it in timeline if it.peak >= peak), None)
    if step is None:
        return span.from_ms
    quarter = step.minute - step.minute % QUARTER
    minutes = range(max(quarter, span.minutes.start), min(quarter + QUARTER, span.minutes.stop))
    minute = span.first_with(name, peak, minutes)
    if minute is None or minute < span.minutes_kept_from:
        minute = quarter  # Which of its minutes it was, is no longer kept.
    return max(span.from_ms, minute * MINUTE_MS)


def _parts(
    span: Span, edges: Sequence[int], timeline: Sequence[Step], denied: Iterable[DeniedClient]
) -> tuple[Peak, ...]:
    """What the parts of a span between these edges looked like."""
    denials: Counter[int] = Counter()
    for it in denied:
        denials[max(0, bisect_right(edges, it.last_at_ms, hi=len(edges) - 1) - 1)] += it.times
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


def _heat(hours: Iterable[Peak], zone: tzinfo | None) -> tuple[HeatCell, ...]:
    """The hours of a span by weekday and hour."""
    cells: defaultdict[tuple[int, int], list[Peak]] = defaultdict(list)
    for it in hours:
        local = datetime.fromtimestamp(it.from_ms // 1000, zone)
        cells[local.weekday(), local.hour].append(it)
    return tuple(
        HeatCell(
            weekday=weekday,
            hour=hour,
            mean=round(sum(it.peak for it in parts) / len(parts), 2),
            peak=max(it.peak for it in parts),
            denials=sum(it.denials for it in parts),
        )
        for (weekday, hour), parts in sorted(cells.items())
    )


def _held(span: Span, tenant: Tenant, name: str, taken: Iterable[Row[Any]]) -> tuple[Held, ...]:
    """Who held seats for how long, the longest first."""
    held, idle = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in span.held(name):
        held[row.client_id, row.initials] += int(row.held_ms)
        idle[row.client_id, row.initials] += int(row.idle_ms)
    begin_ms, end_ms = span.hours.start * HOUR_MS, min(span.hours.stop * HOUR_MS, span.now_ms)
    for seat in taken:
        from_ms, until_ms = max(seat.taken_at_ms, begin_ms), min(seat.expires_at_ms, end_ms)
        if from_ms < until_ms:
            held[seat.client_id, seat.initials] += until_ms - from_ms
            if seat.expires_at_ms <= span.now_ms:  # How idle a seat is that is held, its return will tell.
                issued_ms = idle_since(seat.issued_at_ms, seat.expires_at_ms, tenant.session_ttl_s)
                idle_from_ms = max(from_ms, issued_ms)
                idle[seat.client_id, seat.initials] += max(0, until_ms - idle_from_ms)
    names = span.user_names()
    return tuple(
        Held(
            client_id=key[0],
            initials=key[1],
            name=names.get(key[1], ""),
            held_ms=held_ms,
            idle_ms=idle[key],
        )
        for key, held_ms in sorted(held.items(), key=lambda it: (-it[1], it[0]))
    )


def _users(held: Iterable[Held]) -> tuple[HeldByUser, ...]:
    """The same by user."""
    of_user: defaultdict[tuple[str, str], list[Held]] = defaultdict(list)
    for it in held:
        of_user[it.initials, it.name].append(it)
    users = [
        HeldByUser(
            initials=initials,
            name=name,
            held_ms=sum(it.held_ms for it in parts),
            idle_ms=sum(it.idle_ms for it in parts),
        )
        for (initials, name), parts in of_user.items()
    ]
    return tuple(sorted(users, key=lambda it: (-it.held_ms, it.initials)))


def _denials(denied: Iterable[DeniedClient]) -> tuple[Denials, ...]:
    """Who was denied how often, the most often first."""
    of_client: defaultdict[tuple[str, str, str], list[DeniedClient]] = defaultdict(list)
    for it in denied:
        of_client[it.client_id, it.initials, it.reason].append(it)
    denials = [
        Denials(
            client_id=client_id,
            initials=initials,
            reason=reason,
            times=sum(it.times for it in parts),
            first_at_ms=min(it.first_at_ms for it in parts),
            last_at_ms=max(it.last_at_ms for it in parts),
        )
        for (client_id, initials, reason), parts in of_client.items()
    ]
    return tuple(sorted(denials, key=lambda it: (-it.times, it.client_id, it.reason)))


def _remaining(
    tenant: Tenant, pool: Row[Any] | None, denied: Sequence[DeniedClient]
) -> tuple[Remaining, ...]:
    """What would have remained of the denials, by the number of seats, as long as one more would help."""
    by_user = pool is not None and pool.duplicates == Duplicates.USER
    spared = [it for it in denied if it.reason in SPARED]
    needed = seats_needed(spared, tenant.session_ttl_s, lambda it: it.initials if by_user else it.client_id)
    least = min([it.seats for it in spared] + ([] if pool is None else [pool.seats]), default=0)
    left = sum(it.times for it in denied)
    remaining = [Remaining(seats=least, denials=left)]
    for seats in sorted(needed):
        left -= needed[seats]
        remaining.append(Remaining(seats=seats, denials=left))
    return tuple(remaining)


def with_seats(pool: PoolUsage, seats: int) -> int:
    """How many of the denials would have remained with so many seats.

    It is an estimate: docs/explanation/usage-figures.md says how it is reckoned. With fewer seats than there
    were it is all of them, and at least that.
    """
    at = bisect_right(pool.remaining, seats, key=lambda it: it.seats) - 1
    return pool.remaining[max(0, at)].denials


def with_seats_told(found: Usage, pool: PoolUsage, seats: int) -> str:
    """The same as a sentence: `with 6 seats you would have had 0 denials in these 30 days`."""
    others = sum(it.times for it in pool.denials if it.reason not in SPARED)
    denials = with_seats(pool, seats) - others
    at_least = "at least " if seats < pool.remaining[0].seats else ""
    told = (
        f"with {_counted(seats, 'seat')} you would have had {at_least}{_counted(denials, 'denial')}"
        f" in {_span_told(found, pool)}"
    )
    if not others:
        return told
    why = [text for reason, text in _NOT_FOR_SEATS.items() if any(it.reason == reason for it in pool.denials)]
    return f"{told}, beside {others:,} that no seat avoids ({', '.join(why)})"


_NOT_FOR_SEATS = {
    NoSeatReason.LICENCE_EXPIRED: "the licence had expired",
    NoSeatReason.SUSPENDED: "an administrator suspended the client",
}


def answer(found: Usage, pool: PoolUsage) -> str:
    """How many seats are needed, in one sentence."""
    if pool.denied:
        return with_seats_told(found, pool, pool.remaining[-1].seats)
    return f"never more than {_counted(pool.peak, 'seat')} at once in {_span_told(found, pool)}"


def _span_told(found: Usage, pool: PoolUsage) -> str:
    """How long a span is: `these 30 days`, by the days and hours that it touches."""
    days, hours = len(pool.days), -(-(found.until_ms - found.from_ms) // HOUR_MS)
    if hours <= _HOURS_TOLD:
        return f"these {hours} hours" if hours > 1 else "this hour"
    if days <= _DAYS_TOLD:
        return f"these {days} days"
    return f"these {round(days / _DAYS_A_MONTH)} months"


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


class Reach(StrEnum):
    """The spans that a report is usually asked for: they end now."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"
    QUARTER = "90d"
    YEAR = "12m"

    def from_ms(self, now_ms: int, zone: tzinfo | None = UTC) -> int:
        """Where it begins: 24 hours ago, or at a midnight by the clocks of `zone`, so that today counts."""
        if self is Reach.DAY:
            return now_ms - 24 * HOUR_MS
        today = datetime.fromtimestamp(now_ms // 1000, zone).replace(tzinfo=None)
        begin = (today - timedelta(days=_DAYS[self] - 1)).replace(hour=0, minute=0, second=0)
        return round(begin.replace(tzinfo=zone).timestamp()) * 1000


_DAYS = {Reach.WEEK: 7, Reach.MONTH: 30, Reach.QUARTER: 90, Reach.YEAR: 365}
