"""Defines what a noun of the set-up gives to its pages, and the cells and fields that several nouns share.

Each noun says what its list and its form look like, and what a filled form changes. It decides nothing: what
may be, the model and `licet.setup.change` say. Passwords come to it hashed. What is typed into a field with
"password" or "secret" in its name is not kept over a sign-in, unless `admin/pages/frame.py` names it as none.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Kind, Texts
from licet.formats import NEVER, end, read_end_ms
from licet.model import TIME_ZONE, Tenant
from licet.setup.tenant import TenantSetup

YES = ("yes",)  # a mark that is set
NO: tuple[str, ...] = ()
SEATS_FIRST = 5  # a guess, and only what a form begins with


class Cell(NamedTuple):
    """What a list shows in one place. `state` is `ok`, `warn` or `off`, told by the text as well."""

    text: str
    state: str = ""
    is_number: bool = False
    at_ms: int | None = None
    is_end: bool = False  # the instant is when something expires: its last day is shown


class Noun(Protocol):
    """One kind of what a tenant has."""

    path: str  # in addresses: "pools"
    word: str  # "pool"
    plural: str
    about: str  # what it is, below the title
    empty: str  # what to do when there is none
    command: str  # the same on the command line
    key: str  # the field that names it

    @property
    def columns(self) -> tuple[str, ...]:
        """What stands above a list."""

    def parts(self, tenant: Tenant) -> Mapping[str, Any]:
        """All of a tenant's, by name."""

    def row(self, tenant: Tenant, part: Any, now_ms: int) -> Sequence[Cell]:
        """What a list shows of one, without its name."""

    def fields(self, tenant: Tenant, part: Any | None) -> tuple[Field, ...]:
        """What can be said of one that is there, or of a new one."""

    def texts(self, tenant: Tenant, part: Any | None) -> Texts:
        """What a form begins with."""

    def add(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """Make one of a filled form."""

    def set(self, setup: TenantSetup, name: str, values: dict[str, Any]) -> object:
        """Make it what a filled form says."""

    def remove(self, setup: TenantSetup, name: str) -> object:
        """Take it away."""

    def goes_with_it(self, part: Any) -> Sequence[str]:
        """What is lost when it is removed, beside its sessions."""

    def words(self, part: Any) -> str:
        """What it is found by."""


def dated(fields: Iterable[Field], tenant: Tenant | None) -> tuple[Field, ...]:
    """These fields; what says when something ends is meant in the tenant's zone, or in UTC without one."""
    zone, name = (UTC, TIME_ZONE) if tenant is None else (tenant.zone, tenant.time_zone)
    return tuple(_in_zone(it, zone, name) if it.kind is Kind.END else it for it in fields)


def _in_zone(field: Field, zone: tzinfo, name: str) -> Field:
    told = f"Without a time, it ends with that day in {name}. Empty is never. {field.help}"
    return replace(field, help=told.strip(), read=lambda text: read_end_ms(text or NEVER, zone))


def end_text(at_ms: int | None, tenant: Tenant) -> str:
    """What a field holds that says when something ends; nothing for never."""
    return "" if at_ms is None else end(at_ms, tenant.zone)


def state_of(*, is_on: bool, off: str = "") -> Cell:
    """Whether something is let in."""
    if not is_on:
        return Cell("disabled", state="warn")
    return Cell(off, state="warn") if off else Cell("enabled", state="ok")


def named_once(field: Field, part: object | None) -> Field:
    """The field of a name: it is given once, and shown from then on."""
    if part is None:
        return field
    return Field(name=field.name, label=field.label, kind=Kind.FIXED)


def few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    first = ", ".join(names[:3])
    return f"{first} and {len(names) - 3:,} more" if len(names) > 3 else first or "none"  # noqa: PLR2004


def enabled_field(text: str) -> Field:
    """The field that turns it off; `text` says what happens then."""
    return Field(name="enabled", label="Enabled", kind=Kind.MARK, help=f"When it is not: {_lower(text)}")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
