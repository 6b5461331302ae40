"""Validates the claims of a JWT access token (RFC 9068 4), without I/O.

The rules:

- ES256 is the only algorithm, `at+jwt` the only type, and the key is one that the issuer has published under
  the token's `kid`. Other members of the header, such as a key or its address, are ignored.
- The signature is checked first: of a token without a valid one nothing else is reported.
- A token that has expired is dead, by this machine's clock and without leeway. One from the future is dead
  beyond the leeway: then one of two clocks is wrong.

It needs PyJWT (`licet[jwt]`); only `licet.guard.jwt_guard` imports it, when a guard is made.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cryptography  # noqa: F401 - PyJWT does without until it meets ES256
import jwt

from licet.guard.identity import Identity
from licet.guard.introspection import SECONDS_MAX, Dead, Live, Unusable
from licet.guard.seat_claims import claimant

ALGORITHM = "ES256"
KEYS_MAX = 200  # of one set; Licet has some 50 at most

_TYPES = frozenset({"at+jwt", "application/at+jwt"})  # RFC 9068 4
_REQUIRED = ("iss", "exp", "aud", "sub", "client_id", "iat", "jti")  # RFC 9068 2.2
_SHOWN_MAX = 100  # characters of an issuer's text

Keys = Mapping[str, jwt.PyJWK]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The issuer and audience that a token must have; `leeway_s` is by how much clocks may differ."""

    tenant: str
    issuer: str
    audience: str
    leeway_s: float
    is_counted: bool = False  # whether a licence is counted, for which more of the claims is kept


def read_keys(body: bytes) -> Keys | Unusable:
    """The ES256 keys of a key set (RFC 7517 5); others are skipped."""
    try:
        content = json.loads(body)
        keys = content["keys"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return Unusable("is no key set")
    if not isinstance(keys, list) or len(keys) > KEYS_MAX:
        return Unusable("is no key set")
    found = {jwk["kid"]: key for jwk in keys if (key := _read_key(jwk)) is not None}
    return found or Unusable(f"has no key for {ALGORITHM}")


def read_kid(token: str) -> str | Dead:
    """The `kid` in the header of a token, not verified."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        return Dead("it cannot be read as a JWT; `Guard` takes references")
    kind, kid = header.get("typ"), header.get("kid")
    if header.get("alg") != ALGORITHM:
        return Dead(f"it is not signed with {ALGORITHM}")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        return Dead("it is a JWT, and no access token: its type is not at+jwt")
    if "crit" in header:  # RFC 7515 4.1.11: no critical extension is understood
        return Dead("its header asks for what is not known here")
    return kid if isinstance(kid, str) else Dead("it does not name the key that it is signed with")


def read(token: str, key: jwt.PyJWK, expected: Expected, now_s: float) -> Live | Dead:
    """Verify a token; whose it is, and for how long it is live."""
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            issuer=expected.issuer,
            audience=expected.audience,
            options={  # the times are checked below
                "require": list(_REQUIRED),
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.InvalidSignatureError:
        return Dead("its signature is wrong")
    except jwt.PyJWTError as fault:
        return Dead(f"{type(fault).__name__}: {fault!s:.{_SHOWN_MAX}}")
    except (ValueError, RecursionError):
        return Dead("it cannot be read")
    return _dead(claims, expected, now_s) or _live(claims, expected, now_s)


def _dead(claims: Mapping[str, Any], expected: Expected, now_s: float) -> Dead | None:
    issued_s, expires_s = claims["iat"], claims["exp"]
    not_before_s = claims.get("nbf", issued_s)
    if not all(map(_is_instant, (issued_s, expires_s, not_before_s))):
        return Dead("its times are no times")
    if not (isinstance(claims["client_id"], str) and isinstance(claims.get("scope", ""), str)):
        return Dead("its client_id or scope is no text")
    ahead_s = max(issued_s, not_before_s) - now_s
    if ahead_s > expected.leeway_s:
        return Dead(f"it is from {ahead_s:.0f} s in the future; is the clock of this machine right?")
    return Dead() if expires_s <= now_s else None


def _live(claims: Mapping[str, Any], expected: Expected, now_s: float) -> Live:
    identity = Identity(
        tenant=expected.tenant,
        client=claims["client_id"],
        user=_text(claims.get("username")),
        scopes=frozenset(claims.get("scope", "").split()),
        session=_text(claims.get("sid")),
        pool=_text(claims.get("pool")),
        read_only=claims.get("read_only") is not False,
    )
    return Live(
        identity=claimant(identity, claims) if expected.is_counted else identity,
        left_s=claims["exp"] - now_s,
        believed_s=claims["exp"] - now_s,
    )


def _read_key(content: object) -> jwt.PyJWK | None:
    if not isinstance(content, dict) or (content.get("kty"), content.get("crv")) != ("EC", "P-256"):
        return None
    if not isinstance(content.get("kid"), str):  # no token can name it
        return None
    if content.get("use", "sig") != "sig" or content.get("alg", ALGORITHM) != ALGORITHM:
        return None
    try:
        return jwt.PyJWK(content, algorithm=ALGORITHM)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None


def _is_instant(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= SECONDS_MAX


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
