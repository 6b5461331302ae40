"""Computes the effective limits of a pool: the stricter of its licence and its administrator's settings.

The rules:

- The lesser number counts. A set-up may name more seats than are signed, so that it can be applied before
  the licence comes.
- An administrator who names no number has all that is signed.
- Overdraft is what the vendor allows above the seats that were bought, so it only begins where those end: a
  pool whose administrator keeps it below them has none. The administrator may lower it.
- The greater hold counts, and the shorter life of access tokens.
- A way of counting or a scope that is not signed gets no seat: see `allows`.

Some examples, with 25 seats and an overdraft of 3 signed:

    set-up                    seats   overdraft
    none                        25        3
    seats 40                    25        3
    seats 40, overdraft 1       25        1
    seats 10                    10        0
    seats 0                      0        0
"""

from dataclasses import dataclass

from licet.licences.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What counts for a pool at a moment. Numbers above `seats` are overdraft."""

    seats: int
    overdraft: int
    hold_s: int
    access_ttl_s: int

    @property
    def room(self) -> int:
        """How many seats may be in use (L6)."""
        return self.seats + self.overdraft


def limits(step: Step, *, seats: int | None, overdraft: int | None, hold_s: int, access_ttl_s: int) -> Limits:
    """What counts at a step, beside the administrator's own numbers; None is one that was never set."""
    has = step.seats if seats is None else min(seats, step.seats)
    above = step.overdraft if overdraft is None else min(overdraft, step.overdraft)
    is_kept_below = seats is not None and (seats < step.seats or seats == 0)
    terms = step.terms
    return Limits(
        seats=has,
        overdraft=0 if is_kept_below else above,
        hold_s=hold_s if terms is None else max(hold_s, terms.hold_s),
        access_ttl_s=access_ttl_s if terms is None else min(access_ttl_s, terms.access_ttl_max_s),
    )


def allows(step: Step, *, scope: str, counted_for: str) -> bool:
    """Whether a seat may be given for this scope, counted in this way."""
    terms = step.terms
    return terms is not None and scope in terms.scopes and counted_for in terms.duplicates
