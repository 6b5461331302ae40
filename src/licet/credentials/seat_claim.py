"""Makes the claim `seat` of JWTs and introspection answers: which seat of a signed pool a session has (L13).

"seat": {"number": 7, "counted_for": "client"}
"""

from licet.model import Session, Value


class SeatClaim(Value, frozen=True, kw_only=True):
    """A seat as an API sees it; `counted_for` is `client`, `user` or `session`."""

    number: int
    counted_for: str


def seat_claim(session: Session, number: int) -> SeatClaim | None:
    """The claim of a session whose seat has this number; None for 0, in a pool that is not signed.

    Who the seat is counted for comes from the session's holder, as the pool may count otherwise by now.
    """
    if not number or session.holder is None:
        return None
    return SeatClaim(number=number, counted_for=session.holder.partition(":")[0])
