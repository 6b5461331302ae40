"""A licence is no token and a token no licence, though the same key had signed both (RFC 8725 3.11)."""

import json

import pytest

from licet.credentials.jwt_access_tokens import JwtTokens
from licet.credentials.jwt_signing_keys import PERIOD_MS, JwtKeys
from licet.credentials.keyring import new_keyring
from licet.guard.claims import read_kid
from licet.guard.introspection import Dead
from licet.licences.errors import LicenceCode, LicenceRefused
from licet.licences.jws import encode, what_to_sign
from licet.licences.reading import read
from licet.licences.vendor_file import Vendor, read_key
from licet.model import TokenFormat
from support.examples import jim_test
from support.licences.vendors import CLAIMS

NOW_MS = 690 * PERIOD_MS + 123
KEYRING = new_keyring(NOW_MS - PERIOD_MS)
KEYS = JwtKeys()
TENANT = jim_test(token_format=TokenFormat.JWT, access_ttl_s=60)
TOKENS = JwtTokens(KEYS, KEYRING, "https://licence.example.com", NOW_MS)
KEY = KEYS.key(KEYRING.token_keys[0], TENANT.id, NOW_MS // PERIOD_MS)
VENDOR = Vendor(name="acme", product="jim2-api", keys={KEY.kid: read_key(KEY.jwk)})


def licence() -> str:
    """A licence that a tenant's key signed."""
    signed = what_to_sign(KEY.kid, CLAIMS)
    return f"{signed.decode()}.{KEY.sign(signed).decode()}"


def test_a_licence_under_a_tenants_key_is_no_access_token() -> None:
    """Neither for Licet nor for a guard that verifies offline."""
    assert read(licence(), [VENDOR]).licence == "C-1"
    assert TOKENS.read(licence(), TENANT) is None
    found = read_kid(licence())
    assert isinstance(found, Dead)
    assert "its type is not at+jwt" in found.why


@pytest.mark.parametrize("kind", ["at+jwt", "application/at+jwt", "JWT", "licet-usage+jws"])
def test_what_else_a_key_signs_is_no_licence(kind: str) -> None:
    """By its type, before its content is looked at."""
    header = {"alg": "ES256", "kid": KEY.kid, "typ": kind}
    signed = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(CLAIMS).encode())}"
    with pytest.raises(LicenceRefused) as refused:
        read(f"{signed}.{KEY.sign(signed.encode()).decode()}", [VENDOR])
    assert refused.value.code is LicenceCode.WRONG_TYPE
