"""What is told of a request that does not fit: each wrong value with its place and what is allowed.

The framework finds them; here they get the words of the command line and the pages. A value itself is never
repeated, in no answer and no log: it may be a password.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError

from licet.admin.api.requests import ALLOWED
from licet.admin.problems import FieldError, Problem, invalid

_NO_OBJECT = frozenset({"json_invalid", "model_attributes_type", "dict_type", "model_type"})
_MESSAGES: Mapping[str, str] = {
    "missing": "It is missing.",
    "extra_forbidden": "There is no such field.",
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


def problem_of_validation(fault: RequestValidationError) -> Problem:
    """All that is wrong with a request."""
    errors: Sequence[Any] = fault.errors()
    if any(error["type"] in _NO_OBJECT and len(error["loc"]) <= 2 for error in errors):  # noqa: PLR2004
        if isinstance(fault.body, bytes) and fault.body:  # it was not read as JSON: it did not say that it is
            return Problem(415, "wrong-media-type", "Send the body with Content-Type: application/json.")
        return Problem(400, "malformed-request", "The body is not a JSON object, in UTF-8.")
    return invalid(*(FieldError(pointer=_place(error["loc"]), message=_message(error)) for error in errors))


def _place(location: tuple[Any, ...]) -> str:
    """Where a value stands: in the body by a pointer (RFC 6901), elsewhere by its name."""
    where, *rest = location
    path = "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in rest)
    if where == "body":
        return f"#/{path}" if path else ""
    return f"{where}:{path}"


def _message(error: Mapping[str, Any]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return ALLOWED.get(context["pattern"], "It has characters that are not allowed here.")
    if kind == "value_error":
        text = str(context["error"])
        return f"{text[:1].upper()}{text[1:]}."
    if kind == "extra_forbidden" and str(error["loc"][-1]).endswith("_at"):
        return f"There is no such field; {error['loc'][-1]}_ms is an instant in milliseconds since 1970."
    message = _MESSAGES.get(kind, "It is not what it may be.")
    return message.format_map(context)
