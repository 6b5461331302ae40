"""The set-up, the accounts and upkeep, as answered.

Made by `docs/make_admin_client.py`; edit that instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from licet.admin_client.words import Code, FindingCode, GrantType, Role, Rule, TokenFormat


@dataclass(frozen=True, kw_only=True)
class Administrator:
    """Somebody who may sign in to the dashboard."""

    name: str
    role: Role
    # Its only tenant; null is all.
    tenant: str | None
    enabled: bool
    created_at: datetime
    etag: str = field(default="", compare=False)  # for `if_match`


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """What a program signs in with, without what it is."""

    name: str
    # The part that is not secret.
    key_id: str
    role: Role
    # Its only tenant; null is all.
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
    # It has not reported for too long.
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
    # Initials of the user for whom it acts.
    user: str
    enabled: bool
    # One session more ends its oldest.
    max_sessions: int
    # The scopes it may have; null is every scope.
    scopes: tuple[str, ...] | None
    grant_types: tuple[GrantType, ...]
    # It may introspect tokens.
    introspects: bool
    # Its user's password works for it.
    password_allowed: bool
    # How it can authenticate now: `password`, `secret`, `key`.
    authenticates_by: tuple[str, ...]
    # It gets no seat until then; null is not suspended.
    suspended_until: datetime | None
    etag: str = field(default="", compare=False)  # for `if_match`


@dataclass(frozen=True, kw_only=True)
class ClientKey:
    """A public key by which a client authenticates."""

    # Its name in an assertion, or its thumbprint.
    kid: str
    # RFC 7638.
    thumbprint: str
    # The algorithm; an RSA key can have either of two.
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
class Group:
    """Users and clients that the options of pools can name together."""

    name: str
    # Initials; all clients of a user are in the group.
    users: tuple[str, ...]
    # In the group whatever user they act for.
    clients: tuple[str, ...]
    etag: str = field(default="", compare=False)  # for `if_match`


@dataclass(frozen=True, kw_only=True)
class Me:
    """Who asks."""

    # Its name in events.
    actor: str
    role: Role
    # Its only tenant; null is all.
    tenant: str | None


@dataclass(frozen=True, kw_only=True)
class NewApiKey:
    """An API key in the one answer that has it."""

    name: str
    # The part that is not secret.
    key_id: str
    role: Role
    # Its only tenant; null is all.
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
    # Initials of the user for whom it acts.
    user: str
    enabled: bool
    # One session more ends its oldest.
    max_sessions: int
    # The scopes it may have; null is every scope.
    scopes: tuple[str, ...] | None
    grant_types: tuple[GrantType, ...]
    # It may introspect tokens.
    introspects: bool
    # Its user's password works for it.
    password_allowed: bool
    # How it can authenticate now: `password`, `secret`, `key`.
    authenticates_by: tuple[str, ...]
    # It gets no seat until then; null is not suspended.
    suspended_until: datetime | None
    secret: NewSecret | None
    # What prevents it from working.
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NewUser:
    """A user that was just made."""

    initials: str
    name: str
    enabled: bool
    # Without one, no password works.
    has_password: bool
    # It pays for the seats; null is none.
    cost_centre: str | None
    # What prevents it from working.
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
    # Pools with fewer seats than declared, because a licence is missing.
    notes: tuple[str, ...]
    etag: str = field(default="", compare=False)  # for `if_match`


@dataclass(frozen=True, kw_only=True)
class RuleOfClient:
    """One rule: the option, for whom it is, and what it says.

    `counts` is not so where another one does. `who` is '' where the rule names nobody of this
    client: a list on which it is not, or a limit of each.
    """

    option: str
    who: str
    text: str
    counts: bool


@dataclass(frozen=True, kw_only=True)
class PoolRules:
    """The rules of one pool that apply to the client, in the order in which a grant is decided."""

    pool: str
    scopes: tuple[str, ...]
    rules: tuple[RuleOfClient, ...]


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
class RulesOfClient:
    """What the set-up says of a client: the rules of each pool of its scopes, by the names of the pools.."""

    tenant: str
    client_id: str
    user: str
    pools: tuple[PoolRules, ...]


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
    # When it begins to sign.
    signs_at: datetime
    # Whether it signs now.
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
    # The scope of a grant that requests none.
    default_scope: str
    # The HTTP status of a denial.
    no_seat_status: int
    # The format of access tokens.
    token_format: TokenFormat
    # Whether an assertion names the issuer alone as its audience, and RS256 is refused.
    strict_assertions: bool
    # The time zone of dates without one.
    time_zone: str
    # Whether a pool without a licence gives no seats.
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
    # It pays for the seats; null is none.
    cost_centre: str | None
    etag: str = field(default="", compare=False)  # for `if_match`


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
