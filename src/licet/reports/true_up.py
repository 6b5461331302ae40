"""Computes a true-up: by day and pool, the use above the seats that there were, and the true denials.

The rules:

- **Overdraft** is what is in use above the seats of a pool, which are those signed, or set by the
  administrator where that is less. It also counts seats left over when their number was lowered (L6).
- Use is known by the minute: what is in use at the end of a minute counts from its beginning. So overdraft
  hours are the integral of the recorded use, and the most at once is as exact as a peak.
- Before a pool was added it has no seats, where that is known (`pool_added.py`).
- For times whose minutes are no longer kept, the minute is a quarter of an hour.
- Days begin by the clocks of a zone; a span begins with a whole minute, and ends now at the latest.

The module only reads.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from itertools import pairwise

from sqlalchemy import Connection

from licet.journal.wants import Want, wants
from licet.model import Tenant, Value
from licet.reports.pool_added import added_at_ms
from licet.reports.timeline import PoolNow, pools_of, timeline
from licet.reports.usage_queries import Span, Step, day_of
from licet.units import HOUR_MS, MINUTE_MS


class TrueUpDay(Value, frozen=True, kw_only=True):
    """One day of a pool. `seats` is their number at its end, without overdraft.

    `peak` is the most in use at once, and `overdraft_peak` the most above the seats. `overdraft_ms` is the
    time above the seats, each seat counted. `true_denials` is how many wanted a seat that day and got none.
    """

    from_ms: int
    until_ms: int
    seats: int
    peak: int
    overdraft_peak: int
    overdraft_ms: int
    true_denials: int


class TrueUpPool(Value, frozen=True, kw_only=True):
    """A pool in a span: each of its days, and the same of all of them together.

    `added_at_ms` is when it was added, if that was after the span began and is known.
    """

    pool: str
    is_signed: bool
    added_at_ms: int | None
    peak: int
    overdraft_peak: int
    overdraft_ms: int
    true_denials: int
    days: tuple[TrueUpDay, ...]


class TrueUp(Value, frozen=True, kw_only=True):
    """The pools of a tenant in a span."""

    tenant: str
    from_ms: int
    until_ms: int
    pools: tuple[TrueUpPool, ...]


def true_up(
    connection: Connection,
    tenant: Tenant,
    from_ms: int,
    until_ms: int,
    *,
    now_ms: int,
    zone: tzinfo | None = UTC,
) -> TrueUp:
    """The figures from `from_ms` until `until_ms`, or until now when that is earlier."""
    from_ms -= from_ms % MINUTE_MS
    end_ms = until_ms if until_ms < now_ms else now_ms + 1
    span = Span(connection, tenant.id, from_ms, end_ms, now_ms, zone)
    wanted = wants(connection, tenant, from_ms, end_ms, now_ms=now_ms)
    pools = pools_of(connection, tenant, now_ms)
    return TrueUp(
        tenant=tenant.name,
        from_ms=from_ms,
        until_ms=min(until_ms, now_ms),
        pools=tuple(
            _pool(span, name, pools, wanted, added_at_ms(connection, tenant, name)) for name in sorted(pools)
        ),
    )


def _pool(
    span: Span, name: str, pools: Mapping[str, PoolNow], wanted: Sequence[Want], added_ms: int | None
) -> TrueUpPool:
    pool = pools[name]
    taken = span.taken(pool.id)
    steps = timeline(span, name, pool, taken, span.steps_by_minute(name))
    if added_ms is not None and added_ms <= span.from_ms:
        added_ms = None
    if added_ms is not None:
        steps[0] = steps[0]._replace(seats=0)
    turned_away = [want.first_at_ms for want in wanted if want.pool == name and want.is_turned_away]
    # A day and a half after midnight is in the next day, however the clocks are changed.
    edges = span.edges(day_of, 36 * HOUR_MS)
    days = tuple(_days(edges, steps, turned_away, span.now_ms))
    return TrueUpPool(
        pool=name,
        is_signed=pool.is_signed,
        added_at_ms=added_ms,
        peak=max((day.peak for day in days), default=0),
        overdraft_peak=max((day.overdraft_peak for day in days), default=0),
        overdraft_ms=sum(day.overdraft_ms for day in days),
        true_denials=sum(day.true_denials for day in days),
        days=days,
    )


def _days(
    edges: Sequence[int], steps: Sequence[Step], turned_away: Sequence[int], now_ms: int
) -> Sequence[TrueUpDay]:
    days = []
    at = 0
    for from_ms, until_ms in pairwise(edges):
        before = steps[at]
        peak, above, area = before.in_use, _above(before.in_use, before.seats), 0
        moment_ms, end_ms = from_ms, min(until_ms, now_ms)
        while at + 1 < len(steps) and steps[at + 1].minute * MINUTE_MS < until_ms:
            step_ms = max(moment_ms, min(steps[at + 1].minute * MINUTE_MS, end_ms))
            area += _above(steps[at].in_use, steps[at].seats) * (step_ms - moment_ms)
            moment_ms, at = step_ms, at + 1
            peak = max(peak, steps[at].peak)
            above = max(above, _above(steps[at].peak, steps[at].seats))
        area += _above(steps[at].in_use, steps[at].seats) * max(0, end_ms - moment_ms)
        days.append(
            TrueUpDay(
                from_ms=from_ms,
                until_ms=end_ms,
                seats=steps[at].seats,
                peak=peak,
                overdraft_peak=above,
                overdraft_ms=area,
                true_denials=sum(from_ms <= at_ms < until_ms for at_ms in turned_away),
            )
        )
    return days


def _above(in_use: int, seats: int) -> int:
    return max(0, in_use - seats)
