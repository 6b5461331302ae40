"""Defines the answers about the set-up: tenants, pools, scopes, users, clients, groups, secrets and keys.

Reports need none: what makes them is shown by the rules of `wire.py`, which hold here too. A password or hash
is in none; a generated secret is in the answer that made it, and in no other.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from msgspec import field

from licet import options
from licet.admin.api.wire import Instant, Shape, about, at, example, like
from licet.credentials.generated import NewClientSecret
from licet.credentials.public_keys import kind_of, name_of, to_jwk
from licet.ledger.signed_pools import seats_of
from licet.licences.errors import LicenceCode
from licet.licences.steps import SignedSeats
from licet.model import Client as ModelClient
from licet.model import ClientSecret, Duplicates, GrantType, PublicKey, TokenFormat
from licet.model import Pool as ModelPool
from licet.model import Scope as ModelScope
from licet.model import Tenant as ModelTenant
from licet.model import User as ModelUser
from licet.setup.check import authenticates_by
from licet.setup.nouns import CLIENT, POOL, SCOPE, TENANT, USER
from licet.setup.signed_limits import why_no_seats

_JIM, _AT = "Jim_Test", "2027-01-01T00:00:00Z"
_WITHOUT_ANY = (
    "It has no password: its clients authenticate by a secret or a key of their own only. addSecret and"
    " addClientKey add one, changeUser sets a password."
)


class Tenant(Shape, frozen=True, kw_only=True):
    """A customer database, with what counts for all of its sessions."""

    name: Annotated[str, example(_JIM)]
    session_ttl_s: Annotated[int, about("A session's life after its last token.", 1200)]
    access_ttl_s: Annotated[int, about("An access token's life.", 600)]
    default_scope: Annotated[str, about("The scope of a grant that requests none.", "all")]
    no_seat_status: Annotated[int, about("The HTTP status of a denial.", 400)]
    token_format: Annotated[TokenFormat, about("The format of access tokens.", "reference")]
    strict_assertions: Annotated[
        bool,
        about(
            "Whether an assertion names the issuer alone as its audience, and RS256 is refused.",
            False,
        ),
    ]
    time_zone: Annotated[str, about("The time zone of dates without one.", "Australia/Sydney")]
    licence_required: Annotated[bool, about("Whether a pool without a licence gives no seats.", False)]


class SeatStep(Shape, frozen=True, kw_only=True):
    """How many seats the licences of a pool give from an instant on, until the next step."""

    from_: Annotated[Instant | None, about("null is from the beginning.", _AT)] = field(name="from")
    seats: Annotated[int, example(25)]
    overdraft: Annotated[int, about("Seats in addition to these.", 3)]
    in_grace: Annotated[int, about("How many of both are given by licences that have expired.", 0)]
    licences: Annotated[tuple[str, ...], about("The ids of the licences that give them.", ["C-1"])]
    conflict: Annotated[
        LicenceCode | None, about("Why these licences give nothing: they contradict each other.", None)
    ]


class Share(Shape, frozen=True, kw_only=True):
    """So many seats, for a user, a client or a group."""

    for_: Annotated[str, example("group:sales")] = field(name="for")
    seats: Annotated[int, example(2)]


class Priority(Shape, frozen=True, kw_only=True):
    """A level in the queue, for a user, a client or a group."""

    for_: Annotated[str, example("group:sales")] = field(name="for")
    level: Annotated[int, about("From 9, the first, to -9; 0 is usual.", 5)]


class Pool(Shape, frozen=True, kw_only=True):
    """A counted licence."""

    name: Annotated[str, example("full")]
    seats: Annotated[
        int | None,
        about("The set limit: null is all that licences sign, and no seats in a pool without a licence.", 5),
    ]
    duplicates: Annotated[Duplicates, about("Whose sessions share a seat.", "client")]
    expires_at: Annotated[Instant | None, about("When the licence ends; null is never.", _AT)]
    alerts: Annotated[
        tuple[str, ...],
        about(
            "What alerts are raised at: percentages of seats in use, `denied`, `expires`, and"
            " `shared:5`, a seat that is used from 5 addresses or more in a day.",
            ["80", "90", "100", "denied", "expires"],
        ),
    ]
    hold_s: Annotated[
        int,
        about(
            "How long a seat is on hold for its holder after the last token issued with it, in seconds, as"
            " the pool says.",
            60,
        ),
    ]
    overdraft: Annotated[
        int | None,
        about("How much of the signed overdraft may be used; null is all of it.", None),
    ]
    exclude: Annotated[tuple[str, ...], about("Who gets no seat.", ["user:TC"])]
    include: Annotated[tuple[str, ...], about("Only they get a seat; empty is everybody.", ["group:staff"])]
    named: Annotated[
        tuple[str, ...], about("Initials of the only users who get a seat; empty is everybody.", [])
    ]
    reserve: Annotated[tuple[Share, ...], about("Seats that nobody else gets.")]
    max: Annotated[tuple[Share, ...], about("How many seats somebody has at most.")]
    max_per_user: Annotated[int | None, about("How many each user has at most; null is no limit.", None)]
    max_per_client: Annotated[int | None, about("How many each client has at most; null is no limit.", None)]
    priority: Annotated[tuple[Priority, ...], about("Priorities in the queue.")]
    queue: Annotated[int, about("How many may wait for a seat; 0 is no queue.", 0)]
    queue_hold_s: Annotated[
        int, about("How long a place is kept for a client that does not ask again, in seconds.", 30)
    ]
    effective_hold_s: Annotated[
        int, about("The hold that counts: at least `access_ttl_s` where access tokens are JWTs.", 60)
    ]
    signed: Annotated[bool, about("Whether licences determine its seats.", False)] = False
    signed_seats: Annotated[
        int | None, about("How many seats they give now, without overdraft; null is unsigned.", None)
    ] = None
    effective_seats: Annotated[int, about("How many seats it has now: the lesser of both.", 5)] = 0
    steps: Annotated[
        tuple[SeatStep, ...],
        about("The seats of its licences over time, in order; empty if it is unsigned."),
    ]


class Scope(Shape, frozen=True, kw_only=True):
    """What a token may do."""

    name: Annotated[str, example("all")]
    pool: Annotated[
        str | None, about("The pool its seat comes from, the first of `pools`; null is unlicensed.", "full")
    ]
    pools: Annotated[tuple[str, ...], about("The pools its seat comes from, in order.", ["full"])]
    read_only: Annotated[bool, example(False)]


class User(Shape, frozen=True, kw_only=True):
    """A person or service."""

    initials: Annotated[str, example("TC")]
    name: Annotated[str, example("Test Client")]
    enabled: Annotated[bool, example(True)]
    has_password: Annotated[bool, about("Without one, no password works.", True)]
    cost_centre: Annotated[str | None, about("It pays for the seats; null is none.", "4711")]


class NewUser(User, frozen=True, kw_only=True):
    """A user that was just made."""

    warnings: Annotated[tuple[str, ...], about("What prevents it from working.", [])]


class Client(Shape, frozen=True, kw_only=True):
    """An OAuth client."""

    client_id: Annotated[str, example("TestClientId")]
    user: Annotated[str, about("Initials of the user for whom it acts.", "TC")]
    enabled: Annotated[bool, example(True)]
    max_sessions: Annotated[int, about("One session more ends its oldest.", 100)]
    scopes: Annotated[tuple[str, ...] | None, about("The scopes it may have; null is every scope.", None)]
    grant_types: Annotated[tuple[GrantType, ...], example(["client_credentials", "refresh_token"])]
    introspects: Annotated[bool, about("It may introspect tokens.", False)]
    password_allowed: Annotated[bool, about("Its user's password works for it.", True)]
    authenticates_by: Annotated[
        tuple[str, ...], about("How it can authenticate now: `password`, `secret`, `key`.", ["password"])
    ]
    suspended_until: Annotated[
        Instant | None, about("It gets no seat until then; null is not suspended.", None)
    ]


class Group(Shape, frozen=True, kw_only=True):
    """Users and clients that the options of pools can name together."""

    name: Annotated[str, example("sales")]
    users: Annotated[tuple[str, ...], about("Initials; all clients of a user are in the group.", ["TC"])]
    clients: Annotated[tuple[str, ...], about("In the group whatever user they act for.", ["TestClientId"])]


class Secret(Shape, frozen=True, kw_only=True):
    """A generated secret of a client, without what it is."""

    secret_id: Annotated[str, example("5f0c11aa93d2")]
    created_at: Annotated[Instant, example(_AT)]
    expires_at: Annotated[Instant | None, example(None)]
    last_used_at: Annotated[Instant | None, example(_AT)]


class NewSecret(Shape, frozen=True, kw_only=True):
    """A generated secret in the one answer that has it."""

    secret_id: Annotated[str, example("5f0c11aa93d2")]
    secret: Annotated[str, about("Keep it: it is shown once.", "lcs_5f0c11aa93d2...")]
    expires_at: Annotated[Instant | None, example(None)]


class ClientKey(Shape, frozen=True, kw_only=True):
    """A public key by which a client authenticates."""

    kid: Annotated[str, about("Its name in an assertion, or its thumbprint.", "2026-11")]
    thumbprint: Annotated[str, about("RFC 7638.", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")]
    algorithm: Annotated[str, about("The algorithm; an RSA key can have either of two.", "ES256")]
    jwk: Annotated[
        Mapping[str, Any],
        about(
            "The key itself (RFC 7517).",
            {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"},
        ),
    ]
    created_at: Annotated[Instant, example(_AT)]
    expires_at: Annotated[Instant | None, example(None)]
    last_used_at: Annotated[Instant | None, example(_AT)]


class NewClient(Client, frozen=True, kw_only=True):
    """A client that was just made, with its first generated secret if it has one."""

    secret: NewSecret | None
    warnings: Annotated[tuple[str, ...], about("What prevents it from working.", [])]


def tenant(value: ModelTenant) -> Tenant:
    """A tenant, shown."""
    return Tenant(name=value.name, **TENANT.shown(value))


def pool(value: ModelPool, of: ModelTenant, now_ms: int) -> Pool:
    """A pool of a tenant, shown as it is at an instant."""
    hold_s = of.hold_s_of(value)
    return Pool(
        name=value.name,
        effective_hold_s=hold_s,
        signed=value.signed is not None,
        signed_seats=None if value.signed is None else value.signed.at(now_ms).seats,
        effective_seats=0 if why_no_seats(of, value) else seats_of(value, now_ms),
        steps=seat_steps(value.signed),
        **POOL.shown(value)
        | {
            "reserve": _shares(value.reserve),
            "max": _shares(value.max),
            "priority": tuple(Priority(for_=rule.who, level=rule.level) for rule in value.priority),
        },
    )


def _shares(values: Iterable[options.Share]) -> tuple[Share, ...]:
    return tuple(Share(for_=value.who, seats=value.seats) for value in values)


def seat_steps(signed: SignedSeats | None) -> tuple[SeatStep, ...]:
    """What the licences of a pool give, step by step."""
    steps = () if signed is None else signed.steps
    return tuple(like(SeatStep, step, from_=at(step.from_ms) if step.from_ms > 0 else None) for step in steps)


def scope(value: ModelScope) -> Scope:
    """A scope, shown."""
    return Scope(name=value.name, **SCOPE.shown(value))


def user(value: ModelUser) -> User:
    """A user, shown."""
    has_password = value.password_hash is not None
    return User(initials=value.initials, has_password=has_password, **USER.shown(value))


def new_user(value: ModelUser) -> NewUser:
    """A user that was just made, shown."""
    made = user(value)
    return like(NewUser, made, warnings=() if made.has_password else (_WITHOUT_ANY,))


def client(value: ModelClient, now_ms: int) -> Client:
    """A client, shown; its keys have a list of their own."""
    settings = CLIENT.shown(value)
    del settings["keys"]
    return Client(
        client_id=value.client_id,
        authenticates_by=tuple(authenticates_by(value, now_ms)),
        suspended_until=at(value.suspended_at(now_ms)),
        **settings,
    )


def new_client(value: Client, secret: NewSecret | None, warnings: tuple[str, ...]) -> NewClient:
    """A client that was just made, shown."""
    return like(NewClient, value, secret=secret, warnings=warnings)


def group(value: options.Group) -> Group:
    """A group, shown."""
    return Group(name=value.name, users=tuple(sorted(value.users)), clients=tuple(sorted(value.clients)))


def client_key(value: PublicKey) -> ClientKey:
    """A client's public key, shown."""
    return like(ClientKey, value, kid=name_of(value), algorithm=kind_of(value), jwk=to_jwk(value))


def secret(value: ClientSecret) -> Secret:
    """A client's secret, shown."""
    return like(Secret, value)


def new_secret(value: NewClientSecret, expires_at_ms: int | None) -> NewSecret:
    """A client's secret, shown once."""
    return like(NewSecret, value, expires_at=at(expires_at_ms))
