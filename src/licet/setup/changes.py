"""What an administrator may set of each noun, as a set of changes.

It names only what is to be another; in an addition, what it does not name has its default.
"""

from collections.abc import Iterable
from typing import TypedDict

from licet.model import DENIED, SESSION_TTL_S, Duplicates, GrantType, PublicKey, Tenant, TokenFormat


class PoolChanges(TypedDict, total=False):
    """What may be set of a pool. An instant of None is never; alerts are those of `read_alerts`.

    `hold_s` is the pool's own hold, in seconds.
    """

    seats: int
    duplicates: Duplicates
    expires_at_ms: int | None
    alerts: tuple[str, ...]
    hold_s: int


class ScopeChanges(TypedDict, total=False):
    """What may be set of a scope. A pool of None makes it unlicensed."""

    pool: str | None
    read_only: bool


class UserChanges(TypedDict, total=False):
    """What may be set of a user. The hash is `Passwords.hash`'s; None takes the password away."""

    name: str
    password_hash: str | None
    enabled: bool


class ClientChanges(TypedDict, total=False):
    """What may be set of a client. `user` is initials; scopes of None are all that the tenant has.

    What is known of keys beside what they are and when they expire is the store's.
    """

    user: str
    enabled: bool
    sessions_max: int
    scopes: frozenset[str] | None
    grant_types: frozenset[GrantType]
    introspects: bool
    password_allowed: bool
    keys: tuple[PublicKey, ...]


class TenantChanges(TypedDict, total=False):
    """What may be set of a tenant itself."""

    session_ttl_s: int
    access_ttl_s: int
    scope_default: str
    no_seat_status: int
    token_format: TokenFormat
    strict_assertions: bool
    time_zone: str


def with_access_ttl(changes: TenantChanges, before: Tenant | None) -> TenantChanges:
    """The changes with the life that goes with another token format, where they name none.

    `before` is None for a new tenant.
    """
    old = before.token_format if before else TokenFormat.REFERENCE
    new = changes.get("token_format", old)
    if new is old or "access_ttl_s" in changes:
        return changes
    session_ttl_s = changes.get("session_ttl_s", before.session_ttl_s if before else SESSION_TTL_S)
    return {**changes, "access_ttl_s": min(new.access_ttl_s, session_ttl_s)}


def alert_columns(alerts: Iterable[str]) -> dict[str, str]:
    """The alerts of a pool in their two columns: what code of schema 0003 does not know stands apart."""
    words = list(alerts)
    return {
        "alerts": " ".join(it for it in words if it == DENIED or it.isdigit()),
        "alerts_more": " ".join(it for it in words if it != DENIED and not it.isdigit()),
    }
