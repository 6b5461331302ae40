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
from licet.licences.steps import Step
from licet.model import Tenant
from licet.units import DAY_MS

SOON_MS: Final = 30 * DAY_MS

EXPIRES_SOON: Final = "licence_expires_soon"
GRACE: Final = "licence_grace"
OVERDRAFT: Final = "overdraft"


def licence_members(granted: Granted, tenant: Tenant) -> dict[str, Any]:
    """The members of the answer about the licence, for a numbered seat; none where all is well."""
    pool_id, now_ms = granted.session.pool_id, granted.at_ms
    pool = None if pool_id is None else tenant.pools.get(pool_id)
    if pool is None or (signed := pool.signed) is None:  # it is no more, or signed no more
        return {}
    step = signed.at(now_ms)
    expires_at_ms = step.expires_at_ms
    is_far = expires_at_ms is None or expires_at_ms > now_ms + SOON_MS
    if is_far and granted.seat_number <= step.seats and not step.in_grace:
        return {}
    members: dict[str, Any] = {}
    if not is_far:
        members["licence_expires_at"] = instant(expires_at_ms)
    members["warnings"] = [*_warnings(step, granted, is_soon=not is_far)]
    return members


def _warnings(step: Step, granted: Granted, *, is_soon: bool) -> Iterator[str]:
    if step.in_grace:
        yield GRACE
    elif is_soon:
        yield EXPIRES_SOON
    if granted.seat_number > step.seats:
        yield OVERDRAFT
