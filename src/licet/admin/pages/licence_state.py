"""Says how near the end of a pool's licence is: far away, soon, within a day, or over."""

from enum import StrEnum

from licet.units import DAY_MS

SOON_DAYS = 30


class LicenceState(StrEnum):
    """What the end of a licence means to who looks at a pool."""

    FAR = "far"  # more than 30 days away, or there is none
    SOON = "soon"
    LAST_DAY = "last-day"
    EXPIRED = "expired"


def licence_state(expires_at_ms: int | None, now_ms: int) -> LicenceState:
    """The state of a licence that ends at this instant; None never does."""
    if expires_at_ms is None or expires_at_ms - now_ms > SOON_DAYS * DAY_MS:
        return LicenceState.FAR
    if expires_at_ms <= now_ms:
        return LicenceState.EXPIRED
    return LicenceState.LAST_DAY if expires_at_ms - now_ms <= DAY_MS else LicenceState.SOON
