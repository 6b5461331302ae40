"""Splits what pools cost by group or cost centre: seat-hours, and what nobody used in proportion.

The rules:

- Groups and cost centres are those of today.
- Somebody in several groups counts for each of them in equal parts, so that the parts add up. A client is in
  the groups that name it, and in those of its user.
- The time for which nobody held a seat is shared in proportion to the time for which each held one. Seats of
  the overdraft are used, and not paid for in advance: they add no time of this kind, and take none away.
- A price is that of one seat for the whole span; a seat that was there for half of it costs half. The parts
  are whole cents, and add up. Before its tenant was made no seat was there.
- Seat-hours are kept by whole hours of UTC: a span has those of the hours that begin in it.

The module only reads.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC
from typing import Final

from sqlalchemy import Connection

from licet.model import Tenant, Value
from licet.reports.beginnings import made_at_ms
from licet.reports.forms import SplitBy
from licet.reports.timeline import PoolNow, pools_of, timeline
from licet.reports.usage import Held, held_by
from licet.reports.usage_queries import Span, Step
from licet.units import HOUR_MS, MINUTE_MS

COLUMNS: Final = (
    "pool",
    "name",
    "clients",
    "held_hours",
    "idle_hours",
    "unused_hours",
    "share",
    "cost",
)


class CostPart(Value, frozen=True, kw_only=True):
    """What a group or a cost centre has of a pool; without a `name` it is who is in none.

    `held_ms` is for how long its clients held seats, `idle_ms` of that after their last use. `unused_ms` is
    its part of the time for which nobody held a seat. `share` is its part of the pool, 0 to 1, and `cost` of
    the price, where there is one.
    """

    name: str | None
    clients: int
    held_ms: int
    idle_ms: int
    unused_ms: int
    share: float
    cost: float | None


class PoolCosts(Value, frozen=True, kw_only=True):
    """A pool and its parts, the largest first. `seats_ms` is how long its seats were there, all together.

    Of that nobody held `unused_ms`. `cost` is what all of it costs, where there is a price.
    """

    pool: str
    seats_ms: int
    held_ms: int
    unused_ms: int
    cost: float | None
    parts: tuple[CostPart, ...]


class Costs(Value, frozen=True, kw_only=True):
    """The pools of a tenant in a span, split. `price` is that of one seat for the span."""

    tenant: str
    from_ms: int
    until_ms: int
    by: SplitBy
    price: float | None
    pools: tuple[PoolCosts, ...]


def costs(  # noqa: PLR0917 - split by what of a span
    connection: Connection,
    tenant: Tenant,
    by: SplitBy,
    from_ms: int,
    until_ms: int,
    price_cents: int | None = None,
    *,
    now_ms: int,
) -> Costs:
    """The costs of a span, which ends now at the latest."""
    from_ms -= from_ms % MINUTE_MS
    end_ms = until_ms if until_ms < now_ms else now_ms + 1
    span = Span(connection, tenant.id, from_ms, end_ms, now_ms, UTC)
    names = _centres(tenant) if by is SplitBy.COST_CENTRE else _groups(tenant)
    made_ms = made_at_ms(connection, tenant) or 0
    pools = pools_of(connection, tenant, now_ms)
    return Costs(
        tenant=tenant.name,
        from_ms=from_ms,
        until_ms=min(until_ms, now_ms),
        by=by,
        price=None if price_cents is None else price_cents / 100,
        pools=tuple(
            _pool(span, tenant, name, pools[name], names, price_cents, made_ms) for name in sorted(pools)
        ),
    )


def cents_of(price: float | None) -> int | None:
    """A price in whole cents."""
    return None if price is None else round(price * 100)


def rows(found: Costs) -> Sequence[tuple[object, ...]]:
    """A row for each part, with the columns of `COLUMNS`; hours are decimal."""
    return [
        (
            pool.pool,
            part.name or "",
            part.clients,
            *(f"{ms / HOUR_MS:.2f}" for ms in (part.held_ms, part.idle_ms, part.unused_ms)),
            f"{part.share:.4f}",
            "" if part.cost is None else f"{part.cost:.2f}",
        )
        for pool in found.pools
        for part in pool.parts
    ]


_Names = Callable[[str, str], Sequence[str | None]]


def _centres(tenant: Tenant) -> _Names:
    """The cost centre of a client's user."""

    def names(_: str, initials: str) -> Sequence[str | None]:
        user = tenant.users.get(initials)
        return [user.cost_centre if user else None]

    return names


def _groups(tenant: Tenant) -> _Names:
    """The groups of a client and its user."""

    def names(client_id: str, initials: str) -> Sequence[str | None]:
        found = [
            name
            for name, group in sorted(tenant.groups.items())
            if client_id in group.clients or initials in group.users
        ]
        return found or [None]

    return names


def _pool(  # noqa: PLR0917 - what of which pool
    span: Span,
    tenant: Tenant,
    name: str,
    pool: PoolNow,
    names: _Names,
    price_cents: int | None,
    made_ms: int,
) -> PoolCosts:
    taken = span.taken(pool.id)
    begin_ms, end_ms = span.hours.start * HOUR_MS, min(span.hours.stop * HOUR_MS, span.now_ms)
    steps = timeline(span, name, pool, taken, span.steps_by_minute(name))
    seats_ms, above_ms = _areas(steps, min(max(begin_ms, made_ms), end_ms), end_ms)
    held = held_by(span, tenant, name, taken)
    held_ms = sum(one.held_ms for one in held)
    unused_ms = max(0, seats_ms - max(0, held_ms - above_ms))
    cost_cents = None
    if price_cents is not None:
        cost_cents = round(price_cents * seats_ms / (end_ms - begin_ms)) if begin_ms < end_ms else 0
    return PoolCosts(
        pool=name,
        seats_ms=seats_ms,
        held_ms=held_ms,
        unused_ms=unused_ms,
        cost=None if cost_cents is None else cost_cents / 100,
        parts=_parts(held, names, unused_ms, cost_cents),
    )


def _parts(
    held: Sequence[Held], names: _Names, unused_ms: int, cost_cents: int | None
) -> tuple[CostPart, ...]:
    held_ms, idle_ms, clients = Counter[str | None](), Counter[str | None](), Counter[str | None]()
    for one in held:
        whose = names(one.client_id, one.initials)
        for counted, ms in ((held_ms, one.held_ms), (idle_ms, one.idle_ms)):
            counted.update(split(ms, dict.fromkeys(whose, 1)))
        clients.update(whose)
    total_ms = sum(held_ms.values())
    unused = split(unused_ms, held_ms)
    cost = None if cost_cents is None else split(cost_cents, held_ms)
    parts = [
        CostPart(
            name=name,
            clients=clients[name],
            held_ms=ms,
            idle_ms=idle_ms[name],
            unused_ms=unused.get(name, 0),
            share=round(ms / total_ms, 4) if total_ms else 0.0,
            cost=None if cost is None else cost.get(name, 0) / 100,
        )
        for name, ms in held_ms.items()
    ]
    return tuple(sorted(parts, key=lambda part: (-part.held_ms, part.name is None, part.name or "")))


def split(whole: int, weights: Mapping[str | None, int]) -> dict[str | None, int]:
    """A whole number in parts by weight that add up to it; nothing where there is no weight.

    What is left after rounding down goes to the largest fractions.
    """
    total = sum(weights.values())
    if not total:
        return {}
    parts = {name: whole * weight // total for name, weight in weights.items()}
    left = whole - sum(parts.values())
    by_fraction = sorted(weights, key=lambda name: (-(whole * weights[name] % total), name or ""))
    for name in by_fraction[:left]:
        parts[name] += 1
    return parts


def _areas(steps: Collection[Step], begin_ms: int, end_ms: int) -> tuple[int, int]:
    """For how long seats were there, each counted, and for how long more were in use than that."""
    area, above, at_ms, seats, over = 0, 0, begin_ms, 0, 0
    for step in steps:
        step_ms = min(max(step.minute * MINUTE_MS, at_ms), end_ms)
        area, above = area + seats * (step_ms - at_ms), above + over * (step_ms - at_ms)
        at_ms, seats, over = max(at_ms, step_ms), step.seats, max(0, step.in_use - step.seats)
    left_ms = max(0, end_ms - at_ms)
    return area + seats * left_ms, above + over * left_ms
