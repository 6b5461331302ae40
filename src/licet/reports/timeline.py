"""Computes how the use of a pool changed in a span, from what is written and what has expired since."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from licet.model import Tenant
from licet.reports.effective_seats import effective_seats
from licet.reports.live import _all_of
from licet.reports.usage_queries import Span, Step
from licet.store import schema
from licet.units import MINUTE_MS


class PoolNow(NamedTuple):
    """A pool with the seats that count now."""

    id: int
    duplicates: str
    seats: int
    is_signed: bool


def pools_of(connection: Connection, tenant: Tenant, now_ms: int) -> Mapping[str, PoolNow]:
    """The pools of a tenant, by name."""
    return {
        row.name: PoolNow(row.id, row.duplicates, effective_seats(row, tenant, now_ms).seats, row.is_signed)
        for row in connection.execute(_all_of(schema.pool, tenant))
    }


def timeline(
    span: Span, name: str, pool: PoolNow | None, taken: Sequence[Row[Any]], steps: Iterable[Step]
) -> list[Step]:
    """How use changed, beginning with what was in use before the span.

    Seats that expired and are not swept yet expired after the last row of their pool.
    """
    steps = [_before(span, name, pool, taken), *steps]
    for seat in taken:
        if seat.expires_at_ms <= span.now_ms and span.includes(seat.expires_at_ms):
            last = steps[-1]
            minute = max(last.minute, seat.expires_at_ms // MINUTE_MS)
            steps.append(Step(minute, last.in_use, max(0, last.in_use - 1), last.seats))
    if pool and span.includes(span.now_ms):
        live = sum(seat.expires_at_ms > span.now_ms for seat in taken)
        steps.append(Step(max(steps[-1].minute, span.now_ms // MINUTE_MS), live, live, pool.seats))
    return steps


def _before(span: Span, name: str, pool: PoolNow | None, taken: Sequence[Row[Any]]) -> Step:
    """What was in use when the span began."""
    row = span.last_before(name)
    if row is not None:
        expired = sum(seat.expires_at_ms < span.from_ms for seat in taken)
        in_use, seats = max(0, row.in_use - expired), row.seats
    else:  # Nothing was written, or it is no longer kept.
        in_use = sum(seat.taken_at_ms < span.from_ms <= seat.expires_at_ms for seat in taken)
        seats = pool.seats if pool else 0
    return Step(span.minutes.start - 1, in_use, in_use, seats)
