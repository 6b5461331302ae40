"""Reports, sessions and alerts, as answered.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from licet.admin_client.words import FailureCause, Kind, State, Who


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A message about an alert, and what became of it."""

    id: str
    # The webhook to which it goes; null is by e-mail.
    webhook: str | None
    # Its tenant; null is none.
    tenant: str | None
    type: str
    # The message itself, which is JSON.
    payload: str
    state: State
    created_at: datetime
    attempts: int
    # The last attempt.
    last_at: datetime | None
    last_error: str
    # The next attempt.
    next_at: datetime | None
    delivered_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class DenialRange:
    """One client was denied a seat of one pool, for one reason, again and again.

    `seats` and `in_use` are the pool's, `address` is the client's, at the last denial. `user_name`
    is the user's, '' when the user was removed.
    """

    pool: str
    client_id: str
    user: str
    user_name: str
    reason: str
    times: int
    first_at: datetime
    last_at: datetime
    seats: int
    in_use: int
    address: str


@dataclass(frozen=True, kw_only=True)
class EventEntry:
    """What an administrator did to a `target` like "client Desk"; `tenant` is '' for no single one."""

    entry: Literal["event"]
    tenant: str
    at: datetime
    actor: str
    action: str
    target: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class FailureRange:
    """Authentications that failed again and again for one cause.

    `tenant` is '' for an unknown tenant. `name` is the client's id, or the name of an administrator
    or API key; '' for an unknown name, or several. `address` is that of the last failure.
    """

    tenant: str
    who: Who
    name: str
    user: str
    user_name: str
    cause: FailureCause
    times: int
    first_at: datetime
    last_at: datetime
    address: str


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A client that held a seat, from when until when; `freed_at` is None while it still does.

    Seats that a client took within one minute are one row: `times` is how often it took a seat in
    that minute. `addresses` is the most addresses that used one of them in a day: 17 is more than
    16, 0 is unknown.
    """

    client_id: str
    user: str
    user_name: str
    taken_at: datetime
    freed_at: datetime | None
    times: int
    addresses: int


@dataclass(frozen=True, kw_only=True)
class JournalEntry:
    """One entry of the journal: how often in its minute, when first and last.

    `seats` and `in_use` are the pool's at the last denial, `address` is that of the last time.
    `pool` is '' where no seat is needed. Of a failed authentication `reason` is the cause, `tenant`
    and `client_id` are '' where there is none, and `client_id` is the name of an administrator or
    an API key (`who`).
    """

    entry: Literal["journal"]
    tenant: str
    kind: Kind
    reason: str
    pool: str
    client_id: str
    user: str
    times: int
    first_at: datetime
    last_at: datetime
    seats: int | None
    in_use: int | None
    address: str
    who: Who


@dataclass(frozen=True, kw_only=True)
class LiveSession:
    """A live session: whose it is, and when it began, got its last token, was last used, and expires.

    `last_used_at` is as `licet.journal.uses` says.
    """

    sid: str
    client_id: str
    user: str
    user_name: str
    scope: str
    started_at: datetime
    renewed_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str


@dataclass(frozen=True, kw_only=True)
class Point:
    """A quarter of an hour from `at` on: the most seats in use at once, and the seats of the pool."""

    at: datetime
    peak: int
    seats: int


@dataclass(frozen=True, kw_only=True)
class SeatInUse:
    """A seat, who took it, and the sessions that share it, oldest first; without a session it is on hold.

    `addresses` is how many asked for its tokens in a day: 17 is more than 16, 0 is unknown.
    `counted_by` are the options of its pool by which it is counted, as `reserve group:sales` (L16,
    L17).
    """

    holder: str
    client_id: str
    user: str
    user_name: str
    taken_at: datetime
    issued_at: datetime
    last_used_at: datetime
    expires_at: datetime
    addresses: int
    counted_by: tuple[str, ...]
    sessions: tuple[LiveSession, ...]


@dataclass(frozen=True, kw_only=True)
class PoolNow:
    """A pool at one instant.

    One of its seats in use is free at `next_free_at` at the latest. `seats` are those that count.
    Of those in use, `overdraft_in_use` are overdraft that licences allow, and `overuse` too many.
    `reserved` seats are for whom its options say alone, and `waiting` clients stand in line for
    one.
    """

    pool: str
    seats: int
    in_use: int
    overdraft_in_use: int
    overuse: int
    reserved: int
    reserved_in_use: int
    waiting: int
    next_free_at: datetime | None
    expires_at: datetime | None
    in_use_by: tuple[SeatInUse, ...]


@dataclass(frozen=True, kw_only=True)
class PoolOverview:
    """A pool at one instant, and its last 24 hours.

    `peak` is today's, first reached in the minute of `peak_at` (None when nothing was in use
    today). One of its seats is free at `next_free_at` at the latest (None when none is in use).
    `points` are the quarters of an hour of the last 24 hours, the oldest first. `overdraft` is
    above its seats (L14); of these, `reserved` are for some alone (L17). `waiting` clients stand in
    line (L19).
    """

    pool: str
    seats: int
    overdraft: int
    in_use: int
    on_hold: int
    overuse: int
    reserved: int
    reserved_in_use: int
    waiting: int
    peak: int
    peak_at: datetime | None
    denials: int
    next_free_at: datetime | None
    expires_at: datetime | None
    sessions: int
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class Queued:
    """Messages that a server sends as soon as it can."""

    messages: int


@dataclass(frozen=True, kw_only=True)
class Raised:
    """An alert that is raised now.

    `threshold` says which: `80`, `denied`, `overdraft`, `expires`, `shared`. Of a queue it is
    `queue_full`. Of a signed licence it is `licence_expires`, `licence_grace`, `licence_expired` or
    `licence_invalid`. `expires_at` is the end of the licence, or of its grace, where the alert is
    about that; where it is about a shared seat, `client_id` holds it, and so many `addresses` used
    it when that was reported. `licence` is the id of one that gives no seats.
    """

    tenant: str
    pool: str
    threshold: str
    raised_at: datetime
    notified_at: datetime | None
    seats: int
    in_use: int
    expires_at: datetime | None
    client_id: str | None
    addresses: int | None
    licence: str | None


@dataclass(frozen=True, kw_only=True)
class Refused:
    """How a request was refused.

    `kind` is `denied` or `failed`, `reason` the reason or the cause. The other fields are as in
    `FailureRange`; `pool` is '' for a failure.
    """

    request_id: str
    tenant: str
    at: datetime
    kind: str
    reason: str
    pool: str
    who: Who
    name: str
    user: str
    user_name: str
    address: str


@dataclass(frozen=True, kw_only=True)
class ScopeSessions:
    """How many sessions of a scope are alive.

    Those that need no seat are not `licensed`.
    """

    scope: str
    licensed: bool
    sessions: int


@dataclass(frozen=True, kw_only=True)
class SeatsNow:
    """All pools of a tenant at one instant, and the sessions that need no seat."""

    tenant: str
    at: datetime
    pools: tuple[PoolNow, ...]
    unlicensed: tuple[LiveSession, ...]


@dataclass(frozen=True, kw_only=True)
class SessionsEnded:
    """The result of ending sessions: how many were active, and how many seats came back.

    `seats_on_hold` are on hold for their last tokens (L18), the last of them until `seats_free_at`.
    `clients` are those of the sessions, suspended until `suspended_until`, if that is not None.
    """

    sessions: int
    seats: int
    seats_on_hold: int
    seats_free_at: datetime | None
    clients: tuple[str, ...]
    suspended_until: datetime | None


@dataclass(frozen=True, kw_only=True)
class TenantOverview:
    """A tenant at one instant: today's `denials` of all pools, and `unlicensed`, the sessions without."""

    tenant: str
    pools: tuple[PoolOverview, ...]
    sessions: tuple[ScopeSessions, ...]
    unlicensed: int
    denials: int
    failures: int


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Where alerts are sent."""

    id: str
    # The tenant of the alerts; null is all.
    tenant: str | None
    # The URL without its path.
    place: str
    # For owners only.
    url: str | None
    enabled: bool
    # Why it is disabled, if no administrator did it.
    disabled_why: str
    secret_number: int
    rotated_at: datetime | None
    created_at: datetime
    # Whether it also goes to private addresses: an owner of all tenants set it.
    private_allowed: bool
    etag: str = field(default="", compare=False)  # for `if_match`


@dataclass(frozen=True, kw_only=True)
class WebhookSecret:
    """What messages to a webhook are signed with."""

    webhook: str
    secret: str = field(repr=False)
    secret_number: int
