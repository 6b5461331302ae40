"""Describes the pages of clients: the user of each, how it authenticates, and what it may ask for."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Form, Kind, Option, Texts
from licet.admin.pages.frame import link
from licet.admin.pages.setup.cells import Cell, few, state_of
from licet.admin.pages.setup.connect import Connect, connect
from licet.admin.pages.setup.error_links import ROOT
from licet.admin.pages.setup.noun import Empty, Secret
from licet.admin.pages.setup.nouns.client_keys import ClientKeys
from licet.admin.pages.setup.nouns.client_secrets import ClientSecrets, shown_once
from licet.admin.pages.setup.nouns.users import Users
from licet.admin.pages.setup.owners import OfTenant
from licet.admin.pages.setup.settings import YES, dated, field_of, named_once, settings_of, texts_of
from licet.formats import counted
from licet.model import Client, GrantType, InvalidValue, Tenant, User
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
    help="As the program sends it: at most 128 characters that can be seen, no space at either end.",
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


class Clients(OfTenant[Client]):
    """OAuth clients."""

    path, word, plural, event = "clients", "client", "clients", "client"
    key = "client_id"
    template = "setup/client.html"
    about = "A client is a program. It authenticates with its user's password, or a secret or key of its own."
    empty = "No client yet. Add the first one"
    command = "licet client add TestClientId --user TC"
    columns = ("User", "State", "Scopes", "Authenticates by")

    def parts_of(self, tenant: Tenant) -> Mapping[str, Client]:
        """All clients by client_id."""
        return tenant.clients

    def row(self, part: Client) -> Sequence[Cell]:
        """User, state, scopes, and what it authenticates by."""
        name = part.user.name if part.user.name != part.user.initials else ""
        proof = " or ".join(authenticates_by(part, self.visit.now_ms))
        return (
            Cell(f"{part.user.initials} {name}".strip()),
            state_of(is_on=part.enabled, off=_off(part, self.visit.now_ms)),
            Cell("every") if part.scopes is None else few(sorted(part.scopes)),
            Cell(proof or "nothing yet", state="" if proof else "warn"),
        )

    def fields(self, part: Client | None) -> tuple[Field, ...]:
        """Name, user, what it may, how it authenticates."""
        labels = {"grant_types": _GRANTS}
        own = {
            setting.name: field_of(setting, self.tenant, labels=labels.get(setting.name))
            for setting in CLIENT.settings
        }
        first = dated(_FIRST_SECRET, self.tenant) if part is None else ()
        return (
            named_once(_CLIENT_ID, part),
            _user_field(own["user"], self.tenant, part),
            *first,
            own["password_allowed"],
            *_scope_fields(own["scopes"], self.tenant),
            own["grant_types"],
            own["max_sessions"],
            own["introspects"],
            *([own["enabled"]] if part else ()),
        )

    def texts(self, part: Client | None) -> Texts:
        """A client's values; those of a new one."""
        client = part or Client(key=0, client_id="new", user=_ANY_USER, password_allowed=False)
        texts = texts_of(CLIENT, client, self.tenant) | {
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

    def prepare(self, _form: Form, values: dict[str, Any], _part: Client | None) -> None:
        """Generate the first secret, if it is to have one."""
        if values.get("generate_secret"):
            values["made"] = self.context.client_secrets().generate()

    def add(self, change: TenantSetup, values: dict[str, Any]) -> None:
        """A new client, with the secret that was generated."""
        made = values.get("made")
        expires = values["secret_expires"] if made else None
        change.add_client(values["client_id"], made, expires, **_settings(values))

    def set(self, change: TenantSetup, name: str, values: dict[str, Any]) -> None:
        """Change a client."""
        change.set_client(name, **_settings(values))

    def remove(self, change: TenantSetup, name: str) -> None:
        """Remove a client."""
        change.remove_client(name)

    def secret(self, values: Mapping[str, Any]) -> Secret | None:
        """Its first secret."""
        made = values.get("made")
        return shown_once(self.context, self.visit, self.tenant, values["client_id"], made) if made else None

    def goes(self, part: Client) -> Sequence[str]:
        """Its secrets and keys."""
        own = {"secret": len(part.secrets), "public key": len(part.keys)}
        return [f"its {counted(number, what)}" for what, number in own.items() if number]

    def profile(self, name: str) -> tuple[str, str]:
        """Its page."""
        return link(
            self.visit, "/client", tenant=self.tenant.name, name=name
        ), "Its seats, denials and history"

    def sought(self, name: str, part: Client) -> str:
        """Name and user."""
        return f"{name} {part.user.initials} {part.user.name}"

    def nothing_yet(self) -> Empty:
        """To add a user first, where there is none."""
        if self.tenant.users:
            return super().nothing_yet()
        users = Users(self.context, self.visit, self.tenant)
        to = link(self.visit, f"{ROOT}/users/add")
        text = "A client stands for a user. Add a user first"
        return Empty(text, users.nothing_yet().command, (to, "Add a user"))

    def credentials(self, part: Client) -> tuple[ClientSecrets, ClientKeys]:
        """Its secrets and its keys, which stand on its page."""
        own = self.context, self.visit, self.tenant, part
        return ClientSecrets(*own), ClientKeys(*own)

    def connect(self, part: Client, query: Mapping[str, str]) -> Connect:
        """The lines by which it gets a token, as an address asks for them."""
        return connect(
            self.context.public_url,
            self.tenant,
            part,
            self.visit.now_ms,
            by=query.get("by", ""),
            scope=query.get("scope", ""),
        )

    def uses_password(self, part: Client) -> bool:
        """Whether it can authenticate with its user's password."""
        return "password" in authenticates_by(part, self.visit.now_ms)


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
    seats = {name: ", else of ".join(tenant.scopes[name].pools) for name in sorted(tenant.scopes)}
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
