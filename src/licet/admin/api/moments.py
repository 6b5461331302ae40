"""Reads instants from requests, in bodies and in addresses: ISO 8601, as the command line takes them.

The rules:

- A date or time that names no zone is meant in the tenant's zone; where no single tenant is meant, in UTC.
- What something ends with, a date names to its end; what it begins with, from its start on.
- In a body null is never. A wrong text is reported beside all else that is wrong, with what is right.
"""

from datetime import UTC, date, tzinfo
from typing import Annotated, Any, Final

from fastapi import Depends, Query
from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from licet.admin.problems import FieldError, invalid
from licet.formats import begin_ms, end_ms, read_moment, sentence
from licet.model import InvalidValue, Tenant, Value
from licet.refusal import Code, of_field

MOMENT: Final = "moment"  # the kind of its errors, whose context has the code and the message
CHARS_MAX: Final = 40
_WRITTEN: Final = "A date or an instant is written 2027-01-31, 2027-01-31T18:00 or 2027-01-31T18:00:00Z."
_EXAMPLE: Final = "2027-01-31"
_SCHEMA: Final[dict[str, Any]] = {"type": "string", "maxLength": CHARS_MAX}


def _read(sent: object) -> date:
    """Raises PydanticCustomError."""
    if not isinstance(sent, str):
        raise _wrong(Code.WRONG_TYPE, _WRITTEN)
    try:
        return read_moment(sent.strip()[: CHARS_MAX + 1])
    except InvalidValue as wrong:
        is_written = wrong.code is Code.NO_SUCH_TIME
        raise _wrong(wrong.code, sentence(str(wrong)) if is_written else _WRITTEN) from None


def _read_end(sent: object) -> date | None:
    """Raises PydanticCustomError."""
    return None if sent is None else _read(sent)


def _wrong(code: Code, message: str) -> PydanticCustomError:
    return PydanticCustomError(MOMENT, "{message}", {"code": code, "message": message})


# When something ends, in a body.
End = Annotated[
    date | None,
    PlainValidator(_read_end),
    WithJsonSchema({**_SCHEMA, "type": ["string", "null"]}),
    Field(
        examples=[_EXAMPLE],
        description="ISO 8601: a date is the end of that day, and what names no zone is meant in the"
        " tenant's. null is never.",
    ),
]
Moment = Annotated[date, PlainValidator(_read), WithJsonSchema(_SCHEMA)]


def end_of(moment: date | None, zone: tzinfo, field: str = "expires") -> int | None:
    """The instant of an end in a body, by the clocks of a zone; None is never.

    Raises InvalidValue at this field.
    """
    if moment is None:
        return None
    with of_field(field):
        return end_ms(moment, zone)


class Span(Value, frozen=True, kw_only=True):
    """From when on and until when something is looked for; None is from the first on, and to the last."""

    begins: date | None = None
    ends: date | None = None

    def bounds(self, zone: tzinfo) -> dict[str, int | None]:
        """The same as the instants of a filter.

        Raises Problem.
        """
        return {
            "from_ms": None if self.begins is None else instant_of(self.begins, zone, "from"),
            "until_ms": None if self.ends is None else instant_of(self.ends, zone, "until"),
        }

    def of(self, tenant: Tenant | None) -> dict[str, int | None]:
        """The same by the clocks of a tenant; None is of no single one.

        Raises Problem.
        """
        return self.bounds(UTC if tenant is None else tenant.zone)


def instant_of(moment: date, zone: tzinfo, name: str) -> int:
    """The instant that a parameter of the address names.

    Raises Problem.
    """
    try:
        return end_ms(moment, zone) if name == "until" else begin_ms(moment, zone)
    except InvalidValue as wrong:
        error = FieldError(pointer=f"query:{name}", code=wrong.code, message=sentence(str(wrong)))
        raise invalid(error) from None


async def _span(
    begins: Annotated[
        Moment | None,
        Query(alias="from", description="The beginning; a date means its start.", examples=[_EXAMPLE]),
    ] = None,
    ends: Annotated[
        Moment | None, Query(alias="until", description="The end; a date means its end.", examples=[_EXAMPLE])
    ] = None,
) -> Span:
    return Span(begins=begins, ends=ends)


Within = Annotated[Span, Depends(_span)]
