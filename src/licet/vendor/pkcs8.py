"""Encrypts a private key under a passphrase: PKCS #8 (RFC 5958) with PBES2, scrypt (RFC 7914) and AES-256.

`cryptography` writes PKCS #8 with 2048 rounds of PBKDF2, which a stolen file would not withstand long, and
takes no other number. It reads what stands here, and so do OpenSSL and whatever is made with it:

    openssl pkey -in key.pem -pubout

The numbers are above those of OWASP for 16 MiB (N = 2^14, r = 8, p = 5): a guess takes some half a second.
OpenSSL reads no more than 32 MiB unless it is asked to.
"""

import secrets
from base64 import b64encode
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7

SCRYPT_N: Final = 2**14
SCRYPT_R: Final = 8
SCRYPT_P: Final = 8

_SALT_BYTES, _KEY_BYTES, _BLOCK_BYTES = 16, 32, 16
_PBES2 = bytes.fromhex("2a864886f70d01050d")  # 1.2.840.113549.1.5.13
_SCRYPT = bytes.fromhex("2b06010401da47040b")  # 1.3.6.1.4.1.11591.4.11
_AES_256_CBC = bytes.fromhex("60864801650304012a")  # 2.16.840.1.101.3.4.1.42
_SEQUENCE, _OCTETS, _INTEGER, _OBJECT = 0x30, 0x04, 0x02, 0x06
_SHORT = 0x80  # lengths below it are one byte


def encrypted_pem(private_der: bytes, passphrase: bytes) -> bytes:
    """A PrivateKeyInfo, encrypted, in PEM."""
    salt, vector = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_BLOCK_BYTES)
    key = Scrypt(salt, _KEY_BYTES, SCRYPT_N, SCRYPT_R, SCRYPT_P).derive(passphrase)
    padder, cipher = PKCS7(8 * _BLOCK_BYTES).padder(), Cipher(AES256(key), CBC(vector)).encryptor()
    padded = padder.update(private_der) + padder.finalize()
    content = cipher.update(padded) + cipher.finalize()
    numbers = (SCRYPT_N, SCRYPT_R, SCRYPT_P, _KEY_BYTES)
    derivation = _sequence(_part(_OCTETS, salt), *map(_integer, numbers))
    scheme = _sequence(
        _sequence(_part(_OBJECT, _SCRYPT), derivation),
        _sequence(_part(_OBJECT, _AES_256_CBC), _part(_OCTETS, vector)),
    )
    return _pem(_sequence(_sequence(_part(_OBJECT, _PBES2), scheme), _part(_OCTETS, content)))


def _sequence(*parts: bytes) -> bytes:
    return _part(_SEQUENCE, b"".join(parts))


def _integer(number: int) -> bytes:
    return _part(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _part(tag: int, content: bytes) -> bytes:
    """DER (X.690 10.1): a tag, the length in as few bytes as can be, and what it is."""
    length = len(content)
    if length < _SHORT:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, _SHORT | len(size)]) + size + content


def _pem(der: bytes) -> bytes:
    text = b64encode(der).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    label = "ENCRYPTED PRIVATE KEY"
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()
