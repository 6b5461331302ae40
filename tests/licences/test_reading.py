"""A licence is read if its vendor signed exactly this, and refused with its own reason if not."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from licet.licences.armour import armoured, split
from licet.licences.errors import ADVICE, LicenceCode, LicenceRefused
from licet.licences.jws import LICENCE_BYTES_MAX, decode, encode
from licet.licences.reading import (
    installation_hash,
    must_be_for_tenant,
    must_cover,
    read,
    read_file,
    read_unverified,
)
from licet.licences.vendor_file import Vendor
from support.licences.vendors import ISSUED_S, TestVendor


@pytest.fixture(scope="module")
def acme() -> TestVendor:
    """Whom this place trusts."""
    return TestVendor()


def refusal(text: str, *vendors: Vendor) -> LicenceRefused:
    """Why a licence is refused."""
    with pytest.raises(LicenceRefused) as refused:
        read(text, vendors)
    return refused.value


class TestSigned:
    """What its vendor signed, and nothing else."""

    def test_a_licence_says_what_its_vendor_signed(self, acme: TestVendor) -> None:
        """Each claim, and what is meant where one is left out."""
        licence = read(acme.sign(), [acme.vendor])
        assert (licence.vendor, licence.product, licence.tenant) == ("acme", "jim2-api", "Jim_Test")
        assert (licence.licence, licence.serial, licence.kid) == ("C-1", 1, acme.kid)
        assert licence.issued_at_ms == licence.begins_at_ms == ISSUED_S * 1000
        assert (licence.expires_at_ms, licence.over_at_ms, licence.grace_s) == (None, None, 0)
        assert (licence.installation, licence.customer, licence.updates_until) == (None, None, None)
        pool = licence.pools["full"]
        assert (pool.seats, pool.overdraft, pool.hold_s, pool.access_ttl_max_s) == (25, 0, 60, 600)
        assert pool.scopes == {"all"}
        assert pool.duplicates == {"client", "user"}

    def test_a_licence_may_say_all_that_there_is(self, acme: TestVendor) -> None:
        """The bounds themselves are allowed."""
        bound = installation_hash("what the database keeps")
        pool = {
            "seats": 1_000_000,
            "scopes": ["all", "reports"],
            "overdraft": 1_000_000,
            "hold": 86_400,
            "access_ttl_max": 86_400,
            "duplicates": ["user"],
        }
        claims = acme.claims(
            serial=2**31 - 1,
            nbf=ISSUED_S + 60,
            exp=ISSUED_S + 120,
            grace=90 * 86_400,
            installation=bound,
            customer="M\u00fcller & S\u00f6hne",
            updates_until="2027-12-31",
            features=["export", "api"],
            must=["installation", "exp"],
            pools={f"pool{number}": pool for number in range(64)},
            colour="a claim that nobody knows is passed over",
        )
        licence = read(acme.sign(claims), [acme.vendor])
        assert len(licence.pools) == 64
        assert licence.pools["pool63"].duplicates == {"user"}
        assert licence.over_at_ms == (ISSUED_S + 120 + 90 * 86_400) * 1000
        assert licence.updates_until == date(2027, 12, 31)
        assert licence.features == ("export", "api")

    def test_each_byte_flipped_is_refused(self, acme: TestVendor) -> None:
        """Each bit of each byte of the file, its armour and line ends as well; on Unix and on Windows."""
        file = armoured(acme.sign()).encode()
        for content in (file, file.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + file):
            assert len(read_file(content, [acme.vendor])) == 1
            for at in range(len(content)):
                for bit in range(8):
                    flipped = bytearray(content)
                    flipped[at] ^= 1 << bit
                    with pytest.raises(LicenceRefused):
                        read_file(bytes(flipped), [acme.vendor])

    def test_each_byte_lost_or_doubled_within_a_licence_is_refused(self, acme: TestVendor) -> None:
        """A last line end that is lost changes nothing; all else is."""
        content = armoured(acme.sign()).encode().rstrip(b"\n")
        assert read_file(content, [acme.vendor])
        for at in range(len(content)):
            for changed in (
                content[:at] + content[at + 1 :],
                content[:at] + content[at : at + 1] + content[at:],
            ):
                with pytest.raises(LicenceRefused):
                    read_file(changed, [acme.vendor])

    def test_another_key_under_the_same_kid_is_refused(self, acme: TestVendor) -> None:
        """The name of a key proves nothing."""
        refused = refusal(TestVendor().sign(kid=acme.kid), acme.vendor)
        assert refused.code is LicenceCode.BAD_SIGNATURE
        assert refused.text == "its signature is wrong: it was changed, or acme never signed it"
        assert str(refused) == f"{refused.text}; {refused.advice}"

    def test_a_licence_of_somebody_who_is_not_trusted_is_refused(self, acme: TestVendor) -> None:
        """Also where nobody is."""
        other = TestVendor()
        assert refusal(other.sign(), acme.vendor).code is LicenceCode.UNKNOWN_KEY
        assert refusal(other.sign()).code is LicenceCode.UNKNOWN_KEY

    @pytest.mark.parametrize("signature", [bytes(64), b"\xff" * 64, bytes(31) + b"\1" + bytes(31) + b"\1"])
    def test_a_signature_of_no_numbers_is_refused(self, acme: TestVendor, signature: bytes) -> None:
        """Zero, and numbers beyond the order (CVE-2022-21449)."""
        signed = acme.sign().rpartition(".")[0]
        assert refusal(f"{signed}.{encode(signature)}", acme.vendor).code is LicenceCode.BAD_SIGNATURE

    def test_nothing_of_a_licence_without_signature_is_parsed(self, acme: TestVendor) -> None:
        """What comes first is that it is not signed."""
        text = TestVendor().sign({"pools": None}, kid=acme.kid)
        assert refusal(text, acme.vendor).code is LicenceCode.BAD_SIGNATURE


class TestForm:
    """A compact JWS of three parts, with a header that chooses nothing."""

    @pytest.mark.parametrize(
        ("header", "code", "text"),
        [
            ({"alg": "none"}, LicenceCode.WRONG_ALGORITHM, "its algorithm is 'none', and"),
            ({"alg": "HS256"}, LicenceCode.WRONG_ALGORITHM, "its algorithm is 'HS256', and"),
            ({"alg": "EdDSA"}, LicenceCode.WRONG_ALGORITHM, "its algorithm is 'EdDSA', and"),
            ({"alg": "ES384"}, LicenceCode.WRONG_ALGORITHM, "its algorithm is 'ES384', and"),
            ({"alg": "es256"}, LicenceCode.WRONG_ALGORITHM, "its algorithm is 'es256', and"),
            ({"alg": ["ES256"]}, LicenceCode.WRONG_ALGORITHM, "its algorithm is ['ES256'], and"),
            ({"alg": None}, LicenceCode.WRONG_ALGORITHM, "its algorithm is None, and"),
            ({"typ": "at+jwt"}, LicenceCode.WRONG_TYPE, "its type is 'at+jwt', and"),
            ({"typ": "LICET-LICENCE+JWS"}, LicenceCode.WRONG_TYPE, "its type is"),
            ({"typ": None}, LicenceCode.WRONG_TYPE, "its type is None, and"),
            ({"jwk": {"kty": "EC"}}, LicenceCode.UNKNOWN_HEADER, "its header has 'jwk', and"),
            ({"jku": "https://evil.example"}, LicenceCode.UNKNOWN_HEADER, "its header has 'jku', and"),
            ({"crit": ["b64"], "b64": False}, LicenceCode.UNKNOWN_HEADER, "its header has 'b64', and"),
            ({"crit": []}, LicenceCode.UNKNOWN_HEADER, "its header has 'crit', and"),
            ({"colour": "red"}, LicenceCode.UNKNOWN_HEADER, "its header has 'colour', and"),
            ({"kid": None}, LicenceCode.UNKNOWN_KEY, "it does not name the key"),
            ({"kid": 7}, LicenceCode.UNKNOWN_KEY, "it does not name the key"),
            ({"kid": "\x1b[2J"}, LicenceCode.UNKNOWN_KEY, "it is signed with the key '\\x1b[2J'"),
        ],
    )
    def test_another_header_is_refused(
        self, acme: TestVendor, header: dict[str, Any], code: LicenceCode, text: str
    ) -> None:
        """RFC 8725 3.1, 3.11; RFC 7515 4.1.11."""
        made = json.dumps(acme.header(**header)).encode()
        payload = json.dumps(acme.claims()).encode()
        refused = refusal(acme.sign_bytes(made, payload), acme.vendor)
        assert refused.code is code
        assert text in refused.text.replace("\\\\", "\\")

    def test_a_library_that_signs_in_another_way_is_refused(self, acme: TestVendor) -> None:
        """HMAC under the public key, Ed25519, P-384, and no signature at all (RFC 8725 2.1)."""
        public = repr(acme.vendor.keys[acme.kid].jwk())  # PyJWT takes no JWK for a shared secret
        headers = {"kid": acme.kid, "typ": "licet-licence+jws"}
        made = [
            jwt.encode(acme.claims(), public, "HS256", headers),
            jwt.encode(acme.claims(), ed25519.Ed25519PrivateKey.generate(), "EdDSA", headers),
            jwt.encode(acme.claims(), ec.generate_private_key(ec.SECP384R1()), "ES384", headers),
            jwt.encode(acme.claims(), "", "none", headers),
        ]
        assert {refusal(text, acme.vendor).code for text in made} == {LicenceCode.WRONG_ALGORITHM}

    def test_other_tokens_of_licet_are_no_licences(self, acme: TestVendor) -> None:
        """By their type, though the same key had signed them."""
        for kind in ("at+jwt", "application/at+jwt", "JWT", "licet-usage+jws"):
            refused = refusal(acme.sign(typ=kind), acme.vendor)
            assert refused.code is LicenceCode.WRONG_TYPE
            assert refused.advice == "check that it is the licence and not another token"

    def test_several_signatures_are_refused(self, acme: TestVendor) -> None:
        """RFC 7515 7.2."""
        header, payload, signature = acme.sign().split(".")
        made = {"payload": payload, "signatures": [{"protected": header, "signature": signature}] * 2}
        assert refusal(json.dumps(made), acme.vendor).code is LicenceCode.SEVERAL_SIGNATURES

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text + ".",
            lambda text: "." + text,
            lambda text: text + "=",
            lambda text: text + "\n",
            lambda text: " " + text,
            lambda text: text.replace(".", ". "),
            lambda text: text.rpartition(".")[0],
            lambda text: text.rpartition(".")[0] + ".",
            lambda text: text.replace(".", "..", 1),
            lambda text: text + "AA",
            lambda text: text[:-2],
            lambda text: text[:40] + "\n" + text[40:],
            lambda text: text[:40] + "\N{LATIN SMALL LETTER E WITH ACUTE}" + text[41:],
            lambda _: "",
            lambda _: "..",
        ],
    )
    def test_what_is_not_three_parts_of_base64url_is_refused(
        self, acme: TestVendor, change: Callable[[str], str]
    ) -> None:
        """RFC 7515 7.1; without padding, and without what others pass over (RFC 4648 3.3)."""
        assert refusal(change(acme.sign()), acme.vendor).code is LicenceCode.MALFORMED

    def test_a_bit_that_nobody_looks_at_is_refused(self, acme: TestVendor) -> None:
        """RFC 4648 3.5: the last character of 64 bytes has four bits that encode nothing."""
        text = acme.sign()
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        other = alphabet[alphabet.index(text[-1]) + 1]
        assert refusal(text[:-1] + other, acme.vendor).code is LicenceCode.MALFORMED

    def test_standard_base64_is_refused(self, acme: TestVendor) -> None:
        """With + and /, for which base64url has - and _."""
        text = next(it for it in iter(acme.sign, None) if "-" in it.rpartition(".")[2])
        head, _, signature = text.rpartition(".")
        changed = f"{head}.{signature.replace('-', '+')}"
        assert refusal(changed, acme.vendor).code is LicenceCode.MALFORMED

    def test_a_licence_has_16_kib_at_most(self, acme: TestVendor) -> None:
        """One byte more is refused before anything is parsed."""
        header = json.dumps(acme.header()).encode()
        room = (LICENCE_BYTES_MAX - len(acme.sign())) * 3 // 4 - 12
        made = (
            acme.sign_bytes(
                header + b" " * spaces, json.dumps(acme.claims(more="x" * (room + extra))).encode()
            )
            for spaces in range(3)
            for extra in range(12)
        )
        text = next(it for it in made if len(it) == LICENCE_BYTES_MAX)
        assert read(text, [acme.vendor]).serial == 1
        refused = refusal(text + "A", acme.vendor)
        assert (refused.code, refused.limit) == (LicenceCode.TOO_LARGE, LICENCE_BYTES_MAX)


class TestForWhom:
    """Whose licence it is, and for which place."""

    def test_a_vendor_signs_for_its_own_product_only(self, acme: TestVendor) -> None:
        """The key is right, and the name or product is not what was trusted."""
        name = refusal(acme.sign(acme.claims(iss="other")), acme.vendor)
        product = refusal(acme.sign(acme.claims(product="other")), acme.vendor)
        assert (name.code, product.code) == (LicenceCode.OTHER_VENDOR, LicenceCode.OTHER_PRODUCT)
        assert name.text == "it says to be of 'other', and the key is of 'acme'"
        assert product.text == "it is for the product 'other', and not for 'jim2-api'"

    def test_one_key_may_sign_for_two_products(self, acme: TestVendor) -> None:
        """Each with a file of its own."""
        second = Vendor(name="acme", product="jim3", keys=acme.vendor.keys)
        licence = read(acme.sign(acme.claims(product="jim3")), [acme.vendor, second])
        assert licence.product == "jim3"
        assert refusal(acme.sign(), second).code is LicenceCode.OTHER_PRODUCT

    def test_a_licence_is_for_its_tenant_to_the_letter(self, acme: TestVendor) -> None:
        """Case is a difference."""
        licence = read(acme.sign(), [acme.vendor])
        must_be_for_tenant(licence, "Jim_Test")
        with pytest.raises(LicenceRefused, match=r"for tenant 'Jim_Test', and not for 'jim_test'") as refused:
            must_be_for_tenant(licence, "jim_test")
        assert refused.value.code is LicenceCode.OTHER_TENANT

    def test_a_bound_licence_is_for_its_installation_only(self, acme: TestVendor) -> None:
        """One without `installation` counts anywhere; an API without a text of its own has none that fits."""
        here, there = installation_hash("here"), installation_hash("there")
        bound = read(acme.sign(acme.claims(installation=here)), [acme.vendor])
        free = read(acme.sign(), [acme.vendor])
        built = date(2026, 1, 1)
        must_cover(bound, tenant="Jim_Test", installation=here, built=built)
        must_cover(free, tenant="Jim_Test", installation=there, built=built)
        must_cover(free, tenant="Jim_Test", installation=None, built=built)
        for other in (there, None):
            with pytest.raises(LicenceRefused) as refused:
                must_cover(bound, tenant="Jim_Test", installation=other, built=built)
            assert refused.value.code is LicenceCode.OTHER_INSTALLATION
            assert "send the vendor the hash that the product shows here" in str(refused.value)

    def test_a_licence_covers_builds_until_its_updates_end(self, acme: TestVendor) -> None:
        """The day itself is covered."""
        licence = read(acme.sign(acme.claims(updates_until="2026-12-31")), [acme.vendor])
        must_cover(licence, tenant="Jim_Test", installation=None, built=date(2026, 12, 31))
        with pytest.raises(LicenceRefused) as refused:
            must_cover(licence, tenant="Jim_Test", installation=None, built=date(2027, 1, 1))
        assert refused.value.code is LicenceCode.UPDATES_ENDED

    def test_the_hash_of_an_installation_is_that_of_the_documentation(self) -> None:
        """So that another language computes the same: SHA-256("licet installation" 0 text)."""
        assert installation_hash("licet") == "2RPcS67qy7OeMdQR0OI5PasHIPqgqGmm6DoDkp4q-Ng"
        assert len(decode(installation_hash("licet"))) == 32


class TestUnverified:
    """What anybody may have written is shown, and used for nothing."""

    def test_an_unverified_licence_is_still_read_strictly(self, acme: TestVendor) -> None:
        """All but the signature."""
        text = TestVendor().sign(acme.claims(), kid=acme.kid)
        assert read_unverified(text).licence == "C-1"
        with pytest.raises(LicenceRefused):
            read_unverified(acme.sign(acme.claims(serial=0)))


def test_every_code_says_what_to_do_next() -> None:
    """And names no command, operation or page."""
    assert ADVICE.keys() == set(LicenceCode)
    assert not [text for text in ADVICE.values() if "licet " in text or "--" in text or "/" in text]


def test_a_file_of_two_is_read_whole(acme: TestVendor) -> None:
    """24 seats with an end, and one for good."""
    first, second = acme.sign(), acme.sign(acme.claims(licence="C-1.emergency"))
    content = (armoured(first) + armoured(second)).encode()
    assert split(content) == (first, second)
    assert [it.licence for it in read_file(content, [acme.vendor])] == ["C-1", "C-1.emergency"]
