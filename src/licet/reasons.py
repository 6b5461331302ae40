"""Defines why a seat was denied, why a session ended, and why an authentication failed."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class NoSeatReason(StrEnum):
    """Why a grant got no seat, in the order in which it is decided."""

    SUSPENDED = "suspended"
    LICENCE_MISSING = "licence_missing"
    LICENCE_EXPIRED = "licence_expired"
    EXCLUDED = "excluded"
    NOT_INCLUDED = "not_included"
    MAX_REACHED = "max_reached"
    NO_SEATS = "no_seats"
    RESERVED = "reserved"  # there are free seats, which are for others
    ALL_IN_USE = "all_in_use"
    QUEUED = "queued"

    @classmethod
    def _missing_(cls, value: object) -> "NoSeatReason | None":
        return cls.SUSPENDED if value == "barred" else None  # as a node of the previous version writes it


# Why somebody was denied a seat, as lists show it.
WHY_DENIED: Mapping[NoSeatReason, str] = MappingProxyType(
    {
        NoSeatReason.ALL_IN_USE: "all seats in use",
        NoSeatReason.NO_SEATS: "the pool has no seats",
        NoSeatReason.RESERVED: "what was free is reserved for others",
        NoSeatReason.QUEUED: "others were before it in line",
        NoSeatReason.MAX_REACHED: "as many seats as it may have",
        NoSeatReason.EXCLUDED: "excluded from the pool",
        NoSeatReason.NOT_INCLUDED: "not among those whom the pool is for",
        NoSeatReason.LICENCE_EXPIRED: "the licence had expired",
        NoSeatReason.LICENCE_MISSING: "in no licence that counted",
        NoSeatReason.SUSPENDED: "suspended by an administrator",
    }
)


class EndReason(StrEnum):
    """Why a session ended."""

    LOGOFF = "logoff"
    REVOKED = "revoked"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    ADMINISTRATOR = "administrator"
    DISABLED = "disabled"
    REMOVED = "removed"


class Who(StrEnum):
    """The kind of caller that authenticated."""

    CLIENT = "client"
    ADMINISTRATOR = "administrator"
    API_KEY = "api_key"


class FailureCause(StrEnum):
    """Why an authentication failed. Only administrators see it; the caller gets one answer for all causes."""

    UNKNOWN_TENANT = "unknown_tenant"
    UNKNOWN_CLIENT = "unknown_client"
    NO_CREDENTIALS = "no_credentials"  # or unreadable ones
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - or password
    EXPIRED_SECRET = "expired_secret"  # noqa: S105 - no secret
    PASSWORD_NOT_ALLOWED = "password_not_allowed"  # noqa: S105 - no password
    CLIENT_DISABLED = "client_disabled"
    USER_DISABLED = "user_disabled"
    THROTTLED = "throttled"  # too many failed before: not checked
    BAD_SIGNATURE = "bad_signature"
    WRONG_AUDIENCE = "wrong_audience"
    EXPIRED_ASSERTION = "expired_assertion"  # or not valid yet, or for too long
    USED_ASSERTION = "used_assertion"
    NOT_STRICT = "not_strict"  # an assertion, at a tenant that accepts strict ones only
    UNKNOWN_ADMINISTRATOR = "unknown_administrator"
    ADMINISTRATOR_DISABLED = "administrator_disabled"
    UNKNOWN_API_KEY = "unknown_api_key"
