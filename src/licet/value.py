"""Defines the base of all values of the model, and the error for a value that is not allowed."""

import re

import msgspec

from licet.refusal import Code, Refusal, Subject


class InvalidValue(Refusal, ValueError):
    """A name or number is not allowed; the text says what is."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all values: they never change."""


def out_of_range(  # noqa: PLR0917 - a sentence, and what it is made of
    text: str,
    field: str,
    number: int,
    least: int,
    most: int,
    subject: Subject | None = None,
    beside: str = "",
) -> InvalidValue:
    """The error for a number that is not from `least` to `most`; its limit is the bound that it exceeds."""
    limit = least if number < least else most
    return InvalidValue(
        text, code=Code.OUT_OF_RANGE, field=field, beside=beside, subject=subject, limit=limit
    )


def must_match(pattern: re.Pattern[str], text: str, field: str, allowed: str) -> None:
    """Return if the whole text matches. Raises InvalidValue, which says what is allowed."""
    if not pattern.fullmatch(text):
        raise InvalidValue(f"{allowed}; this is not: {text[:140]!r}", code=Code.MALFORMED, field=field)
