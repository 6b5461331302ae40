"""Describes the form of a tenant."""

from functools import cache
from typing import Any
from zoneinfo import available_timezones

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Kind, Option, Texts, whole
from licet.admin.pages.setup.noun import NO, SEATS_FIRST, YES, named_once
from licet.formats import duration, read_duration_s
from licet.model import (
    ACCESS_TTL_S,
    SEATS_MAX,
    SESSION_TTL_S,
    TIME_ZONE,
    TTL_S_MAX,
    Tenant,
    TokenFormat,
    out_of_range,
)
from licet.setup.change import SetupChange

_STATUSES = {
    "400": "400, which every OAuth library hands on",
    "429": "429, too many requests",
    "503": "503, service unavailable",
}


def _read_life(text: str) -> int:
    seconds = read_duration_s(text)
    if not 1 <= seconds <= TTL_S_MAX:
        raise out_of_range(f"1 second to 31 days, and not {duration(seconds)}", "", seconds, 1, TTL_S_MAX)
    return seconds


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
_FIELDS = (
    Field(
        name="session_ttl",
        label="A session lives",
        help="After its last token: 20m, 8h or 1200. So long a seat stays taken when a program dies."
        " Counts for new tokens.",
        read=_read_life,
        width="short",
    ),
    Field(
        name="token_format",
        label="Access tokens are",
        kind=Kind.CHOICE,
        help="An API has to ask Licet about a reference, so that a logoff counts at once. It may check a"
        " JWT by itself, and a logoff does not reach it.",
        options=(
            Option(value=TokenFormat.REFERENCE.value, label="references"),
            Option(value=TokenFormat.JWT.value, label="JWTs, signed with ES256"),
        ),
        read=TokenFormat,
    ),
    Field(
        name="access_ttl",
        label="An access token lives",
        help="If you change the token format and not this, it becomes that"
        " format's default: 60 s (JWT) or 10 min (reference).",
        read=_read_life,
        width="short",
    ),
    Field(
        name="no_seat_status",
        label="Status when no seat is free",
        kind=Kind.CHOICE,
        options=tuple(Option(value=value, label=label) for value, label in _STATUSES.items()),
        read=int,
    ),
    Field(
        name="strict_assertions",
        label="Strict assertions",
        kind=Kind.MARK,
        help="An assertion that a client signs names the issuer alone as its audience, and RS256 is refused:"
        " PS256, ES256 and EdDSA work. FAPI 2.0 asks for it.",
    ),
)


@cache
def _zones() -> tuple[str, ...]:
    """The zones that are named after a place; reading which there are takes a tenth of a second."""
    return tuple(sorted(it for it in available_timezones() if "/" in it and not it.startswith("Etc/")))


_TIME_ZONE = Field(
    name="time_zone",
    label="Time zone",
    help="In which dates without a zone are meant, like the day on which a licence ends: Australia/Sydney, or"
    " UTC. Another zone moves no end that is set.",
    read=lambda text: Tenant(id=0, name="new", version=0, time_zone=text or TIME_ZONE).time_zone,
    width="medium",
)


def tenant_fields(tenant: Tenant | None) -> tuple[Field, ...]:
    """What can be said of a tenant."""
    scopes = sorted(tenant.scopes) if tenant else []
    default = Field(
        name="scope_default",
        label="Default scope",
        about="default_scope",
        kind=Kind.CHOICE,
        help="What a client gets that asks for none.",
        options=tuple(Option(value=scope, label=scope) for scope in scopes),
    )
    return (
        named_once(_NAME, tenant),
        default if tenant else _SEATS,
        *_FIELDS,
        replace(_TIME_ZONE, suggestions=_zones()),
    )


def tenant_texts(tenant: Tenant | None) -> Texts:
    """A tenant's values; those of a new one."""
    own = tenant or Tenant(
        id=0, name="new", version=0, session_ttl_s=SESSION_TTL_S, access_ttl_s=ACCESS_TTL_S
    )
    return {
        "name": (tenant.name if tenant else "",),
        "seats": (str(SEATS_FIRST),),
        "scope_default": (own.scope_default,),
        "session_ttl": (duration(own.session_ttl_s),),
        "access_ttl": (duration(own.access_ttl_s),),
        "no_seat_status": (str(own.no_seat_status),),
        "token_format": (own.token_format.value,),
        "strict_assertions": YES if own.strict_assertions else NO,
        "time_zone": (own.time_zone,),
    }


def save_tenant(change: SetupChange, name: str | None, values: dict[str, Any]) -> None:
    """Make a tenant what a filled form says; a new one when there is no name.

    Raises SetupError, InvalidValue.
    """
    names = {"session_ttl": "session_ttl_s", "access_ttl": "access_ttl_s"}
    settings: Any = {names.get(it, it): value for it, value in values.items() if it not in {"name", "seats"}}
    before = None if name is None else change.tenant(name).tenant
    if settings.get("access_ttl_s") == (before.access_ttl_s if before else ACCESS_TTL_S):
        del settings["access_ttl_s"]  # it was not named; what goes with the token format counts
    if name is None:
        change.add_tenant(values["name"], seats=values["seats"], **settings)
    else:
        change.tenant(name).set(**settings)
