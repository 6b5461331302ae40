"""Finds seats that could be harvested: clients that hold them idle, that never log off, that never used one.

The rules:

- A seat is idle from its last use until it comes back (`licet.journal.uses`). What is idle because a client
  did not log off would have been free for others.
- A client **never logs off** when none of its sessions ended by a logoff or a revocation, and at least
  `SESSIONS_MIN` expired.
- How sessions ended is known as far back as the journal is kept.

The module only reads.
"""

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import Connection

from licet.model import EndReason, Tenant, Value
from licet.reports.usage import Held, PoolUsage, usage
from licet.reports.usage_queries import Span

SESSIONS_MIN = 3  # that expired, before a client is said to never log off; a guess


class HarvestClient(Value, frozen=True, kw_only=True):
    """For how long a client held seats of a pool, how much of that idle, and how its sessions ended.

    `idle_share` is 0 to 1. `name` is empty when the user was removed.
    """

    client_id: str
    initials: str
    name: str
    held_ms: int
    idle_ms: int
    idle_share: float
    logoffs: int
    expired: int
    never_logs_off: bool


class HarvestPool(Value, frozen=True, kw_only=True):
    """A pool in a span. The client that held seats idle for the longest time comes first.

    `unused` are the enabled clients that may ask for a seat of the pool, and held none.
    """

    pool: str
    seats: int
    peak: int
    held_ms: int
    idle_ms: int
    true_denials: int
    clients: tuple[HarvestClient, ...]
    unused: tuple[str, ...]


class Harvest(Value, frozen=True, kw_only=True):
    """The pools of a tenant in a span."""

    tenant: str
    from_ms: int
    until_ms: int
    pools: tuple[HarvestPool, ...]


def harvest(connection: Connection, tenant: Tenant, from_ms: int, until_ms: int, *, now_ms: int) -> Harvest:
    """What could be harvested in a span, which ends now at the latest."""
    found = usage(connection, tenant, from_ms, until_ms, now_ms=now_ms)
    end_ms = until_ms if until_ms < now_ms else now_ms + 1
    span = Span(connection, tenant.id, found.from_ms, end_ms, now_ms, None)
    return Harvest(
        tenant=found.tenant,
        from_ms=found.from_ms,
        until_ms=found.until_ms,
        pools=tuple(
            _pool(tenant, pool, pool.seats, span.endings(pool.pool))
            for pool in found.pools
            if pool.seats is not None
        ),
    )


def _pool(tenant: Tenant, pool: PoolUsage, seats: int, endings: Mapping[str, Counter[str]]) -> HarvestPool:
    clients = [_client(held, endings.get(held.client_id, Counter())) for held in pool.held]
    return HarvestPool(
        pool=pool.pool,
        seats=seats,
        peak=pool.peak,
        held_ms=pool.held_ms,
        idle_ms=pool.idle_ms,
        true_denials=pool.true_denials.turned_away,
        clients=tuple(sorted(clients, key=lambda it: (-it.idle_ms, it.client_id))),
        unused=_unused(tenant, pool),
    )


def _client(held: Held, endings: Counter[str]) -> HarvestClient:
    logoffs = endings[EndReason.LOGOFF] + endings[EndReason.REVOKED]
    expired = endings[EndReason.EXPIRED]
    return HarvestClient(
        client_id=held.client_id,
        initials=held.initials,
        name=held.name,
        held_ms=held.held_ms,
        idle_ms=held.idle_ms,
        idle_share=round(held.idle_ms / held.held_ms, 4) if held.held_ms else 0.0,
        logoffs=logoffs,
        expired=expired,
        never_logs_off=not logoffs and expired >= SESSIONS_MIN,
    )


def _unused(tenant: Tenant, pool: PoolUsage) -> tuple[str, ...]:
    of_pool = {scope.name for scope in tenant.scopes.values() if pool.pool in scope.pools}
    used = {held.client_id for held in pool.held}
    return tuple(
        sorted(
            client.client_id
            for client in tenant.clients.values()
            if client.usable
            and client.client_id not in used
            and (client.scopes is None or client.scopes & of_pool)
        )
    )
