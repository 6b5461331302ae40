"""Defines a licence that a vendor has signed, and what it says of a pool, as frozen values.

Times are milliseconds since 1970, as everywhere in Licet, though a licence has whole seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

SECOND_MS = 1000


class Standing(StrEnum):
    """Where a licence is in its life. Whether a later serial took its place is not part of it."""

    NOT_YET = "not_yet"
    VALID = "valid"
    GRACE = "grace"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPool:
    """What a licence gives a pool, and on which terms.

    `scopes` may draw on it; `duplicates` are the ways in which its seats may be counted, `client`, `user`;
    `hold_s` is how long a number stays its holder's after the last token, and no access token may live for
    longer than `access_ttl_max_s`.
    """

    seats: int
    scopes: frozenset[str]
    overdraft: int = 0
    hold_s: int = 60
    access_ttl_max_s: int = 600
    duplicates: frozenset[str] = frozenset({"client", "user"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedLicence:
    """One serial of a licence, as its vendor signed it.

    `text` is the compact JWS and `kid` the key that signed it. `expires_at_ms` is None for a perpetual
    licence, `installation` None for one that is bound to none.
    """

    vendor: str
    product: str
    tenant: str
    licence: str
    serial: int
    issued_at_ms: int
    begins_at_ms: int
    expires_at_ms: int | None
    grace_s: int
    installation: str | None
    customer: str | None
    updates_until: date | None
    features: tuple[str, ...]
    pools: Mapping[str, SignedPool] = field(hash=False)
    kid: str
    text: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What its serials have in common: the same id of another vendor is another licence."""
        return (self.vendor, self.product, self.licence)

    @property
    def over_at_ms(self) -> int | None:
        """From when on it gives no seat: the end of its grace; None for never."""
        return None if self.expires_at_ms is None else self.expires_at_ms + self.grace_s * SECOND_MS

    def standing(self, now_ms: int) -> Standing:
        """Where it is in its life. At `nbf` it counts, at `exp` it has expired (RFC 7519 4.1.4, 4.1.5)."""
        if now_ms < self.begins_at_ms:
            return Standing.NOT_YET
        if self.expires_at_ms is None or now_ms < self.expires_at_ms:
            return Standing.VALID
        assert self.over_at_ms is not None
        return Standing.GRACE if now_ms < self.over_at_ms else Standing.OVER
