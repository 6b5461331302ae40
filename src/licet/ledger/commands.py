"""Defines what may be asked of the ledger and what it answers: commands and their outcomes.

They cross from the event loop to the commit lane and back as MessagePack: each is an array with a tag, so a
field is added at the end.
"""

from collections.abc import Iterable

from licet.model import (
    EndReason,
    NoSeatReason,
    Session,
    Value,
)


class UseAssertion(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """A client authenticates with a signed assertion, which can be used once (RFC 7523 3).

    `jti` is a hash of the assertion's identifier, which no other of this client has; it is remembered until
    `until_ms`.
    """

    tenant_id: int
    client_key: int
    jti: bytes
    until_ms: int

    @property
    def key(self) -> tuple[int, bytes]:
        """By which a book and a memory know it."""
        return self.client_key, self.jti


class Grant(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """A client that authenticated asks for a new session.

    `scope`, `pool_id` and `other_pool_ids` come from `resolve_scope`: a seat of the first pool that gives one
    will do (L20). `sid` is new and random. `queue` is whether it waits in line where none does (L19).
    `assertion` is the one by which the client authenticated, if it is not marked as used yet. This command
    marks it, whatever becomes of the grant.
    """

    tenant_id: int
    client_key: int
    sid: bytes
    scope: str
    pool_id: int | None
    address: str
    other_pool_ids: tuple[int, ...] = ()
    queue: bool = False
    assertion: UseAssertion | None = None

    @property
    def pool_ids(self) -> tuple[int, ...]:
        """The pools that it asks for a seat, in order."""
        return () if self.pool_id is None else (self.pool_id, *self.other_pool_ids)


class Refresh(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """A client that authenticated renews its session; `scope` narrows the new access token.

    `assertion` as in `Grant`.
    """

    tenant_id: int
    client_key: int
    sid: bytes
    scope: tuple[str, ...] | None = None
    address: str = ""
    assertion: UseAssertion | None = None


class End(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """A session is to end. With `client_key`, only that client's own."""

    tenant_id: int
    sid: bytes
    reason: EndReason
    client_key: int | None = None


class Sweep(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """Expired sessions are to be cleared away, `sessions_max` at most."""

    sessions_max: int


Command = Grant | Refresh | End | Sweep | UseAssertion


def assertion_of(command: Command) -> UseAssertion | None:
    """The assertion that a command marks as used, if any."""
    if isinstance(command, Grant | Refresh):
        return command.assertion
    return command if isinstance(command, UseAssertion) else None


def uses_of(commands: Iterable[Command]) -> list[UseAssertion]:
    """The assertions that these commands mark as used."""
    return [use for command in commands if (use := assertion_of(command)) is not None]


class Granted(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """A grant or refresh was made; `scope` is what the new access token may do.

    `may_refresh` is whether the client gets a refresh token. `seat_number` is the number of its seat in a
    signed pool (L13), else 0.
    """

    session: Session
    may_refresh: bool
    scope: str
    at_ms: int
    access_expires_at_ms: int
    seat_number: int = 0


class PoolDenied(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """Why one of several pools gave no seat."""

    pool: str
    reason: NoSeatReason


class Denied(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """No seat was free, or none for this client. `retry_after_s` is None when waiting will not help.

    `rule` is the option that denied it, as administrators write it, else empty. `queue_position` is its place
    in line from 1 on, 0 without one. Where several pools were asked, `pools` says of each why, and the other
    fields are of the one in which the grant came farthest (L20).
    """

    reason: NoSeatReason
    pool: str
    seats: int
    in_use: int
    retry_after_s: int | None
    rule: str = ""
    queue_position: int = 0
    pools: tuple[PoolDenied, ...] = ()


class ClientRefused(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """The client or its user was disabled or removed since it authenticated."""


class SessionUnknown(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """There is no such session alive, or it is another client's."""


class ScopeRefused(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """The scope asked for cannot be had; `why` may be shown to the client.

    `is_outdated`: it draws on other pools than when the request was read, and can be had if it is read anew.
    """

    why: str
    is_outdated: bool = False


class Ended(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """The session is over, by this command or before it.

    Where it was the last of its seat and that is held (L18), `seat_free_at_ms` is when the seat may be
    somebody else's, and `seat_released_in_s` in how many seconds.
    """

    session: Session | None
    seat_released: bool
    seat_free_at_ms: int | None = None
    seat_released_in_s: int | None = None


class Swept(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """So many expired sessions were cleared away."""

    sessions: int


class AssertionUse(Value, frozen=True, kw_only=True, tag=True, array_like=True):
    """The assertion is marked as used; `is_first` is whether this was its first use.

    If it was not, this is also the outcome of a grant or refresh with this assertion, which is not made.
    """

    is_first: bool


Outcome = Granted | Denied | ClientRefused | SessionUnknown | ScopeRefused | Ended | Swept | AssertionUse
