"""Reads how a client authenticates: HTTP Basic, a secret in the body or an assertion, and only one of them.

RFC 6749 2.3.1 has the first two, RFC 7521 4.2 the third.

Basic credentials come in two encodings. RFC 6749 App. B form-encodes id and secret first; curl and the
example call of the Jim2 Web API send them as they are. They differ only where there is a `+` or a `%`, and
then both are candidates.
"""

import re
from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64

from msgspec.structs import replace

from licet.credentials.client_assertions import TYPE, Assertion, InvalidAssertion
from licet.credentials.client_assertions import parse as parse_assertion
from licet.protocol.errors import OAuthError, invalid_assertion, invalid_client, invalid_request
from licet.protocol.message import Credentials, Request, form_decode, required

NAMING = frozenset({"client_id", "client_secret", "client_assertion", "client_assertion_type"})
"""The parameters of a form that say which client asks, or authenticate it."""

CLIENT_ID_CHARS_MAX = 128
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")  # characters that a form encoding does not change
SECRET_CHARS_MAX = 256  # a longer one is refused before it is hashed


def read_credentials(request: Request) -> Credentials | Assertion:
    """The credentials that a request authenticates its client with.

    Raises OAuthError when they are malformed, missing or given in two ways.
    """
    if "client_assertion" in request.form or "client_assertion_type" in request.form:
        return _read_assertion(request)
    form_id, form_secret = request.form.get("client_id"), request.form.get("client_secret")
    if request.basic is not None:
        if form_secret is not None:
            raise invalid_request("The credentials are there twice: in the header and in the body.")
        if form_id is not None and all(form_id != client_id for client_id, _ in request.basic.candidates):
            raise invalid_request("The body names another client_id than the header.")
        return request.basic
    if form_id is None or form_secret is None:
        raise invalid_client("no credentials")
    return _bounded(Credentials(candidates=((form_id, form_secret),)))


def audiences(issuer: str, endpoint: str, *, is_strict: bool = False) -> frozenset[str]:
    """The audiences that an assertion for this endpoint may name.

    RFC 7523 3 says the issuer or the token endpoint; clients also name the endpoint that they call. Where it
    `is_strict`, the issuer alone counts (FAPI 2.0 5.3, draft-ietf-oauth-rfc7523bis).
    """
    if is_strict:
        return frozenset({issuer})
    return frozenset({issuer, f"{issuer}/token", f"{issuer}/{endpoint}"})


def _read_assertion(request: Request) -> Assertion:
    """RFC 7521 4.2: an assertion of another type, or of another client than the request names, is refused."""
    form = request.form
    if request.basic is not None or "client_secret" in form:
        raise invalid_request("The client authenticates in two ways: by an assertion and by a secret.")
    kind, text = required(form, "client_assertion_type"), required(form, "client_assertion")
    if kind != TYPE:
        raise invalid_assertion("the client_assertion_type is not that of a JWT")
    try:
        assertion = parse_assertion(text)
    except InvalidAssertion as why:
        raise invalid_assertion(str(why)) from None
    if len(assertion.client_id) > CLIENT_ID_CHARS_MAX:
        raise invalid_assertion("the assertion's sub is longer than any client_id can be")
    if form.get("client_id", assertion.client_id) != assertion.client_id:
        raise invalid_assertion("the client_id is not the assertion's sub")
    return assertion


def parse_basic(authorization: bytes) -> Credentials:
    """The credentials of an Authorization header (RFC 7617 2).

    Raises OAuthError.
    """
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        raise invalid_client("another scheme than Basic")
    try:
        raw = _decode(encoded.strip()).decode("utf-8")
    except (NotBase64, UnicodeDecodeError):
        raise invalid_request("The Basic credentials are not Base64 of UTF-8.") from None
    client_id, colon, secret = raw.partition(":")  # at the first colon: an id has none
    if not colon:
        raise invalid_request("The Basic credentials have no colon between id and secret.")
    return _bounded(_candidates(client_id, secret))


def _decode(encoded: bytes) -> bytes:
    decoded = a2b_base64(encoded, strict_mode=True)
    if b2a_base64(decoded, newline=False) != encoded:  # strict_mode accepts a surplus `=`
        raise NotBase64
    return decoded


def _candidates(client_id: str, secret: str) -> Credentials:
    as_sent = (client_id, secret)
    if _PLAIN.fullmatch(client_id) and _PLAIN.fullmatch(secret):
        return Credentials(candidates=(as_sent,))
    try:
        decoded = (form_decode(client_id), form_decode(secret))
    except OAuthError as flaw:
        if not (client_id.isprintable() and secret.isprintable()):
            raise
        return Credentials(candidates=(as_sent,), flaw=flaw.description)
    return Credentials(candidates=(decoded,) if decoded == as_sent else (decoded, as_sent))


def _bounded(credentials: Credentials) -> Credentials:
    within = tuple(
        (client_id, secret)
        for client_id, secret in credentials.candidates
        if len(client_id) <= CLIENT_ID_CHARS_MAX and len(secret) <= SECRET_CHARS_MAX
    )
    if not within:
        raise invalid_client("credentials longer than any can be")
    return (
        credentials if len(within) == len(credentials.candidates) else replace(credentials, candidates=within)
    )
