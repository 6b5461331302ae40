"""Computes the usage report of a tenant for a span of time: peaks, seat-hours, denials, the week by hour.

The rules:

- A peak is exact to the minute. Use is written only when it changes, so a span, or a part of it, begins
  with the last change before it.
- Seat-hours are kept by whole hours of UTC: a span has those of the hours that begin in it.
- Spans are half open, begin with a whole minute, and end now at the latest.

The module only reads, from any store, through SQLAlchemy.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Row

from licet.journal.summary import QUARTER
from licet.journal.wants import Want, wants
from licet.model import Duplicates, EndReason, Tenant, Value
from licet.reports.seats_advice import Advice, advise
from licet.reports.seats_needed import SPARED, seats_needed
from licet.reports.timeline import PoolNow, pools_of, timeline
from licet.reports.true_denials import TrueDenials, true_denials
from licet.reports.usage_queries import DeniedClient, Span, Step, day_of, hour_of
from licet.reports.usage_queries import Session as SessionKey
from licet.store.journal_rows import idle_since
from licet.units import HOUR_MS, MINUTE_MS


class Peak(Value, frozen=True, kw_only=True):
    """A part of a span: the most seats in use at once, how many there were at its end, and the denials.

    `turned_away` are the true denials: those who wanted a seat and got none.
    """

    from_ms: int
    until_ms: int
    peak: int
    seats: int
    denials: int
    turned_away: int


class Held(Value, frozen=True, kw_only=True):
    """For how long a client's seats were held, in total. `name` is empty when the user was removed.

    `idle_ms` of that passed between the last use of a seat and its return.
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
    """One hour of the week, by the reader's clock: Monday is 0. Only hours within the span are listed.

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
    """One pool in a span. `seats` is None when the pool was removed.

    `peak` is the high-water mark, and `peak_at_ms` the minute in which it was reached first; the start of the
    span when it was reached before. `remaining` begins with the current seats, and ends where more seats
    would not have helped: see `with_seats`. `advice` is how many seats to have. `denials` are attempts;
    `true_denials` is how many wanted a seat, and got none in the end.
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
    advice: Advice
    sessions: Tally
    true_denials: TrueDenials

    @property
    def denied(self) -> int:
        """How many denials there were."""
        return sum(denial.times for denial in self.denials)

    @property
    def idle_share(self) -> float:
        """The part of the time held in which seats were idle: 0 to 1."""
        return self.idle_ms / self.held_ms if self.held_ms else 0.0


class Usage(Value, frozen=True, kw_only=True):
    """All pools of a tenant in a span, and the sessions that needed no seat."""

    tenant: str
    from_ms: int
    until_ms: int
    pools: tuple[PoolUsage, ...]
    unlicensed: Tally


def usage(
    connection: Connection,
    tenant: Tenant,
    from_ms: int,
    until_ms: int,
    *,
    now_ms: int,
    zone: tzinfo | None = UTC,
) -> Usage:
    """The usage from `from_ms` until `until_ms`, or until now when that is earlier.

    Days and hours begin by the clocks of `zone`; None is the zone of this machine.
    """
    from_ms -= from_ms % MINUTE_MS
    end_ms = until_ms if until_ms < now_ms else now_ms + 1
    span = Span(connection, tenant.id, from_ms, end_ms, now_ms, zone)
    pools = pools_of(connection, tenant, now_ms)
    events = _Events(
        span.denied(), span.sessions(), wants(connection, tenant, from_ms, end_ms, now_ms=now_ms)
    )
    gone = {name for name in span.pools_held() - pools.keys() if span.held(name)}
    names = {*pools, *gone, *events.pools}
    return Usage(
        tenant=tenant.name,
        from_ms=from_ms,
        until_ms=min(until_ms, now_ms),
        pools=tuple(_pool_usage(span, tenant, name, pools.get(name), events) for name in sorted(names)),
        unlicensed=events.tally("", span.expired_sessions(None)),
    )


class _Events:
    """The denials and sessions of a span, by pool."""

    def __init__(
        self, denied: Iterable[DeniedClient], sessions: Mapping[SessionKey, int], wanted: Iterable[Want]
    ) -> None:
        self._denied: defaultdict[str, list[DeniedClient]] = defaultdict(list)
        for denial in denied:
            self._denied[denial.pool].append(denial)
        self._wants: defaultdict[str, list[Want]] = defaultdict(list)
        for want in wanted:
            self._wants[want.pool].append(want)
        self._sessions = sessions

    @property
    def pools(self) -> set[str]:
        """The pools with any denial or session."""
        return {*self._denied, *(session.pool for session in self._sessions)} - {""}

    def denied(self, pool: str) -> Sequence[DeniedClient]:
        """The denials of a pool, in their order."""
        return self._denied.get(pool, ())

    def wants(self, pool: str) -> Sequence[Want]:
        """Who wanted a seat of a pool, in the order of their first denials."""
        return self._wants.get(pool, ())

    def tally(self, pool: str, expired: int) -> Tally:
        """The sessions of a pool, with so many that expired and are not swept yet."""
        grants, endings = 0, Counter({EndReason.EXPIRED.value: expired} if expired else {})
        for session, times in self._sessions.items():
            if session.pool == pool and session.kind == "granted":
                grants += times
            elif session.pool == pool:
                endings[session.reason] += times
        return Tally(
            grants=grants, endings=dict(sorted(endings.items(), key=lambda entry: (-entry[1], entry[0])))
        )


def _pool_usage(span: Span, tenant: Tenant, name: str, pool: PoolNow | None, events: _Events) -> PoolUsage:
    taken = span.taken(pool.id) if pool else ()
    steps = timeline(span, name, pool, taken, span.steps(name))
    denied, wanted = events.denied(name), events.wants(name)
    hours = _parts(span, span.edges(hour_of, HOUR_MS), steps, denied, wanted)
    # A day and a half after midnight is in the next day, however the clocks are changed.
    days = _parts(span, span.edges(day_of, 36 * HOUR_MS), steps, denied, wanted)
    held = held_by(span, tenant, name, taken)
    remaining, advice = _remaining(tenant, pool, denied)
    peak = max((part.peak for part in days), default=0)
    return PoolUsage(
        pool=name,
        seats=pool.seats if pool else None,
        peak=peak,
        peak_at_ms=_peak_at_ms(span, name, steps, peak),
        hours=hours,
        days=days,
        heat=_heat(hours, span.zone),
        held_ms=sum(user.held_ms for user in held),
        idle_ms=sum(user.idle_ms for user in held),
        held=held,
        users=_users(held),
        denials=_denials(denied),
        remaining=remaining,
        advice=advice,
        sessions=events.tally(name, span.expired_sessions(pool.id) if pool else 0),
        true_denials=true_denials(wanted),
    )


def _peak_at_ms(span: Span, name: str, steps: Sequence[Step], peak: int) -> int:
    """The minute in which a peak was reached first."""
    if steps[0].in_use >= peak:
        return span.from_ms
    step = next((step for step in steps if step.peak >= peak), None)
    if step is None:
        return span.from_ms
    quarter = step.minute - step.minute % QUARTER
    minutes = range(max(quarter, span.minutes.start), min(quarter + QUARTER, span.minutes.stop))
    minute = span.first_with(name, peak, minutes)
    if minute is None or minute < span.minutes_kept_from:
        minute = quarter  # The exact minute is no longer kept.
    return max(span.from_ms, minute * MINUTE_MS)


def _parts(
    span: Span,
    edges: Sequence[int],
    steps: Sequence[Step],
    denied: Iterable[DeniedClient],
    wanted: Iterable[Want],
) -> tuple[Peak, ...]:
    """The parts of a span between these edges."""

    def part_of(at_ms: int) -> int:
        return max(0, bisect_right(edges, at_ms, hi=len(edges) - 1) - 1)

    denials: Counter[int] = Counter()
    for denial in denied:
        denials[part_of(denial.last_at_ms)] += denial.times
    turned_away = Counter(part_of(want.first_at_ms) for want in wanted if want.is_turned_away)
    parts = []
    at = 0
    for part, (from_ms, until_ms) in enumerate(pairwise(edges)):
        peak = steps[at].in_use
        while at + 1 < len(steps) and steps[at + 1].minute * MINUTE_MS < until_ms:
            at += 1
            peak = max(peak, steps[at].peak)
        parts.append(
            Peak(
                from_ms=from_ms,
                until_ms=min(until_ms, span.now_ms),
                peak=peak,
                seats=steps[at].seats,
                denials=denials[part],
                turned_away=turned_away[part],
            )
        )
    return tuple(parts)


def _heat(hours: Iterable[Peak], zone: tzinfo | None) -> tuple[HeatCell, ...]:
    """The hours of a span by weekday and hour."""
    cells: defaultdict[tuple[int, int], list[Peak]] = defaultdict(list)
    for step in hours:
        local = datetime.fromtimestamp(step.from_ms // 1000, zone)
        cells[local.weekday(), local.hour].append(step)
    return tuple(
        HeatCell(
            weekday=weekday,
            hour=hour,
            mean=round(sum(part.peak for part in parts) / len(parts), 2),
            peak=max(part.peak for part in parts),
            denials=sum(part.denials for part in parts),
        )
        for (weekday, hour), parts in sorted(cells.items())
    )


def held_by(span: Span, tenant: Tenant, name: str, taken: Iterable[Row[Any]]) -> tuple[Held, ...]:
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
            if seat.expires_at_ms <= span.now_ms:  # That of a seat still held is known when it comes back.
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
        for key, held_ms in sorted(held.items(), key=lambda entry: (-entry[1], entry[0]))
    )


def _users(held: Iterable[Held]) -> tuple[HeldByUser, ...]:
    """The same by user."""
    of_user: defaultdict[tuple[str, str], list[Held]] = defaultdict(list)
    for user in held:
        of_user[user.initials, user.name].append(user)
    users = [
        HeldByUser(
            initials=initials,
            name=name,
            held_ms=sum(part.held_ms for part in parts),
            idle_ms=sum(part.idle_ms for part in parts),
        )
        for (initials, name), parts in of_user.items()
    ]
    return tuple(sorted(users, key=lambda user: (-user.held_ms, user.initials)))


def _denials(denied: Iterable[DeniedClient]) -> tuple[Denials, ...]:
    """Who was denied how often, the most often first."""
    of_client: defaultdict[tuple[str, str, str], list[DeniedClient]] = defaultdict(list)
    for denial in denied:
        of_client[denial.client_id, denial.initials, denial.reason].append(denial)
    denials = [
        Denials(
            client_id=client_id,
            initials=initials,
            reason=reason,
            times=sum(part.times for part in parts),
            first_at_ms=min(part.first_at_ms for part in parts),
            last_at_ms=max(part.last_at_ms for part in parts),
        )
        for (client_id, initials, reason), parts in of_client.items()
    ]
    return tuple(sorted(denials, key=lambda denial: (-denial.times, denial.client_id, denial.reason)))


def _remaining(
    tenant: Tenant, pool: PoolNow | None, denied: Sequence[DeniedClient]
) -> tuple[tuple[Remaining, ...], Advice]:
    """The denials that would have remained, by the number of seats, as long as one more would help.

    And how many seats to have.
    """
    by_user = pool is not None and pool.duplicates == Duplicates.USER
    spared = [denial for denial in denied if denial.reason in SPARED]
    needs = seats_needed(
        spared, tenant.session_ttl_s, lambda denial: denial.initials if by_user else denial.client_id
    )
    needed: Counter[int] = Counter()
    for seats, denial in needs:
        needed[seats] += denial.times
    least = min([denial.seats for denial in spared] + ([] if pool is None else [pool.seats]), default=0)
    left = sum(denial.times for denial in denied)
    remaining = [Remaining(seats=least, denials=left)]
    for seats in sorted(needed):
        left -= needed[seats]
        remaining.append(Remaining(seats=seats, denials=left))
    return tuple(remaining), advise(needs, least)


def with_seats(pool: PoolUsage, seats: int) -> int:
    """How many of the denials would have remained with so many seats.

    It is an estimate, explained in docs/explanation/usage-figures.md. With fewer seats than the pool had it
    is all of them, or more.
    """
    at = bisect_right(pool.remaining, seats, key=lambda point: point.seats) - 1
    return pool.remaining[max(0, at)].denials
