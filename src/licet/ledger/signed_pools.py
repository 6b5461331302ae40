"""Applies signed licences to a pool: its seats at a moment, its overdraft, and the numbers seats get.

The rules:

- A pool in no licence has the seats that its administrator set, and gives none where its tenant requires a
  licence. Any other has at most what its licences give
  at that moment (L13), with the overdraft that is signed (L14): `licences/limits.py`.
- Where they give nothing, the licence has expired. Where they give seats, and none for this scope or this
  way of counting, it is missing.
- A number goes to nobody else before the hold since its last token is over.

The functions here are pure: only the ledger decides by them.
"""

from licet.ledger.numbers import Numbers
from licet.licences.limits import Limits, allows, limits
from licet.model import NoSeatReason, Pool, Seat, Tenant


def seats_of(pool: Pool, at_ms: int) -> int:
    """How many seats a pool has at a moment, without overdraft."""
    return pool.seats or 0 if pool.signed is None else _limits(pool, at_ms).seats


def room_of(pool: Pool, at_ms: int) -> int:
    """How many seats of a pool may be in use at a moment (L6), with overdraft (L14)."""
    return pool.seats or 0 if pool.signed is None else _limits(pool, at_ms).room


def access_ttl_s_of(tenant: Tenant, pool: Pool, at_ms: int) -> int:
    """How long an access token may live that is issued at a moment with a seat of this pool, in seconds."""
    return _limits(pool, at_ms, access_ttl_s=tenant.access_ttl_s).access_ttl_s


def why_unlicensed(tenant: Tenant, pool: Pool, scope: str, at_ms: int) -> NoSeatReason | None:
    """Why this pool gives no seat for these scopes, for want of a licence; None where it does."""
    if pool.signed is None:
        is_free = pool.seats is not None and not tenant.licence_required
        return None if is_free else NoSeatReason.LICENCE_MISSING
    step = pool.signed.at(at_ms)
    if not step.signed:
        return NoSeatReason.LICENCE_EXPIRED
    names = (name for name in scope.split(" ") if tenant.scopes[name].pool == pool.name)
    if all(allows(step, scope=name, counted_for=pool.duplicates.value) for name in names):
        return None
    return NoSeatReason.LICENCE_MISSING


def is_beyond(pool: Pool, number: int, at_ms: int) -> bool:
    """Whether a seat with this number may not live at this moment."""
    return pool.signed is not None and number > pool.signed.at(at_ms).signed


def number_for(pool: Pool, numbers: Numbers, freed: list[tuple[int, int]], at_ms: int) -> int | None:
    """The number that a new seat gets: the lowest that is free, at most as many as are signed.

    `freed` are those that come back just now, each with when it may be given. None where none may be.
    """
    assert pool.signed is not None
    found = [number for number, from_ms in freed if max(from_ms, numbers.from_ms) <= at_ms]
    if (lowest := numbers.lowest(at_ms)) is not None:
        found.append(lowest)
    number = min(found, default=None)
    return None if number is None or is_beyond(pool, number, at_ms) else number


def given_from_ms(tenant: Tenant, seat: Seat) -> int:
    """From when on the number of a seat that comes back may be given to somebody else.

    Its step may have cut the seat while an API still accepts its last token (L7, L18).
    """
    return seat.issued_at_ms + tenant.hold_s_of(tenant.pools[seat.pool_id]) * 1000


def _limits(pool: Pool, at_ms: int, *, access_ttl_s: int = 0) -> Limits:
    assert pool.signed is not None
    return limits(
        pool.signed.at(at_ms),
        seats=pool.seats,
        overdraft=pool.overdraft,
        hold_s=pool.hold_s,
        access_ttl_s=access_ttl_s,
    )
