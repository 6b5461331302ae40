"""The set-up, the accounts and upkeep, as answered.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from licet.admin_client.words import (
    Code,
    Duplicates,
    FindingCode,
    GrantType,
    LicenceCode,
    Role,
    Rule,
    TokenFormat,
)


@dataclass(frozen=True, kw_only=True)
class Administrator:
    """Somebody who may sign in to the dashboard."""

    name: str
    role: Role
    # The only tenant; null is all.
    tenant: str | None
    enabled: bool
    created_at: datetime
    etag: str = field(default="", compare=False)  # for `if_match`


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """What a program signs in with, without what it is."""

    name: str
    # The part that is no secret.
    key_id: str
    role: Role
    # The only tenant; null is all.
    tenant: str | None
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class CheckFinding:
    """Something to correct, or with `is_wrong` false to know.

    `tenant` is '' for the whole store.
    """

    is_wrong: bool
    code: FindingCode
    tenant: str
    target: str
    problem: str
    advice: str


@dataclass(frozen=True, kw_only=True)
class NodeNow:
    """A server that works on the store."""

    name: str
    version: str
    schema: str
    url: str
    started_at: datetime
    seen_at: datetime
    # Nothing was heard of it for too long.
    silent: bool
    # How far its wall clock is ahead of the store's.
    skew_s: float
    token_keys: tuple[str, ...]
    pepper: str


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What is wrong with the set-up or worth knowing, and the servers that work on the store."""

    findings: tuple[CheckFinding, ...]
    nodes: tuple[NodeNow, ...]


@dataclass(frozen=True, kw_only=True)
class Client:
    """An OAuth client."""

    client_id: str
    # Initials of the user it stands for.
    user: str
    enabled: bool
    # One session more ends its oldest.
    max_sessions: int
    # What it may have; null is every scope.
    scopes: tuple[str, ...] | None
    grant_types: tuple[GrantType, ...]
    # It may ask about tokens.
    introspects: bool
    # Its user's password works for it.
    password_allowed: bool
    # What works now: `password`, `secret`, `key`.
    authenticates_by: tuple[str, ...]
    # It gets no seat until then; null is not suspended.
    suspended_until: datetime | None
    etag: str = field(default="", compare=False)  # for `if_match`


@dataclass(frozen=True, kw_only=True)
class ClientKey:
    """A public key by which a client authenticates."""

    # What an assertion names it by; else its thumbprint.
    kid: str
    # RFC 7638.
    thumbprint: str
    # What it is used with; of RSA it may be either of two.
    algorithm: str
    # The key itself (RFC 7517).
    jwk: Mapping[str, Any]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class ClientSessions:
    """How many sessions of a client end, or are cut short."""

    tenant: str
    client_id: str
    user: str
    sessions: int


@dataclass(frozen=True, kw_only=True)
class Consequences:
    """What a change does to sessions; `clients` have most of them first, and `clients_more` are not."""

    sessions_ended: int
    sessions_cut_short: int
    clients: tuple[ClientSessions, ...]
    clients_more: int


@dataclass(frozen=True, kw_only=True)
class FieldError:
    """What is wrong with one value.

    `pointer` says where it is (RFC 6901, in a URI fragment), '' for all of the body; `code` what is
    wrong, and `limit` the bound that it exceeds, where there is one.
    """

    pointer: str
    code: Code
    message: str
    limit: int | None


@dataclass(frozen=True, kw_only=True)
class Me:
    """Who asks."""

    # As events name it.
    actor: str
    role: Role
    # The only tenant; null is all.
    tenant: str | None


@dataclass(frozen=True, kw_only=True)
class NewApiKey:
    """An API key in the one answer that has it."""

    name: str
    # The part that is no secret.
    key_id: str
    role: Role
    # The only tenant; null is all.
    tenant: str | None
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    # Keep it: it is shown once.
    key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class NewSecret:
    """A generated secret in the one answer that has it."""

    secret_id: str
    # Keep it: it is shown once.
    secret: str = field(repr=False)
    expires_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class NewClient:
    """A client that was just made, with its first generated secret if it has one."""

    client_id: str
    # Initials of the user it stands for.
    user: str
    enabled: bool
    # One session more ends its oldest.
    max_sessions: int
    # What it may have; null is every scope.
    scopes: tuple[str, ...] | None
    grant_types: tuple[GrantType, ...]
    # It may ask about tokens.
    introspects: bool
    # Its user's password works for it.
    password_allowed: bool
    # What works now: `password`, `secret`, `key`.
    authenticates_by: tuple[str, ...]
    # It gets no seat until then; null is not suspended.
    suspended_until: datetime | None
    secret: NewSecret | None
    # What keeps it from working as it is.
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NewUser:
    """A user that was just made."""

    initials: str
    name: str
    enabled: bool
    # Without one, no password works.
    has_password: bool
    # Who pays for its seats; null is nobody in particular.
    cost_centre: str | None
    # What keeps it from working as it is.
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PlanStep:
    """One thing that was done, or would be: `add`, `set`, `remove`, or `keep` what is not declared."""

    action: str
    tenant: str
    target: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a declaration changed, or would change in a rehearsal."""

    is_done: bool
    steps: tuple[PlanStep, ...]
    sessions_ended: int
    # Pools that have not the seats that are declared, for want of a licence.
    notes: tuple[str, ...]
    etag: str = field(default="", compare=False)  # for `if_match`


@dataclass(frozen=True, kw_only=True)
class Priority:
    """A level in the queue, for a user, a client or a group."""

    for_: str
    # From 9, the first, to -9; 0 is usual.
    level: int


@dataclass(frozen=True, kw_only=True)
class SeatStep:
    """How many seats the licences of a pool give from an instant on, until the next step."""

    # null is from the beginning.
    from_: datetime | None
    seats: int
    # Seats above these.
    overdraft: int
    # How many of both are given by licences that have expired.
    in_grace: int
    # The ids of those that give them.
    licences: tuple[str, ...]
    # Why these licences give nothing: they contradict each other.
    conflict: LicenceCode | None


@dataclass(frozen=True, kw_only=True)
class Share:
    """So many seats, for a user, a client or a group."""

    for_: str
    seats: int


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A counted licence."""

    name: str
    # The limit that is set: null is all that licences sign, and none in a pool in no licence.
    seats: int | None
    # Whose sessions share a seat.
    duplicates: Duplicates
    # When the licence ends; null is never.
    expires_at: datetime | None
    # What alerts are raised at: percentages of seats in use, `denied`, `expires`, and `shared:5`,
    # a seat that is used from 5 addresses or more in a day.
    alerts: tuple[str, ...]
    # How long a seat stays its holder's after the last token issued with it, in seconds, as the
    # pool says.
    hold_s: int
    # How much of the overdraft that is signed may be used; null is all of it.
    overdraft: int | None
    # Who gets no seat.
    exclude: tuple[str, ...]
    # Who alone gets a seat; empty is everybody.
    include: tuple[str, ...]
    # Initials of the users who alone get a seat; empty is everybody.
    named: tuple[str, ...]
    # Seats that nobody else gets.
    reserve: tuple[Share, ...]
    # How many seats somebody has at most.
    max: tuple[Share, ...]
    # How many each user has at most; null is no limit.
    max_per_user: int | None
    # How many each client has at most; null is no limit.
    max_per_client: int | None
    # Who is how early in the queue.
    priority: tuple[Priority, ...]
    # How many may wait for a seat; 0 is no queue.
    queue: int
    # How long a place is kept for a client that does not ask again, in seconds.
    queue_hold_s: int
    # The hold that counts: at least `access_ttl_s` where access tokens are JWTs.
    effective_hold_s: int
    # Whether licences say how many seats it has.
    signed: bool
    # How many seats they give now, without overdraft; null is unsigned.
    signed_seats: int | None
    # How many seats it has now: the lesser of both.
    effective_seats: int
    # What its licences give, also before now and later, in order; none where it is unsigned.
    steps: tuple[SeatStep, ...]
    etag: str = field(default="", compare=False)  # for `if_match`


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What a change would do to sessions: it was not made.

    `clients` have most of them first. Sessions that are cut short end when their pool does, sooner
    than they would have; `clients_more` clients are not named.
    """

    dry_run: Literal[True]
    sessions_ended: int
    sessions_cut_short: int
    clients: tuple[ClientSessions, ...]
    clients_more: int


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a token may do."""

    name: str
    # The pool its seat comes from, the first of `pools`; null is unlicensed.
    pool: str | None
    # The pools its seat comes from, in order.
    pools: tuple[str, ...]
    read_only: bool
    etag: str = field(default="", compare=False)  # for `if_match`


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A generated secret of a client, without what it is."""

    secret_id: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """A key that signs tokens, or did; what it is, is never shown."""

    id: int
    fingerprint: str
    created_at: datetime
    # From when on it signs.
    signs_at: datetime
    # Whether it is the one that signs now.
    signs: bool


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: whether it lets the client pass, and by which numbers.

    `pool` where it is of one.
    """

    rule: Rule
    passed: bool
    text: str
    pool: str | None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A thing of the set-up; what is not known of it is left out."""

    kind: Literal[
        "tenant",
        "pool",
        "scope",
        "user",
        "client",
        "group",
        "secret",
        "key",
        "administrator",
        "API key",
        "webhook",
        "session",
        "signing key",
    ]
    name: str = ""
    tenant: str = ""
    # Of whose secret or key it is.
    client: str = ""


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A customer database, with what counts for all of its sessions."""

    name: str
    # A session's life after its last token.
    session_ttl_s: int
    # An access token's life.
    access_ttl_s: int
    # What a grant gets that asks for none.
    default_scope: str
    # The HTTP status of a denial.
    no_seat_status: int
    # What access tokens are.
    token_format: TokenFormat
    # Whether an assertion names the issuer alone as its audience, and RS256 is refused.
    strict_assertions: bool
    # In which dates that name none are meant.
    time_zone: str
    # Whether a pool in no licence gives no seat.
    licence_required: bool
    etag: str = field(default="", compare=False)  # for `if_match`


@dataclass(frozen=True, kw_only=True)
class User:
    """A person or service."""

    initials: str
    name: str
    enabled: bool
    # Without one, no password works.
    has_password: bool
    # Who pays for its seats; null is nobody in particular.
    cost_centre: str | None
    etag: str = field(default="", compare=False)  # for `if_match`


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A client that waits in line, and its user; `place` is 1 for the first.

    `level` is its priority. It has waited since `since`, and loses its place at `until` unless it
    asks again before.
    """

    place: int
    client_id: str
    user: str
    user_name: str
    level: int
    since: datetime
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Why:
    """What would happen to a grant now.

    `reason` is None where it would be made; else that of the answer, or `client` or `scope` where
    nothing is counted yet. `pool` is the one that gives the seat, or of which the denial is; None
    without one. `shares` is whether it would share a seat that its holder has. `queue_position` is
    its place in line now, 0 without one.
    """

    tenant: str
    client_id: str
    user: str
    scope: str
    at: datetime
    granted: bool
    reason: str | None
    pool: str | None
    shares: bool
    queue_position: int
    retry_after_s: int | None
    steps: tuple[Step, ...]
