"""Computes how many seats licences give a pool at each moment: the step function signed(t).

The rules:

- Of each licence the highest serial whose `nbf` has passed counts, also when it is over: so a renewal takes
  the place of the one before, and the two never add up. Different licences add up.
- A serial gives `seats` and `overdraft` from `nbf` until `exp`, and as many in the grace after it; then none.
- Of the licences that give seats at a moment the strictest terms count: the greatest hold, the shortest
  access tokens, and only those scopes and ways of counting that all of them allow.
- Licences that contradict each other give none while they do: those of two vendors or products for one pool,
  or without a common scope or way of counting. `must_agree` finds that before they are installed.
- Seat number k lives while signed(t) >= k. No seat belongs to a licence.

An example: `A` gives 5 seats until 10, with 2 of grace, and its serial 2 from 9 on 8 seats without end.
`B` gives 1 from 4 to 6.

    t        0   4   6   9
    signed   5   6   5   8        A and B add up; serial 2 of A takes the place of serial 1, which had 5
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Final

from licet.licences.errors import LicenceCode, LicenceRefused, shown
from licet.licences.licence import SignedLicence, SignedPool, Standing

_BEFORE_ALL_MS: Final = -1  # no licence begins before 1970

_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms a pool's seats may be used; the strictest of the licences that give them."""

    vendor: str
    product: str
    scopes: frozenset[str]
    duplicates: frozenset[str]
    hold_s: int
    access_ttl_max_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What counts from `from_ms` until the next step.

    `in_grace` of the signed seats are given by licences that have expired. `licences` are the ids that give
    seats, and `terms` is None where none does. `conflict` says why licences that are there give nothing.
    `signed` is the highest number that a seat may have. `expires_at_ms` is set within `SignedSeats`: when
    fewer seats are given than now if grace does not count.
    """

    from_ms: int
    seats: int = 0
    overdraft: int = 0
    in_grace: int = 0
    licences: tuple[str, ...] = ()
    terms: Terms | None = None
    conflict: LicenceCode | None = None
    expires_at_ms: int | None = field(default=None, repr=False, compare=False)
    signed: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "signed", self.seats + self.overdraft)


@dataclass(frozen=True, slots=True)
class SignedSeats:
    """The step function of one pool. The first step begins with time, and gives nothing.

    `hold_s` is the greatest hold of all steps, those gone by too: it becomes no shorter with time.
    `remembered` is for who draws a number from a step again and again: by its name, the step's moment, and
    what else it depends on.
    """

    steps: tuple[Step, ...]
    hold_s: int = field(init=False, repr=False, compare=False)
    remembered: dict[tuple[str, int, int | None, int | None], int] = field(
        init=False, repr=False, compare=False
    )
    # Each grant asks for these: of each step its moment, and the fewest seats from it on.
    _from_ms: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _least: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        terms = [step.terms for step in self.steps if step.terms is not None]
        least = [*accumulate((step.signed for step in reversed(self.steps)), min)]
        found = {
            "steps": tuple(
                replace(it, expires_at_ms=self._expiry_of(at)) for at, it in enumerate(self.steps)
            ),
            "hold_s": max((one.hold_s for one in terms), default=0),
            "remembered": {},
            "_from_ms": tuple(step.from_ms for step in self.steps),
            "_least": tuple(reversed(least)),
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def at(self, now_ms: int) -> Step:
        """What counts at this moment."""
        return self.steps[bisect_right(self._from_ms, now_ms) - 1]

    def after(self, now_ms: int) -> tuple[Step, ...]:
        """What comes next, in order."""
        return self.steps[self._index(now_ms) + 1 :]

    def falls(self, now_ms: int) -> Iterator[Step]:
        """The steps to come at which numbers end: each gives fewer seats than all before it from now on."""
        lowest = self.at(now_ms).signed
        for step in self.after(now_ms):
            if step.signed < lowest:
                lowest = step.signed
                yield step

    def greatest(self, from_ms: int, to_ms: int) -> int:
        """The most seats that are signed at any moment from `from_ms` to `to_ms`, both included."""
        return max(step.signed for step in self.steps[self._index(from_ms) : self._index(to_ms) + 1])

    def ends_at_ms(self, number: int, now_ms: int) -> int | None:
        """Until when the seat of this number may live; None without end, `now_ms` if it may not even now.

        That is the first step below its number, though a later one may be above it again.
        """
        if number <= self._least[bisect_right(self._from_ms, now_ms) - 1]:
            return None
        if self.at(now_ms).signed < number:
            return now_ms
        return next((step.from_ms for step in self.after(now_ms) if step.signed < number), None)

    def expires_at_ms(self, now_ms: int) -> int | None:
        """When fewer seats are given than now if grace does not count; None for never.

        A renewal that is installed puts it off. Within the grace it is the end of that.
        """
        return self.at(now_ms).expires_at_ms

    def _expiry_of(self, index: int) -> int | None:
        now = self.steps[index]
        given = (
            (step.from_ms, step.signed if now.in_grace else step.signed - step.in_grace)
            for step in self.steps[index + 1 :]
        )
        return next((from_ms for from_ms, count in given if count < now.signed), None)

    def _index(self, now_ms: int) -> int:
        return bisect_right(self._from_ms, now_ms) - 1


NO_SEATS: Final = SignedSeats((Step(from_ms=_BEFORE_ALL_MS),))


def signed_seats(licences: Iterable[SignedLicence], pool: str) -> SignedSeats:
    """The step function of a pool, from all serials of all licences that are installed in its tenant.

    It depends on their order in nothing.
    """
    serials = by_licence(licences)
    steps = [*NO_SEATS.steps]
    for moment in _moments(serials.values(), pool):
        step = _step(moment, [counting(of_one, moment) for of_one in serials.values()], pool)
        if replace(step, from_ms=steps[-1].from_ms) != steps[-1]:
            steps.append(step)
    return SignedSeats(tuple(steps))


def counting(serials: Sequence[SignedLicence], now_ms: int) -> SignedLicence | None:
    """Of the serials of one licence the one that counts: the highest that has begun, also if it is over."""
    begun = (licence for licence in serials if licence.begins_at_ms <= now_ms)
    return max(begun, key=lambda licence: (licence.serial, licence.text), default=None)


def counting_of_all(licences: Iterable[SignedLicence], now_ms: int) -> tuple[SignedLicence, ...]:
    """Of each licence the serial that counts at this moment, in the order of their ids."""
    serials = by_licence(licences)
    found = (counting(serials[key], now_ms) for key in sorted(serials))
    return tuple(licence for licence in found if licence is not None)


def pools_of(licences: Iterable[SignedLicence]) -> frozenset[str]:
    """The pools that are signed: those of any serial, also of one that is over."""
    return frozenset(name for licence in licences for name in licence.pools)


def features(licences: Iterable[SignedLicence], now_ms: int) -> frozenset[str]:
    """The features of all licences that count now and are not over."""
    alive = (licence for licence in counting_of_all(licences, now_ms) if _is_alive(licence, now_ms))
    return frozenset(word for licence in alive for word in licence.features)


def must_agree(licences: Iterable[SignedLicence], now_ms: int) -> None:
    """Return if no pool of these licences has terms that contradict each other, now or later.

    Raises LicenceRefused.
    """
    known = tuple(licences)
    for pool in sorted(pools_of(known)):
        seats = signed_seats(known, pool)
        for step in (seats.at(now_ms), *seats.after(now_ms)):
            if step.conflict is not None:
                problem = f"pool {shown(pool)}: {_CONFLICTS[step.conflict]}"
                raise LicenceRefused(step.conflict, problem, field=f"pools.{pool}")


def licence_time_ms(clock_ms: int, built_ms: int, licences: Iterable[SignedLicence]) -> int:
    """The time by which an API judges licences: never before its build, nor before one was issued."""
    return max(clock_ms, built_ms, *(licence.issued_at_ms for licence in licences))


_CONFLICTS: Final = {
    LicenceCode.TWO_VENDORS: "licences of two vendors or products give it seats at the same time",
    LicenceCode.NO_COMMON_SCOPE: "there is no scope that all licences of it allow",
    LicenceCode.NO_COMMON_HOLDER: "there is no way to count its seats that all licences of it allow",
}


def by_licence(licences: Iterable[SignedLicence]) -> dict[_Key, list[SignedLicence]]:
    """The serials of each licence, by its key."""
    found: dict[_Key, list[SignedLicence]] = {}
    for licence in licences:
        found.setdefault(licence.key, []).append(licence)
    return found


def _moments(serials: Iterable[Sequence[SignedLicence]], pool: str) -> list[int]:
    """When something may change for a pool."""
    found: set[int] = set()
    for of_one in serials:
        # A serial without the pool ends what one before gave it.
        if any(pool in licence.pools for licence in of_one):
            found.update(moment for licence in of_one for moment in _ends_of(licence))
    return sorted(found)


def _ends_of(licence: SignedLicence) -> Iterator[int]:
    yield licence.begins_at_ms
    if licence.expires_at_ms is not None and licence.over_at_ms is not None:
        yield licence.expires_at_ms
        yield licence.over_at_ms


def _is_alive(licence: SignedLicence, now_ms: int) -> bool:
    return licence.standing(now_ms) in {Standing.VALID, Standing.GRACE}


def _step(moment: int, found: Iterable[SignedLicence | None], pool: str) -> Step:
    giving = [
        (licence, licence.pools[pool])
        for licence in found
        if licence is not None and pool in licence.pools and _is_alive(licence, moment)
    ]
    giving = [(licence, given) for licence, given in giving if given.seats + given.overdraft]
    if not giving:
        return Step(from_ms=moment)
    terms = _terms(giving)
    ids = tuple(sorted(licence.licence for licence, _ in giving))
    if (conflict := _conflict(giving, terms)) is not None:
        return Step(from_ms=moment, licences=ids, conflict=conflict)
    return Step(
        from_ms=moment,
        seats=sum(given.seats for _, given in giving),
        overdraft=sum(given.overdraft for _, given in giving),
        in_grace=sum(
            given.seats + given.overdraft
            for licence, given in giving
            if licence.standing(moment) is Standing.GRACE
        ),
        licences=ids,
        terms=terms,
    )


def _terms(giving: Sequence[tuple[SignedLicence, SignedPool]]) -> Terms:
    pools = [given for _, given in giving]
    return Terms(
        vendor=giving[0][0].vendor,
        product=giving[0][0].product,
        scopes=frozenset.intersection(*(given.scopes for given in pools)),
        duplicates=frozenset.intersection(*(given.duplicates for given in pools)),
        hold_s=max(given.hold_s for given in pools),
        access_ttl_max_s=min(given.access_ttl_max_s for given in pools),
    )


def _conflict(giving: Sequence[tuple[SignedLicence, SignedPool]], terms: Terms) -> LicenceCode | None:
    if len({(licence.vendor, licence.product) for licence, _ in giving}) > 1:
        return LicenceCode.TWO_VENDORS
    if not terms.scopes:
        return LicenceCode.NO_COMMON_SCOPE
    return None if terms.duplicates else LicenceCode.NO_COMMON_HOLDER
