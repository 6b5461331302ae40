"""Says how near the end of a pool's licence is: far away, soon, within a day, or over."""

from enum import StrEnum

from licet.units import DAY_MS

SOON_DAYS = 30


class LicenceState(StrEnum):
    """How near the end of a licence is, for the reader of a page."""

    FAR = "far"  # more than 30 days away, or never
    SOON = "soon"
    LAST_DAY = "last-day"
    EXPIRED = "expired"


def licence_state(expires_at_ms: int | None, now_ms: int) -> LicenceState:
    """The state of a licence that ends at this instant; None is never."""
    if expires_at_ms is None or expires_at_ms - now_ms > SOON_DAYS * DAY_MS:
        return LicenceState.FAR
    if expires_at_ms <= now_ms:
        return LicenceState.EXPIRED
    return LicenceState.LAST_DAY if expires_at_ms - now_ms <= DAY_MS else LicenceState.SOON
