"""Says in a token answer what a client should know of the licence that its seat is of (L13, L14).

The rules:

- Only a seat of a signed pool has warnings, and each refresh says again what is true then.
- `licence_expires_at` is when fewer seats are given than now, in the last 30 days before that. A renewal that
  is installed puts it off. Within the grace it is the end of that.
- `overdraft` is a seat whose number is above the seats that were bought.
"""

from collections.abc import Iterator
from typing import Any, Final

from licet.formats import instant
from licet.ledger.commands import Granted
from licet.ledger.signed_pools import seats_of
from licet.model import Pool, Tenant
from licet.units import DAY_MS

SOON_MS: Final = 30 * DAY_MS

EXPIRES_SOON: Final = "licence_expires_soon"
GRACE: Final = "licence_grace"
OVERDRAFT: Final = "overdraft"


def licence_members(granted: Granted, tenant: Tenant) -> dict[str, Any]:
    """The members of the answer about the licence; none where all is well, or the pool is in no licence."""
    pool = None if granted.session.pool_id is None else tenant.pools.get(granted.session.pool_id)
    if not granted.seat_number or pool is None or pool.signed is None:
        return {}
    members: dict[str, Any] = {}
    expires_at_ms = pool.signed.expires_at_ms(granted.at_ms)
    is_soon = expires_at_ms is not None and expires_at_ms <= granted.at_ms + SOON_MS
    if is_soon:
        members["licence_expires_at"] = instant(expires_at_ms)
    if warnings := [*_warnings(pool, granted, is_soon=is_soon)]:
        members["warnings"] = warnings
    return members


def _warnings(pool: Pool, granted: Granted, *, is_soon: bool) -> Iterator[str]:
    assert pool.signed is not None
    if pool.signed.at(granted.at_ms).in_grace:
        yield GRACE
    elif is_soon:
        yield EXPIRES_SOON
    if granted.seat_number > seats_of(pool, granted.at_ms):
        yield OVERDRAFT
