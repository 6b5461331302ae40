"""Turns JSON into the dataclasses of the answers, and what a caller gives into JSON.

What a later server adds is passed over: a member that is not known, and a word that is not among those of a
literal type. A member that is missing, or of another type, is an error.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, overload

Made = TypeVar("Made")
_PYTHON_NAMES: Final = {"from_": "from"}
_SCALARS: Final = (str, int, float, bool)


class Unset:
    """The type of `UNSET`: what a call leaves out."""

    def __repr__(self) -> str:
        """As it is written."""
        return "UNSET"

    def __bool__(self) -> bool:
        """Nothing."""
        return False


UNSET: Final = Unset()


@overload
def decode(kind: type[Made], content: Any) -> Made: ...
@overload
def decode(kind: Any, content: Any) -> Any: ...
def decode(kind: Any, content: Any) -> Any:  # noqa: PLR0911 - one for each kind of type
    """The value of this type that some JSON is.

    Raises ValueError where it is none.
    """
    origin = get_origin(kind)
    if kind is Any:
        return content
    if origin in {Union, UnionType}:
        return _one_of(get_args(kind), content)
    if kind is datetime and isinstance(content, str):
        return datetime.fromisoformat(content)
    if is_dataclass(kind) and isinstance(content, Mapping):
        return _object(kind, content)
    if origin is tuple and isinstance(content, list):
        return tuple(decode(get_args(kind)[0], part) for part in content)
    if origin is not None and isinstance(content, Mapping):
        return {name: decode(get_args(kind)[1], part) for name, part in content.items()}
    if origin is Literal or (kind is float and type(content) is int) or type(content) is kind:
        return content
    raise ValueError(f"{kind} is expected, and not {type(content).__name__}")


def _one_of(kinds: tuple[Any, ...], content: Any) -> Any:
    if content is None and NoneType in kinds:
        return None
    rest = [kind for kind in kinds if kind is not NoneType]
    objects = [kind for kind in rest if is_dataclass(kind)]
    if len(rest) > 1 and objects and isinstance(content, Mapping):
        return decode(next((kind for kind in objects if _has_tag(kind, content)), objects[0]), content)
    return decode(rest[0], content)


def _has_tag(kind: Any, content: Mapping[str, Any]) -> bool:
    """Whether the members whose type is one literal alone are those of this class."""
    tags = {name: get_args(hint) for name, hint in _hints(kind).items() if get_origin(hint) is Literal}
    return all(content.get(name) in words for name, words in tags.items() if len(words) == 1)


def _object(kind: Any, content: Mapping[str, Any]) -> Any:
    given = {}
    for field in fields(kind):
        name = _PYTHON_NAMES.get(field.name, field.name)
        if name in content:
            given[field.name] = decode(_hints(kind)[field.name], content[name])
        elif field.default is MISSING:
            raise ValueError(f"{kind.__name__} has no {name}")
    return kind(**given)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def encode(value: Any) -> Any:
    """What a caller gives, as JSON has it."""
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, _SCALARS):
        return value
    if isinstance(value, Mapping):
        return {name: encode(part) for name, part in value.items()}
    return [encode(part) for part in value]


def given(members: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are set, as JSON has them."""
    return {name: encode(value) for name, value in members.items() if not isinstance(value, Unset)}


def query_of(members: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The same for the query of an address."""
    found: list[tuple[str, str]] = []
    for name, value in given(members).items():
        parts = value if isinstance(value, list) else [value]
        found += [
            (name, str(part).lower() if isinstance(part, bool) else str(part))
            for part in parts
            if part is not None
        ]
    return found
