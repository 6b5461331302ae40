"""Describes the pages of clients: the user of each, how it authenticates, and what it may ask for."""

from collections.abc import Mapping, Sequence
from typing import Any

from licet.admin.pages.forms import Field, Kind, Option, Texts, whole
from licet.admin.pages.setup.noun import NO, YES, Cell, dated, enabled_field, few, named_once, state_of
from licet.formats import counted
from licet.model import SESSIONS_MAX, SESSIONS_MAX_MAX, Client, GrantType, InvalidValue, Tenant, User
from licet.refusal import Code
from licet.setup.check import authenticates_by
from licet.setup.tenant import TenantSetup

SUGGESTIONS_MAX = 500  # users that a client's form offers; any other can be typed

_GRANTS = {
    GrantType.CLIENT_CREDENTIALS: "begin a session with its credentials",
    GrantType.REFRESH_TOKEN: "renew a session with a refresh token",
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
        name="generate",
        label="Generate a secret",
        kind=Kind.MARK,
        help="256 random bits, shown once on the next page.",
    ),
    Field(
        name="made_expires",
        label="The secret expires",
        kind=Kind.END,
        about="secret_expires",
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
        about="max_sessions",
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
            fields.append(enabled_field("Its sessions end at once, and it gets no new ones."))
        return tuple(fields)

    def texts(self, tenant: Tenant, part: Client | None) -> Texts:  # noqa: ARG002 - as any noun
        """A client's values; those of a new one."""
        client = part or Client(key=0, client_id="new", user=_ANY_USER)
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


def _off(client: Client, now_ms: int) -> str:
    """Why a client that is enabled gets no seat."""
    if not client.user.enabled:
        return "user disabled"
    return "suspended" if client.suspended_at(now_ms) is not None else ""


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
            raise InvalidValue("say whom it stands for, by initials", code=Code.MISSING)
        if text not in tenant.users:
            text = f"there is no user {text[:40]} in {tenant.name}; add the user first"
            raise InvalidValue(text, code=Code.NOT_FOUND)
        return text

    return read
