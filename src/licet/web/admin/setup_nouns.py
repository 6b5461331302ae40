"""What a tenant has, as the set-up pages show it: pools, scopes, users and clients, and the tenant itself.

Each noun says what its list and its form look like, and what a filled form changes. It decides nothing: what
may be, the model and `licet.store.setup` say. Passwords come to it hashed. No field but those of a secret has
"password" or "secret" in its name: what is typed into those is not kept over a sign-in.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from licet.model import (
    ACCESS_TTL_S,
    ALERTS,
    SEATS_MAX,
    SESSION_TTL_S,
    SESSIONS_MAX,
    SESSIONS_MAX_MAX,
    TTL_S_MAX,
    Client,
    Duplicates,
    GrantType,
    InvalidValue,
    Pool,
    Scope,
    Tenant,
    TokenFormat,
    User,
    read_alerts,
)
from licet.store.check import proves_by
from licet.store.setup import SetupChange
from licet.store.spelling import NEVER, duration, instant, read_duration_s, read_instant_ms
from licet.store.tenant_setup import BUILT_IN, NAME_CHARS_MAX, TenantSetup
from licet.web.admin.forms import Field, Kind, Option, Texts, whole
from licet.web.admin.pages import counted

YES = ("yes",)  # a mark that is set
NO: tuple[str, ...] = ()
NO_POOL = ""  # of a scope that needs no seat
SUGGESTIONS_MAX = 500  # users that a client's form offers; any other can be typed
SEATS_FIRST = 5  # a guess, and only what a form begins with

_DUPLICATES = {
    Duplicates.CLIENT: ("a client", "Sessions of one client share a seat."),
    Duplicates.USER: ("a user", "Sessions of one user share a seat, by whichever client."),
    Duplicates.NONE: ("nobody", "Every session has a seat of its own."),
}
_STATUSES = {
    "400": "400, which every OAuth library hands on",
    "429": "429, too many requests",
    "503": "503, service unavailable",
}
_GRANTS = {
    GrantType.CLIENT_CREDENTIALS: "begin a session with its credentials",
    GrantType.REFRESH_TOKEN: "renew a session with a refresh token",
}


class Cell(NamedTuple):
    """What a list shows in one place. `state` is `ok`, `warn` or `off`, told by the text as well."""

    text: str
    state: str = ""
    is_number: bool = False
    at_ms: int | None = None


class Noun(Protocol):
    """One kind of what a tenant has."""

    path: str  # in addresses: "pools"
    word: str  # "pool"
    plural: str
    about: str  # what it is, below the title
    empty: str  # what to do when there is none
    command: str  # the same on the command line
    key: str  # the field that names it

    @property
    def columns(self) -> tuple[str, ...]:
        """What stands above a list."""

    def parts(self, tenant: Tenant) -> Mapping[str, Any]:
        """All of a tenant's, by name."""

    def row(self, tenant: Tenant, part: Any, now_ms: int) -> Sequence[Cell]:
        """What a list shows of one, without its name."""

    def fields(self, tenant: Tenant, part: Any | None) -> tuple[Field, ...]:
        """What can be said of one that is there, or of a new one."""

    def texts(self, part: Any | None) -> Texts:
        """What a form begins with."""

    def add(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """Make one of a filled form."""

    def set(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """Make it what a filled form says."""

    def remove(self, setup: TenantSetup, name: str) -> object:
        """Take it away."""

    def goes_with_it(self, part: Any) -> Sequence[str]:
        """What is lost when it is removed, beside its sessions."""

    def words(self, part: Any) -> str:
        """What it is found by."""


class Pools:
    """Counted licences."""

    path, word, plural, key = "pools", "pool", "pools", "name"
    about = "A pool is a counted licence: so many seats, and the rule by which they are counted."
    empty = "No pool yet. Without one nothing here needs a seat. Add the first one"
    command = "licet pool add full --seats 5"
    columns = ("Seats", "A seat is shared by", "Expires", "Scopes")

    def parts(self, tenant: Tenant) -> Mapping[str, Pool]:
        """All pools by name."""
        return {pool.name: pool for pool in tenant.pools.values()}

    def row(self, tenant: Tenant, part: Pool, now_ms: int) -> Sequence[Cell]:
        """Seats, rule, end, and what draws on it."""
        scopes = sorted(scope.name for scope in tenant.scopes.values() if scope.pool == part.name)
        return (
            Cell(f"{part.seats:,}", is_number=True),
            Cell(_DUPLICATES[part.duplicates][0]),
            _end(part.expires_at_ms, now_ms),
            Cell(", ".join(scopes) or "none", state="" if scopes else "off"),
        )

    def fields(self, tenant: Tenant, part: Pool | None) -> tuple[Field, ...]:  # noqa: ARG002 - as any noun
        """Name, seats, rule and end."""
        name = Field(
            name="name",
            label="Name",
            help="Letters, digits, _ . and -, at most 64.",
            read=lambda text: Pool(id=0, name=text, seats=0).name,
            width="medium",
        )
        return (
            _name(name, part),
            Field(
                name="seats",
                label="Seats",
                kind=Kind.NUMBER,
                help="How many may be in use at once. When it is lowered below what is in use, sessions stay,"
                " and no new seat is given until it fits.",
                read=whole(0, SEATS_MAX),
                width="short",
            ),
            Field(
                name="duplicates",
                label="A seat is shared by the sessions of",
                kind=Kind.CHOICE,
                help="Counts for new sessions.",
                options=tuple(
                    Option(value=value.value, label=label, help=text)
                    for value, (label, text) in _DUPLICATES.items()
                ),
                read=Duplicates,
            ),
            Field(
                name="expires",
                label="Expires",
                help="2027-01-31, 2027-01-31T18:00 or never. Times are UTC unless they say otherwise."
                " No session lives past it.",
                read=read_instant_or_never,
                placeholder=NEVER,
                width="medium",
            ),
            Field(
                name="alerts",
                label="Alerts",
                help=f"When so many per cent of its seats are in use, and when somebody is denied one:"
                f" {' '.join(ALERTS)}, or none.",
                read=read_alerts,
                placeholder="none",
                width="medium",
            ),
        )

    def texts(self, part: Pool | None) -> Texts:
        """A pool's values; those of a new one."""
        pool = part or Pool(id=0, name="new", seats=SEATS_FIRST)
        return {
            "name": (part.name if part else "",),
            "seats": (str(pool.seats),),
            "duplicates": (pool.duplicates.value,),
            "expires": (instant(pool.expires_at_ms),),
            "alerts": (" ".join(pool.alerts) or "none",),
        }

    def add(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """A new pool."""
        return setup.add_pool(name, **self._changes(values))

    def set(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """Change a pool."""
        return setup.set_pool(name, **self._changes(values))

    def remove(self, setup: TenantSetup, name: str) -> object:
        """Remove a pool."""
        return setup.remove_pool(name)

    def goes_with_it(self, part: Pool) -> Sequence[str]:
        """Its seats."""
        return (f"its {counted(part.seats, 'seat')}",)

    def words(self, part: Pool) -> str:
        """Its name."""
        return part.name

    def _changes(self, values: dict[str, Any]) -> Any:
        return {
            "seats": values["seats"],
            "duplicates": values["duplicates"],
            "expires_at_ms": values["expires"],
            "alerts": values["alerts"],
        }


class Scopes:
    """What a token may do."""

    path, word, plural, key = "scopes", "scope", "scopes", "name"
    about = "A scope says what a token may do. One that draws on a pool needs a seat of it."
    empty = "No scope yet. Add the first one"
    command = "licet scope add orders --pool full"
    columns = ("Seat of pool", "May change data", "Given to")

    def parts(self, tenant: Tenant) -> Mapping[str, Scope]:
        """All scopes by name."""
        return tenant.scopes

    def row(self, tenant: Tenant, part: Scope, now_ms: int) -> Sequence[Cell]:  # noqa: ARG002 - as any noun
        """Pool, whether it only reads, and who has it."""
        named = sum(part.name in (client.scopes or ()) for client in tenant.clients.values())
        every = sum(client.scopes is None for client in tenant.clients.values())
        return (
            Cell(part.pool or "needs no seat", state="" if part.pool else "off"),
            Cell("no, read only" if part.read_only else "yes"),
            Cell(counted(named + every, "client")),
        )

    def fields(self, tenant: Tenant, part: Scope | None) -> tuple[Field, ...]:
        """Name, pool, and whether it only reads."""
        name = Field(
            name="name",
            label="Name",
            help='As clients ask for it: printable ASCII without space, " and \\, at most 64.',
            read=lambda text: Scope(name=text, licensed=False, read_only=False, pool=None).name,
            width="medium",
        )
        if part is not None and part.name == Scope.VIEW:
            fixed = Field(
                name="built_in",
                label="Built in",
                kind=Kind.FIXED,
                help="It is read only and needs no seat, so that looking is always possible.",
            )
            return (_name(name, part), fixed)
        pools = sorted(pool.name for pool in tenant.pools.values())
        return (
            _name(name, part),
            Field(
                name="pool",
                label="A session needs a seat of",
                kind=Kind.CHOICE,
                help="With another pool its sessions end: their seats are not of that pool.",
                options=(
                    Option(value=NO_POOL, label="no pool: it needs no seat"),
                    *(Option(value=pool, label=pool) for pool in pools),
                ),
                read=lambda text: text or None,
            ),
            Field(
                name="read_only",
                label="Read only",
                kind=Kind.MARK,
                help="A token of it may look and not change; APIs behind the guard hold to it.",
            ),
        )

    def texts(self, part: Scope | None) -> Texts:
        """A scope's values; those of a new one."""
        if part is None:
            return {"name": ("",), "pool": (NO_POOL,), "read_only": NO}
        return {
            "name": (part.name,),
            "pool": (part.pool or NO_POOL,),
            "read_only": YES if part.read_only else NO,
        }

    def add(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """A new scope."""
        return setup.add_scope(name, pool=values["pool"], read_only=values["read_only"])

    def set(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """Change a scope."""
        if "pool" not in values:
            return False
        return setup.set_scope(name, pool=values["pool"], read_only=values["read_only"])

    def remove(self, setup: TenantSetup, name: str) -> object:
        """Remove a scope."""
        return setup.remove_scope(name)

    def goes_with_it(self, part: Scope) -> Sequence[str]:  # noqa: ARG002 - as any noun
        """Nothing."""
        return ()

    def words(self, part: Scope) -> str:
        """Its name and pool."""
        return f"{part.name} {part.pool or ''}"


class Users:
    """Persons and services, known by initials."""

    path, word, plural, key = "users", "user", "users", "initials"
    about = "A user is a person or service. A client stands for one, and may prove itself with its password."
    empty = "No user yet. A client stands for a user: add the first one"
    command = 'licet user add TC --name "Test Client"'
    columns = ("Name", "State", "Password", "Clients")

    def parts(self, tenant: Tenant) -> Mapping[str, User]:
        """All users by initials."""
        return tenant.users

    def row(self, tenant: Tenant, part: User, now_ms: int) -> Sequence[Cell]:  # noqa: ARG002 - as any noun
        """Name, state, whether it has a password, and who stands for it."""
        clients = sorted(it.client_id for it in tenant.clients.values() if it.user.initials == part.initials)
        return (
            Cell(part.name),
            state_of(is_on=part.enabled),
            Cell("set" if part.password_hash else "none works", state="" if part.password_hash else "off"),
            Cell(few(clients), state="" if clients else "off"),
        )

    def fields(self, tenant: Tenant, part: User | None) -> tuple[Field, ...]:  # noqa: ARG002 - as any noun
        """Initials, name, password, state."""
        initials = Field(
            name="initials",
            label="Initials",
            help="2 or 3 letters, digits or dots.",
            read=lambda text: User(initials=text, name="", password_hash=None).initials,
            width="short",
        )
        password_help = (
            "Empty: it stays as it is. Sessions go on until they have to be renewed."
            if part and part.password_hash
            else "8 to 256 characters. Empty: none works, and its clients need a secret of their own."
        )
        fields = [
            _name(initials, part),
            Field(name="name", label="Name in full", read=_read_name),
            Field(name="password", label="Password", kind=Kind.PASSWORD, help=password_help),
        ]
        if part and part.password_hash:
            fields.append(
                Field(
                    name="none_works",
                    label="Take the password away",
                    kind=Kind.MARK,
                    help="From then on none works. Clients with a secret of their own go on.",
                )
            )
        if part:
            fields.append(_enabled("The sessions of its clients end at once, and they get no new ones."))
        return tuple(fields)

    def texts(self, part: User | None) -> Texts:
        """A user's values, and never a password."""
        if part is None:
            return {"initials": ("",), "name": ("",), "password": ("",)}
        return {
            "initials": (part.initials,),
            "name": (part.name,),
            "password": ("",),
            "none_works": NO,
            "enabled": YES if part.enabled else NO,
        }

    def add(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """A new user."""
        return setup.add_user(name, name=values["name"], password_hash=values["password_hash"])

    def set(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """Change a user."""
        changes: Any = {"name": values["name"], "enabled": values["enabled"]}
        if values.get("none_works"):
            changes["password_hash"] = None
        if values["password_hash"] is not None:
            changes["password_hash"] = values["password_hash"]
        return setup.set_user(name, **changes)

    def remove(self, setup: TenantSetup, name: str) -> object:
        """Remove a user."""
        return setup.remove_user(name)

    def goes_with_it(self, part: User) -> Sequence[str]:
        """Its password."""
        return ("its password",) if part.password_hash else ()

    def words(self, part: User) -> str:
        """Initials and name."""
        return f"{part.initials} {part.name}"


class Clients:
    """OAuth clients."""

    path, word, plural, key = "clients", "client", "clients", "client_id"
    about = "A client is a program. It proves itself with its user's password, or a secret or key of its own."
    empty = "No client yet. Add the first one"
    command = "licet client add TestClientId --user TC"
    columns = ("User", "State", "Scopes", "Proves itself by")

    def parts(self, tenant: Tenant) -> Mapping[str, Client]:
        """All clients by client_id."""
        return tenant.clients

    def row(self, tenant: Tenant, part: Client, now_ms: int) -> Sequence[Cell]:  # noqa: ARG002 - as any noun
        """User, state, scopes, and what it proves itself by."""
        name = part.user.name if part.user.name != part.user.initials else ""
        proof = " or ".join(proves_by(part, now_ms))
        return (
            Cell(f"{part.user.initials} {name}".strip()),
            state_of(is_on=part.enabled, off=_off(part, now_ms)),
            Cell("every" if part.scopes is None else few(sorted(part.scopes))),
            Cell(proof or "nothing yet", state="" if proof else "warn"),
        )

    def fields(self, tenant: Tenant, part: Client | None) -> tuple[Field, ...]:
        """Name, user, what it may, how it proves itself."""
        client_id = Field(
            name="client_id",
            label="client_id",
            help="As the program sends it: at most 128 characters.",
            read=lambda text: Client(key=0, client_id=text, user=_NOBODY).client_id,
        )
        fields = [
            _name(client_id, part),
            Field(
                name="user",
                label="User",
                help="The initials of whom it stands for. With another user its sessions end.",
                read=_known_user(tenant),
                suggestions=tuple(sorted(tenant.users)[:SUGGESTIONS_MAX]),
                width="short",
            ),
        ]
        if part is None:
            fields += _secret_fields()
        fields += [
            Field(
                name="by_user",
                label="The user's password works for it",
                kind=Kind.MARK,
                help="A secret of its own is better: it is random, and can be replaced without the user.",
            ),
            *_scope_fields(tenant),
            Field(
                name="grant_types",
                label="It may",
                kind=Kind.MARKS,
                options=tuple(Option(value=it.value, label=label) for it, label in _GRANTS.items()),
            ),
            Field(
                name="sessions_max",
                label="Sessions at most",
                kind=Kind.NUMBER,
                help="One more ends its oldest: so a client that asks for a token at every call is bounded.",
                read=whole(1, SESSIONS_MAX_MAX),
                width="short",
            ),
            Field(
                name="introspects",
                label="It is an API, and may ask about tokens",
                kind=Kind.MARK,
                help="It may use the introspection endpoint.",
            ),
        ]
        if part:
            fields.append(_enabled("Its sessions end at once, and it gets no new ones."))
        return tuple(fields)

    def texts(self, part: Client | None) -> Texts:
        """A client's values; those of a new one."""
        client = part or Client(key=0, client_id="new", user=_NOBODY)
        texts = {
            "client_id": (part.client_id if part else "",),
            "user": (part.user.initials if part else "",),
            "by_user": YES if part and part.password_allowed else NO,
            "scopes_all": ("every" if client.scopes is None else "some",),
            "scopes": tuple(sorted(client.scopes or ())),
            "grant_types": tuple(sorted(it.value for it in client.grant_types)),
            "sessions_max": (str(client.sessions_max if part else SESSIONS_MAX),),
            "introspects": YES if client.introspects else NO,
        }
        if part is None:
            return texts | {"generate": YES, "made_expires": (NEVER,)}
        return texts | {"enabled": YES if client.enabled else NO}

    def add(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """A new client, with the secret that the page has generated."""
        made = values.get("made")
        return setup.add_client(name, made, values.get("made_expires"), **self._changes(values))

    def set(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """Change a client."""
        return setup.set_client(name, **self._changes(values), enabled=values["enabled"])

    def remove(self, setup: TenantSetup, name: str) -> object:
        """Remove a client."""
        return setup.remove_client(name)

    def goes_with_it(self, part: Client) -> Sequence[str]:
        """Its secrets and keys."""
        own = {"secret": len(part.secrets), "public key": len(part.keys)}
        return [f"its {counted(number, what)}" for what, number in own.items() if number]

    def words(self, part: Client) -> str:
        """Name and user."""
        return f"{part.client_id} {part.user.initials} {part.user.name}"

    def _changes(self, values: dict[str, Any]) -> Any:
        return {
            "user": values["user"],
            "password_allowed": values["by_user"],
            "scopes": None if values["scopes_all"] == "every" else values["scopes"],
            "grant_types": frozenset(GrantType(it) for it in values["grant_types"]),
            "sessions_max": values["sessions_max"],
            "introspects": values["introspects"],
        }


NOUNS: tuple[Noun, ...] = (Pools(), Scopes(), Users(), Clients())


def tenant_fields(tenant: Tenant | None) -> tuple[Field, ...]:
    """What can be said of a tenant."""
    name = Field(
        name="name",
        label="Name",
        help="The first part of its addresses: letters, digits, _ . and -, at most 64.",
        read=lambda text: Tenant(id=0, name=text, version=0).name,
        width="medium",
    )
    seats = Field(
        name="seats",
        label="Seats",
        kind=Kind.NUMBER,
        help="Of its first pool, full, which the scope all draws on.",
        read=whole(0, SEATS_MAX),
        width="short",
    )
    scopes = sorted(tenant.scopes) if tenant else []
    default = Field(
        name="scope_default",
        label="Default scope",
        kind=Kind.CHOICE,
        help="What a client gets that asks for none.",
        options=tuple(Option(value=scope, label=scope) for scope in scopes),
    )
    return (
        _name(name, tenant),
        *((default,) if tenant else (seats,)),
        Field(
            name="session_ttl",
            label="A session lives",
            help="After its last token: 20m, 8h or 1200. So long a seat stays taken when a program dies."
            " Counts for new tokens.",
            read=_read_life,
            width="short",
        ),
        Field(
            name="token_format",
            label="Access tokens are",
            kind=Kind.CHOICE,
            help="An API has to ask Licet about a reference, so that a logoff counts at once. It may check a"
            " JWT by itself, and a logoff does not reach it.",
            options=(
                Option(value=TokenFormat.REFERENCE.value, label="references"),
                Option(value=TokenFormat.JWT.value, label="JWTs, signed with ES256"),
            ),
            read=TokenFormat,
        ),
        Field(
            name="access_ttl",
            label="An access token lives",
            help="10m or 600, and no longer than a session. When you change what access tokens are and leave"
            " this as it is, it becomes what goes with them: 60 s for a JWT, 10 minutes for a reference.",
            read=_read_life,
            width="short",
        ),
        Field(
            name="no_seat_status",
            label="Status when no seat is free",
            kind=Kind.CHOICE,
            options=tuple(Option(value=value, label=label) for value, label in _STATUSES.items()),
            read=int,
        ),
    )


def tenant_texts(tenant: Tenant | None) -> Texts:
    """A tenant's values; those of a new one."""
    own = tenant or Tenant(
        id=0, name="new", version=0, session_ttl_s=SESSION_TTL_S, access_ttl_s=ACCESS_TTL_S
    )
    return {
        "name": (tenant.name if tenant else "",),
        "seats": (str(SEATS_FIRST),),
        "scope_default": (own.scope_default,),
        "session_ttl": (duration(own.session_ttl_s),),
        "access_ttl": (duration(own.access_ttl_s),),
        "no_seat_status": (str(own.no_seat_status),),
        "token_format": (own.token_format.value,),
    }


def save_tenant(change: SetupChange, name: str | None, values: dict[str, Any]) -> None:
    """Make a tenant what a filled form says; a new one when there is no name.

    Raises SetupError, InvalidValue.
    """
    settings: Any = {
        "session_ttl_s": values["session_ttl"],
        "access_ttl_s": values["access_ttl"],
        "no_seat_status": values["no_seat_status"],
        "token_format": values["token_format"],
    }
    before = None if name is None else change.tenant(name).tenant
    if values["access_ttl"] == (before.access_ttl_s if before else ACCESS_TTL_S):
        del settings["access_ttl_s"]  # it was not named; what goes with the token format counts
    if name is None:
        change.add_tenant(values["name"], seats=values["seats"], **settings)
    else:
        change.tenant(name).set(scope_default=values["scope_default"], **settings)


def read_instant_or_never(text: str) -> int | None:
    """The instant of a date or datetime; None for `never` and for nothing.

    Raises InvalidValue.
    """
    return read_instant_ms(text or NEVER)


def state_of(*, is_on: bool, off: str = "") -> Cell:
    """Whether something is let in."""
    if not is_on:
        return Cell("disabled", state="warn")
    return Cell(off, state="warn") if off else Cell("enabled", state="ok")


def few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    first = ", ".join(names[:3])
    return f"{first} and {len(names) - 3:,} more" if len(names) > 3 else first or "none"  # noqa: PLR2004


_NOBODY = User(initials="NN", name="", password_hash=None)


def _name(field: Field, part: object | None) -> Field:
    """A name is given once."""
    if part is None:
        return field
    return Field(name=field.name, label=field.label, kind=Kind.FIXED)


def _enabled(text: str) -> Field:
    return Field(name="enabled", label="Enabled", kind=Kind.MARK, help=f"When it is not: {_lower(text)}")


def _off(client: Client, now_ms: int) -> str:
    """Why a client that is enabled gets no seat."""
    if not client.user.enabled:
        return "user disabled"
    return "kept off" if client.barred_at(now_ms) is not None else ""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _secret_fields() -> list[Field]:
    return [
        Field(
            name="generate",
            label="Generate a secret",
            kind=Kind.MARK,
            help="256 random bits, shown once on the next page.",
        ),
        Field(
            name="made_expires",
            label="The secret expires",
            help="2027-01-31 or never.",
            read=read_instant_or_never,
            placeholder=NEVER,
            width="medium",
        ),
    ]


def _scope_fields(tenant: Tenant) -> list[Field]:
    scopes = [tenant.scopes[name] for name in sorted(tenant.scopes)]
    return [
        Field(
            name="scopes_all",
            label="It may have",
            kind=Kind.CHOICE,
            options=(
                Option(value="every", label="every scope of the tenant, also those to come"),
                Option(value="some", label="only the scopes that are marked"),
            ),
        ),
        Field(
            name="scopes",
            label="Scopes",
            kind=Kind.MARKS,
            help="Sessions that were granted more than these end.",
            options=tuple(
                Option(
                    value=scope.name,
                    label=scope.name,
                    help=f"a seat of {scope.pool}" if scope.pool else "needs no seat",
                )
                for scope in scopes
            ),
        ),
    ]


def _known_user(tenant: Tenant) -> Any:
    def read(text: str) -> str:
        if not text:
            raise InvalidValue("say whom it stands for, by initials")
        if text not in tenant.users:
            raise InvalidValue(f"there is no user {text[:40]} in {tenant.name}; add the user first")
        return text

    return read


def _read_name(text: str) -> str:
    if not 0 < len(text) <= NAME_CHARS_MAX or not text.isprintable():
        raise InvalidValue(f"1 to {NAME_CHARS_MAX} characters without control characters")
    return text


def _read_life(text: str) -> int:
    seconds = read_duration_s(text)
    if not 1 <= seconds <= TTL_S_MAX:
        raise InvalidValue(f"1 second to 31 days, and not {duration(seconds)}")
    return seconds


def _end(expires_at_ms: int | None, now_ms: int) -> Cell:
    if expires_at_ms is None:
        return Cell(NEVER, state="off")
    is_over = expires_at_ms <= now_ms
    return Cell("expired" if is_over else "", state="warn" if is_over else "", at_ms=expires_at_ms)


def is_built_in(noun: Noun, name: str) -> bool:
    """Whether it stays whatever happens."""
    return noun.word == "scope" and name in BUILT_IN
