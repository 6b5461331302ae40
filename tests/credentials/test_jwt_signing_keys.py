"""The keys that sign JWT access tokens: derived, one for each tenant and period, and right by the book."""

import hmac
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from licet.credentials.jose import decode, encode, thumbprint
from licet.credentials.jwt_signing_keys import JwtKey, JwtKeys, scalar, to_scalar
from licet.credentials.keyring import TokenKey, new_keyring

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
KEY = bytes(range(32))

numbers = st.integers(0, 2**63 - 1)

# RFC 7515 A.3.1: the key, what is signed, and the signature.
RFC_KEY = {
    "crv": "P-256",
    "kty": "EC",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
RFC_D = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
RFC_SIGNED = (
    b"eyJhbGciOiJFUzI1NiJ9"
    b".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)
RFC_SIGNATURE = b"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"


def token_key(key: bytes = KEY) -> TokenKey:
    return TokenKey(id=1, key=key, created_at_ms=0, signs_at_ms=0)


class TestDerivation:
    """A private number from a key of the keyring, a tenant and a period."""

    @given(st.binary(min_size=32, max_size=32), numbers, numbers)
    def test_it_is_always_one_that_p_256_has(self, key: bytes, tenant_id: int, period: int) -> None:
        """FIPS 186-5 A.2.1: 1 to n - 1."""
        assert 1 <= scalar(key, tenant_id, period) < ORDER

    @given(st.binary(min_size=40, max_size=40))
    @example(bytes(40))
    @example(b"\xff" * 40)
    @example((ORDER - 1).to_bytes(40, "big"))
    @example((ORDER - 2).to_bytes(40, "big"))
    @example(ORDER.to_bytes(40, "big"))
    def test_any_bits_make_one(self, derived: bytes) -> None:
        """FIPS 186-5 A.2.1, also where they are at an end of what there is."""
        assert 1 <= to_scalar(derived) < ORDER

    def test_the_ends_of_the_range_are_met(self) -> None:
        """FIPS 186-5 A.2.1: c mod (n - 1), plus 1."""
        assert to_scalar(bytes(40)) == to_scalar((ORDER - 1).to_bytes(40, "big")) == 1
        assert to_scalar((ORDER - 2).to_bytes(40, "big")) == ORDER - 1

    @given(st.binary(min_size=32, max_size=32), numbers, numbers)
    def test_it_is_hkdf_expand(self, key: bytes, tenant_id: int, period: int) -> None:
        """RFC 5869 2.3, written down once more with nothing but HMAC; 64 bits more than n has."""
        info = b"licet jwt es256\0" + tenant_id.to_bytes(8, "big") + period.to_bytes(8, "big")
        first = hmac.digest(key, info + b"\x01", "sha256")
        second = hmac.digest(key, first + info + b"\x02", "sha256")
        assert scalar(key, tenant_id, period) == to_scalar((first + second)[:40])

    def test_it_never_becomes_another(self) -> None:
        """Nodes of two versions have the same keys, and what was signed before an upgrade holds after it."""
        assert JwtKeys().key(token_key(), 1, 690).kid == "2kJJKz-Yow0Sp03RL46yafKAEgW4TZgVXVYNjF2pvUk"

    @given(st.tuples(numbers, numbers), st.tuples(numbers, numbers))
    def test_no_two_tenants_or_periods_share_one(self, one: tuple[int, int], other: tuple[int, int]) -> None:
        """What is signed for one tenant is nothing to another."""
        assert (scalar(KEY, *one) == scalar(KEY, *other)) == (one == other)

    def test_another_key_of_the_keyring_makes_another(self) -> None:
        """A rotation is one of these keys too."""
        older, newer = new_keyring(0).rotated(0).token_keys
        assert scalar(older.key, 1, 1) != scalar(newer.key, 1, 1)


class TestKey:
    """A key pair."""

    def test_its_public_half_is_that_of_the_book(self) -> None:
        """RFC 7515 A.3.1."""
        key = JwtKey(int.from_bytes(decode(RFC_D.encode()), "big"))
        assert key.jwk == {**RFC_KEY, "kid": key.kid, "use": "sig", "alg": "ES256"}

    def test_it_accepts_the_signature_of_the_book(self) -> None:
        """RFC 7515 A.3.1."""
        key = JwtKey(int.from_bytes(decode(RFC_D.encode()), "big"))
        assert key.is_signed(RFC_SIGNED, RFC_SIGNATURE)
        assert not key.is_signed(RFC_SIGNED + b"A", RFC_SIGNATURE)

    def test_a_thumbprint_is_that_of_the_book(self) -> None:
        """RFC 7638 3.1."""
        n = (
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKR"
            "XjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAt"
            "aSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPk"
            "sINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
        )
        assert (
            thumbprint({"kty": "RSA", "n": n, "e": "AQAB"}) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        )

    @given(st.binary(max_size=100))
    def test_what_it_signs_it_accepts(self, content: bytes) -> None:
        """RFC 7518 3.4: 64 bytes, whatever the two numbers are."""
        key = JwtKeys().key(token_key(), 1, 1)
        signature = key.sign(content)
        assert len(decode(signature)) == 64
        assert key.is_signed(content, signature)

    @given(st.integers(1, ORDER - 1))
    @example(1)
    @example(ORDER - 1)
    def test_its_numbers_have_their_leading_zeros(self, number: int) -> None:
        """RFC 7518 6.2.1.2: as many octets as the curve has."""
        jwk = JwtKey(number).jwk
        assert {len(decode(jwk[name].encode())) for name in ("x", "y")} == {32}

    @pytest.mark.parametrize(
        "signature",
        [b"", b"A", b"====", b"A" * 86, b"-" * 86, encode(bytes(64)), encode(b"\xff" * 64), RFC_SIGNATURE],
    )
    def test_what_is_no_signature_is_none(self, signature: bytes) -> None:
        """Nor a fault, whatever it decodes to; r and s of 0 and of more than n as well."""
        assert not JwtKeys().key(token_key(), 1, 1).is_signed(b"x", signature)

    def test_a_signature_has_one_spelling(self) -> None:
        """The last letter has four bits that mean nothing, and they are 0."""
        key = JwtKeys().key(token_key(), 1, 1)
        signature = key.sign(b"x")
        alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        at = alphabet.index(signature[-1])
        for other in range(at + 1, at + 16):
            assert not key.is_signed(b"x", signature[:-1] + alphabet[other : other + 1])
        assert not key.is_signed(b"x", signature + b"=")
        assert not key.is_signed(b"x", signature[:5] + b"\n" + signature[5:])

    def test_its_private_half_is_not_shown(self) -> None:
        """No secret in a log or a traceback."""
        key = JwtKeys().key(token_key(), 1, 1)
        assert repr(key) == f"JwtKey({key.kid})"
        assert "d" not in key.jwk


def test_a_key_is_derived_once() -> None:
    """What tokens are made with is replaced four times a second; the keys are not."""
    keys = JwtKeys()
    assert keys.key(token_key(), 1, 1) is keys.key(token_key(), 1, 1)
    assert keys.key(token_key(), 1, 2) is not keys.key(token_key(), 1, 1)
    assert keys.key(token_key(bytes(32)), 1, 1) is not keys.key(token_key(), 1, 1)


def test_a_server_without_jwts_imports_nothing_for_them() -> None:
    """Nobody waits for what nobody asked for."""
    program = (
        "import licet.server.wiring, licet.guard, sys; assert not {'cryptography', 'jwt'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
