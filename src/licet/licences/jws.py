"""Takes a compact JWS apart and puts one together (RFC 7515 7.1), with ES256 and in one spelling only.

The rules:

- Three parts of base64url without padding, in the spelling that encoding gives again: a bit that nobody
  looks at is not left to anybody (RFC 4648 3.5).
- The header is exactly `alg`, `kid` and `typ`. It chooses nothing: `alg` is ES256 and `typ` that of a
  licence, or it is refused (RFC 8725 3.1, 3.11).
- A signature is the 64 bytes of RFC 7518 3.4. Each has a twin, which anybody can make and which verifies as
  well; so a licence is known by what is signed, and not by its signature.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from licet.licences.errors import LicenceCode, LicenceRefused, shown
from licet.licences.strict_json import read_object
from licet.licences.syntax import WORD

ALGORITHM: Final = "ES256"
TYPE: Final = "licet-licence+jws"
LICENCE_BYTES_MAX: Final = 16_384  # of one compact JWS: 64 pools with some scopes each take less
SIGNATURE_BYTES: Final = 64  # RFC 7518 3.4: r and s of P-256

_PARTS = 3
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # n of P-256, SEC 2 2.4.2
_HEADER = frozenset({"alg", "kid", "typ"})


class Jws(NamedTuple):
    """A JWS taken apart, whose signature nobody has verified yet."""

    kid: str
    signed: bytes
    payload: bytes
    signature: bytes


def take_apart(text: str) -> Jws:
    """The parts of a licence as it travels, without armour.

    Raises LicenceRefused.
    """
    if len(text) > LICENCE_BYTES_MAX:
        problem = f"a licence has {LICENCE_BYTES_MAX} bytes at most"
        raise LicenceRefused(LicenceCode.TOO_LARGE, problem, limit=LICENCE_BYTES_MAX)
    if text.lstrip().startswith("{"):
        problem = "this is a JWS in JSON, in which there may be several signatures"
        raise LicenceRefused(LicenceCode.SEVERAL_SIGNATURES, problem)
    parts = text.split(".")
    if len(parts) != _PARTS:
        problem = f"a licence has three parts with a dot between them, and this has {len(parts)}"
        raise LicenceRefused(LicenceCode.MALFORMED, problem)
    kid = _kid(read_object(decode(parts[0]), "the header"))  # first: what is not ours has other parts
    payload, signature = decode(parts[1]), decode(parts[2])
    if len(signature) != SIGNATURE_BYTES:
        problem = f"the signature has {len(signature)} bytes, and one of {ALGORITHM} has {SIGNATURE_BYTES}"
        raise LicenceRefused(LicenceCode.MALFORMED, problem)
    return Jws(kid, text.rpartition(".")[0].encode(), payload, signature)


def what_to_sign(kid: str, claims: Mapping[str, Any]) -> bytes:
    """The bytes over which the key of this name has to make its signature (RFC 7515 5.1)."""
    header = {"alg": ALGORITHM, "kid": kid, "typ": TYPE}
    return f"{encode(_json(header))}.{encode(_json(claims))}".encode()


def put_together(signed: bytes, signature: bytes) -> str:
    """The licence as it travels, without armour."""
    return f"{signed.decode()}.{encode(signature)}"


def twin_of(text: str) -> str:
    """The same JWS with the other signature that verifies wherever this one does: n - s in the place of s.

    Anybody can make it. So nothing may tell two JWS apart that differ in this alone.
    """
    signed, _, signature = text.rpartition(".")
    half = SIGNATURE_BYTES // 2
    r, s = decode(signature)[:half], int.from_bytes(decode(signature)[half:], "big")
    return put_together(signed.encode(), r + ((_ORDER - s) % _ORDER).to_bytes(half, "big"))


def encode(content: bytes) -> str:
    """Base64url without padding (RFC 7515 2)."""
    return urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """The bytes of base64url without padding, in its only spelling.

    Raises LicenceRefused.
    """
    try:
        content = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Error, ValueError):
        content = b""
    if not content or encode(content) != text:
        problem = "a part of it is not base64url: a character was changed, added or lost"
        raise LicenceRefused(LicenceCode.MALFORMED, problem)
    return content


def _kid(header: dict[str, Any]) -> str:
    """What the header calls its key, if the rest of it is as it has to be."""
    if header.get("alg") != ALGORITHM:
        problem = f"its algorithm is {shown(header.get('alg'))}, and a licence is signed with {ALGORITHM}"
        raise LicenceRefused(LicenceCode.WRONG_ALGORITHM, problem, field="alg")
    if header.get("typ") != TYPE:
        problem = f"its type is {shown(header.get('typ'))}, and that of a licence is {TYPE}"
        raise LicenceRefused(LicenceCode.WRONG_TYPE, problem, field="typ")
    if more := sorted(header.keys() - _HEADER):
        problem = f"its header has {shown(more[0])}, and that of a licence has alg, kid and typ only"
        field = more[0] if WORD.fullmatch(more[0]) else ""
        raise LicenceRefused(LicenceCode.UNKNOWN_HEADER, problem, field=field)
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise LicenceRefused(LicenceCode.UNKNOWN_KEY, "it does not name the key that signed it", field="kid")
    return kid


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(content), separators=(",", ":"), ensure_ascii=False).encode()
