"""Describes the pages of pools: seats, whose sessions share one, until when, alerts, and its options."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Texts
from licet.admin.pages.licence_outlook import Outlook, outlook
from licet.admin.pages.setup.cells import Cell, expiry, number
from licet.admin.pages.setup.nouns.pool_options import is_option, option_fields, option_texts
from licet.admin.pages.setup.owners import OfTenant
from licet.admin.pages.setup.settings import SEATS_FIRST, field_of, named_once, settings_of, texts_of
from licet.formats import counted, duration
from licet.ledger.signed_pools import seats_of
from licet.model import Pool, Tenant, TokenFormat
from licet.options import all_rules_of
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


class Pools(OfTenant[Pool]):
    """Pools of seats."""

    path, word, plural, event = "pools", "pool", "pools", "pool"
    about = "A pool is a counted licence: so many seats, and the rule by which they are counted."
    empty = "No pool yet. Without one nothing here needs a seat. Add the first one"
    command = "licet pool add full --seats 5"
    columns = ("Seats", "A seat is shared by", "Held for", "Expires", "Scopes", "Options")
    template = "setup/pool.html"

    def parts_of(self, tenant: Tenant) -> Mapping[str, Pool]:
        """All pools by name."""
        return {pool.name: pool for pool in tenant.pools.values()}

    def row(self, part: Pool) -> Sequence[Cell]:
        """Seats, rule, hold, end, and what draws on it."""
        scopes = sorted(scope.name for scope in self.tenant.scopes.values() if part.name in scope.pools)
        return (
            self._seats(part),
            Cell(_SHARED_BY[part.duplicates][0]),
            _held(self.tenant, part),
            expiry(part.expires_at_ms, self.visit.now_ms),
            Cell(", ".join(scopes) or "none", state="" if scopes else "off"),
            _options(part),
        )

    def fields(self, part: Pool | None) -> tuple[Field, ...]:
        """Its name and its settings."""
        tenant, ends_ms = self.tenant, None if part is None else part.expires_at_ms
        named = {"duplicates": _SHARED_BY}
        fields = [
            field_of(setting, tenant, at_ms=ends_ms, labels=named.get(setting.name))
            for setting in POOL.settings
        ]
        if tenant.token_format is TokenFormat.JWT:
            least = (
                f" Access tokens are JWTs here: their life counts at least, {duration(tenant.access_ttl_s)}."
            )
            fields = [
                replace(field, help=field.help + least) if field.name == "hold" else field for field in fields
            ]
        options = option_fields({field.name: field for field in fields})
        return (named_once(_POOL_NAME, part), *(it for it in fields if not is_option(it)), *options)

    def texts(self, part: Pool | None) -> Texts:
        """A pool's values; those of a new one."""
        pool = part or Pool(id=0, name="new", seats=SEATS_FIRST)
        return {
            "name": (part.name if part else "",),
            **texts_of(POOL, pool, self.tenant),
            **option_texts(pool),
        }

    def add(self, change: TenantSetup, values: dict[str, Any]) -> None:
        """A new pool."""
        change.add_pool(values["name"], **settings_of(POOL, values))

    def set(self, change: TenantSetup, name: str, values: dict[str, Any]) -> None:
        """Change a pool."""
        change.set_pool(name, **settings_of(POOL, values))

    def remove(self, change: TenantSetup, name: str) -> None:
        """Remove a pool."""
        change.remove_pool(name)

    def goes(self, part: Pool) -> Sequence[str]:
        """Its seats."""
        return (f"its {counted(seats_of(part, self.visit.now_ms), 'seat')}",)

    def outlook(self, part: Pool) -> Outlook:
        """What licences give a signed pool; for its page, which does not count the seats in use."""
        return outlook(part, self.visit.now_ms, in_use=0)

    def _seats(self, part: Pool) -> Cell:
        """The number that counts, and that licences sign it."""
        seats = seats_of(part, self.visit.now_ms)
        return (
            number(seats) if part.signed is None else Cell(f"{seats:,} signed", is_number=True, whole=seats)
        )


def _options(pool: Pool) -> Cell:
    """Which options are set, in a few words."""
    counts: dict[str, int | None] = dict(Counter(option for option, _ in all_rules_of(pool)))
    counts |= {"max_per_user": pool.max_per_user, "max_per_client": pool.max_per_client}
    counts["queue"] = pool.queue or None
    words = [f"{word} {number}" for word, number in counts.items() if number is not None]
    return Cell(", ".join(words) or "none", state="" if words else "off")


def _held(tenant: Tenant, pool: Pool) -> Cell:
    """The hold that counts, and that it is not the pool's own where it is not."""
    hold_s = tenant.hold_s_of(pool)
    if not hold_s:
        return Cell("no time", state="off")
    if hold_s == pool.hold_s:
        return Cell(duration(hold_s))
    is_signed = pool.signed is not None and hold_s == pool.signed.hold_s
    return Cell(f"{duration(hold_s)}, {'by its licence' if is_signed else 'the life of a JWT'}")
