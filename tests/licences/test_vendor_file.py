"""A vendor's file has its name, its product and public keys; anything else is refused."""

import json
from typing import Any

import jwt
import pytest

from licet.licences.errors import LicenceCode, LicenceRefused
from licet.licences.jws import encode
from licet.licences.vendor_file import read_vendor, thumbprint, vendor_file
from support.licences.vendors import TestVendor

ACME = TestVendor()


def changed(**members: Any) -> bytes:
    """The vendor's file with other members."""
    content = json.loads(vendor_file(ACME.vendor)) | members
    return json.dumps({name: it for name, it in content.items() if it is not None}).encode()


def with_key(**members: Any) -> bytes:
    """The same with other members of its key."""
    key = ACME.vendor.keys[ACME.kid].jwk() | members
    return changed(keys=[{name: it for name, it in key.items() if it is not None}])


def test_a_vendor_is_read_as_it_was_written() -> None:
    """And a byte order mark changes nothing."""
    content = vendor_file(ACME.vendor)
    assert read_vendor(content) == read_vendor(b"\xef\xbb\xbf" + content) == ACME.vendor


def test_a_vendors_file_is_a_key_set_that_others_read() -> None:
    """RFC 7517 5: with two members more."""
    keys = jwt.PyJWKSet.from_json(vendor_file(ACME.vendor).decode())
    assert [key.key_id for key in keys.keys] == [ACME.kid]


def test_the_thumbprint_of_a_key_is_that_of_the_standard() -> None:
    """RFC 7638 3, of the key of RFC 7515 A.3, as openssl and sha256sum compute it."""
    x, y = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    assert thumbprint(x, y) == "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"


@pytest.mark.parametrize(
    ("content", "code", "field"),
    [
        (b"", LicenceCode.NOT_A_VENDOR, ""),
        (b"{}", LicenceCode.NOT_A_VENDOR, "keys"),
        (b"[]", LicenceCode.NOT_A_VENDOR, ""),
        (b'{"vendor": "a", "vendor": "b"}', LicenceCode.NOT_A_VENDOR, ""),
        (b" " * 16_385, LicenceCode.TOO_LARGE, ""),
        (changed(vendor=None), LicenceCode.NOT_A_VENDOR, "vendor"),
        (changed(vendor="acme\n"), LicenceCode.NOT_A_VENDOR, "vendor"),
        (changed(product=7), LicenceCode.NOT_A_VENDOR, "product"),
        (changed(keys=[]), LicenceCode.NOT_A_VENDOR, "keys"),
        (changed(keys={}), LicenceCode.NOT_A_VENDOR, "keys"),
        (changed(keys=["key"]), LicenceCode.NOT_A_VENDOR, "keys.0"),
        (changed(keys=[ACME.vendor.keys[ACME.kid].jwk()] * 2), LicenceCode.NOT_A_VENDOR, "keys"),
        (changed(keys=[{}] * 9), LicenceCode.TOO_MANY, "keys"),
        (with_key(d=encode(bytes(32))), LicenceCode.PRIVATE_KEY, "keys.0"),
        (b"-----BEGIN PRIVATE KEY-----", LicenceCode.PRIVATE_KEY, ""),
        (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", LicenceCode.PRIVATE_KEY, ""),
        (with_key(kty="oct", k="AAAA"), LicenceCode.PRIVATE_KEY, "keys.0"),
        (with_key(kty="RSA"), LicenceCode.UNSUPPORTED_KEY, "keys.0"),
        (with_key(crv="P-384"), LicenceCode.UNSUPPORTED_KEY, "keys.0"),
        (with_key(alg="ES384"), LicenceCode.UNSUPPORTED_KEY, "keys.0"),
        (with_key(use="enc"), LicenceCode.UNSUPPORTED_KEY, "keys.0"),
        (with_key(x=None), LicenceCode.UNSUPPORTED_KEY, "keys.0.x"),
        (with_key(y=encode(bytes(31))), LicenceCode.UNSUPPORTED_KEY, "keys.0.y"),
        (with_key(x=encode(bytes(32)), y=encode(bytes(32)), kid=None), LicenceCode.UNSUPPORTED_KEY, "keys.0"),
        (with_key(kid="2026"), LicenceCode.WRONG_KID, "keys.0"),
        (with_key(kid=7), LicenceCode.WRONG_KID, "keys.0"),
    ],
)
def test_what_is_no_vendors_file_is_refused(content: bytes, code: LicenceCode, field: str) -> None:
    """Each with its reason, and where."""
    with pytest.raises(LicenceRefused) as refused:
        read_vendor(content)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_a_vendor_with_eight_keys_is_read() -> None:
    """For the time in which one takes the place of another."""
    keys = [key.jwk() for _ in range(8) for key in TestVendor().vendor.keys.values()]
    assert list(read_vendor(changed(keys=keys)).keys) == [key["kid"] for key in keys]


def test_a_private_key_in_a_vendors_file_is_never_shown() -> None:
    """Neither in the message nor in what made it."""
    secret = encode(b"a private number of a vendor's  ")
    with pytest.raises(LicenceRefused) as refused:
        read_vendor(with_key(d=secret))
    assert secret not in repr(refused.getrepr(style="long", showlocals=False))
    assert str(refused.value).startswith("this is a private key; whoever has it can sign licences")
