"""Explains a request that does not validate: each wrong value with its place and what is allowed.

The framework finds them; here they get the words of the command line and the pages. A value itself is never
repeated, in no answer and no log: it may be a password.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError

from licet.admin.api.moments import MOMENT
from licet.admin.api.requests import ALLOWED
from licet.admin.problems import FieldError, Problem, invalid, pointer_of
from licet.formats import sentence
from licet.nearest import or_rather
from licet.refusal import Code

_NO_OBJECT = frozenset({"json_invalid", "model_attributes_type", "dict_type", "model_type"})
_MESSAGES: Mapping[str, str] = {
    "missing": "It is missing.",
    "int_type": "A whole number is needed.",
    "int_parsing": "A whole number is needed.",
    "int_from_float": "A whole number is needed.",
    "int_parsing_size": "The number is too large.",
    "bool_type": "True or false is needed.",
    "bool_parsing": "True or false is needed.",
    "string_type": "A text is needed.",
    "string_unicode": "The text has characters that are none.",
    "list_type": "A list is needed.",
    "greater_than_equal": "At least {ge}.",
    "less_than_equal": "At most {le}.",
    "less_than": "Less than {lt}.",
    "string_too_short": "At least {min_length} characters.",
    "string_too_long": "At most {max_length} characters.",
    "too_short": "At least {min_length} of them.",
    "too_long": "At most {max_length} of them.",
    "literal_error": "Allowed: {expected}.",
    "enum": "Allowed: {expected}.",
}


# What they are for programs, and what of the framework's context is the bound.
_CODES: Mapping[str, tuple[Code, str]] = {
    "missing": (Code.MISSING, ""),
    "extra_forbidden": (Code.UNKNOWN_FIELD, ""),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "bool_type"), (Code.WRONG_TYPE, "")),
    **dict.fromkeys(("bool_parsing", "string_type", "list_type"), (Code.WRONG_TYPE, "")),
    "int_parsing_size": (Code.OUT_OF_RANGE, ""),
    "greater_than_equal": (Code.OUT_OF_RANGE, "ge"),
    "less_than_equal": (Code.OUT_OF_RANGE, "le"),
    "less_than": (Code.OUT_OF_RANGE, "lt"),
    "string_too_short": (Code.OUT_OF_RANGE, "min_length"),
    "string_too_long": (Code.TOO_LONG, "max_length"),
    "too_short": (Code.OUT_OF_RANGE, "min_length"),
    "too_long": (Code.TOO_MANY, "max_length"),
    "literal_error": (Code.UNKNOWN_CHOICE, ""),
    "enum": (Code.UNKNOWN_CHOICE, ""),
    "value_error": (Code.NOT_TOGETHER, ""),
}


def problem_of_validation(fault: RequestValidationError, fields: Collection[str] = ()) -> Problem:
    """All that is wrong with a request, whose body may have these fields."""
    errors: Sequence[Any] = fault.errors()
    if any(error["type"] in _NO_OBJECT and len(error["loc"]) <= 2 for error in errors):  # noqa: PLR2004
        if isinstance(fault.body, bytes) and fault.body:  # it was not read as JSON: it did not say that it is
            return Problem(415, "wrong-media-type", "Send the body with Content-Type: application/json.")
        return Problem(400, "malformed-request", "The body is not a JSON object, in UTF-8.")
    return invalid(*(_field_error(error, fields) for error in errors))


def _field_error(error: Mapping[str, Any], fields: Collection[str]) -> FieldError:
    code, bound = _CODES.get(error["type"], (Code.MALFORMED, ""))
    code, limit = error["ctx"]["code"] if error["type"] == MOMENT else code, error.get("ctx", {}).get(bound)
    return FieldError(pointer=_place(error["loc"]), code=code, message=_message(error, fields), limit=limit)


def _place(location: tuple[Any, ...]) -> str:
    """Where a value stands: in the body by a pointer (RFC 6901), elsewhere by its name."""
    where, *rest = location
    pointer = pointer_of(rest)
    return pointer if where == "body" else f"{where}:{pointer.removeprefix('#/')}"


def _message(error: Mapping[str, Any], fields: Collection[str]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return ALLOWED.get(context["pattern"], "It has characters that are not allowed here.")
    if kind == MOMENT:
        return str(context["message"])
    if kind == "value_error":
        return sentence(str(context["error"]))
    if kind == "extra_forbidden":
        return f"There is no such field{or_rather(str(error['loc'][-1]), fields)}"
    message = _MESSAGES.get(kind, "It is not what it may be.")
    return message.format_map(context)
