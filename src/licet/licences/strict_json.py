"""Reads JSON in the one way in which every language reads it: each member once, and whole numbers only.

RFC 8259 4 leaves it to a reader what a member twice means, and RFC 7519 4 which of two claims counts; what
one reader takes for 5 seats must not be 500 for another. So that is refused, as are fractions, exponents,
numbers beyond 2^53 (RFC 7493 2.2), halves of characters, and a byte order mark.
"""

import json
from typing import Any, Final, NoReturn

from licet.licences.errors import LicenceCode, LicenceRefused, shown

NUMBER_MAX: Final = 2**53 - 1  # RFC 7493 2.2: the largest that every reader has to the unit
_DIGITS_MAX: Final = 16  # of that number


def read_object(content: bytes, what: str) -> dict[str, Any]:
    """The object that these bytes are; `what` it is stands in the message.

    Raises LicenceRefused.
    """
    try:
        text = content.decode()
        found = json.loads(
            text,
            object_pairs_hook=_once_each,
            parse_float=_no_number,
            parse_constant=_no_number,
            parse_int=_whole_number,
        )
        if "\\u" in text:  # an escape can be half a character, which other readers replace or refuse
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise LicenceRefused(LicenceCode.NOT_JSON, f"{what} is not JSON") from None
    if not isinstance(found, dict):
        raise LicenceRefused(LicenceCode.NOT_JSON, f"{what} is JSON, but not an object")
    return found


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            text = f"the member {shown(name)} stands there twice"
            raise LicenceRefused(LicenceCode.DUPLICATE_MEMBER, text)
        found[name] = value
    return found


def _whole_number(text: str) -> int:
    if text == "-0" or len(text.lstrip("-")) > _DIGITS_MAX or abs(number := int(text)) > NUMBER_MAX:
        _no_number(text)
    return number


def _no_number(text: str) -> NoReturn:
    problem = f"{shown(text)} is not a whole number between -(2^53 - 1) and 2^53 - 1"
    raise LicenceRefused(LicenceCode.NOT_A_WHOLE_NUMBER, problem)
