"""Computes what the licences of a server grant a pool now, or why they grant nothing, without I/O.

The rules:

- A licence counts if the vendor's compiled key signed it, for this product, tenant, installation and build.
- Licence time is the latest of the clock, the build, and the issue of any licence that counts: a clock that
  is set back brings nothing back.
- Within a day of a step its better side counts: the most seats, and the easier terms. Clocks differ, and the
  server is exact.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Final, NamedTuple

from licet.licences.errors import LicenceCode, LicenceRefused
from licet.licences.licence import SignedLicence
from licet.licences.reading import installation_hash, must_cover, read, read_unverified
from licet.licences.steps import SignedSeats, features, licence_time_ms, pools_of, signed_seats
from licet.licences.vendor_file import Vendor

STEP_LEEWAY_MS: Final = 86_400_000


class Why(StrEnum):
    """Why a licence does not cover a request. Programs depend on these words."""

    NOT_THIS_INSTALLATION = "not_this_installation"
    UPDATES_ENDED = "updates_ended"
    NOT_THIS_TENANT = "not_this_tenant"
    NOT_THIS_PRODUCT = "not_this_product"
    UNREADABLE = "licence_unreadable"
    UNKNOWN_VENDOR = "unknown_vendor"
    WRONG_POOL = "wrong_pool"
    COUNTED_OTHERWISE = "counted_otherwise"
    BEYOND_LICENCE = "beyond_licence"
    LICENCE_OVER = "licence_over"


_WHY: Final = {
    LicenceCode.OTHER_INSTALLATION: Why.NOT_THIS_INSTALLATION,
    LicenceCode.UPDATES_ENDED: Why.UPDATES_ENDED,
    LicenceCode.OTHER_TENANT: Why.NOT_THIS_TENANT,
    LicenceCode.OTHER_PRODUCT: Why.NOT_THIS_PRODUCT,
    LicenceCode.UNKNOWN_POOL_MEMBER: Why.UNREADABLE,
    LicenceCode.UNKNOWN_MUST: Why.UNREADABLE,
}
_NEAREST: Final = {why: place for place, why in enumerate(Why)}  # of several the one that lacks least


class Place(NamedTuple):
    """Where licences have to be for: the vendor's product, as it runs here; `installation` is a text."""

    vendor: Vendor
    tenant: str
    installation: str | None
    built: date

    @property
    def built_ms(self) -> int:
        """The beginning of the day of the build, UTC."""
        return int(datetime.combine(self.built, time(), UTC).timestamp() * 1000)


class Passed(NamedTuple):
    """A licence that does not count here, and why; `detail` is for the log."""

    why: Why
    detail: str
    pools: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolTerms:
    """What is signed for a pool now, and on which terms."""

    signed: int
    scopes: frozenset[str]
    duplicates: frozenset[str]
    hold_s: int
    access_ttl_max_s: int


class Coverage:
    """What licences give; the time is given with each question."""

    def __init__(self, licences: Sequence[SignedLicence], passed: Iterable[Passed], built_ms: int) -> None:
        self.licences = tuple(licences)
        self.passed = tuple(passed)
        self._built_ms = built_ms
        self._pools = pools_of(self.licences)
        self._seats: dict[str, SignedSeats] = {}  # of the pools that are signed, when they are asked about

    def terms(self, pool: str | None, wall_ms: int) -> PoolTerms | Why:
        """What a pool has, or why it has nothing."""
        if pool is None or pool not in self._pools:
            return self._why_not(pool)
        seats = self._seats.get(pool)
        if seats is None:
            seats = self._seats[pool] = signed_seats(self.licences, pool)
        now_ms = self.time_ms(wall_ms)
        from_ms, to_ms = now_ms - STEP_LEEWAY_MS, now_ms + STEP_LEEWAY_MS
        steps = [seats.at(from_ms), *(step for step in seats.after(from_ms) if step.from_ms <= to_ms)]
        giving = [step.terms for step in steps if step.terms is not None and step.signed]
        if not giving:
            return Why.LICENCE_OVER
        return PoolTerms(
            signed=max(step.signed for step in steps),
            scopes=frozenset().union(*(step.scopes for step in giving)),
            duplicates=frozenset().union(*(step.duplicates for step in giving)),
            hold_s=min(step.hold_s for step in giving),
            access_ttl_max_s=max(step.access_ttl_max_s for step in giving),
        )

    def features(self, wall_ms: int) -> frozenset[str]:
        """The features of the licences that count now, or did or will within a day."""
        now_ms = self.time_ms(wall_ms)
        moments = (now_ms - STEP_LEEWAY_MS, now_ms, now_ms + STEP_LEEWAY_MS)
        return frozenset().union(*(features(self.licences, moment) for moment in moments))

    def time_ms(self, wall_ms: int) -> int:
        """Licence time."""
        return licence_time_ms(wall_ms, self._built_ms, self.licences)

    def _why_not(self, pool: str | None) -> Why:
        meant = [one.why for one in self.passed if pool in one.pools]
        if not meant and not self.licences:
            meant = [one.why for one in self.passed]
        nothing = Why.WRONG_POOL if self.licences else Why.LICENCE_OVER
        return min(meant, key=_NEAREST.__getitem__, default=nothing)


def read_all(texts: Iterable[str], place: Place) -> tuple[list[SignedLicence], list[Passed]]:
    """The licences that count in this place, and those that do not."""
    good: list[SignedLicence] = []
    passed: list[Passed] = []
    installation = None if place.installation is None else installation_hash(place.installation)
    for text in texts:
        try:
            licence = read(text, [place.vendor])
            must_cover(licence, tenant=place.tenant, installation=installation, built=place.built)
        except LicenceRefused as refused:
            passed.append(Passed(_WHY.get(refused.code, Why.UNKNOWN_VENDOR), refused.text, _meant(text)))
        else:
            good.append(licence)
    return good, passed


def _meant(text: str) -> frozenset[str]:
    """For which pools it would have been."""
    try:
        return frozenset(read_unverified(text).pools)
    except LicenceRefused:
        return frozenset()
