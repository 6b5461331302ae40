"""What an administrator may change, why it cannot be, and the event that it leaves.

A set of changes names only what is to be another; in an addition, what it does not name has its default.
"""

from typing import TypedDict

from sqlalchemy import insert

from licet.model import Duplicates, GrantType
from licet.store import schema
from licet.store.contract import Transaction

ACTOR_CHARS_MAX = 200


class SetupError(Exception):
    """The set-up cannot be changed like this; the text is one line that says why and what to do."""


class NotFound(SetupError):
    """There is nothing of this name."""


class AlreadyThere(SetupError):
    """The name is taken."""


class StillInUse(SetupError):
    """Something else stands on it."""


class PoolChanges(TypedDict, total=False):
    """What may be set of a pool. An instant of None is never."""

    seats: int
    duplicates: Duplicates
    expires_at_ms: int | None


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
    """What may be set of a client. `user` is initials; scopes of None are all that the tenant has."""

    user: str
    enabled: bool
    sessions_max: int
    scopes: frozenset[str] | None
    grant_types: frozenset[GrantType]
    introspects: bool
    password_allowed: bool


class TenantChanges(TypedDict, total=False):
    """What may be set of a tenant itself."""

    session_ttl_s: int
    access_ttl_s: int
    scope_default: str
    no_seat_status: int


def keep_event(
    transaction: Transaction, actor: str, *, tenant: str, action: str, target: str, detail: str
) -> None:
    """Keep who did what, to what, in which tenant. `detail` has no secret in it."""
    row = {
        "at_ms": transaction.now_ms,
        "actor": actor[:ACTOR_CHARS_MAX],
        "tenant": tenant,
        "action": action,
        "target": target,
        "detail": detail,
    }
    transaction.connection.execute(insert(schema.event).values(row))
