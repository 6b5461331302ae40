"""Derives the keys that sign JWT access tokens (ES256, RFC 7518 3.4), one for each tenant and period.

They are derived from the keys of the keyring and stored nowhere: every node with the same `secrets.json` has
the same ones, a stolen database signs nothing, and each period has new ones without a rotation by hand.

    d = HKDF-Expand( token key, "licet jwt es256" 0 tenant period ) mod (n - 1) + 1

HKDF-Expand is RFC 5869 2.3 with SHA-256; 320 bits are 64 more than the order n has, so that the scalars are
uniform (FIPS 186-5 A.2.1). A reference token is signed by the same token key, over a text that begins with
its prefix and never with this label. A key's id is its thumbprint (RFC 7638).

`cryptography` is imported when the first key is derived: a server without JWTs never needs it.
"""

import json
from functools import lru_cache
from typing import Final

from licet.credentials.jose import decode, encode, number, thumbprint
from licet.credentials.keyring import TokenKey
from licet.units import DAY_MS

ALGORITHM: Final = "ES256"
TYPE: Final = "at+jwt"  # RFC 9068 2.1
PERIOD_MS: Final = 30 * DAY_MS
# How long a key set may be cached (RFC 9111 5.2.2.1); a new key of the keyring is in it for twice as long
# before it signs a JWT. The key of the next period always is.
KEY_SET_MAX_AGE_S: Final = 300
PUBLISHED_BEFORE_MS: Final = 2 * KEY_SET_MAX_AGE_S * 1000
KEYS_KEPT_MAX: Final = 4096  # of 24 us and some 5 kB each; three for each tenant

_LABEL = b"licet jwt es256\0"
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # n of P-256
_DERIVED_BYTES = 40
_NUMBER_BYTES = 32


class JwtKey:
    """A key pair of P-256. `header` is the first part of each token that it signs, to the byte."""

    __slots__ = ("_algorithm", "_private", "_public", "_to_der", "_to_numbers", "header", "jwk", "kid")

    def __init__(self, scalar: int) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - see above

        self._private = ec.derive_private_key(scalar, ec.SECP256R1())
        self._public = self._private.public_key()
        self._algorithm = ec.ECDSA(SHA256())
        self._to_numbers, self._to_der = utils.decode_dss_signature, utils.encode_dss_signature
        point = self._public.public_numbers()
        public = {"crv": "P-256", "kty": "EC", "x": _coordinate(point.x), "y": _coordinate(point.y)}
        self.kid = thumbprint(public)
        self.jwk = {**public, "kid": self.kid, "use": "sig", "alg": ALGORITHM}
        self.header = encode(_json({"alg": ALGORITHM, "kid": self.kid, "typ": TYPE}))

    def __repr__(self) -> str:
        """Never the private part."""
        return f"JwtKey({self.kid})"

    def sign(self, content: bytes) -> bytes:
        """The signature of this content, as it is in a token (RFC 7518 3.4)."""
        r, s = self._to_numbers(self._private.sign(content, self._algorithm))
        return encode(r.to_bytes(_NUMBER_BYTES, "big") + s.to_bytes(_NUMBER_BYTES, "big"))

    def is_signed(self, content: bytes, signature: bytes) -> bool:
        """Whether this is a signature of this content, in its one valid encoding."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see above

        try:
            numbers = decode(signature)
        except ValueError:
            return False
        if len(numbers) != 2 * _NUMBER_BYTES or encode(numbers) != signature:
            return False
        r, s = (int.from_bytes(part, "big") for part in (numbers[:_NUMBER_BYTES], numbers[_NUMBER_BYTES:]))
        try:
            self._public.verify(self._to_der(r, s), content, self._algorithm)
        except InvalidSignature:
            return False
        return True


class JwtKeys:
    """Derives keys, and caches them for as long as the server runs."""

    def __init__(self) -> None:
        self._derived = lru_cache(maxsize=KEYS_KEPT_MAX)(_derived)

    def key(self, token_key: TokenKey, tenant_id: int, period: int) -> JwtKey:
        """The key of a tenant in this period, counted since 1970, under a key of the keyring."""
        return self._derived(token_key.key, tenant_id, period)


def scalar(key: bytes, tenant_id: int, period: int) -> int:
    """The private number of a key pair, 1 to n - 1."""
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand  # noqa: PLC0415 - see above

    info = _LABEL + tenant_id.to_bytes(8, "big") + period.to_bytes(8, "big")
    return to_scalar(HKDFExpand(SHA256(), _DERIVED_BYTES, info).derive(key))


def to_scalar(derived: bytes) -> int:
    """The scalar that these random bits give (FIPS 186-5 A.2.1)."""
    return int.from_bytes(derived, "big") % (_ORDER - 1) + 1


def _derived(key: bytes, tenant_id: int, period: int) -> JwtKey:
    return JwtKey(scalar(key, tenant_id, period))


def _coordinate(value: int) -> str:
    """RFC 7518 6.2.1.2: in as many octets as the curve has."""
    return number(value, _NUMBER_BYTES)


def _json(content: dict[str, str]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
