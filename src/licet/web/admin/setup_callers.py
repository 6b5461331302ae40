"""Who asks for tokens, as the set-up pages show it: clients, and the users that they stand for."""

from collections.abc import Mapping, Sequence
from typing import Any

from licet.model import SESSIONS_MAX, SESSIONS_MAX_MAX, Client, GrantType, InvalidValue, Tenant, User
from licet.store.check import proves_by
from licet.store.setup_checks import NAME_CHARS_MAX
from licet.store.tenant_setup import TenantSetup
from licet.web.admin.forms import Field, Kind, Option, Texts, whole
from licet.web.admin.pages import counted
from licet.web.admin.setup_noun import NO, YES, Cell, dated, named_once, state_of

SUGGESTIONS_MAX = 500  # users that a client's form offers; any other can be typed

_GRANTS = {
    GrantType.CLIENT_CREDENTIALS: "begin a session with its credentials",
    GrantType.REFRESH_TOKEN: "renew a session with a refresh token",
}
_NOBODY = User(initials="NN", name="", password_hash=None)
_INITIALS = Field(
    name="initials",
    label="Initials",
    help="2 or 3 letters, digits or dots.",
    read=lambda text: User(initials=text, name="", password_hash=None).initials,
    width="short",
)
_CLIENT_ID = Field(
    name="client_id",
    label="client_id",
    help="As the program sends it: at most 128 characters.",
    read=lambda text: Client(key=0, client_id=text, user=_NOBODY).client_id,
)
_FIRST_SECRET = (
    Field(
        name="generate",
        label="Generate a secret",
        kind=Kind.MARK,
        help="256 random bits, shown once on the next page.",
    ),
    Field(
        name="made_expires",
        label="The secret expires",
        kind=Kind.END,
    ),
)
_BY_USER = Field(
    name="by_user",
    label="The user's password works for it",
    kind=Kind.MARK,
    help="A secret of its own is better: it is random, and can be replaced without the user.",
)
_WHAT_IT_MAY = (
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
)


class Users:
    """Persons and services, known by initials."""

    path, word, plural, key = "users", "user", "users", "initials"
    about = "A user is a person or service. A client stands for one, and may authenticate with its password."
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
            Cell("set" if part.password_hash else "no password", state="" if part.password_hash else "off"),
            Cell(_few(clients), state="" if clients else "off"),
        )

    def fields(self, tenant: Tenant, part: User | None) -> tuple[Field, ...]:  # noqa: ARG002 - as any noun
        """Initials, name, password, state."""
        password_help = (
            "Empty: it stays as it is. Sessions go on until they have to be renewed."
            if part and part.password_hash
            else "8 to 256 characters, not easy to guess. Empty: no password, and its clients need a secret."
        )
        fields = [
            named_once(_INITIALS, part),
            Field(name="name", label="Name in full", read=_read_name),
            Field(name="password", label="Password", kind=Kind.PASSWORD, help=password_help),
        ]
        if part and part.password_hash:
            fields.append(
                Field(
                    name="none_works",
                    label="Take the password away",
                    kind=Kind.MARK,
                    help="The user has no password then. Clients with a secret of their own go on.",
                )
            )
        if part:
            fields.append(_enabled("The sessions of its clients end at once, and they get no new ones."))
        return tuple(fields)

    def texts(self, tenant: Tenant, part: User | None) -> Texts:  # noqa: ARG002 - as any noun
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
    about = "A client is a program. It authenticates with its user's password, or a secret or key of its own."
    empty = "No client yet. Add the first one"
    command = "licet client add TestClientId --user TC"
    columns = ("User", "State", "Scopes", "Authenticates by")

    def parts(self, tenant: Tenant) -> Mapping[str, Client]:
        """All clients by client_id."""
        return tenant.clients

    def row(self, tenant: Tenant, part: Client, now_ms: int) -> Sequence[Cell]:  # noqa: ARG002 - as any noun
        """User, state, scopes, and what it authenticates by."""
        name = part.user.name if part.user.name != part.user.initials else ""
        proof = " or ".join(proves_by(part, now_ms))
        return (
            Cell(f"{part.user.initials} {name}".strip()),
            state_of(is_on=part.enabled, off=_off(part, now_ms)),
            Cell("every" if part.scopes is None else _few(sorted(part.scopes))),
            Cell(proof or "nothing yet", state="" if proof else "warn"),
        )

    def fields(self, tenant: Tenant, part: Client | None) -> tuple[Field, ...]:
        """Name, user, what it may, how it authenticates."""
        fields = [
            named_once(_CLIENT_ID, part),
            Field(
                name="user",
                label="User",
                help="The initials of whom it stands for."
                if part is None
                else "The initials of whom it stands for. With another user its sessions end.",
                read=_known_user(tenant),
                suggestions=tuple(sorted(tenant.users)[:SUGGESTIONS_MAX]),
                width="short",
            ),
        ]
        if part is None:
            fields += dated(_FIRST_SECRET, tenant)
        fields += [_BY_USER, *_scope_fields(tenant), *_WHAT_IT_MAY]
        if part:
            fields.append(_enabled("Its sessions end at once, and it gets no new ones."))
        return tuple(fields)

    def texts(self, tenant: Tenant, part: Client | None) -> Texts:  # noqa: ARG002 - as any noun
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
            return texts | {"generate": YES, "made_expires": ("",)}
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


def _few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    first = ", ".join(names[:3])
    return f"{first} and {len(names) - 3:,} more" if len(names) > 3 else first or "none"  # noqa: PLR2004


def _enabled(text: str) -> Field:
    return Field(name="enabled", label="Enabled", kind=Kind.MARK, help=f"When it is not: {_lower(text)}")


def _off(client: Client, now_ms: int) -> str:
    """Why a client that is enabled gets no seat."""
    if not client.user.enabled:
        return "user disabled"
    return "kept off" if client.barred_at(now_ms) is not None else ""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


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
            help="Saving ends sessions that hold a scope you untick.",
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
