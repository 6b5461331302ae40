"""Public keys of clients: what is taken for one, what is refused, and what a signature proves."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from licet.credentials.public_keys import (
    ALGORITHMS,
    KEYS_READ_MAX,
    TEXT_BYTES_MAX,
    Signatures,
    kind_of,
    name_of,
    read_jwk,
    read_keys,
    to_jwk,
)
from licet.model import InvalidValue
from support.web.signing import ALGORITHMS as SIGNED_BY
from support.web.signing import Signer

# RFC 7638 3.1 has the key and its thumbprint.
RFC_7638 = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWK"
    "RXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMic"
    "AtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3"
    "XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
PRIVATE = "stays with the client"
SIGNERS = {algorithm: Signer.new(algorithm) for algorithm in SIGNED_BY}


class TestReading:
    """What comes from an administrator."""

    def test_a_thumbprint_is_that_of_the_standard(self) -> None:
        """RFC 7638 3.1."""
        key = read_jwk(RFC_7638)
        assert key.thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        assert (key.kid, key.algorithm) == ("2011-04-29", "RS256")

    @pytest.mark.parametrize("algorithm", SIGNED_BY)
    def test_a_key_is_the_same_in_pem_as_a_jwk_and_in_a_set(self, algorithm: str) -> None:
        """RFC 7517 4 and 5, RFC 7468 13."""
        [key] = read_keys(SIGNERS[algorithm].pem)
        jwk = to_jwk(key)
        assert read_keys(json.dumps(jwk)) == [key]
        encryption = {**jwk, "use": "enc"}
        assert read_keys(json.dumps({"keys": [jwk, jwk, encryption]})) == [key]

    def test_several_keys_may_stand_in_one_file(self) -> None:
        """They are taken as they come."""
        text = "".join(f"A comment.\n{it.pem}" for it in SIGNERS.values())
        assert read_keys(text) == [it.key for it in SIGNERS.values()]

    def test_a_key_is_called_by_its_kid_or_else_its_thumbprint(self) -> None:
        """RFC 7517 4.5; a kid that is the thumbprint says nothing more."""
        key = SIGNERS["ES256"].key
        assert name_of(key) == key.thumbprint
        assert read_jwk({**to_jwk(key), "kid": key.thumbprint}) == key
        assert name_of(read_jwk({**to_jwk(key), "kid": "2026-11"})) == "2026-11"
        assert [kind_of(it.key) for it in SIGNERS.values()] == [
            "ES256",
            "EdDSA",
            "RS256 PS256",
            "RS256 PS256",
        ]
        assert kind_of(read_jwk({**to_jwk(SIGNERS["PS256"].key), "alg": "PS256"})) == "PS256"


class TestRefusal:
    """What is no public key, or a weak one; the text never holds what was read."""

    @pytest.mark.parametrize("algorithm", SIGNED_BY)
    def test_a_private_key_is_refused_in_every_form(self, algorithm: str) -> None:
        """It stays with its client: whoever has it is the client."""
        signer = SIGNERS[algorithm]
        pem = signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        jwk = json.dumps(signer.private_jwk)
        for text in (pem, signer.pem + pem, jwk, f'{{"keys": [{jwk}]}}'):
            with pytest.raises(InvalidValue, match=PRIVATE) as refused:
                read_keys(text)
            assert signer.private_jwk.get("d", "") not in str(refused.value)

    def test_a_private_key_in_openssls_own_form_is_refused_too(self) -> None:
        """Also one under a password."""
        private = SIGNERS["RS256"].private
        old = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
        locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
        for text in (old, locked):
            with pytest.raises(InvalidValue, match=PRIVATE):
                read_keys(text)

    def test_a_shared_key_is_no_public_key(self) -> None:
        """RFC 7518 6.4: with it the server could sign for the client."""
        with pytest.raises(InvalidValue, match="generate a secret"):
            read_keys('{"kty": "oct", "k": "c2VjcmV0"}')

    @pytest.mark.parametrize("bits", [1024, 4608])
    def test_an_rsa_key_is_neither_weak_nor_huge(self, bits: int) -> None:
        """RFC 7518 3.3: 2048 bits or larger."""
        public = rsa.RSAPublicNumbers(65_537, (1 << (bits - 1)) | 1).public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        with pytest.raises(InvalidValue, match=f"this one has {bits}"):
            read_keys(pem)

    @pytest.mark.parametrize(
        "private",
        [
            ec.generate_private_key(ec.SECP384R1()),
            ec.generate_private_key(ec.SECP256K1()),
            ed448.Ed448PrivateKey.generate(),
        ],
    )
    def test_a_key_of_another_kind_is_refused(self, private: ec.EllipticCurvePrivateKey) -> None:
        """RFC 8725 3.2: what is allowed is listed, and nothing else is."""
        pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        with pytest.raises(InvalidValue, match="a key is EC on P-256"):
            read_keys(pem)

    def test_a_dsa_key_and_a_certificate_are_refused(self) -> None:
        """The one signs nothing here; of the other it is told how to take the key out."""
        numbers = dsa.DSAParameterNumbers(p=(1 << 1023) | 1, q=(1 << 159) | 1, g=2)
        pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        assert numbers.g == 2
        with pytest.raises(InvalidValue, match="openssl x509"):
            read_keys(pem)

    @pytest.mark.parametrize(
        "changes",
        [
            {"x": None},
            {"x": "AAAA"},
            {"x": "A" * 43},
            {"x": 5},
            {"x": "a+b/"},
            {"crv": "P-384"},
            {"kty": "ec"},
            {"kty": 1},
            {"kty": None},
            {"use": "enc"},
            {"use": 1},
            {"key_ops": ["sign"]},
            {"key_ops": "verify"},
            {"alg": "RS256"},
            {"alg": "none"},
            {"alg": "HS256"},
            {"alg": 1},
            {"kid": 1},
            {"kid": "a\nb"},
            {"kid": "k" * 129},
        ],
    )
    def test_a_jwk_that_is_not_whole_or_for_something_else_is_refused(
        self, changes: dict[str, object]
    ) -> None:
        """RFC 7517 4, RFC 7518 6.2.1: the point is on its curve, and every member is what it has to be."""
        jwk = {**to_jwk(SIGNERS["ES256"].key), **changes}
        with pytest.raises(InvalidValue):
            read_keys(json.dumps(jwk))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "rubbish",
            "[]",
            "{}",
            '{"keys": {}}',
            '{"keys": [1]}',
            '{"keys": []}',
            '{"keys": [{"kty": "EC", "use": "enc"}]}',
            "[" * 60_000,
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "x" * (TEXT_BYTES_MAX + 1),
            "\ud800",
        ],
    )
    def test_what_is_no_key_is_refused(self, text: str) -> None:
        """In words that say what would be one."""
        with pytest.raises(InvalidValue):
            read_keys(text)

    def test_a_file_has_a_bounded_number_of_keys(self) -> None:
        """No more than a client may have."""
        jwk = to_jwk(SIGNERS["ES256"].key)
        with pytest.raises(InvalidValue, match="more than 16"):
            read_keys(json.dumps({"keys": [jwk] * (KEYS_READ_MAX + 1)}))

    @given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
    def test_nothing_but_a_refusal_comes_of_whatever_is_read(self, text: str) -> None:
        """No fault of a library gets through."""
        with pytest.raises(InvalidValue):
            read_keys(text)

    @given(
        st.fixed_dictionaries(
            {"kty": st.sampled_from(["EC", "RSA", "OKP", "oct"])},
            optional={
                name: st.text(alphabet="AQab-_", max_size=400)
                | st.integers()
                | st.just("P-256")
                | st.just("Ed25519")
                for name in ("crv", "x", "y", "n", "e", "kid", "alg", "use", "d", "k")
            },
        )
    )
    def test_a_jwk_of_anything_is_a_key_or_a_refusal(self, jwk: dict[str, object]) -> None:
        """The same, closer to a key."""
        try:
            key = read_jwk(jwk)
        except InvalidValue:
            return
        assert read_jwk(to_jwk(key)) == key


class TestSignatures:
    """Who signed."""

    @pytest.mark.parametrize("algorithm", SIGNED_BY)
    def test_the_key_that_made_it_is_found(self, algorithm: str) -> None:
        """RFC 7515 5.2."""
        signer, signatures = SIGNERS[algorithm], Signatures()
        *head, signature = signer.sign({"a": 1}).rsplit(".", 1)
        signed, raw = head[0].encode(), _decoded(signature)
        others = [Signer.new("ES256").key, signer.key]
        assert signatures.find(others, algorithm, signed, raw, tries=2) == signer.key
        assert signatures.find(others, algorithm, signed + b"x", raw, tries=2) is None
        assert signatures.find(others[:1], algorithm, signed, raw, tries=2) is None

    def test_a_key_is_used_with_its_own_algorithms_only(self) -> None:
        """RFC 8725 3.1: neither another kind's, nor another than its JWK names."""
        signer, signatures = SIGNERS["RS256"], Signatures()
        *head, signature = signer.sign({"a": 1}).rsplit(".", 1)
        signed, raw = head[0].encode(), _decoded(signature)
        narrowed = replace(signer.key, algorithm="PS256")
        assert signatures.find([narrowed], "RS256", signed, raw, tries=1) is None
        assert signatures.find([signer.key], "PS256", signed, raw, tries=1) is None
        for algorithm in ("ES256", "EdDSA"):
            assert signatures.find([signer.key], algorithm, signed, raw, tries=1) is None

    @pytest.mark.parametrize("known", [0, 1, 3])
    def test_it_takes_as_many_checks_whoever_is_known(self, known: int) -> None:
        """RFC 6749 10.10: how long a refusal takes tells nothing of who has keys."""
        counted = _Counting()
        signatures = Signatures()
        signatures.prepare()
        for name in sum(ALGORITHMS.values(), ()):
            signatures._algorithms[name] = counted
        keys = [Signer.new("ES256").key for _ in range(known)]
        for algorithm in sum(ALGORITHMS.values(), ()):
            counted.checks = 0
            assert signatures.find(keys, algorithm, b"signed", b"signature", tries=3) is None
            assert counted.checks == 3

    @pytest.mark.parametrize("algorithm", ALGORITHMS["RSA"])
    @pytest.mark.parametrize("bits", [2048, 3072, 4096])
    def test_each_check_is_one_of_a_key_that_is_as_long_as_the_signature(
        self, algorithm: str, bits: int
    ) -> None:
        """RFC 6749 10.10: any other refuses it at once, which would tell how long a client's keys are."""
        counted = _Counting()
        signatures = Signatures()
        signatures.prepare()
        signatures._algorithms[algorithm] = counted
        of_2048 = Signer.new("RS256").key
        for keys in ([], [of_2048], [of_2048, Signer.new("ES256").key]):
            counted.sizes.clear()
            assert signatures.find(keys, algorithm, b"signed", bytes(bits // 8), tries=3) is None
            assert counted.sizes == [bits] * 3

    @given(st.sampled_from(sum(ALGORITHMS.values(), ())), st.binary(max_size=300), st.binary(max_size=300))
    def test_no_signature_of_anything_is_a_fault(
        self, algorithm: str, signed: bytes, signature: bytes
    ) -> None:
        """It is wrong, and that is all."""
        keys = [it.key for it in SIGNERS.values()]
        assert SIGNATURES.find(keys, algorithm, signed, signature, tries=4) is None


SIGNATURES = Signatures()


class _Counting:
    """An algorithm that counts how often it is asked, with RSA keys of which size; nothing is right."""

    checks = 0

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def verify(self, _signed: bytes, key: object, _signature: bytes) -> bool:
        """It is wrong."""
        self.checks += 1
        self.sizes += [key.key_size] if isinstance(key, rsa.RSAPublicKey) else []
        return False


def _decoded(part: str) -> bytes:
    from jwt.utils import base64url_decode  # noqa: PLC0415 - its own spelling of it

    return base64url_decode(part.encode())
