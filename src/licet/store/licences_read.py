"""Reads the licences of a tenant, and gives each signed pool what they add up to (L13).

The rules:

- The store keeps the text of a licence, and only the text counts: each is verified again with the keys of the
  vendors that are trusted now. So whoever edits a row, or a number of seats, gains no seat.
- A row that was changed, or whose vendor is not trusted, gives no seats. A pool stays signed, even without
  seats, until an administrator makes it unsigned.
- The result of a verification is remembered, because a valid signature stays valid.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol

from licet.licences.errors import LicenceCode, LicenceRefused
from licet.licences.licence import SignedLicence
from licet.licences.reading import must_be_for_tenant, read
from licet.licences.steps import SignedSeats, pools_of, signed_seats
from licet.licences.vendor_file import Vendor, read_vendor

_REMEMBERED_MAX = 512  # texts of 16 KiB at most


class Fault(StrEnum):
    """Why an installed licence counts for nothing. Programs depend on these words."""

    VENDOR_NOT_TRUSTED = "vendor_not_trusted"
    KEY_NOT_TRUSTED = "key_not_trusted"  # the vendor is, and its file has no such key any more
    CHANGED = "changed"


class LicenceRow(Protocol):
    """A row of the table `licence`."""

    vendor: Any
    product: Any
    licence: Any
    serial: Any
    text: Any
    removed_at_ms: Any


def counting_licences(
    rows: Iterable[LicenceRow], vendors: Sequence[str], tenant: str
) -> tuple[SignedLicence, ...]:
    """The licences of these rows that were not removed, and are verified.

    `vendors` are the texts of the vendors that are trusted.
    """
    kept = (row for row in rows if row.removed_at_ms is None)
    return tuple(it for row in kept if (it := verified(row, vendors, tenant)) is not None)


def signed_pools(licences: Sequence[SignedLicence], marked: Iterable[str]) -> dict[str, SignedSeats]:
    """What these licences give each signed pool, by its name.

    A pool is signed where a licence names it, and where it is `marked` as signed, though nothing counts.
    """
    return {name: signed_seats(licences, name) for name in {*marked, *pools_of(licences)}}


def verified(row: LicenceRow, vendors: Sequence[str], tenant: str) -> SignedLicence | None:
    """The licence of a row, removed or not; None where the row contributes nothing."""
    licence = _verified(row.text, tuple(vendors), tenant)
    called = (row.vendor, row.product, row.licence, row.serial)
    if isinstance(licence, LicenceCode) or (*licence.key, licence.serial) != called:
        return None
    return licence


def fault_of(row: LicenceRow, vendors: Sequence[str], tenant: str) -> Fault:
    """Why the row of a licence that is not `verified` contributes nothing."""
    trusted = {(it.name, it.product) for text in vendors if (it := vendor_of(text)) is not None}
    if (row.vendor, row.product) not in trusted:
        return Fault.VENDOR_NOT_TRUSTED
    is_unknown = _verified(row.text, tuple(vendors), tenant) is LicenceCode.UNKNOWN_KEY
    return Fault.KEY_NOT_TRUSTED if is_unknown else Fault.CHANGED


@lru_cache(maxsize=_REMEMBERED_MAX)
def _verified(text: str, vendors: tuple[str, ...], tenant: str) -> SignedLicence | LicenceCode:
    """The licence, or why it is none."""
    try:
        licence = read(text, [it for vendor in vendors if (it := vendor_of(vendor)) is not None])
        must_be_for_tenant(licence, tenant)
    except LicenceRefused as refused:
        return refused.code
    return licence


@lru_cache(maxsize=64)
def vendor_of(text: str) -> Vendor | None:
    """The vendor of the text that is kept of it; None where that was changed."""
    try:
        return read_vendor(text.encode())
    except LicenceRefused:
        return None
