"""Reads `vendor.json`, by which a vendor is trusted: its name, its product, and its public keys.

It is a JWK Set (RFC 7517 5) with two members more, so that every JOSE library can read its keys:

    {"vendor": "acme", "product": "jim2-api",
     "keys": [{"kty": "EC", "crv": "P-256", "x": "...", "y": "...",
               "kid": "...", "use": "sig", "alg": "ES256"}]}

The rules:

- Keys are of P-256 and called by their thumbprint (RFC 7638). A key that calls itself otherwise is refused,
  so that nobody can pass a key of theirs off under the vendor's name for it.
- A private key is refused before anything else is looked at.
- There may be several keys, for the time in which one takes the place of another; each counts.

`cryptography` is imported when a key is loaded.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from licet.licences.errors import LicenceCode, LicenceRefused, shown
from licet.licences.jws import ALGORITHM, SIGNATURE_BYTES, decode, encode
from licet.licences.strict_json import read_object
from licet.licences.syntax import TEXT, TEXT_IS

VENDOR_BYTES_MAX: Final = 16_384
KEYS_MAX: Final = 8

_NUMBER_BYTES: Final = SIGNATURE_BYTES // 2
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518 6.2.2, 6.3.2, 6.4


@dataclass(frozen=True, slots=True)
class VendorKey:
    """A public key of a vendor. `kid` is its thumbprint."""

    kid: str
    x: str
    y: str
    _loaded: Any = field(repr=False, compare=False)

    def is_signed(self, content: bytes, signature: bytes) -> bool:
        """Whether this key made this signature, the 64 bytes of RFC 7518 3.4, of this content."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - see above

        if len(signature) != SIGNATURE_BYTES:
            return False
        r, s = (
            int.from_bytes(part, "big") for part in (signature[:_NUMBER_BYTES], signature[_NUMBER_BYTES:])
        )
        try:
            self._loaded.verify(utils.encode_dss_signature(r, s), content, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    def jwk(self) -> dict[str, str]:
        """As it stands in the vendor's file."""
        public = {"kty": "EC", "crv": "P-256", "x": self.x, "y": self.y}
        return {**public, "kid": self.kid, "use": "sig", "alg": ALGORITHM}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """Who signs licences for which product; the keys by their `kid`, in the order of the file."""

    name: str
    product: str
    keys: Mapping[str, VendorKey] = field(hash=False)


def read_vendor(content: bytes) -> Vendor:
    """The vendor of a `vendor.json`.

    Raises LicenceRefused.
    """
    if len(content) > VENDOR_BYTES_MAX:
        problem = f"the vendor's file has {VENDOR_BYTES_MAX} bytes at most"
        raise LicenceRefused(LicenceCode.TOO_LARGE, problem, limit=VENDOR_BYTES_MAX)
    if b"PRIVATE KEY-----" in content:
        raise _private()
    try:
        found = read_object(content.removeprefix(b"\xef\xbb\xbf"), "the vendor's file")
    except LicenceRefused as refused:
        raise LicenceRefused(LicenceCode.NOT_A_VENDOR, refused.text) from None
    keys = found.get("keys")
    if not isinstance(keys, list) or not keys:
        raise LicenceRefused(LicenceCode.NOT_A_VENDOR, "the vendor's file has no list of keys", field="keys")
    if len(keys) > KEYS_MAX:
        problem = f"a vendor has {KEYS_MAX} keys at most, and this has {len(keys)}"
        raise LicenceRefused(LicenceCode.TOO_MANY, problem, field="keys", limit=KEYS_MAX)
    read = [read_key(key, f"keys.{at}") for at, key in enumerate(keys)]
    if len({key.kid for key in read}) != len(read):
        raise LicenceRefused(LicenceCode.NOT_A_VENDOR, "a key stands there twice", field="keys")
    return Vendor(
        name=_text(found, "vendor"), product=_text(found, "product"), keys={key.kid: key for key in read}
    )


def vendor_file(vendor: Vendor) -> bytes:
    """The `vendor.json` of a vendor."""
    content = {
        "vendor": vendor.name,
        "product": vendor.product,
        "keys": [key.jwk() for key in vendor.keys.values()],
    }
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def read_key(jwk: object, path: str = "") -> VendorKey:
    """The key of a JWK; one without `kid` is called by its thumbprint as well.

    Raises LicenceRefused.
    """
    if not isinstance(jwk, dict):
        raise LicenceRefused(LicenceCode.NOT_A_VENDOR, "a key of the vendor's is no object", field=path)
    if not _PRIVATE.isdisjoint(jwk):
        raise _private(path)
    is_ours = (jwk.get("kty"), jwk.get("crv")) == ("EC", "P-256")
    if not is_ours or jwk.get("use", "sig") != "sig" or jwk.get("alg", ALGORITHM) != ALGORITHM:
        problem = f"a vendor's key is EC on P-256, for {ALGORITHM}"
        raise LicenceRefused(LicenceCode.UNSUPPORTED_KEY, problem, field=path)
    x, y = (_coordinate(jwk, name, path) for name in ("x", "y"))
    kid = thumbprint(x, y)
    if jwk.get("kid", kid) != kid:
        problem = f"a key of the vendor's calls itself {shown(jwk['kid'])}, and its thumbprint is {kid}"
        raise LicenceRefused(LicenceCode.WRONG_KID, problem, field=path)
    return VendorKey(kid, x, y, _load(x, y, path))


def thumbprint(x: str, y: str) -> str:
    """What a key of P-256 is called by (RFC 7638 3, with SHA-256)."""
    members = json.dumps({"crv": "P-256", "kty": "EC", "x": x, "y": y}, separators=(",", ":"))
    from hashlib import sha256  # noqa: PLC0415 - all of OpenSSL, which a process that only commits has no other use for

    return encode(sha256(members.encode()).digest())


def _coordinate(jwk: Mapping[str, Any], name: str, path: str) -> str:
    found = jwk.get(name)
    try:
        if isinstance(found, str) and len(decode(found)) == _NUMBER_BYTES:
            return found
    except LicenceRefused:
        pass
    problem = f"{name} of a vendor's key is the base64url of {_NUMBER_BYTES} bytes"
    raise LicenceRefused(LicenceCode.UNSUPPORTED_KEY, problem, field=f"{path}.{name}")


def _load(x: str, y: str, path: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - see above

    at_x, at_y = (int.from_bytes(decode(part), "big") for part in (x, y))
    try:
        return ec.EllipticCurvePublicNumbers(at_x, at_y, ec.SECP256R1()).public_key()
    except ValueError:
        problem = "a key of the vendor's is no point of P-256"
        raise LicenceRefused(LicenceCode.UNSUPPORTED_KEY, problem, field=path) from None


def _text(of: Mapping[str, Any], name: str) -> str:
    found = of.get(name)
    if not isinstance(found, str) or not TEXT.fullmatch(found):
        problem = f"{name} is {TEXT_IS}; this is not: {shown(found)}"
        raise LicenceRefused(LicenceCode.NOT_A_VENDOR, problem, field=name)
    return found


def _private(path: str = "") -> LicenceRefused:
    return LicenceRefused(LicenceCode.PRIVATE_KEY, "this is a private key", field=path)
