"""Describes the pages of scopes: what a token with one may do, and which pool its seat comes from."""

from collections.abc import Mapping, Sequence
from typing import Any

from licet.admin.pages.forms import Field, Kind, Option, Texts
from licet.admin.pages.setup.noun import NO, YES, Cell, named_once
from licet.formats import counted
from licet.model import Scope, Tenant
from licet.setup.tenant import TenantSetup

NO_POOL = ""  # of a scope that needs no seat


_SCOPE_NAME = Field(
    name="name",
    label="Name",
    help='As clients ask for it: printable ASCII without space, " and \\, at most 64.',
    read=lambda text: Scope(name=text, licensed=False, read_only=False, pool=None).name,
    width="medium",
)


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
            Cell("no, read-only" if part.read_only else "yes"),
            Cell(counted(named + every, "client")),
        )

    def fields(self, tenant: Tenant, part: Scope | None) -> tuple[Field, ...]:
        """Name, pool, and whether it only reads."""
        if part is not None and part.name == Scope.VIEW:
            fixed = Field(
                name="built_in",
                label="Built in",
                kind=Kind.FIXED,
                help="It is read-only and needs no seat, so that looking is always possible.",
            )
            return (named_once(_SCOPE_NAME, part), fixed)
        pools = sorted(pool.name for pool in tenant.pools.values())
        return (
            named_once(_SCOPE_NAME, part),
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
                label="Read-only",
                kind=Kind.MARK,
                help="Its tokens may not change data: APIs behind the guard refuse them.",
            ),
        )

    def texts(self, tenant: Tenant, part: Scope | None) -> Texts:  # noqa: ARG002 - as any noun
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
