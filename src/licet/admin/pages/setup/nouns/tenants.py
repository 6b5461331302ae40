"""Describes the form of a tenant, and makes a tenant what a filled form says."""

from typing import Any

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Kind, Option, Texts, whole
from licet.admin.pages.setup.noun import SEATS_FIRST, named_once
from licet.admin.pages.setup.settings import field_of, settings_of, texts_of
from licet.model import ACCESS_TTL_S, SEATS_MAX, Tenant
from licet.setup.change import SetupChange
from licet.setup.nouns import TENANT

_STATUSES = {
    "400": ("400, which every OAuth library hands on", ""),
    "429": ("429, too many requests", ""),
    "503": ("503, service unavailable", ""),
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
_FORMATS = {"reference": ("references", ""), "jwt": ("JWTs, signed with ES256", "")}


def tenant_fields(tenant: Tenant | None) -> tuple[Field, ...]:
    """The settings of a tenant, or of a new one, which has a first pool and no scopes to choose from yet."""
    labels = {"token_format": _FORMATS, "no_seat_status": _STATUSES}
    fields = {it.name: field_of(it, tenant, labels=labels.get(it.name)) for it in TENANT.settings}
    default = fields.pop("default_scope")
    if tenant is None:
        return (_NAME, _SEATS, *fields.values())
    scopes = tuple(Option(value=scope, label=scope) for scope in sorted(tenant.scopes))
    return (named_once(_NAME, tenant), replace(default, kind=Kind.CHOICE, options=scopes), *fields.values())


def tenant_texts(tenant: Tenant | None) -> Texts:
    """A tenant's values; those of a new one."""
    own = tenant or Tenant(id=0, name="new", version=0)
    first = {"name": (tenant.name if tenant else "",), "seats": (str(SEATS_FIRST),)}
    return first | texts_of(TENANT, own, tenant)


def save_tenant(change: SetupChange, name: str | None, values: dict[str, Any]) -> None:
    """Make a tenant what a filled form says; a new one when there is no name.

    Raises SetupError, InvalidValue.
    """
    settings = settings_of(TENANT, values)
    before = None if name is None else change.tenant(name).tenant
    if settings.get("access_ttl_s") == (before.access_ttl_s if before else ACCESS_TTL_S):
        del settings["access_ttl_s"]  # it was not named; what goes with the token format counts
    if name is None:
        change.add_tenant(values["name"], seats=values["seats"], **settings)
    else:
        change.tenant(name).set(**settings)
