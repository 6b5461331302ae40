"""Defines the domain model as frozen values: tenants, pools, scopes, users, clients, sessions and seats.

Every value is frozen and checks itself when it is made, so that a function which gets one need not check it.
A value here knows nothing of HTTP, rows or files.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from enum import StrEnum
from typing import ClassVar

import msgspec
from msgspec.structs import force_setattr

from licet.licences.licence import SignedLicence
from licet.licences.steps import SignedSeats
from licet.options import POOLS_MAX, QUEUE_HOLD_S, PoolOptions, Priority, Share, check_options
from licet.options import SEATS_MAX as SEATS_MAX  # noqa: PLC0414 - of the model
from licet.options import Group as Group  # noqa: PLC0414 - of the model
from licet.reasons import EndReason as EndReason  # noqa: PLC0414 - of the model
from licet.reasons import FailureCause as FailureCause  # noqa: PLC0414 - of the model
from licet.reasons import NoSeatReason as NoSeatReason  # noqa: PLC0414 - of the model
from licet.reasons import Who as Who  # noqa: PLC0414 - of the model
from licet.refusal import Code, Subject
from licet.value import InvalidValue as InvalidValue  # noqa: PLC0414 - of the model
from licet.value import Value as Value  # noqa: PLC0414 - of the model
from licet.value import must_match
from licet.value import out_of_range as out_of_range  # noqa: PLC0414 - of the model
from licet.zones import find_zone

SCOPE_DEFAULT = "all"
SESSION_TTL_S = 1200  # the seed: a refresh token has an expiry time of 20 minutes
ACCESS_TTL_S = 600  # half a session, so that a client refreshes while it still has its seat
JWT_ACCESS_TTL_S = 60  # short, because an API that checks JWTs itself does not learn of a logoff
JWT_ACCESS_TTL_S_MAX = 86_400  # so that it expires long before its signing key is removed
TTL_S_MAX = 31 * 86_400  # a guess: a seat that is kept for longer than a month is lost
NO_SEAT_STATUSES = frozenset({400, 429, 503})
TIME_ZONE = "UTC"
HOLD_S_MAX = 86_400  # a seat is held for a day at most; the life of a JWT has the same bound
SESSIONS_MAX_MAX = 100_000
SESSIONS_MAX = 100  # a guess: far more than a client needs, far fewer than would do harm
DENIED = "denied"
EXPIRES = "expires"
SHARED = "shared"  # with the number of addresses: `shared:5`
ALERTS = ("80", "90", "100", DENIED, EXPIRES)
ALERTS_MAX = 10  # a guess: more could not be distinguished

# RFC 6749 App. A.4: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,64}")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_POOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_INITIALS = re.compile(r"[A-Za-z0-9.]{2,3}")
_SHARED = re.compile(rf"{SHARED}:([2-9]|1[0-6])")
_PERCENTAGE = re.compile(r"[1-9][0-9]?|100")
# RFC 6749 App. A.1: client-id = *VSCHAR; letters beyond ASCII are allowed, control characters are not.
_CLIENT_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,128}")
_KEY_ID = _CLIENT_ID


class GrantType(StrEnum):
    """The grant types that a client may use (RFC 6749 4.4 and 6)."""

    CLIENT_CREDENTIALS = "client_credentials"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the RFC's word, not a secret


class TokenFormat(StrEnum):
    """The format of a tenant's access tokens."""

    REFERENCE = "reference"
    JWT = "jwt"  # RFC 9068

    @property
    def access_ttl_s(self) -> int:
        """The default life of such a token."""
        return JWT_ACCESS_TTL_S if self is TokenFormat.JWT else ACCESS_TTL_S


class Duplicates(StrEnum):
    """Whose sessions share one seat (rule L2); FlexNet calls it DUP_GROUP."""

    CLIENT = "client"
    USER = "user"
    NONE = "none"


class Role(StrEnum):
    """The rights of an administrator or API key: each role includes the one before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    OWNER = "owner"

    def includes(self, other: "Role") -> bool:
        """Whether this role has all rights of the other."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class Scope(Value, frozen=True, kw_only=True):
    """What a token may do. A licensed scope needs a seat of its pool, or of another one in order (L20)."""

    VIEW: ClassVar[str] = "view"
    ALL: ClassVar[str] = "all"

    name: str
    licensed: bool
    read_only: bool
    pool: str | None
    other_pools: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        must_match(
            _SCOPE, self.name, "name", 'a scope is 1 to 64 printable ASCII characters without space, " and \\'
        )
        if self.licensed != (self.pool is not None):
            text = f"scope {self.name}: a licensed scope names its pool, another names none"
            about = Subject("scope", self.name)
            raise InvalidValue(text, code=Code.NOT_TOGETHER, field="pool", subject=about)
        if len(self.pools) > POOLS_MAX or len(set(self.pools)) < len(self.pools):
            text = f"scope {self.name}: it draws on {POOLS_MAX} pools at most, each once"
            about = Subject("scope", self.name)
            raise InvalidValue(text, code=Code.MALFORMED, field="pools", subject=about)

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools it draws on, in order."""
        return () if self.pool is None else (self.pool, *self.other_pools)


class Pool(Value, frozen=True, kw_only=True):
    """A counted licence. `id` is the store's; `expires_at_ms` is None for a licence without end.

    `seats` and `overdraft` are the administrator's limits (L13, L14); None is as many as vendors have signed.
    `alerts` is as from `read_alerts`. `hold_s` is as set: `Tenant.hold_s_of` is the hold that counts (L18).
    `signed` says how many seats vendors have signed for it, and when (L13); None for a pool in no licence.
    The others are its options (`licet.options`): a rule names `user:TC`, `client:App` or `group:sales`.
    """

    id: int
    name: str
    seats: int | None = None
    duplicates: Duplicates = Duplicates.CLIENT
    expires_at_ms: int | None = None
    alerts: tuple[str, ...] = ALERTS
    hold_s: int = 0
    overdraft: int | None = None
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    named: tuple[str, ...] = ()  # initials
    reserve: tuple[Share, ...] = ()
    max: tuple[Share, ...] = ()
    max_per_user: int | None = None
    max_per_client: int | None = None
    priority: tuple[Priority, ...] = ()
    queue: int = 0
    queue_hold_s: int = QUEUE_HOLD_S
    signed: SignedSeats | None = None

    def __post_init__(self) -> None:
        must_match(
            _POOL,
            self.name,
            "name",
            "a pool's name is 1 to 64 letters, digits, _ . -, and begins with a letter or digit",
        )
        about = Subject("pool", self.name)
        for what, count in (("seats", self.seats), ("overdraft", self.overdraft)):
            if count is not None and not 0 <= count <= SEATS_MAX:
                text = f"pool {self.name}: {what} is 0 to {SEATS_MAX}, not {count}"
                raise out_of_range(text, what, count, 0, SEATS_MAX, about)
        if not 0 <= self.hold_s <= HOLD_S_MAX:
            text = f"pool {self.name}: hold is 0 to 1 day, not {self.hold_s} s"
            raise out_of_range(text, "hold", self.hold_s, 0, HOLD_S_MAX, about)
        if self.alerts is not ALERTS and self.alerts != read_alerts(" ".join(self.alerts)):
            text = f"pool {self.name}: alerts are in ascending order, each once"
            raise InvalidValue(text, code=Code.MALFORMED, field="alerts", subject=about)
        check_options(self)


def options_of(
    pool: Pool, groups: Mapping[str, Group], users_of: Mapping[str, str] | None = None
) -> PoolOptions | None:
    """The options of a pool, ready to be looked up; None where it has none."""
    rules = pool.exclude or pool.include or pool.named or pool.reserve or pool.max
    if not (rules or pool.max_per_user is not None or pool.max_per_client is not None or pool.queue):
        return None
    return PoolOptions(
        groups=groups,
        exclude=pool.exclude,
        include=pool.include,
        named=pool.named,
        reserve=pool.reserve,
        max=pool.max,
        priority=pool.priority,
        max_per_user=pool.max_per_user,
        max_per_client=pool.max_per_client,
        queue=pool.queue,
        queue_hold_s=pool.queue_hold_s,
        users_of=users_of,
    )


class User(Value, frozen=True, kw_only=True):
    """A person or service, identified by initials within its tenant. Without a password none is accepted."""

    initials: str
    name: str
    password_hash: str | None
    enabled: bool = True
    cost_centre: str | None = None  # who pays for its seats

    def __post_init__(self) -> None:
        must_match(_INITIALS, self.initials, "initials", "initials are 2 or 3 letters, digits or dots")


class ClientSecret(Value, frozen=True, kw_only=True):
    """A generated client secret as it is stored: a keyed hash, never the secret."""

    secret_id: str
    hash: bytes
    created_at_ms: int
    expires_at_ms: int | None
    last_used_at_ms: int | None

    def is_live(self, now_ms: int) -> bool:
        """Whether it has not expired."""
        return self.expires_at_ms is None or now_ms < self.expires_at_ms


class PublicKey(Value, frozen=True, kw_only=True):
    """A public key by which a client authenticates.

    `jwk` is the text that the thumbprint is made of (RFC 7638 3); `kid` is the client's own name for the key,
    if it has one; `algorithm` is the only one to be used with it, None for every one that fits.
    """

    thumbprint: str
    jwk: str
    kid: str | None = None
    algorithm: str | None = None
    created_at_ms: int = 0
    expires_at_ms: int | None = None
    last_used_at_ms: int | None = None

    def __post_init__(self) -> None:
        if self.kid is not None:
            must_match(_KEY_ID, self.kid, "kid", "a kid is 1 to 128 characters without control characters")

    def is_live(self, now_ms: int) -> bool:
        """Whether it has not expired."""
        return self.expires_at_ms is None or now_ms < self.expires_at_ms


class Client(Value, frozen=True, kw_only=True):
    """An OAuth client and its user. `key` is the store's.

    Where an administrator has suspended it, it gets no seat until `suspended_until_ms`.
    """

    key: int
    client_id: str
    user: User
    enabled: bool = True
    sessions_max: int = SESSIONS_MAX
    scopes: frozenset[str] | None = None
    grant_types: frozenset[GrantType] = frozenset(GrantType)
    introspects: bool = False
    password_allowed: bool = True
    suspended_until_ms: int | None = None
    secrets: tuple[ClientSecret, ...] = ()
    keys: tuple[PublicKey, ...] = ()

    def __post_init__(self) -> None:
        must_match(
            _CLIENT_ID,
            self.client_id,
            "client_id",
            "a client_id is 1 to 128 characters without control characters",
        )
        if not 1 <= self.sessions_max <= SESSIONS_MAX_MAX:
            text = (
                f"client {self.client_id}: max_sessions is 1 to {SESSIONS_MAX_MAX}, not {self.sessions_max}"
            )
            about = Subject("client", self.client_id)
            raise out_of_range(text, "max_sessions", self.sessions_max, 1, SESSIONS_MAX_MAX, about)

    @property
    def usable(self) -> bool:
        """Whether neither the client nor its user is disabled."""
        return self.enabled and self.user.enabled

    def suspended_at(self, now_ms: int) -> int | None:
        """Until when it is suspended; None when it is not."""
        until_ms = self.suspended_until_ms
        return until_ms if until_ms is not None and until_ms > now_ms else None


class Tenant(Value, frozen=True, kw_only=True):
    """One customer database with its own users, clients, scopes and pools.

    A snapshot: a change of anything in it makes a new value with another `version`.
    """

    id: int
    name: str
    version: int
    session_ttl_s: int = SESSION_TTL_S
    access_ttl_s: int = ACCESS_TTL_S
    scope_default: str = SCOPE_DEFAULT
    no_seat_status: int = 400
    token_format: TokenFormat = TokenFormat.REFERENCE
    strict_assertions: bool = False
    time_zone: str = TIME_ZONE
    licence_required: bool = False  # of a pool, to give seats (L13)
    scopes: Mapping[str, Scope] = msgspec.field(default_factory=dict)
    pools: Mapping[int, Pool] = msgspec.field(default_factory=dict)
    users: Mapping[str, User] = msgspec.field(default_factory=dict)
    clients: Mapping[str, Client] = msgspec.field(default_factory=dict)
    clients_by_key: Mapping[int, Client] = msgspec.field(default_factory=dict)
    pools_by_name: Mapping[str, Pool] = msgspec.field(default_factory=dict)  # follows from `pools`
    groups: Mapping[str, Group] = msgspec.field(default_factory=dict)
    options: Mapping[int, PoolOptions] = msgspec.field(default_factory=dict)  # of the pools that have any
    licences: tuple[SignedLicence, ...] = ()  # that are installed and count by a vendor's key (L13)

    def __post_init__(self) -> None:
        must_match(
            _TENANT,
            self.name,
            "name",
            "a tenant's name is 1 to 64 letters, digits, _ . -, and begins with a letter or digit",
        )
        if self.no_seat_status not in NO_SEAT_STATUSES:
            text = f"tenant {self.name}: no_seat_status is 400, 429 or 503, not {self.no_seat_status}"
            about = Subject("tenant", self.name)
            raise InvalidValue(text, code=Code.UNKNOWN_CHOICE, field="no_seat_status", subject=about)
        self._check_lives()
        force_setattr(self, "pools_by_name", {pool.name: pool for pool in self.pools.values()})
        if self.time_zone != TIME_ZONE:
            zone_named(self.time_zone)

    def _check_lives(self) -> None:
        about = Subject("tenant", self.name)
        access_ttl_s, session_ttl_s = self.access_ttl_s, self.session_ttl_s
        if not 1 <= access_ttl_s <= session_ttl_s <= TTL_S_MAX:
            text = (
                f"tenant {self.name}: access_ttl is 1 s to session_ttl, and session_ttl at most 31 days;"
                f" these are not: access_ttl {access_ttl_s} s, session_ttl {session_ttl_s} s"
            )
            if not 1 <= session_ttl_s <= TTL_S_MAX:
                raise out_of_range(text, "session_ttl", session_ttl_s, 1, TTL_S_MAX, about)
            raise out_of_range(
                text, "access_ttl", access_ttl_s, 1, session_ttl_s, about, beside="session_ttl"
            )
        if self.token_format is TokenFormat.JWT and access_ttl_s > JWT_ACCESS_TTL_S_MAX:
            most = JWT_ACCESS_TTL_S_MAX
            text = f"access_ttl is at most 1 day where token_format is jwt, not {access_ttl_s} s"
            text = f"tenant {self.name}: {text}"
            raise out_of_range(text, "access_ttl", access_ttl_s, 1, most, about, beside="token_format")

    @property
    def zone(self) -> tzinfo:
        """The zone of a date or time that names none."""
        return UTC if self.time_zone == TIME_ZONE else zone_named(self.time_zone)

    def hold_s_of(self, pool: Pool) -> int:
        """The effective hold of a seat of this pool, in seconds after the last token issued with it (L18).

        It is the pool's own, and at least the life of an access token that APIs check without introspection,
        and what is signed for a pool.
        """
        hold_s = max(pool.hold_s, self.access_ttl_s if self.token_format is TokenFormat.JWT else 0)
        return hold_s if pool.signed is None else max(hold_s, pool.signed.hold_s)

    def is_read_only(self, scope: str) -> bool:
        """Whether a token of these scopes may make safe requests only; a removed scope allows nothing."""
        for name in scope.split(" "):
            found = self.scopes.get(name)
            if found is not None and not found.read_only:
                return False
        return True

    def pool_named(self, name: str) -> Pool | None:
        """The pool of this name."""
        return self.pools_by_name.get(name)


class Session(Value, frozen=True, kw_only=True, array_like=True):
    """A session of a client: begun by a grant, renewed by every refresh, as long-lived as its refresh token.

    `sid` is its id of 20 bytes; `scope` is what was granted, names separated by a space; `pool_id` and
    `holder` are None when it needs no seat. It lives while the clock shows less than `expires_at_ms`. The
    order of the fields is that of the columns.
    """

    sid: bytes
    tenant_id: int
    client_key: int
    scope: str
    pool_id: int | None
    holder: str | None
    started_at_ms: int
    renewed_at_ms: int
    expires_at_ms: int
    address: str

    @property
    def seat_key(self) -> tuple[int, str] | None:
        """The pool and holder of its seat, None when it needs none."""
        return None if self.pool_id is None or self.holder is None else (self.pool_id, self.holder)


class Place(Value, frozen=True, kw_only=True):
    """A place in the queue of a pool (L19). It is its holder's until `until_ms`, and lapses then.

    `number` grows with each place of the queue; `since_ms` is when it was taken. The order of the fields is
    that of the columns.
    """

    pool_id: int
    holder: str
    tenant_id: int
    client_key: int
    level: int
    number: int
    since_ms: int
    until_ms: int

    @property
    def key(self) -> tuple[int, str]:
        """The pool and holder, which no two places share."""
        return (self.pool_id, self.holder)


class Seat(Value, frozen=True, kw_only=True):
    """One unit of a pool, in use by one holder until `expires_at_ms`; its row may say less (`seat_rows.py`).

    That is when the last of its sessions expires, or its hold is over, whichever is later (L18). `client_id`
    and `initials` say whose grant took it. `issued_at_ms` is when the newest token was issued with it, of all
    its sessions, ended ones too; 0 where a node of the previous version took it. `number` is which seat of a
    signed pool it is (L13), 0 in any other. The order of the fields is that of the columns.
    """

    pool_id: int
    holder: str
    tenant_id: int
    client_id: str
    initials: str
    taken_at_ms: int
    expires_at_ms: int
    issued_at_ms: int = 0
    sources: str = ""  # from which addresses it is used: `seat_sources.py`
    number: int = 0
    counted: str = ""  # by which options of its pool: `licet.options`

    @property
    def key(self) -> tuple[int, str]:
        """The pool and holder, which no two seats share."""
        return (self.pool_id, self.holder)


def read_alerts(text: str) -> tuple[str, ...]:
    """The alerts of a pool from text: `80 90 100 denied expires`, `80%,shared:5`, `none`; sorted, each once.

    Raises InvalidValue.
    """
    words = {word.removesuffix("%") for word in text.replace(",", " ").split()} - {"none"}
    shared = set(filter(_SHARED.fullmatch, words))
    percentages = words - {DENIED, EXPIRES} - shared
    if len(words) > ALERTS_MAX or len(shared) > 1 or not all(map(_PERCENTAGE.fullmatch, percentages)):
        text = (
            f'alerts are up to {ALERTS_MAX} percentages from 1 to 100, "{DENIED}", "{EXPIRES}" and one from'
            f' "{SHARED}:2" to "{SHARED}:16", like "{" ".join(ALERTS)}", or "none";'
            f" these are not: {text[:60]!r}"
        )
        raise InvalidValue(text, code=Code.MALFORMED, field="alerts")
    return (*sorted(percentages, key=int), *(word for word in (DENIED, EXPIRES) if word in words), *shared)


def shared_from(alerts: Iterable[str]) -> int | None:
    """The number of addresses from which on a shared seat is reported; None where it is not."""
    return next((int(found[1]) for alert in alerts if (found := _SHARED.fullmatch(alert))), None)


def zone_named(name: str) -> tzinfo:
    """The time zone of this name.

    Raises InvalidValue.
    """
    if (zone := find_zone(name)) is None:
        text = (
            f"a time zone is a name of the IANA database, like Australia/Sydney, or UTC; this is not:"
            f" {name[:60]!r}"
        )
        raise InvalidValue(text, code=Code.UNKNOWN_CHOICE, field="time_zone")
    return zone
