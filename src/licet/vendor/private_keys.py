"""Makes a vendor's private keys, and opens them with their passphrase.

A key is of P-256, encrypted at rest (`pkcs8.py`), in a file that its owner alone can read. Whoever has the
file can guess at its passphrase for as long as they like, so that has to be harder to guess than a password
at a login. Neither a key nor a passphrase is in a message, a `repr` or an argument.
"""

import unicodedata
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from licet.licences.errors import LicenceRefused
from licet.licences.jws import encode
from licet.licences.strict_json import read_object
from licet.licences.vendor_file import VendorKey, read_key
from licet.platforms import files
from licet.vendor.errors import VendorCode, VendorRefused
from licet.vendor.files import read_bounded
from licet.vendor.pkcs8 import encrypted_pem

PASSPHRASE_CHARS_MIN: Final = 12
PASSPHRASE_CHARS_MAX: Final = 256
# At half a second a guess these are a hundred and fifty years of one processor.
PASSPHRASE_GUESSES_MIN: Final = 10**10
KEY_BYTES_MAX: Final = 65_536

_NUMBER_BYTES = 32
_CHARS_ESTIMATED_MAX = 40  # what is estimated of a longer one: it takes the square of the length


class PrivateKey:
    """A key that can sign. `public` is what the vendor's file has of it."""

    __slots__ = ("_private", "public")

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        self.public = _public(private.public_key())

    def __repr__(self) -> str:
        """Never the private part."""
        return f"PrivateKey({self.public.kid})"

    def sign(self, content: bytes) -> bytes:
        """The signature of this content: 64 bytes (RFC 7518 3.4)."""
        r, s = utils.decode_dss_signature(self._private.sign(content, ec.ECDSA(SHA256())))
        return r.to_bytes(_NUMBER_BYTES, "big") + s.to_bytes(_NUMBER_BYTES, "big")

    def encrypted(self, passphrase: str) -> bytes:
        """The key as it is kept."""
        plain = self._private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return encrypted_pem(plain, _bytes_of(passphrase))


def new_private_key() -> PrivateKey:
    """A key that nobody has."""
    return PrivateKey(ec.generate_private_key(ec.SECP256R1()))


def open_private_key(path: Path, passphrase: str) -> PrivateKey:
    """The key of a file.

    Raises VendorRefused, which says nothing of what the file holds.
    """
    content = read_private_file(path)
    try:
        found: Any = load_pem_private_key(content, _bytes_of(passphrase))
    except ValueError:
        problem = f"the passphrase of {path} is wrong, or the file is damaged"
        raise VendorRefused(VendorCode.WRONG_PASSPHRASE, problem) from None
    except TypeError:  # it is not encrypted
        problem = f"{path} is not encrypted; encrypt it: openssl pkcs8 -topk8 -scrypt -in FILE -out NEW"
        raise VendorRefused(VendorCode.DAMAGED, problem) from None
    if not isinstance(found, ec.EllipticCurvePrivateKey) or not isinstance(found.curve, ec.SECP256R1):
        raise VendorRefused(VendorCode.WRONG_KEY, f"{path} is no key of P-256, with which ES256 signs")
    return PrivateKey(found)


def read_private_file(path: Path) -> bytes:
    """A file that nobody else may read.

    Raises VendorRefused.
    """
    try:
        with path.open("rb") as file:
            is_open, content = files.is_open_to_others(path, file), file.read(KEY_BYTES_MAX)
    except OSError as fault:
        raise VendorRefused(VendorCode.UNREADABLE, f"{path} cannot be read: {fault.strerror}") from None
    if is_open:
        problem = f"{path} is readable by others; if nobody has read it: {files.how_to_close(path)}"
        raise VendorRefused(VendorCode.OPEN_TO_OTHERS, problem)
    return content


def read_public_key(path: Path) -> VendorKey:
    """The public key of a file, in PEM or as a JWK: that of a key which an HSM keeps.

    Raises VendorRefused, LicenceRefused.
    """
    content = read_bounded(path, KEY_BYTES_MAX)
    if not content.lstrip().startswith(b"-----BEGIN PUBLIC KEY-----"):
        if b"-----BEGIN" in content and b"PRIVATE KEY" in content:
            problem = f"{path} is a private key; give the public one: openssl pkey -in {path} -pubout"
            raise VendorRefused(VendorCode.WRONG_KEY, problem)
        try:
            return read_key(read_object(content, str(path)))
        except LicenceRefused as refused:
            problem = f"{path} is no public key of P-256, in PEM or as a JWK: {refused.text}"
            raise VendorRefused(VendorCode.WRONG_KEY, problem) from None
    try:
        found: Any = load_pem_public_key(content)
    except ValueError:
        raise VendorRefused(VendorCode.DAMAGED, f"{path} is no public key in PEM") from None
    if not isinstance(found, ec.EllipticCurvePublicKey) or not isinstance(found.curve, ec.SECP256R1):
        raise VendorRefused(VendorCode.WRONG_KEY, f"{path} is no key of P-256, with which ES256 signs")
    return _public(found)


def check_new_passphrase(passphrase: str, *about: str) -> None:
    """Return if this may protect a key; `about` is what everybody knows of the vendor. It takes up to 0.1 s.

    Raises VendorRefused.
    """
    if not PASSPHRASE_CHARS_MIN <= len(passphrase) <= PASSPHRASE_CHARS_MAX:
        problem = f"a passphrase is {PASSPHRASE_CHARS_MIN} to {PASSPHRASE_CHARS_MAX} characters"
        raise VendorRefused(VendorCode.WEAK_PASSPHRASE, problem)
    if not passphrase.isprintable():
        raise VendorRefused(VendorCode.WEAK_PASSPHRASE, "a passphrase has no control characters")
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its lists of words; most verbs never need them

    if zxcvbn(passphrase[:_CHARS_ESTIMATED_MAX], user_inputs=about)["guesses"] < PASSPHRASE_GUESSES_MIN:
        problem = (
            "a passphrase must be hard to guess, as whoever copies the file can try for years; take five"
            " words that have nothing to do with each other"
        )
        raise VendorRefused(VendorCode.WEAK_PASSPHRASE, problem)


def _bytes_of(passphrase: str) -> bytes:
    """In one spelling, whatever keyboard it was typed on (RFC 8265 4.2.2)."""
    return unicodedata.normalize("NFC", passphrase).encode()


def _public(key: ec.EllipticCurvePublicKey) -> VendorKey:
    point = key.public_numbers()
    x, y = (encode(it.to_bytes(_NUMBER_BYTES, "big")) for it in (point.x, point.y))
    return read_key({"kty": "EC", "crv": "P-256", "x": x, "y": y})
