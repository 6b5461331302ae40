"""Encodes JWTs and keys: base64url without padding, and the thumbprint of a key (RFC 7638).

Both the server's own keys and those of clients use it. It knows neither keys nor tokens.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256


def encode(content: bytes) -> bytes:
    """Base64url without padding (RFC 7515 2)."""
    return urlsafe_b64encode(content).rstrip(b"=")


def decode(content: bytes) -> bytes:
    """The bytes of base64url without padding.

    Raises binascii.Error.
    """
    return urlsafe_b64decode(content + b"=" * (-len(content) % 4))


def number(value: int, length: int | None = None) -> str:
    """A whole number in `length` octets, with leading zeros, or in as few as possible (RFC 7518 6)."""
    return encode(value.to_bytes(length or (value.bit_length() + 7) // 8, "big")).decode("ascii")


def canonical(public: Mapping[str, str]) -> str:
    """The required members of a public key in canonical form, of which a thumbprint is made (RFC 7638 3)."""
    return json.dumps(dict(public), sort_keys=True, separators=(",", ":"))


def thumbprint(public: Mapping[str, str]) -> str:
    """The thumbprint of a public key: RFC 7638 3 with SHA-256, of its required members."""
    return encode(sha256(canonical(public).encode()).digest()).decode("ascii")
