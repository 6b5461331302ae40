"""Finds when a pool loses seats because its licences end: soon, in a grace now, or lately.

The rules:

- Only the sum matters, the step function of `steps.py`: where a renewal or another licence makes up for one
  that ends, nothing is lost.
- The seats that are lost at a step are given until then. The time before the step in which nothing but the
  grace of licences gives them is the grace of the end, and `expires_at_ms` is when that begins.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from licet.licences.steps import SignedSeats, Step

SOON_MS: Final = 30 * 86_400_000  # time enough to buy a renewal
LOST_MS: Final = 30 * 86_400_000  # a guess: who has not renewed by then has bought fewer


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatsEnd:
    """A step down. Seats are counted with their overdraft: `before` and `after` it.

    `licences` are the ids that give no seats any more, or fewer. Without a grace `expires_at_ms` and
    `ends_at_ms` are the same.
    """

    expires_at_ms: int
    ends_at_ms: int
    before: int
    after: int
    licences: tuple[str, ...]
    vendor: str
    product: str

    @property
    def has_grace(self) -> bool:
        """Whether the seats are given for a while after the licence has expired."""
        return self.expires_at_ms < self.ends_at_ms


def ends_to_come(seats: SignedSeats, now_ms: int) -> Iterator[SeatsEnd]:
    """The steps down to come, in order, those whose grace has begun among them."""
    steps = seats.steps
    before = seats.at(now_ms).signed
    for step in seats.falls(now_ms):
        yield _end(steps, steps.index(step), before)
        before = step.signed


def near_ends(seats: SignedSeats, now_ms: int) -> Iterator[SeatsEnd]:
    """Those of the next 30 days, and those whose grace has begun."""
    return (end for end in ends_to_come(seats, now_ms) if end.expires_at_ms <= now_ms + SOON_MS)


def lost_seats(seats: SignedSeats, now_ms: int) -> SeatsEnd | None:
    """The last end, as long as it matters: until the seats are back, and for 30 days if some are left."""
    end = last_end(seats, now_ms)
    is_over = end is not None and seats.at(now_ms).signed and end.ends_at_ms <= now_ms - LOST_MS
    return None if is_over else end


def last_end(seats: SignedSeats, now_ms: int) -> SeatsEnd | None:
    """The last step down at which a licence ended, if the seats have not come back since.

    A smaller licence that took the place of a larger one has ended nothing.
    """
    steps = seats.steps
    past = [index for index, step in enumerate(steps) if index and step.from_ms <= now_ms]
    fell = [index for index in past if steps[index].signed < steps[index - 1].signed]
    if not fell:
        return None
    at = fell[-1]
    end = _end(steps, at, steps[at - 1].signed)
    is_back = seats.at(now_ms).signed >= end.before
    return None if is_back or not _gone(steps[at - 1], steps[at]) else end


def _end(steps: tuple[Step, ...], at: int, before: int) -> SeatsEnd:
    step, last = steps[at], steps[at - 1]
    first = at
    while (
        first and steps[first - 1].signed - steps[first - 1].in_grace <= step.signed < steps[first - 1].signed
    ):
        first -= 1
    terms = last.terms
    return SeatsEnd(
        expires_at_ms=steps[first].from_ms,
        ends_at_ms=step.from_ms,
        before=before,
        after=step.signed,
        licences=_gone(last, step) or step.licences,
        vendor="" if terms is None else terms.vendor,
        product="" if terms is None else terms.product,
    )


def _gone(before: Step, after: Step) -> tuple[str, ...]:
    """The licences that gave seats before a step, and give none after it."""
    if after.conflict is not None:
        return after.licences
    return tuple(name for name in before.licences if name not in after.licences)
