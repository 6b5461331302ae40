"""Reads a long list in pages: a cursor says where the last page ended.

A cursor is opaque text. It names the last row of a page by its values and not by its number, so that pages
stay right while rows are added. It is no secret and gives no rights: access is checked again for each page.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec

LIMIT = 50
LIMIT_MAX = 500

_CURSOR_CHARS_MAX = 1000
_NUMBER_MAX = 2**62  # a column holds twice as much

_Place = TypeVar("_Place")


class InvalidCursor(ValueError):
    """It is not a cursor of this list."""


def write_cursor(*place: str | int) -> str:
    """The cursor of a place: the values by which the list is ordered, of the last row of a page."""
    return urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_cursor(text: str, kind: type[_Place]) -> _Place:
    """The place of a cursor, as the tuple that `kind` is.

    Raises InvalidCursor.
    """
    try:
        if len(text) > _CURSOR_CHARS_MAX:
            raise InvalidCursor("this is not a cursor of this list")
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        place = msgspec.json.decode(raw, type=kind)
    except (ValueError, msgspec.MsgspecError):
        raise InvalidCursor("this is not a cursor of this list") from None
    if isinstance(place, tuple) and not all(map(_is_of_a_store, place)):
        raise InvalidCursor("this is not a cursor of this list")
    return place


def _is_of_a_store(value: object) -> bool:
    """Whether a store can search for it: anybody can write a cursor, with any value in it."""
    if isinstance(value, str):
        return "\0" not in value
    return not isinstance(value, int) or -_NUMBER_MAX <= value <= _NUMBER_MAX


def bounded(limit: int) -> int:
    """A page's length, within the bounds."""
    return max(1, min(limit, LIMIT_MAX))
