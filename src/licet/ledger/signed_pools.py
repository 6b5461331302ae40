"""Applies signed licences to a pool: its seats at a moment, its overdraft, and the numbers seats get.

The rules:

- A pool in no licence has the seats that its administrator set, and gives none where its tenant requires a
  licence. Any other has at most what its licences give at that moment (L13), with the overdraft that is
  signed (L14): `licences/limits.py`.
- Where they give nothing, the licence has expired. Where they give seats, and none for this scope or this
  way of counting, it is missing.
- A number goes to nobody else before the hold since its last token is over.

The functions here are pure: only the ledger decides by them.
"""

from collections.abc import Iterable

from licet.ledger.book import SeatFreed
from licet.ledger.numbers import Numbers
from licet.licences.limits import Limits, allows, limits
from licet.licences.steps import Step
from licet.model import NoSeatReason, Pool, Seat, Tenant


def seats_of(pool: Pool, at_ms: int) -> int:
    """How many seats a pool has at a moment, without overdraft."""
    signed = pool.signed
    if signed is None:
        return pool.seats or 0
    key = ("seats", signed.at(at_ms).from_ms, pool.seats, pool.overdraft)
    seats = signed.remembered.get(key)
    if seats is None:
        seats = signed.remembered[key] = _limits(pool, at_ms).seats
    return seats


def room_of(pool: Pool, at_ms: int) -> int:
    """How many seats of a pool may be in use at a moment (L6), with overdraft (L14)."""
    signed = pool.signed
    if signed is None:
        return pool.seats or 0
    key = ("room", signed.at(at_ms).from_ms, pool.seats, pool.overdraft)
    room = signed.remembered.get(key)
    if room is None:
        room = signed.remembered[key] = _limits(pool, at_ms).room
    return room


def access_ttl_s_of(tenant: Tenant, pool: Pool, at_ms: int) -> int:
    """How long an access token may live that is issued at a moment with a seat of this pool, in seconds."""
    signed, access_ttl_s = pool.signed, tenant.access_ttl_s
    assert signed is not None
    key = ("access_ttl_s", signed.at(at_ms).from_ms, access_ttl_s, None)
    found = signed.remembered.get(key)
    if found is None:
        limited = _limits(pool, at_ms, access_ttl_s=access_ttl_s)
        found = signed.remembered[key] = limited.access_ttl_s
    return found


def why_unlicensed(tenant: Tenant, pool: Pool, scope: str, step: Step | None) -> NoSeatReason | None:
    """Why this pool gives no seat for these scopes, for want of a licence; None where it does.

    `step` is what its licences give now, None for a pool that is not signed.
    """
    if step is None:
        is_free = pool.seats is not None and not tenant.licence_required
        return None if is_free else NoSeatReason.LICENCE_MISSING
    if step.terms is None:
        return NoSeatReason.LICENCE_EXPIRED
    counted_for = str(pool.duplicates)
    for name in scope.split(" "):
        if pool.name in tenant.scopes[name].pools and not allows(step, scope=name, counted_for=counted_for):
            return NoSeatReason.LICENCE_MISSING
    return None


def is_beyond(pool: Pool, number: int, at_ms: int) -> bool:
    """Whether a seat with this number may not live at this moment."""
    return pool.signed is not None and number > pool.signed.at(at_ms).signed


def number_for(step: Step, numbers: Numbers, freed: Iterable[SeatFreed], at_ms: int) -> int | None:
    """The number that a new seat gets: the lowest that is free, at most as many as are signed at this step.

    `freed` are seats that come back just now. None where no number may be given.
    """
    lowest = numbers.lowest(at_ms)
    for change in freed:
        number, from_ms = change.seat.number, max(change.number_from_ms, numbers.from_ms)
        if number and from_ms <= at_ms and (lowest is None or number < lowest):
            lowest = number
    return None if lowest is None or lowest > step.signed else lowest


def numbers_left(step: Step, numbers: Numbers, freed: Iterable[SeatFreed], at_ms: int) -> int:
    """How many numbers may be given now, as far as the book has them; see `number_for`."""
    if at_ms < numbers.from_ms:
        return 0
    free = [number for number, from_ms in numbers.free.items() if from_ms <= at_ms]
    back = [change.seat.number for change in freed if change.number_from_ms <= at_ms]
    never_used = max(0, step.signed - numbers.used)
    return sum(number <= step.signed for number in [*free, *back]) + never_used


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
