"""Describes the pages of pools: seats, whose sessions share one, until when, and what raises an alert."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Texts
from licet.admin.pages.setup.noun import SEATS_FIRST, Cell, named_once
from licet.admin.pages.setup.settings import field_of, settings_of, texts_of
from licet.formats import NEVER, counted, duration
from licet.model import Pool, Tenant, TokenFormat
from licet.setup.nouns import POOL
from licet.setup.tenant import TenantSetup

_SHARED_BY = {
    "client": ("a client", "Sessions of one client share a seat."),
    "user": ("a user", "Sessions of one user share a seat, by whichever client."),
    "none": ("nobody", "Every session has a seat of its own."),
}
_POOL_NAME = Field(
    name="name",
    label="Name",
    help="Letters, digits, _ . and -, at most 64.",
    read=lambda text: Pool(id=0, name=text, seats=0).name,
    width="medium",
)


class Pools:
    """Counted licences."""

    path, word, plural, key = "pools", "pool", "pools", "name"
    about = "A pool is a counted licence: so many seats, and the rule by which they are counted."
    empty = "No pool yet. Without one nothing here needs a seat. Add the first one"
    command = "licet pool add full --seats 5"
    columns = ("Seats", "A seat is shared by", "Held for", "Expires", "Scopes")

    def parts(self, tenant: Tenant) -> Mapping[str, Pool]:
        """All pools by name."""
        return {pool.name: pool for pool in tenant.pools.values()}

    def row(self, tenant: Tenant, part: Pool, now_ms: int) -> Sequence[Cell]:
        """Seats, rule, hold, end, and what draws on it."""
        scopes = sorted(scope.name for scope in tenant.scopes.values() if scope.pool == part.name)
        return (
            Cell(f"{part.seats:,}", is_number=True),
            Cell(_SHARED_BY[part.duplicates][0]),
            _held(tenant, part),
            _end(part.expires_at_ms, now_ms),
            Cell(", ".join(scopes) or "none", state="" if scopes else "off"),
        )

    def fields(self, tenant: Tenant, part: Pool | None) -> tuple[Field, ...]:
        """Its name and its settings."""
        ends_ms = None if part is None else part.expires_at_ms
        named = {"duplicates": _SHARED_BY}
        fields = [field_of(it, tenant, at_ms=ends_ms, labels=named.get(it.name)) for it in POOL.settings]
        if tenant.token_format is TokenFormat.JWT:
            least = (
                f" Access tokens are JWTs here: their life counts at least, {duration(tenant.access_ttl_s)}."
            )
            fields = [replace(it, help=it.help + least) if it.name == "hold" else it for it in fields]
        return (named_once(_POOL_NAME, part), *fields)

    def texts(self, tenant: Tenant, part: Pool | None) -> Texts:
        """A pool's values; those of a new one."""
        pool = part or Pool(id=0, name="new", seats=SEATS_FIRST)
        return {"name": (part.name if part else "",), **texts_of(POOL, pool, tenant)}

    def add(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """A new pool."""
        return setup.add_pool(name, **settings_of(POOL, values))

    def set(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """Change a pool."""
        return setup.set_pool(name, **settings_of(POOL, values))

    def remove(self, setup: TenantSetup, name: str) -> object:
        """Remove a pool."""
        return setup.remove_pool(name)

    def goes_with_it(self, part: Pool) -> Sequence[str]:
        """Its seats."""
        return (f"its {counted(part.seats, 'seat')}",)

    def words(self, part: Pool) -> str:
        """Its name."""
        return part.name


def _held(tenant: Tenant, pool: Pool) -> Cell:
    """The hold that counts, and that it is not the pool's own where it is not."""
    hold_s = tenant.hold_s_of(pool)
    if not hold_s:
        return Cell("no time", state="off")
    return Cell(duration(hold_s) if hold_s == pool.hold_s else f"{duration(hold_s)}, the life of a JWT")


def _end(expires_at_ms: int | None, now_ms: int) -> Cell:
    if expires_at_ms is None:
        return Cell(NEVER, state="off")
    is_over = expires_at_ms <= now_ms
    return Cell(
        "expired" if is_over else "", state="warn" if is_over else "", at_ms=expires_at_ms, is_end=True
    )
