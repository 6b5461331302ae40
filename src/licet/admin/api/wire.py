"""Gives what reports and the store make the names and forms that every answer of the admin API has.

The rules:

- An instant is a text in ISO 8601, in UTC: `expires_at` is `expires_at_ms` here.
- A duration is in seconds, with a fraction where it has one: `held_s` is `held_ms` here.
- A user is `user`, by its initials, and `user_name`.
- An `id` that is a number is the store's own, and is not shown.

`shape_of` is the class of an answer that is made of values of another one, `shown` the answer itself. A
`Shape` is an answer already, which is written out by these rules.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Final, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, defstruct
from msgspec.structs import fields

from licet.formats import instant
from licet.model import Tenant, Value

_EXAMPLE: Final = "2027-01-01T00:00:00Z"

Instant = Annotated[str, Meta(examples=[_EXAMPLE], extra_json_schema={"format": "date-time"})]

_INSTANT: Final = re.compile(r"(.*_)?(at|from|since|until)_ms")
_QUOTED: Final = re.compile(r"`(\w+)`")
_MS: Final = "_ms"
_NAMES: Final = MappingProxyType({"initials": "user", "told_at_ms": "notified_at"})


class Shape(Value, frozen=True, kw_only=True):
    """What is shown as it is."""


Made = TypeVar("Made", bound=Shape)
Tenants = Mapping[int, Tenant]


def about(description: str, *examples: object) -> Meta:
    """What the document says of a member, with what it is like."""
    return Meta(description=description, examples=list(examples) or None)


def example(*examples: object) -> Meta:
    """The same of a member whose name says what it is."""
    return Meta(examples=list(examples))


class _Member(NamedTuple):
    """A member of a class and of its shape."""

    field: str
    name: str
    type: Any
    show: Callable[[Any], Any]


@cache
def shape_of(kind: type[Struct]) -> type[Struct]:
    """The class of what `shown` makes of a value of this class."""
    members = _members(kind)
    if issubclass(kind, Shape) or all(
        member.field == member.name and member.show is _as_it_is for member in members
    ):
        return kind
    config, text = kind.__struct_config__, kind.__doc__ or ""
    names = {member.field: member.name for member in members}
    return defstruct(
        kind.__name__,
        [(_identifier(member.name), member.type) for member in members],
        rename={_identifier(member.name): member.name for member in members},
        namespace={"__doc__": _QUOTED.sub(lambda it: f"`{names.get(it[1]) or name_of(it[1])}`", text)},
        module=__name__,
        frozen=True,
        kw_only=True,
        tag_field=config.tag_field,
        tag=config.tag,
    )


def shown(value: Any) -> Any:
    """A value, or several, as an answer has it."""
    if isinstance(value, tuple | list):
        return [shown(part) for part in value]
    if not isinstance(value, Struct):
        return value
    kind = type(value)
    shape = shape_of(kind)
    if shape is kind:
        return value
    return shape(**{_identifier(it.name): it.show(getattr(value, it.field)) for it in _members(kind)})


def name_of(field: str) -> str:
    """What a member is called in answers."""
    if field in _NAMES:
        return _NAMES[field]
    if _INSTANT.fullmatch(field):
        return field.removesuffix(_MS)
    return f"{field.removesuffix(_MS)}_s" if field.endswith(_MS) else field


def found(value: object, name: str) -> Any:
    """What a value has for a member of a shape that is written out: of `expires_at`, its `expires_at_ms`."""
    if hasattr(value, name):
        return getattr(value, name)
    at_ms: int | None = getattr(value, f"{name}{_MS}")
    return at(at_ms)


def at(at_ms: int | None) -> str | None:
    """An instant as answers have it; None stays None."""
    return None if at_ms is None else instant(at_ms)


def like(shape: type[Made], value: object, **others: Any) -> Made:
    """A shape made of what a value has for it (`found`), and of others."""
    same = (name for name in shape.__struct_fields__ if name not in others)
    return shape(**{name: found(value, name) for name in same}, **others)


def tenant_name(tenant_id: int | None, tenants: Tenants) -> str | None:
    """The name of the tenant of this id; None is all, and empty one that is not there any more."""
    if tenant_id is None:
        return None
    known = tenants.get(tenant_id)
    return known.name if known else ""


@cache
def _members(kind: type[Struct]) -> tuple[_Member, ...]:
    return tuple(_read(kind))


def _read(kind: type[Struct]) -> Iterator[_Member]:
    names = {field.name for field in fields(kind)}
    for field in fields(kind):
        if field.name == "id" and field.type is int:
            continue
        is_of_user = field.name == "name" and "initials" in names and "user_name" not in names
        name = "user_name" if is_of_user else name_of(field.name)
        if _INSTANT.fullmatch(field.name):
            yield _Member(field.name, name, _replaced(field.type, Instant), at)
        elif field.name.endswith(_MS):
            yield _Member(field.name, name, _replaced(field.type, float), _seconds)
        else:
            type_ = _shaped(field.type)
            yield _Member(field.name, name, type_, _as_it_is if type_ == field.type else shown)


def _as_it_is(value: Any) -> Any:
    return value


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _replaced(type_: Any, by: Any) -> Any:
    """A type, or None, where there was a number, or None."""
    return by | None if NoneType in get_args(type_) else by


def _shaped(type_: Any) -> Any:
    """A type, with the shapes in it of what answers have otherwise."""
    origin, parts = get_origin(type_), get_args(type_)
    if isinstance(type_, type) and issubclass(type_, Struct):
        return shape_of(type_)
    if origin is tuple:
        return origin[tuple(_shaped(part) for part in parts)]
    if origin in {Union, UnionType}:
        return Union[tuple(_shaped(part) for part in parts)]  # noqa: UP007 - of parts that are not written here
    return type_


def _identifier(name: str) -> str:
    """A name that no keyword of the language is: `from_` for `from`."""
    return "from_" if name == "from" else name


def encoded(content: Any) -> bytes:
    """A value, a list or a page, as JSON."""
    if isinstance(content, Mapping):
        content = {name: shown(member) for name, member in content.items()}
    return msgspec.json.encode(shown(content))
