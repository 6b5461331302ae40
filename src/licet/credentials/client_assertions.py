"""Checks client assertions: signed texts that authenticate a client once (RFC 7521 4.2, RFC 7523 2.2 and 3).

    parse -> claims, unproved -> claims that hold now -> the client's key that made the signature

Strict, and bounded before anything is parsed. Pure: the caller passes the time. The log gets the flaw in
words that contain nothing of the assertion; the client gets one answer, whatever was wrong. The ledger makes
sure that each is used once: `licet.ledger.commands.UseAssertion`.
"""

import hashlib
import re
from binascii import Error as NotBase64
from collections.abc import Collection, Sequence
from typing import Final, TypeVar

import msgspec

from licet.credentials.jose import decode
from licet.credentials.public_keys import ALGORITHMS, Signatures
from licet.model import Client, PublicKey, Value

TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 2.2
SIGNING_ALGORITHMS: Final = tuple(sorted(name for names in ALGORITHMS.values() for name in names))
STRICT_ALGORITHMS: Final = tuple(name for name in SIGNING_ALGORITHMS if name != "RS256")  # FAPI 2.0 5.4
ASSERTION_CHARS_MAX = 4096  # a signature of RSA 4096 takes 683 of them; half of what a body may have
LIFE_S_MAX = 3600  # from now until `exp`; its jti is remembered for that long. Authlib uses an hour
LEEWAY_S = 60  # by which a client's clock may be wrong
JTI_CHARS_MAX = 256
TRIES_MAX = 4  # keys that are tried for an assertion that names none

Given = TypeVar("Given", str, float)

USABLE_S_MAX = LIFE_S_MAX + 2 * LEEWAY_S  # of a client whose clock is fast, with a leeway at its end

_KEPT_BEYOND_S = 60  # so that a node whose clock is behind still finds it used
_JTI_HASH_BYTES = 16  # a client that finds a collision locks out only itself
_PART = re.compile(r"[A-Za-z0-9_-]+")
# RFC 8725 3.11: a text that was signed for another use is refused. RFC 7515 4.1.9: `application/` may be left
# out.
_TYPES = frozenset({"jwt", "client-authentication+jwt"})


class InvalidAssertion(ValueError):
    """The assertion is not valid; the text is for the log, and contains nothing of it."""


class Assertion(Value, frozen=True, kw_only=True):
    """The claims of an assertion as they were sent, not verified. Times are seconds since 1970."""

    client_id: str
    key_id: str | None
    algorithm: str
    audiences: tuple[str, ...]
    has_one_audience: bool  # a string, and no list of one
    expires_at_s: float
    issued_at_s: float | None
    not_before_s: float | None
    jti: str
    signed: bytes
    signature: bytes

    def __repr__(self) -> str:
        """Never what could be sent again."""
        return f"Assertion({self.algorithm})"

    @property
    def client_ids(self) -> tuple[str, ...]:
        """The clients that it may come from."""
        return (self.client_id,)

    @property
    def jti_hash(self) -> bytes:
        """The hash of its `jti`, which no other assertion of the client has, in a fixed length."""
        return hashlib.blake2b(self.jti.encode(), digest_size=_JTI_HASH_BYTES).digest()

    @property
    def until_ms(self) -> int:
        """Until when its use has to be remembered."""
        return int((self.expires_at_s + LEEWAY_S + _KEPT_BEYOND_S) * 1000)


class _Header(msgspec.Struct):
    """RFC 7515 4.1. Other members are ignored, a key above all."""

    alg: str
    kid: str | msgspec.UnsetType = msgspec.UNSET
    typ: str | msgspec.UnsetType = msgspec.UNSET
    crit: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Claims(msgspec.Struct):
    """RFC 7523 3."""

    iss: str
    sub: str
    aud: str | list[str]
    exp: float
    jti: str
    iat: float | msgspec.UnsetType = msgspec.UNSET
    nbf: float | msgspec.UnsetType = msgspec.UNSET


_decode_header = msgspec.json.Decoder(_Header).decode
_decode_claims = msgspec.json.Decoder(_Claims).decode


def parse(text: str) -> Assertion:
    """The claims of an assertion, not verified.

    Raises InvalidAssertion.
    """
    if len(text) > ASSERTION_CHARS_MAX:
        raise InvalidAssertion(f"the assertion is longer than {ASSERTION_CHARS_MAX} characters")
    parts = text.split(".")
    if len(parts) != 3 or not all(map(_PART.fullmatch, parts)):  # noqa: PLR2004 - RFC 7515 7.1
        raise InvalidAssertion("the assertion is not three parts of base64url")
    try:
        header_json, claims_json, signature = (decode(part.encode()) for part in parts)
        header, claims = _decode_header(header_json), _decode_claims(claims_json)
    except (NotBase64, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidAssertion("the assertion's header or claims are not what they must be") from None
    _check_header(header)
    _check_names(claims)
    return Assertion(
        client_id=claims.sub,
        key_id=_given(header.kid),
        algorithm=header.alg,
        audiences=(claims.aud,) if isinstance(claims.aud, str) else tuple(claims.aud),
        has_one_audience=isinstance(claims.aud, str),
        expires_at_s=claims.exp,
        issued_at_s=_given(claims.iat),
        not_before_s=_given(claims.nbf),
        jti=claims.jti,
        signed=f"{parts[0]}.{parts[1]}".encode(),
        signature=signature,
    )


def flaw(assertion: Assertion, ours: Collection[str], now_ms: int, *, is_strict: bool = False) -> str | None:
    """Why its claims do not hold at this instant, for a server with these names; None when they do.

    Where it `is_strict`, the audience must be a string (draft-ietf-oauth-rfc7523bis), and RS256 is not
    accepted.

    RFC 7523 3 allows several audiences. Another server that is named as well could pass the assertion on, so
    all of them have to be ours (draft-ietf-oauth-rfc7523bis).
    """
    now_s = now_ms / 1000
    if is_strict and (assertion.algorithm not in STRICT_ALGORITHMS or not assertion.has_one_audience):
        return "the assertion's aud is a list, or its alg RS256: this tenant takes strict assertions only"
    if not is_meant_for(assertion, ours):
        return "the assertion's aud is not this server alone"
    if assertion.expires_at_s + LEEWAY_S <= now_s:
        return "the assertion has expired; is the client's clock right?"
    if assertion.expires_at_s > now_s + LIFE_S_MAX + LEEWAY_S:
        return f"the assertion's exp is more than {LIFE_S_MAX} s ahead"
    for name, since_s in (("iat", assertion.issued_at_s), ("nbf", assertion.not_before_s)):
        if since_s is not None and since_s > now_s + LEEWAY_S:
            return f"the assertion's {name} is ahead; is the client's clock right?"
    return None


def may_be_used_before(assertion: Assertion, moment_ms: int) -> bool:
    """Whether a server may have accepted it before this instant, by its claims and by what `flaw` allows."""
    since_s = assertion.expires_at_s - LIFE_S_MAX
    for claimed_s in (assertion.issued_at_s, assertion.not_before_s):
        since_s = since_s if claimed_s is None else max(since_s, claimed_s)
    return (since_s - LEEWAY_S) * 1000 < moment_ms


def is_meant_for(assertion: Assertion, ours: Collection[str]) -> bool:
    """Whether it names an audience, and only servers with these names."""
    return bool(assertion.audiences) and all(audience in ours for audience in assertion.audiences)


def signing_key(
    assertion: Assertion, client: Client | None, signatures: Signatures, now_ms: int
) -> PublicKey | None:
    """The client's key that made the signature. An unknown client, or no such key, takes as long."""
    tries = TRIES_MAX if assertion.key_id is None else 1
    keys = _candidates(assertion, client, now_ms)[:tries]
    return signatures.find(keys, assertion.algorithm, assertion.signed, assertion.signature, tries=tries)


def _candidates(assertion: Assertion, client: Client | None, now_ms: int) -> Sequence[PublicKey]:
    """The live keys that may have signed it, the newest first."""
    live = [key for key in client.keys if key.is_live(now_ms)] if client is not None else []
    if assertion.key_id is not None:
        return [key for key in live if assertion.key_id in {key.kid, key.thumbprint}]
    fitting = [key for key in live if _fits(key, assertion.algorithm)]
    return sorted(fitting, key=lambda key: key.created_at_ms, reverse=True)


def _fits(key: PublicKey, algorithm: str) -> bool:
    kind = next(kind for kind, names in ALGORITHMS.items() if algorithm in names)
    return f'"kty":"{kind}"' in key.jwk and key.algorithm in {None, algorithm}


def _check_header(header: _Header) -> None:
    if header.alg not in SIGNING_ALGORITHMS:
        raise InvalidAssertion("the assertion's alg is not one of those that are allowed")
    if header.crit is not msgspec.UNSET:  # RFC 7515 4.1.11: what is not understood is refused
        raise InvalidAssertion("the assertion's header has crit")
    typ = "jwt" if header.typ is msgspec.UNSET else header.typ.lower().removeprefix("application/")
    if typ not in _TYPES:
        raise InvalidAssertion("the assertion's typ is that of something else")


def _check_names(claims: _Claims) -> None:
    if claims.iss != claims.sub:
        raise InvalidAssertion("the assertion's iss is not its sub")
    if not 0 < len(claims.jti) <= JTI_CHARS_MAX:
        raise InvalidAssertion(f"the assertion's jti is not 1 to {JTI_CHARS_MAX} characters")


def _given(value: Given | msgspec.UnsetType) -> Given | None:
    return None if isinstance(value, msgspec.UnsetType) else value
