"""Describes the pages of clients: the user of each, how it authenticates, and what it may ask for."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Kind, Option, Texts
from licet.admin.pages.frame import Visit, link
from licet.admin.pages.setup.noun import YES, Cell, dated, few, named_once, state_of
from licet.admin.pages.setup.places import ROOT
from licet.admin.pages.setup.settings import field_of, settings_of, texts_of
from licet.credentials.public_keys import kind_of, name_of
from licet.formats import counted
from licet.model import Client, ClientSecret, GrantType, InvalidValue, PublicKey, Tenant, User
from licet.refusal import Code
from licet.setup.check import authenticates_by
from licet.setup.noun import Settings
from licet.setup.nouns import CLIENT
from licet.setup.tenant import TenantSetup

SUGGESTIONS_MAX = 500  # users that a client's form offers; any other can be typed

_GRANTS = {
    "client_credentials": ("begin a session with its credentials", ""),
    "refresh_token": ("renew a session with a refresh token", ""),
}
_ANY_USER = User(initials="NN", name="", password_hash=None)
_CLIENT_ID = Field(
    name="client_id",
    label="client_id",
    help="As the program sends it: at most 128 characters.",
    read=lambda text: Client(key=0, client_id=text, user=_ANY_USER).client_id,
)
_FIRST_SECRET = (
    Field(
        name="generate_secret",
        label="Generate a secret",
        kind=Kind.MARK,
        help="256 random bits, shown once on the next page.",
    ),
    Field(
        name="secret_expires",
        label="The secret expires",
        kind=Kind.END,
    ),
)


class Credential(NamedTuple):
    """A secret or public key, as the page of its client lists it."""

    name: str
    kept: ClientSecret | PublicKey
    removal: str  # the page that removes it
    title: str = ""
    algorithm: str = ""


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
        proof = " or ".join(authenticates_by(part, now_ms))
        return (
            Cell(f"{part.user.initials} {name}".strip()),
            state_of(is_on=part.enabled, off=_off(part, now_ms)),
            Cell("every" if part.scopes is None else few(sorted(part.scopes))),
            Cell(proof or "nothing yet", state="" if proof else "warn"),
        )

    def fields(self, tenant: Tenant, part: Client | None) -> tuple[Field, ...]:
        """Name, user, what it may, how it authenticates."""
        labels = {"grant_types": _GRANTS}
        own = {it.name: field_of(it, tenant, labels=labels.get(it.name)) for it in CLIENT.settings}
        first = dated(_FIRST_SECRET, tenant) if part is None else ()
        return (
            named_once(_CLIENT_ID, part),
            _user_field(own["user"], tenant, part),
            *first,
            own["password_allowed"],
            *_scope_fields(own["scopes"], tenant),
            own["grant_types"],
            own["max_sessions"],
            own["introspects"],
            *([own["enabled"]] if part else ()),
        )

    def texts(self, tenant: Tenant, part: Client | None) -> Texts:
        """A client's values; those of a new one."""
        client = part or Client(key=0, client_id="new", user=_ANY_USER, password_allowed=False)
        texts = texts_of(CLIENT, client, tenant) | {
            "scopes_all": ("every" if client.scopes is None else "some",)
        }
        if part is None:
            return texts | {
                "client_id": ("",),
                "user": ("",),
                "generate_secret": YES,
                "secret_expires": ("",),
            }
        return texts | {"client_id": (part.client_id,)}

    def add(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """A new client, with the secret that the page has generated."""
        made = values.get("made")
        return setup.add_client(name, made, values.get("secret_expires"), **_settings(values))

    def set(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """Change a client."""
        return setup.set_client(name, **_settings(values))

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


def listed_secrets(visit: Visit, client: Client) -> list[Credential]:
    """The secrets of a client, oldest first."""
    path = f"{ROOT}/clients/secrets/remove"
    return [
        Credential(f"lcs_{it.secret_id}", it, link(visit, path, name=client.client_id, secret=it.secret_id))
        for it in sorted(client.secrets, key=lambda it: it.created_at_ms)
    ]


def listed_keys(visit: Visit, client: Client) -> list[Credential]:
    """The public keys of a client, oldest first."""
    path = f"{ROOT}/clients/keys/remove"
    return [
        Credential(
            name_of(it),
            it,
            link(visit, path, name=client.client_id, key=it.thumbprint),
            it.thumbprint,
            kind_of(it),
        )
        for it in sorted(client.keys, key=lambda it: it.created_at_ms)
    ]


def _settings(values: dict[str, Any]) -> Settings:
    given = settings_of(CLIENT, values)
    return given | {
        "scopes": None if values["scopes_all"] == "every" else values["scopes"],
        "grant_types": frozenset(map(GrantType, values["grant_types"])),
    }


def _off(client: Client, now_ms: int) -> str:
    """Why a client that is enabled gets no seat."""
    if not client.user.enabled:
        return "user disabled"
    return "suspended" if client.suspended_at(now_ms) is not None else ""


def _scope_fields(field: Field, tenant: Tenant) -> tuple[Field, Field]:
    """Whether it may have every scope, and which where it may not."""
    every = Field(
        name="scopes_all",
        label="It may have",
        kind=Kind.CHOICE,
        options=(
            Option(value="every", label="every scope of the tenant, also those to come"),
            Option(value="some", label="only the scopes that are marked"),
        ),
    )
    seats = {name: tenant.scopes[name].pool for name in sorted(tenant.scopes)}
    options = tuple(
        Option(value=name, label=name, help=f"a seat of {pool}" if pool else "needs no seat")
        for name, pool in seats.items()
    )
    return every, replace(field, kind=Kind.MARKS, options=options)


def _user_field(field: Field, tenant: Tenant, part: Client | None) -> Field:
    text = CLIENT.setting("user").help if part is None else field.help
    suggestions = tuple(sorted(tenant.users)[:SUGGESTIONS_MAX])
    return replace(field, read=_known_user(tenant), suggestions=suggestions, width="short", help=text)


def _known_user(tenant: Tenant) -> Any:
    def read(text: str) -> str:
        if not text:
            raise InvalidValue("say whom it stands for, by initials", code=Code.MISSING)
        if text not in tenant.users:
            text = f"there is no user {text[:40]} in {tenant.name}; add the user first"
            raise InvalidValue(text, code=Code.NOT_FOUND)
        return text

    return read
