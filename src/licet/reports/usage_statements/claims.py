"""Makes the claims of a usage statement: the true-up of a span for a vendor, with hashes and without names.

The rules:

- A statement has a number, `seq`, and from the second on `prev`, the hash of the one before. It begins where
  that one ended. So a reader of all of them sees one that is missing, and two that tell of one time.
- It ends with a day of UTC that is so far back that nobody who was denied then can be served any more.
- `use` of a day is a hash of the pool's use by minute: `minute seats peak in_use`, a line each. For an audit
  a customer can show the minutes of a day, and they must have this hash.
- No user and no client is named. It says who states it; not that it is true.

The module only reads.
"""

from collections.abc import Sequence
from datetime import UTC
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from licet.journal.restores import restores
from licet.licences.jws import encode
from licet.model import Tenant
from licet.reports.true_up import TrueUpDay, TrueUpPool, true_up
from licet.store import schema
from licet.units import DAY_MS, MINUTE_MS


def settled_ms(tenant: Tenant, now_ms: int) -> int:
    """The end of the last day of UTC of which everything is decided."""
    return (now_ms - tenant.session_ttl_s * 1000) // DAY_MS * DAY_MS


def claims_of(
    connection: Connection, tenant: Tenant, from_ms: int, until_ms: int, *, now_ms: int
) -> dict[str, Any]:
    """What is stated of a span of whole days of UTC."""
    found = true_up(connection, tenant, from_ms, until_ms, now_ms=now_ms, zone=UTC)
    return {
        "tenant": tenant.name,
        "iat": now_ms // 1000,
        "from": from_ms // 1000,
        "until": until_ms // 1000,
        "pools": [_pool(connection, tenant, pool) for pool in found.pools],
        "licences": sorted(hash_of(it.text.encode()) for it in tenant.licences),
        "restored": [at_ms // 1000 for at_ms in restores(connection, from_ms, until_ms)],
    }


def hash_of(content: bytes) -> str:
    """SHA-256 in base64url."""
    return encode(sha256(content).digest())


def _pool(connection: Connection, tenant: Tenant, pool: TrueUpPool) -> dict[str, Any]:
    added = {} if pool.added_at_ms is None else {"added": pool.added_at_ms // 1000}
    return {
        "pool": pool.pool,
        "signed": pool.is_signed,
        **added,
        "days": [_day(day, _use(connection, tenant, pool.pool, day)) for day in pool.days],
    }


def _day(day: TrueUpDay, use: str) -> dict[str, Any]:
    return {
        "from": day.from_ms // 1000,
        "until": day.until_ms // 1000,
        "seats": day.seats,
        "peak": day.peak,
        "overdraft": day.overdraft_peak,
        "overdraft_s": day.overdraft_ms // 1000,
        "true_denials": day.true_denials,
        "use": use,
    }


def _use(connection: Connection, tenant: Tenant, pool: str, day: TrueUpDay) -> str:
    minutes = use_by_minute(connection, tenant, pool, day.from_ms, day.until_ms)
    lines = (f"{row.minute} {row.seats} {row.peak} {row.in_use}\n" for row in minutes)
    return hash_of("".join(lines).encode())


def use_by_minute(
    connection: Connection, tenant: Tenant, pool: str, from_ms: int, until_ms: int
) -> Sequence[Row[Any]]:
    """The minutes in which the use of a pool changed."""
    use = schema.usage_minute.c
    query: Select[Any] = select(use.minute, use.seats, use.peak, use.in_use).where(
        use.tenant_id == tenant.id,
        use.pool == pool,
        use.minute >= from_ms // MINUTE_MS,
        use.minute < until_ms // MINUTE_MS,
    )
    return connection.execute(query.order_by(use.minute)).all()
