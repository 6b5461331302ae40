"""Describes the pages of scopes: what a token with one may do, and which pool its seat comes from."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Kind, Texts
from licet.admin.pages.setup.cells import Cell
from licet.admin.pages.setup.owners import OfTenant
from licet.admin.pages.setup.settings import field_of, named_once, settings_of, texts_of
from licet.formats import counted
from licet.model import Scope, Tenant
from licet.setup.nouns import SCOPE
from licet.setup.parts.pools import BUILT_IN
from licet.setup.tenant import TenantSetup

NO_POOL = ""  # of a scope that needs no seat


_SCOPE_NAME = Field(
    name="name",
    label="Name",
    help='As clients ask for it: printable ASCII without space, " and \\, at most 64.',
    read=lambda text: Scope(name=text, licensed=False, read_only=False, pool=None).name,
    width="medium",
)


class Scopes(OfTenant[Scope]):
    """What a token may do."""

    path, word, plural, event = "scopes", "scope", "scopes", "scope"
    about = "A scope says what a token may do. One that draws on a pool needs a seat of it."
    empty = "No scope yet. Add the first one"
    command = "licet scope add orders --pool full"
    columns = ("Seat of pool", "May change data", "Given to")

    def parts_of(self, tenant: Tenant) -> Mapping[str, Scope]:
        """All scopes by name."""
        return tenant.scopes

    def row(self, part: Scope) -> Sequence[Cell]:
        """Pool, whether it only reads, and who has it."""
        named = sum(part.name in (client.scopes or ()) for client in self.tenant.clients.values())
        every = sum(client.scopes is None for client in self.tenant.clients.values())
        return (
            Cell(part.pool or "needs no seat", state="" if part.pool else "off"),
            Cell("no, read-only" if part.read_only else "yes"),
            Cell(counted(named + every, "client"), whole=named + every),
        )

    def fields(self, part: Scope | None) -> tuple[Field, ...]:
        """Name, pool, and whether it only reads."""
        if part is not None and part.name == Scope.VIEW:
            fixed = Field(
                name="built_in",
                label="Built in",
                kind=Kind.FIXED,
                help="It is read-only and needs no seat, so that looking is always possible.",
            )
            return (named_once(_SCOPE_NAME, part), fixed)
        pools = sorted(pool.name for pool in self.tenant.pools.values())
        labels = {NO_POOL: ("no pool: it needs no seat", "")} | {pool: (pool, "") for pool in pools}
        fields = {setting.name: field_of(setting, self.tenant, labels=labels) for setting in SCOPE.settings}
        pool = replace(fields["pool"], kind=Kind.CHOICE, read=lambda text: text or None)
        return (named_once(_SCOPE_NAME, part), pool, replace(fields["read_only"], options=()))

    def texts(self, part: Scope | None) -> Texts:
        """A scope's values; those of a new one."""
        scope = part or Scope(name="new", licensed=False, read_only=False, pool=None)
        return {"name": (part.name if part else "",), **texts_of(SCOPE, scope, self.tenant)}

    def add(self, change: TenantSetup, values: dict[str, Any]) -> None:
        """A new scope."""
        change.add_scope(values["name"], **settings_of(SCOPE, values))

    def set(self, change: TenantSetup, name: str, values: dict[str, Any]) -> None:
        """Change a scope."""
        change.set_scope(name, **settings_of(SCOPE, values))

    def remove(self, change: TenantSetup, name: str) -> None:
        """Remove a scope."""
        change.remove_scope(name)

    def is_built_in(self, name: str) -> bool:
        """`view` stays."""
        return name in BUILT_IN

    def sought(self, name: str, part: Scope) -> str:
        """Its name and pool."""
        return f"{name} {part.pool or ''}"
