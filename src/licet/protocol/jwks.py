"""Answers `GET /{tenant}/jwks.json` with the public keys of a tenant's JWT access tokens (RFC 7517 5).

Every tenant has the document, so that the last JWTs can still be checked after a tenant goes back to
reference tokens. It may be cached for a while: new keys are in it long before they sign.
"""

import msgspec

from licet.credentials.jwt_signing_keys import KEY_SET_MAX_AGE_S
from licet.credentials.tokens import Tokens
from licet.model import Tenant
from licet.protocol.errors import Header
from licet.protocol.message import Response

_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"application/jwk-set+json"),  # RFC 7517 8.5.2
    (b"cache-control", b"public, max-age=%d" % KEY_SET_MAX_AGE_S),
)
_encode = msgspec.json.Encoder().encode


def respond(tenant: Tenant, tokens: Tokens) -> Response:
    """The document."""
    keys = [] if tokens.jwts is None else tokens.jwts.key_set(tenant)
    return Response(status=200, headers=_HEADERS, body=_encode({"keys": keys}))
