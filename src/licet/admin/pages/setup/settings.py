"""Makes the form fields of an object's settings, fills them with its values, and reads a sent form.

What is typed into a field with "password" or "secret" in its name is not kept over a sign-in, unless
`admin/pages/frame.py` names it as none.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from msgspec.structs import replace

from licet.admin.pages.forms import Field, Option
from licet.admin.pages.forms import Kind as Drawn
from licet.formats import NEVER, end, read_end_ms
from licet.model import TIME_ZONE, InvalidValue, Tenant, Value
from licet.refusal import Code
from licet.setup.kinds import (
    ALL,
    Alerts,
    Choice,
    Choices,
    Duration,
    End,
    Flag,
    Kind,
    Limit,
    Number,
    ShortDuration,
    TimeZone,
    Whole,
)
from licet.setup.noun import Noun, Setting, Settings
from licet.setup.options.kinds import Bound, InOrder, Levels, Listed, Several, Shares, Whos
from licet.zones import find_zone

_DRAWN: Mapping[type[Kind], tuple[Drawn, str]] = {
    Whole: (Drawn.NUMBER, "short"),
    Limit: (Drawn.TEXT, "short"),
    Duration: (Drawn.TEXT, "short"),
    ShortDuration: (Drawn.TEXT, "short"),
    End: (Drawn.END, "line"),
    Flag: (Drawn.MARK, "line"),
    Choice: (Drawn.CHOICE, "line"),
    Number: (Drawn.CHOICE, "line"),
    Choices: (Drawn.MARKS, "line"),
    Alerts: (Drawn.TEXT, "medium"),
    TimeZone: (Drawn.TEXT, "medium"),
    Bound: (Drawn.TEXT, "short"),
    Whos: (Drawn.AREA, "medium"),
    Listed: (Drawn.AREA, "medium"),
    Shares: (Drawn.AREA, "medium"),
    Levels: (Drawn.AREA, "medium"),
}

YES = ("yes",)  # a mark that is set
NO: tuple[str, ...] = ()
SEATS_FIRST = 5  # a guess, and only what a form begins with

Labels = Mapping[str, tuple[str, str]]  # of an option, by its value: what it is called, and what helps


def field_of(
    setting: Setting, tenant: Tenant | None, *, at_ms: int | None = None, labels: Labels | None = None
) -> Field:
    """The field of a setting, whose dates are meant in the tenant's zone, or in UTC without one.

    `at_ms` is the instant that it is now, if it is one. `labels` are those of a choice, without which a
    value is its own.
    """
    kind, name = setting.kind, setting.name
    drawn, width = _DRAWN.get(type(kind), (Drawn.TEXT, "line"))
    values = map(str, kind.of) if isinstance(kind, Choice | Choices | Number) else ()
    named = {value: (value, "") for value in values} | dict(labels or {})
    field = Field(
        name=name,
        label=setting.label or name.capitalize(),
        kind=drawn,
        help=setting.page_help or setting.help,
        options=tuple(Option(value=value, label=label, help=text) for value, (label, text) in named.items()),
        read=lambda text: kind.read(text, tenant.zone if tenant else UTC),
        placeholder=_placeholder(kind),
        width=width,
        at_ms=at_ms if drawn is Drawn.END else None,
        suggestions=_zones() if isinstance(kind, TimeZone) else (),
    )
    return dated([field], tenant)[0]


def dated(fields: Iterable[Field], tenant: Tenant | None) -> tuple[Field, ...]:
    """These fields; what says when something ends is meant in the tenant's zone, or in UTC without one."""
    zone, name = (UTC, TIME_ZONE) if tenant is None else (tenant.zone, tenant.time_zone)
    return tuple(_in_zone(field, zone, name) if field.kind is Drawn.END else field for field in fields)


def named_once(field: Field, part: object | None) -> Field:
    """The field of a name: it is given once, and shown from then on."""
    return field if part is None else Field(name=field.name, label=field.label, kind=Drawn.FIXED)


def text_of(setting: Setting, value: Any, tenant: Tenant | None) -> tuple[str, ...]:
    """What the field of a setting holds: one text, or as many as are marked."""
    kind = setting.kind
    match kind:
        case Flag():
            return YES if value else NO
        case End():
            return ("" if value is None else end(value, tenant.zone if tenant else UTC),)
        case Alerts():
            return (" ".join(value) or "none",)
        case InOrder():
            return (", ".join(value),)
        case Several():
            return ("\n".join(kind.fact(value) or ()),)
    fact = kind.fact(value)
    return tuple(fact) if isinstance(fact, list) else ("" if fact is None else str(fact),)


def texts_of(noun: Noun, value: Value, tenant: Tenant | None) -> dict[str, tuple[str, ...]]:
    """What the fields of all settings of a value hold."""
    return {
        setting.name: text_of(setting, getattr(value, setting.field), tenant) for setting in noun.settings
    }


def settings_of(noun: Noun, values: Mapping[str, Any]) -> Settings:
    """The settings among the values of a filled form; a field that was only shown is not among them."""
    return {setting.field: values[setting.name] for setting in noun.settings if setting.name in values}


def _in_zone(field: Field, zone: tzinfo, name: str) -> Field:
    text = f"Without a time, it ends with that day. Empty is never. {field.help}"
    return replace(field, help=text.strip(), zone=name, read=lambda text: _read_end_ms(text, zone))


def _read_end_ms(text: str, zone: tzinfo) -> int | None:
    """When something ends, by the clocks of the zone that is named behind it, or else of this one.

    Raises InvalidValue.
    """
    moment, _, name = text.partition(" ")
    if name and find_zone(name) is None:
        raise InvalidValue(f"there is no time zone {name[:40]}", code=Code.UNKNOWN_CHOICE)
    return read_end_ms(moment or NEVER, find_zone(name) or zone)


def _placeholder(kind: Kind) -> str:
    if isinstance(kind, Duration) and not kind.least_s:
        return "0s"
    if isinstance(kind, Limit):
        return ALL
    if isinstance(kind, Bound):
        return kind.nothing
    return "none" if isinstance(kind, Alerts) else ""


@cache
def _zones() -> tuple[str, ...]:
    """The zones that are named after a place; reading which there are takes a tenth of a second."""
    return tuple(
        sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
    )
