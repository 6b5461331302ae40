"""Lists the licences that are installed in a tenant, and says of each whether it counts, or why it does not.

A licence counts from its begin until its grace is over, while it is the highest serial of its id that has
begun. One that cannot be verified counts for nothing: a vendor is not trusted, or somebody changed the row.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from licet.licences.licence import SignedLicence, Standing
from licet.licences.steps import counting
from licet.licences.vendor_file import Vendor
from licet.model import Pool
from licet.setup.licences import InstalledLicence

_Key = tuple[str, str, str]


class State(StrEnum):
    """Whether a licence counts; the order is that of the list."""

    COUNTS = "counts"
    GRACE = "in grace"
    CONFLICT = "contradicts another"
    NOT_YET = "not begun"
    EXPIRED = "expired"
    UNTRUSTED = "vendor not trusted"
    DAMAGED = "damaged"
    REPLACED = "replaced"
    REMOVED = "removed"

    @property
    def is_past(self) -> bool:
        """Whether nothing will make it count again."""
        return self in {State.REPLACED, State.REMOVED}

    @property
    def tag(self) -> str:
        """The class of its tag."""
        if self is State.COUNTS:
            return "on"
        if self in {State.GRACE, State.NOT_YET, State.REPLACED, State.REMOVED}:
            return "warn-tag" if self is State.GRACE else ""
        return "bad"


class LicenceRow(NamedTuple):
    """A row of the list. `by` is the serial that took its place."""

    installed: InstalledLicence
    state: State
    by: int | None = None

    @property
    def licence(self) -> SignedLicence | None:
        """What its vendor signed, if that can be verified."""
        return self.installed.licence


def rows(
    installed: Sequence[InstalledLicence], trusted: Iterable[Vendor], pools: Mapping[str, Pool], now_ms: int
) -> list[LicenceRow]:
    """The licences of a tenant: those that count first, those that never will again last."""
    vendors = {(vendor.name, vendor.product) for vendor in trusted}
    serials: dict[_Key, list[SignedLicence]] = {}
    for it in installed:
        if it.licence is not None and it.removed_at_ms is None:
            serials.setdefault(it.licence.key, []).append(it.licence)
    now = {key: counting(of_one, now_ms) for key, of_one in serials.items()}
    found = [_row(it, vendors, now, pools, now_ms) for it in installed]
    order = list(State)
    return sorted(found, key=lambda row: (order.index(row.state), row.installed.name, -row.installed.serial))


def _row(
    it: InstalledLicence,
    vendors: set[tuple[str, str]],
    now: Mapping[_Key, SignedLicence | None],
    pools: Mapping[str, Pool],
    now_ms: int,
) -> LicenceRow:
    if it.removed_at_ms is not None:
        return LicenceRow(it, State.REMOVED)
    licence = it.licence
    if licence is None:
        is_trusted = (it.vendor, it.product) in vendors
        return LicenceRow(it, State.DAMAGED if is_trusted else State.UNTRUSTED)
    counts = now[licence.key]
    if counts is not None and counts.serial > licence.serial:
        return LicenceRow(it, State.REPLACED, counts.serial)
    state = {
        Standing.NOT_YET: State.NOT_YET,
        Standing.VALID: State.COUNTS,
        Standing.GRACE: State.GRACE,
        Standing.OVER: State.EXPIRED,
    }[licence.standing(now_ms)]
    if state in {State.COUNTS, State.GRACE} and _is_in_conflict(licence, pools, now_ms):
        state = State.CONFLICT
    return LicenceRow(it, state)


def _is_in_conflict(licence: SignedLicence, pools: Mapping[str, Pool], now_ms: int) -> bool:
    """Whether another licence that counts now contradicts it, so that its pool has no seat."""
    signed = (pools[name].signed for name in licence.pools if name in pools)
    return any(it is not None and it.at(now_ms).conflict is not None for it in signed)
