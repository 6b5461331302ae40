"""Describes the pages of pools: seats, whose sessions share one, until when, and what raises an alert."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Kind, Option, Texts, whole
from licet.admin.pages.setup.noun import SEATS_FIRST, Cell, dated, end_text, named_once
from licet.formats import NEVER, counted, duration, read_duration_s
from licet.model import (
    ALERTS,
    HOLD_S_MAX,
    SEATS_MAX,
    Duplicates,
    Pool,
    Tenant,
    TokenFormat,
    out_of_range,
    read_alerts,
)
from licet.setup.tenant import TenantSetup

_DUPLICATES = {
    Duplicates.CLIENT: ("a client", "Sessions of one client share a seat."),
    Duplicates.USER: ("a user", "Sessions of one user share a seat, by whichever client."),
    Duplicates.NONE: ("nobody", "Every session has a seat of its own."),
}
_HOLD_HELP = (
    "After the last token issued with it, however it ended: 60s, 20m, at most 24h; 0 is not at all. Meanwhile"
    " it is in use, and its holder may take it again. Where an API does not ask about each request, a hold"
    " keeps clients from taking turns on a seat."
)


def _read_hold(text: str) -> int:
    seconds = read_duration_s(text)
    if seconds > HOLD_S_MAX:
        raise out_of_range(f"0 to 24 hours, and not {duration(seconds)}", "", seconds, 0, HOLD_S_MAX)
    return seconds


_POOL_NAME = Field(
    name="name",
    label="Name",
    help="Letters, digits, _ . and -, at most 64.",
    read=lambda text: Pool(id=0, name=text, seats=0).name,
    width="medium",
)
_POOL_FIELDS = (
    Field(
        name="seats",
        label="Seats",
        kind=Kind.NUMBER,
        help="How many may be in use at once. When it is lowered below what is in use, sessions stay,"
        " and no new seat is given until it fits.",
        read=whole(0, SEATS_MAX),
        width="short",
    ),
    Field(
        name="duplicates",
        label="A seat is shared by the sessions of",
        kind=Kind.CHOICE,
        help="Counts for new sessions.",
        options=tuple(
            Option(value=value.value, label=label, help=text) for value, (label, text) in _DUPLICATES.items()
        ),
        read=Duplicates,
    ),
    Field(
        name="hold",
        label="A seat is held for",
        help=_HOLD_HELP,
        read=_read_hold,
        placeholder="0s",
        width="short",
    ),
    Field(name="expires", label="Expires", kind=Kind.END, help="No session lives past it."),
    Field(
        name="alerts",
        label="Alerts",
        help=f"When so many per cent of its seats are in use, when a seat is denied, and before its licence"
        f" expires: {' '.join(ALERTS)}, or none. With shared:5 also when a seat is used from 5 addresses in a"
        " day.",
        read=read_alerts,
        placeholder="none",
        width="medium",
    ),
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
            Cell(_DUPLICATES[part.duplicates][0]),
            _held(tenant, part),
            _end(part.expires_at_ms, now_ms),
            Cell(", ".join(scopes) or "none", state="" if scopes else "off"),
        )

    def fields(self, tenant: Tenant, part: Pool | None) -> tuple[Field, ...]:
        """Name, seats, rule and end."""
        ends_ms = None if part is None else part.expires_at_ms
        fields = (replace(it, at_ms=ends_ms) if it.kind is Kind.END else it for it in _POOL_FIELDS)
        if tenant.token_format is TokenFormat.JWT:
            least = (
                f" Access tokens are JWTs here: their life counts at least, {duration(tenant.access_ttl_s)}."
            )
            fields = (replace(it, help=it.help + least) if it.name == "hold" else it for it in fields)
        return (named_once(_POOL_NAME, part), *dated(fields, tenant))

    def texts(self, tenant: Tenant, part: Pool | None) -> Texts:
        """A pool's values; those of a new one."""
        pool = part or Pool(id=0, name="new", seats=SEATS_FIRST)
        return {
            "name": (part.name if part else "",),
            "seats": (str(pool.seats),),
            "duplicates": (pool.duplicates.value,),
            "hold": (duration(pool.hold_s),),
            "expires": (end_text(pool.expires_at_ms, tenant),),
            "alerts": (" ".join(pool.alerts) or "none",),
        }

    def add(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """A new pool."""
        return setup.add_pool(name, **self._changes(values))

    def set(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """Change a pool."""
        return setup.set_pool(name, **self._changes(values))

    def remove(self, setup: TenantSetup, name: str) -> object:
        """Remove a pool."""
        return setup.remove_pool(name)

    def goes_with_it(self, part: Pool) -> Sequence[str]:
        """Its seats."""
        return (f"its {counted(part.seats, 'seat')}",)

    def words(self, part: Pool) -> str:
        """Its name."""
        return part.name

    def _changes(self, values: dict[str, Any]) -> Any:
        """What was to be set; a field that is only shown is not among it."""
        names = {"expires": "expires_at_ms", "hold": "hold_s"}
        fields = {field.name for field in _POOL_FIELDS}
        return {names.get(name, name): value for name, value in values.items() if name in fields}


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
