"""Says how many seats a pool has now, for reports: those that are signed, if licences sign it (L13, L14)."""

from typing import Any, NamedTuple

from sqlalchemy import Row

from licet.ledger.signed_pools import room_of, seats_of
from licet.model import Tenant
from licet.setup.signed_limits import why_no_seats


class EffectiveSeats(NamedTuple):
    """The seats of a pool, and its overdraft above them."""

    seats: int
    overdraft: int

    def overdraft_in_use(self, in_use: int) -> int:
        """How many of those in use are overdraft."""
        return max(0, min(in_use - self.seats, self.overdraft))

    def overuse(self, in_use: int) -> int:
        """How many more are in use than there are."""
        return max(0, in_use - self.seats - self.overdraft)


def effective_seats(row: Row[Any], tenant: Tenant | None, now_ms: int) -> EffectiveSeats:
    """Those of the row of a pool; `tenant` is its tenant with what is signed, where that was read."""
    pool = None if tenant is None else tenant.pools.get(row.id)
    if tenant is None or pool is None:
        return EffectiveSeats(row.seats, 0)
    if pool.signed is None:
        return EffectiveSeats(0 if why_no_seats(tenant, pool) else row.seats, 0)
    seats = seats_of(pool, now_ms)
    return EffectiveSeats(seats, room_of(pool, now_ms) - seats)
