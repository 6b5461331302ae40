"""Describes the pages of tenants: their settings, and the first pool of a new one."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from fastapi import Request
from msgspec.structs import replace
from sqlalchemy import Connection, func, select

from licet.admin.context import AdminContext
from licet.admin.pages.forms import Field, Kind, Option, Texts, whole
from licet.admin.pages.frame import Visit, link
from licet.admin.pages.setup.cells import Cell, number
from licet.admin.pages.setup.error_links import ROOT
from licet.admin.pages.setup.noun import Noun
from licet.admin.pages.setup.settings import SEATS_FIRST, field_of, named_once, settings_of, texts_of
from licet.formats import counted
from licet.journal.history import EventEntry
from licet.model import ACCESS_TTL_S, SEATS_MAX, Tenant
from licet.setup.change import SetupChange
from licet.setup.noun import Settings
from licet.setup.nouns import TENANT
from licet.store import schema

_LABELS = {
    "no_seat_status": {
        "400": ("400, which every OAuth library hands on", ""),
        "429": ("429, too many requests", ""),
        "503": ("503, service unavailable", ""),
    },
    "token_format": {"reference": ("references", ""), "jwt": ("JWTs, signed with ES256", "")},
}
_NAME = Field(
    name="name",
    label="Name",
    help="The first part of its addresses: letters, digits, _ . and -, at most 64.",
    read=lambda text: Tenant(id=0, name=text, version=0).name,
    width="medium",
)
_SEATS = Field(
    name="seats",
    label="Seats",
    kind=Kind.NUMBER,
    help="Of its first pool, full, which the scope all draws on.",
    read=whole(0, SEATS_MAX),
    width="short",
)


class Tenants(Noun[Tenant]):
    """Customer databases. `tenant` is the one that is looked at."""

    path, word, plural, event = "tenants", "tenant", "tenants", "tenant"
    asked = "tenant"
    about = "A tenant is one customer database, with its own users, clients, scopes and pools."
    empty = "No tenant yet. Add the first one"
    command = "licet tenant add Jim_Test --seats 5"
    columns = ("Pools", "Users", "Clients", "A session lives", "Default scope")
    after = "Nobody can bring it back. Only what administrators did stays in the journal."
    is_rehearsed = False  # that would lock the store for long; live sessions are counted instead

    @classmethod
    async def seen(cls, context: AdminContext, _: Request, visit: Visit) -> Self:
        """All that the reader sees."""
        return cls(context, visit, visit.the_tenant)

    @classmethod
    def named_in(cls, _request: Request, visit: Visit) -> str | None:
        """The tenant that is looked at."""
        return visit.the_tenant.name if visit.the_tenant else None

    @property
    def back(self) -> str:
        """The list of all of them."""
        return f"{ROOT}/tenants"

    def parts(self) -> Mapping[str, Tenant]:
        """All tenants by name."""
        return {tenant.name: tenant for tenant in self.context.tenants_now(self.visit.identity)}

    def row(self, part: Tenant) -> Sequence[Cell]:
        """What it has, and two of its settings."""
        counts = (number(len(parts)) for parts in (part.pools, part.users, part.clients))
        return (*counts, Cell(self.texts(part)["session_ttl"][0]), Cell(part.scope_default))

    def changes(self, name: str | None) -> Sequence[EventEntry]:
        """Those of one; of all there are none."""
        return super().changes(name) if name else ()

    def fields(self, part: Tenant | None) -> tuple[Field, ...]:
        """Its settings; a new one has a first pool, and no scopes to choose from yet."""
        fields = {
            setting.name: field_of(setting, part, labels=_LABELS.get(setting.name))
            for setting in TENANT.settings
        }
        default = fields.pop("default_scope")
        if part is None:
            return (_NAME, _SEATS, *fields.values())
        scopes = tuple(Option(value=scope, label=scope) for scope in sorted(part.scopes))
        return (named_once(_NAME, part), replace(default, kind=Kind.CHOICE, options=scopes), *fields.values())

    def texts(self, part: Tenant | None) -> Texts:
        """A tenant's values; those of a new one."""
        tenant = part or Tenant(id=0, name="new", version=0)
        first = {"name": (part.name if part else "",), "seats": (str(SEATS_FIRST),)}
        return first | texts_of(TENANT, tenant, part)

    def current(self, change: SetupChange, name: str) -> Tenant:
        """One as it is now."""
        return change.tenant(name).tenant

    def add(self, change: SetupChange, values: dict[str, Any]) -> None:
        """A new tenant."""
        settings = _settings(values, ACCESS_TTL_S)
        change.add_tenant(values["name"], seats=values["seats"], **settings)

    def added(self, values: Mapping[str, Any]) -> tuple[str, str]:
        """Its first user is next."""
        name = values["name"]
        to = link(None, f"{ROOT}/users/add", tenant=name)
        return to, f"Tenant {name} added. Now its first user, then a client."

    def set(self, change: SetupChange, name: str, values: dict[str, Any]) -> None:
        """Change a tenant."""
        setup = change.tenant(name)
        setup.set(**_settings(values, setup.tenant.access_ttl_s))

    def remove(self, change: SetupChange, name: str) -> None:
        """Remove a tenant with all that it has."""
        change.remove_tenant(name)

    def question(self, name: str, _: Tenant) -> str:
        """With how much goes."""
        return f"Remove tenant {name} with all that it has?"

    def must_type(self, part: Tenant) -> str:
        """Its name."""
        return part.name

    def goes(self, part: Tenant) -> Sequence[str]:
        """All that it has."""
        sessions = self.context.read_now(
            lambda connection: _live_sessions(connection, part, self.visit.now_ms)
        )
        return (
            counted(sessions, "live session"),
            counted(len(part.pools), "pool"),
            counted(len(part.users), "user"),
            counted(len(part.clients), "client"),
            "its administrators, API keys and webhooks",
            "its journal and its usage",
        )


def _settings(values: dict[str, Any], access_ttl_s: int) -> Settings:
    """What is set; where the life of an access token stays, that which goes with the token format counts."""
    settings = settings_of(TENANT, values)
    if settings.get("access_ttl_s") == access_ttl_s:
        del settings["access_ttl_s"]
    return settings


def _live_sessions(connection: Connection, tenant: Tenant, now_ms: int) -> int:
    session: Any = schema.session.c
    query = select(func.count()).select_from(schema.session)
    found: int = connection.execute(
        query.where(session.tenant_id == tenant.id, session.expires_at_ms > now_ms)
    ).scalar_one()
    return found
