"""Models requests and responses as values, and reads forms and JSON.

A form is read strictly (RFC 6749 3.2, App. B): UTF-8, no control characters, no known parameter twice.
Unknown parameters are ignored, and one without a value counts as absent.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from licet.model import Value
from licet.protocol.errors import Header, OAuthError, Refusal, invalid_request

BODY_BYTES_MAX = 8192  # some ten times a long token with long credentials
PARAMETERS_MAX = 64  # a guess, as the body's limit: no honest client comes near

FORM_TYPE = b"application/x-www-form-urlencoded"

# RFC 6749, 7009, 7521, 7662, and `queue`, which is Licet's: the parameters that an endpoint reads. None may
# be in a query (RFC 9700 4.3).
KNOWN = frozenset(
    {
        "grant_type",
        "scope",
        "refresh_token",
        "client_id",
        "client_secret",
        "client_assertion_type",
        "client_assertion",
        "token",
        "token_type_hint",
        "queue",
    }
)
_NEVER_IN_QUERY = KNOWN | {"access_token"}

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

_JSON: tuple[Header, ...] = (
    (b"content-type", b"application/json"),
    # RFC 6749 5.1: an answer that may contain a token must not be cached.
    (b"cache-control", b"no-store"),
    (b"pragma", b"no-cache"),
)

_encode = msgspec.json.Encoder().encode


class Credentials(Value, frozen=True, kw_only=True):
    """What a client sent, as the (client_id, secret) pairs that it may mean; the first is by the RFC.

    `flaw`, where there is one, is the error to answer if no pair is right.
    """

    candidates: tuple[tuple[str, str], ...]
    flaw: str = ""

    @property
    def client_ids(self) -> tuple[str, ...]:
        """The clients that they may belong to."""
        return tuple(client_id for client_id, _ in self.candidates)

    def __repr__(self) -> str:
        """Never a secret."""
        return f"Credentials({len(self.candidates)} candidates)"


class Request(Value, frozen=True, kw_only=True):
    """A request as an endpoint sees it. `tenant` is the first path segment, known or not.

    `basic` are the credentials of the Authorization header, None when there is none; `form` are the
    body's parameters.
    """

    tenant: str
    basic: Credentials | None
    form: Mapping[str, str]
    address: str


class Response(Value, frozen=True, kw_only=True):
    """The answer of an endpoint; `is_own`: its headers are of this answer, and hardly come again."""

    status: int
    headers: tuple[Header, ...]
    body: bytes
    is_own: bool = False


def answer(content: Mapping[str, Any]) -> Response:
    """200 with this JSON."""
    return Response(status=200, headers=_JSON, body=_encode(content))


def refusal(error: OAuthError, request_id: str) -> Response:
    """The error as JSON, with the request id, which finds it in the log."""
    content = {
        "error": error.error,
        "error_description": error.description,
        **error.fields,
        "request_id": request_id,
    }
    return Response(status=error.status, headers=(*_JSON, *error.headers), body=_encode(content))


def check_content_type(value: bytes | None) -> None:
    """Return if a body of this type is a form; a charset may be named.

    Raises OAuthError (RFC 6749 3.2).
    """
    if value != FORM_TYPE and (value or b"").partition(b";")[0].strip().lower() != FORM_TYPE:
        raise invalid_request("The body must be a form: Content-Type application/x-www-form-urlencoded.")


def check_query(query: bytes, never: frozenset[str] = _NEVER_IN_QUERY) -> None:
    """Return if the query has no parameter of these names, which belong in the body or a header.

    Raises OAuthError (RFC 9700 4.3).
    """
    if not query:
        return
    names = {unquote_to_bytes(part.partition(b"=")[0]).decode("latin-1") for part in query.split(b"&")}
    if not names.isdisjoint(never):
        raise invalid_request("Parameters are sent in the body; credentials and tokens never in the URL.")


def body_too_large() -> OAuthError:
    """RFC 9110 15.5.14."""
    return OAuthError(Refusal.BODY_TOO_LARGE, f"The body is larger than {BODY_BYTES_MAX} bytes.")


def parse_form(body: bytes) -> dict[str, str]:
    """The parameters of a form.

    Raises OAuthError.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise invalid_request("The body is not UTF-8.") from None
    pairs = text.split("&")
    if len(pairs) > PARAMETERS_MAX:
        raise invalid_request(f"The body has more than {PARAMETERS_MAX} parameters.")
    _refuse_control(text)
    is_encoded = "%" in text or "+" in text
    form: dict[str, str] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if is_encoded:
            name, value = form_decode(name), form_decode(value)
        if name in form and name in KNOWN:
            raise invalid_request("A parameter is there twice.")  # RFC 6749 3.2
        form[name] = value
    return form if all(form.values()) else {name: value for name, value in form.items() if value}


def form_decode(text: str) -> str:
    """Undo the form encoding of one name or value (RFC 6749 App. B).

    Raises OAuthError.
    """
    if "%" in text or "+" in text:
        if _BAD_PERCENT.search(text):
            raise invalid_request("A % is not followed by two hexadecimal digits.")
        try:
            text = unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
        except UnicodeDecodeError:
            raise invalid_request("A %XX sequence is not UTF-8.") from None
    _refuse_control(text)
    return text


def _refuse_control(text: str) -> None:
    if _CONTROL.search(text):
        raise invalid_request("There is a control character where none may be.")


def required(form: Mapping[str, str], name: str) -> str:
    """The parameter of this name.

    Raises OAuthError when it is absent.
    """
    value = form.get(name)
    if value is None:
        raise invalid_request(f"The parameter {name} is missing.")
    return value
