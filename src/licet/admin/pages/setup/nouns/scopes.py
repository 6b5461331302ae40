"""Describes the pages of scopes: what a token with one may do, and which pool its seat comes from."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Kind, Option, Texts
from licet.admin.pages.setup.cells import Cell
from licet.admin.pages.setup.owners import OfTenant
from licet.admin.pages.setup.settings import field_of, named_once, settings_of, texts_of
from licet.formats import counted
from licet.model import Scope, Tenant
from licet.setup.nouns import SCOPE
from licet.setup.parts.pools import BUILT_IN
from licet.setup.tenant import TenantSetup

NO_POOL = ""  # of a scope that needs no seat
_PLACES = ("pool", "pool_2", "pool_3", "pool_4")  # POOLS_MAX, by their fields

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
        """Pools, whether it only reads, and who has it."""
        named = sum(part.name in (client.scopes or ()) for client in self.tenant.clients.values())
        every = sum(client.scopes is None for client in self.tenant.clients.values())
        return (
            Cell(", then ".join(part.pools) or "needs no seat", state="" if part.pools else "off"),
            Cell("no, read-only" if part.read_only else "yes"),
            Cell(counted(named + every, "client"), whole=named + every),
        )

    def fields(self, part: Scope | None) -> tuple[Field, ...]:
        """Name, pools, and whether it only reads."""
        if part is not None and part.name == Scope.VIEW:
            fixed = Field(
                name="built_in",
                label="Built in",
                kind=Kind.FIXED,
                help="It is read-only and needs no seat, so that looking is always possible.",
            )
            return (named_once(_SCOPE_NAME, part), fixed)
        fields = {setting.name: field_of(setting, self.tenant) for setting in SCOPE.settings}
        pools = _pool_fields(fields["pool"], sorted(pool.name for pool in self.tenant.pools.values()))
        return (named_once(_SCOPE_NAME, part), *pools, fields["read_only"])

    def texts(self, part: Scope | None) -> Texts:
        """A scope's values; those of a new one."""
        scope = part or Scope(name="new", licensed=False, read_only=False, pool=None)
        own = texts_of(SCOPE, scope, self.tenant)
        places = {name: (pool,) for name, pool in zip_longest(_PLACES, scope.pools, fillvalue=NO_POOL)}
        return {"name": (part.name if part else "",), "read_only": own["read_only"], **places}

    def add(self, change: TenantSetup, values: dict[str, Any]) -> None:
        """A new scope."""
        change.add_scope(values["name"], **_settings(values))

    def set(self, change: TenantSetup, name: str, values: dict[str, Any]) -> None:
        """Change a scope."""
        change.set_scope(name, **_settings(values))

    def remove(self, change: TenantSetup, name: str) -> None:
        """Remove a scope."""
        change.remove_scope(name)

    def is_built_in(self, name: str) -> bool:
        """`view` stays."""
        return name in BUILT_IN

    def sought(self, name: str, part: Scope) -> str:
        """Its name and pools."""
        return " ".join((name, *part.pools))


def _pool_fields(field: Field, pools: Sequence[str]) -> tuple[Field, ...]:
    """A choice for each pool that a scope may draw on, in order; one alone where there are no more pools."""
    none, names = "no pool: it needs no seat", [Option(value=pool, label=pool) for pool in pools]
    first = replace(
        field,
        kind=Kind.CHOICE,
        help="A session has a seat of it. Sessions with a seat of a pool that you take away end.",
        options=(Option(value=NO_POOL, label=none), *names),
        read=lambda text: text or None,
    )
    others = [
        replace(
            first,
            name=name,
            about="pools",
            label=f"{ordinal} pool",
            help="Asked when no pool before it gives a seat.",
            options=(Option(value=NO_POOL, label="no other pool"), *names),
        )
        for name, ordinal in zip(_PLACES[1 : len(pools)], ("Second", "Third", "Fourth"), strict=False)
    ]
    return (first, *others)


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Its settings; the pools in order, and none of those left out."""
    found = settings_of(SCOPE, values)
    if "pool" in found:
        del found["pool"]
        found["pools"] = tuple(pool for name in _PLACES if (pool := values.get(name)))
    return found
