"""Assertions by which clients authenticate: what one has to say, when it counts, and who signed it.

RFC 7523 3 has ten rules; each has a test here, in its order. What a server does with them is in
test_private_key_jwt.py.
"""

import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from licet.credentials.client_assertions import (
    ASSERTION_CHARS_MAX,
    JTI_CHARS_MAX,
    LEEWAY_S,
    LIFE_S_MAX,
    SIGNING_ALGORITHMS,
    TRIES_MAX,
    Assertion,
    InvalidAssertion,
    flaw,
    parse,
    signing_key,
)
from licet.credentials.public_keys import Signatures
from licet.model import Client
from support.examples import client
from support.web.signing import ALGORITHMS, Signer, claims

NOW_S = 1_700_000_000
NOW_MS = NOW_S * 1000
ISSUER = "https://licence.example.com/Jim_Test"
OURS = frozenset({ISSUER, f"{ISSUER}/token"})
WHO = "TestClientId"
SIGNER = Signer.new("ES256")
SIGNATURES = Signatures()


def said(**more: Any) -> dict[str, Any]:
    return claims(WHO, ISSUER, now_s=NOW_S, **more)


def signed(**more: Any) -> str:
    return SIGNER.sign(said(**more))


def flaw_of(**more: Any) -> str | None:
    return flaw(parse(signed(**more)), OURS, NOW_MS)


def with_keys(*signers: Signer, **changes: Any) -> Client:
    return client(1, WHO, "TC", keys=tuple(replace(it.key, **changes) for it in signers))


def key_of(assertion: Assertion, known: Client | None, now_ms: int = NOW_MS) -> str | None:
    key = signing_key(assertion, known, SIGNATURES, now_ms)
    return key.thumbprint if key is not None else None


def compact(header: object, payload: object) -> str:
    """Three parts, whatever is in them."""
    return f"{encoded(header)}.{encoded(payload)}.AAAA"


def encoded(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


class TestClaims:
    """RFC 7523 3, rules 1 to 8."""

    @pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "jti"])
    def test_what_has_to_be_there_is_missed(self, name: str) -> None:
        """RFC 7523 3, 1 to 4; jti because each is good once (7)."""
        with pytest.raises(InvalidAssertion):
            parse(signed(**{name: None}))

    @pytest.mark.parametrize("name", ["iss", "sub"])
    def test_the_issuer_is_the_client_that_it_speaks_of(self, name: str) -> None:
        """RFC 7523 3, 1 and 2B; OpenID Connect Core 9."""
        with pytest.raises(InvalidAssertion, match="iss"):
            parse(signed(**{name: "Client1"}))

    @pytest.mark.parametrize("audience", [ISSUER, f"{ISSUER}/token", [ISSUER], [ISSUER, f"{ISSUER}/token"]])
    def test_it_is_for_this_server(self, audience: Any) -> None:
        """RFC 7523 3, 3: the issuer or the token endpoint, as a text or a list."""
        assert flaw_of(aud=audience) is None

    @pytest.mark.parametrize(
        "audience",
        [
            "https://licence.example.com/Other",
            f"{ISSUER}/",
            ISSUER.upper(),
            "",
            [],
            [ISSUER, "https://evil.example.com"],
        ],
    )
    def test_what_is_for_another_server_too_could_come_from_it(self, audience: Any) -> None:
        """RFC 7523 3, 3, by simple comparison of texts; draft-ietf-oauth-rfc7523bis: no other audience."""
        told = flaw_of(aud=audience)
        assert told is not None
        assert "aud" in told

    @pytest.mark.parametrize("ahead_s", [-LEEWAY_S + 1, 0, 1, LIFE_S_MAX, LIFE_S_MAX + LEEWAY_S])
    def test_it_counts_until_it_expires(self, ahead_s: int) -> None:
        """RFC 7523 3, 4, with some seconds for a clock that is behind or ahead."""
        assert flaw_of(exp=NOW_S + ahead_s) is None

    @pytest.mark.parametrize("ahead_s", [-LEEWAY_S, -LEEWAY_S - 1, -NOW_S, -2 * NOW_S])
    def test_what_has_expired_does_not_count(self, ahead_s: int) -> None:
        """RFC 7523 3, 4."""
        assert "expired" in (flaw_of(exp=NOW_S + ahead_s) or "")

    @pytest.mark.parametrize("ahead_s", [LIFE_S_MAX + LEEWAY_S + 1, 1e15])
    def test_what_is_to_live_for_long_does_not_count(self, ahead_s: float) -> None:
        """RFC 7523 3, 4: one that is unreasonably far in the future may be refused."""
        assert "ahead" in (flaw_of(exp=NOW_S + ahead_s) or "")

    @pytest.mark.parametrize("name", ["nbf", "iat"])
    def test_it_does_not_count_before_its_time(self, name: str) -> None:
        """RFC 7523 3, 5 and 6."""
        assert flaw_of(**{name: None}) is None
        assert flaw_of(**{name: NOW_S + LEEWAY_S}) is None
        assert flaw_of(**{name: NOW_S - 0.5}) is None
        assert name in (flaw_of(**{name: NOW_S + LEEWAY_S + 1}) or "")

    def test_its_number_has_a_bounded_length(self) -> None:
        """RFC 7523 3, 7."""
        assert parse(signed(jti="j" * JTI_CHARS_MAX)).jti_hash != parse(signed(jti="k")).jti_hash
        for jti in ("", "j" * (JTI_CHARS_MAX + 1)):
            with pytest.raises(InvalidAssertion, match="jti"):
                parse(signed(jti=jti))

    def test_its_number_is_remembered_for_longer_than_it_counts(self) -> None:
        """RFC 7523 3, 7: for as long as it would be taken."""
        assertion = parse(signed(exp=NOW_S + 60))
        assert flaw(assertion, OURS, assertion.until_ms) is not None
        assert assertion.until_ms >= (NOW_S + 60 + 2 * LEEWAY_S) * 1000

    def test_whatever_else_it_says_is_not_looked_at(self) -> None:
        """RFC 7523 3, 8."""
        assert flaw_of(scope="all", admin=True, nested={"a": [1]}) is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": 1, "sub": 1},
            {"aud": 1},
            {"aud": [1]},
            {"aud": {"a": ISSUER}},
            {"exp": "1700000060"},
            {"exp": True},
            {"exp": [1]},
            {"nbf": "0"},
            {"iat": False},
            {"jti": 1},
            {"jti": ["a"]},
        ],
    )
    def test_a_claim_of_another_kind_is_refused(self, changes: dict[str, Any]) -> None:
        """RFC 7519 4.1: texts are texts, and dates are numbers."""
        with pytest.raises(InvalidAssertion):
            parse(compact({"alg": "ES256"}, said() | changes))

    def test_a_null_is_no_claim_that_is_left_out(self) -> None:
        """RFC 7519 4.1.5: a date is a number."""
        with pytest.raises(InvalidAssertion):
            parse(compact({"alg": "ES256"}, said() | {"nbf": None}))


class TestSignature:
    """RFC 7523 3, rules 9 and 10."""

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_a_key_of_the_client_has_signed_it(self, algorithm: str) -> None:
        """RFC 7523 3, 9."""
        signer = Signer.new(algorithm)
        assertion = parse(signer.sign(said()))
        assert key_of(assertion, with_keys(signer)) == signer.key.thumbprint
        assert key_of(replace(assertion, signed=assertion.signed + b"x"), with_keys(signer)) is None
        assert key_of(replace(assertion, signature=assertion.signature[:-1]), with_keys(signer)) is None
        assert key_of(replace(assertion, signature=b""), with_keys(signer)) is None

    def test_another_key_proves_nothing(self) -> None:
        """RFC 7523 3, 9: neither a stranger's, nor one of nobody, nor one that has expired."""
        assertion = parse(signed())
        assert key_of(assertion, with_keys(Signer.new("ES256"))) is None
        assert key_of(assertion, with_keys()) is None
        assert key_of(assertion, None) is None
        expiring = with_keys(SIGNER, expires_at_ms=NOW_MS)
        assert key_of(assertion, expiring, NOW_MS - 1) == SIGNER.key.thumbprint
        assert key_of(assertion, expiring, NOW_MS) is None

    @pytest.mark.parametrize(
        "algorithm", ["none", "None", "HS256", "HS512", "ES384", "RS512", "es256", "", "A128KW"]
    )
    def test_an_algorithm_that_is_not_allowed_is_refused_before_any_key(self, algorithm: str) -> None:
        """RFC 8725 3.1 and 3.2: no `none`, and none by which a public key would be a secret."""
        with pytest.raises(InvalidAssertion, match="alg"):
            parse(compact({"alg": algorithm}, said()))

    def test_a_public_key_is_no_secret_to_sign_with(self) -> None:
        """RFC 8725 2.1: HS256 with the text of the public key."""
        text = f"{encoded({'alg': 'HS256'})}.{encoded(said())}"
        text += "." + encoded(hmac.digest(SIGNER.pem.encode(), text.encode(), "sha256"))
        with pytest.raises(InvalidAssertion, match="alg"):
            parse(text)

    @pytest.mark.parametrize("kid", ["", "another", 5, None])
    def test_a_key_that_it_names_has_to_be_one_of_the_client(self, kid: Any) -> None:
        """RFC 7515 4.1.4."""
        header = {"alg": "ES256", "kid": kid}
        text = compact(header, said())
        if not isinstance(kid, str):
            with pytest.raises(InvalidAssertion):
                parse(text)
        else:
            assertion = parse(SIGNER.sign(said(), kid=kid))
            assert key_of(assertion, with_keys(SIGNER)) is None

    def test_it_may_name_its_key_by_kid_or_thumbprint(self) -> None:
        """RFC 7515 4.1.4, RFC 7638."""
        other = Signer.new("ES256")
        keys = (*with_keys(other).keys, replace(SIGNER.key, kid="2026-11"))
        for kid in ("2026-11", SIGNER.key.thumbprint):
            assertion = parse(SIGNER.sign(said(), kid=kid))
            assert key_of(assertion, client(1, WHO, "TC", keys=keys)) == SIGNER.key.thumbprint
        assertion = parse(SIGNER.sign(said(), kid=other.key.thumbprint))
        assert key_of(assertion, client(1, WHO, "TC", keys=keys)) is None

    def test_without_a_name_the_newest_keys_that_fit_are_tried(self) -> None:
        """A bounded number of them: who has more names the key."""
        old = replace(SIGNER.key, created_at_ms=0)
        newer = [replace(Signer.new("ES256").key, created_at_ms=1 + it) for it in range(TRIES_MAX)]
        unfit = [replace(Signer.new("EdDSA").key, created_at_ms=9) for _ in range(TRIES_MAX)]
        assertion, named = parse(signed()), parse(SIGNER.sign(said(), kid=SIGNER.key.thumbprint))
        few = client(1, WHO, "TC", keys=(old, *newer[1:], *unfit))
        many = client(1, WHO, "TC", keys=(old, *newer))
        assert key_of(assertion, few) == key_of(named, many) == SIGNER.key.thumbprint
        assert key_of(assertion, many) is None

    @pytest.mark.parametrize("typ", [None, "JWT", "jwt", "client-authentication+jwt", "application/JWT"])
    def test_its_type_is_a_jwt_or_one_for_this(self, typ: str | None) -> None:
        """RFC 7519 5.1, draft-ietf-oauth-rfc7523bis."""
        assert parse(SIGNER.sign(said(), typ=typ)).client_id == WHO

    @pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "dpop+jwt", ""])
    def test_what_was_signed_for_something_else_is_refused(self, typ: str) -> None:
        """RFC 8725 3.11 and 3.12: one kind of text cannot be used as another."""
        with pytest.raises(InvalidAssertion):
            parse(compact({"alg": "ES256", "typ": typ}, said()))

    @pytest.mark.parametrize("crit", [["exp"], [], None, "b64"])
    def test_what_has_to_be_understood_and_is_not_is_refused(self, crit: object) -> None:
        """RFC 7515 4.1.11."""
        with pytest.raises(InvalidAssertion, match="crit"):
            parse(compact({"alg": "ES256", "crit": crit}, said()))

    def test_a_key_that_it_brings_along_proves_nothing(self) -> None:
        """RFC 8725 3.10: jwk, jku and x5u are the sender's."""
        attacker = Signer.new("ES256")
        text = attacker.sign(
            said(), jwk=json.loads(attacker.key.jwk), jku="https://evil.example.com/jwks.json"
        )
        assert key_of(parse(text), with_keys(SIGNER)) is None


class TestForm:
    """What is no assertion at all."""

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ".",
            "..",
            "a.b",
            "a.b.c.d",
            "a.b.c.d.e",
            "a b.c.d",
            "AAAA.AAAA.A+A/",
            "AAAA.AAAA.AA==",
            "\u00e9.\u00e9.\u00e9",
            compact([], {}),
            compact({}, []),
            compact(b"\xff", {}),
            compact({"alg": "ES256"}, b'{"iss":"\\ud800"}'),
            compact({"alg": "ES256"}, b"[" * 2000),
            compact({"alg": "ES256"}, b'{"exp":1e999}'),
            compact({"alg": "ES256"}, b'{"exp":NaN}'),
        ],
    )
    def test_it_is_refused_without_a_word_of_it(self, text: str) -> None:
        """RFC 7515 3.1 and 7.1."""
        with pytest.raises(InvalidAssertion) as refused:
            parse(text)
        assert len(text) < 5 or text not in str(refused.value)

    def test_its_length_is_bounded_before_it_is_read(self) -> None:
        """A text of four kilobytes: a signature by the longest key that is taken has 683 letters."""
        fitting = signed(pad="x" * 2000)
        assert len(fitting) < ASSERTION_CHARS_MAX
        parse(fitting)
        with pytest.raises(InvalidAssertion, match="longer"):
            parse("x" * (ASSERTION_CHARS_MAX + 1))

    def test_nothing_prints_it(self) -> None:
        """What can be sent again is a secret."""
        text = signed()
        assert repr(parse(text)) == "Assertion(ES256)"

    @given(st.text(max_size=200))
    def test_whatever_comes_is_refused_and_nothing_breaks(self, text: str) -> None:
        """No fault of a parser gets through."""
        with pytest.raises(InvalidAssertion):
            parse(text)

    @given(
        st.fixed_dictionaries(
            {},
            optional={
                "alg": st.sampled_from([*SIGNING_ALGORITHMS, "none"]) | st.integers(),
                "kid": st.text(),
                "typ": st.text() | st.just("JWT"),
            },
        ),
        st.fixed_dictionaries(
            {},
            optional={
                "iss": st.just(WHO) | st.text() | st.none(),
                "sub": st.just(WHO) | st.text(),
                "aud": st.just(ISSUER) | st.lists(st.just(ISSUER) | st.text()) | st.integers(),
                "exp": st.integers(NOW_S - 2000, NOW_S + 2000) | st.floats(allow_nan=False) | st.text(),
                "iat": st.integers(NOW_S - 2000, NOW_S + 2000) | st.booleans(),
                "nbf": st.integers() | st.floats(allow_nan=False, allow_infinity=False),
                "jti": st.text(),
            },
        ),
    )
    def test_what_is_let_through_obeys_every_rule(
        self, header: dict[str, Any], payload: dict[str, Any]
    ) -> None:
        """RFC 7523 3, on whatever claims."""
        try:
            assertion = parse(compact(header, payload))
        except InvalidAssertion:
            return
        assert payload["iss"] == payload["sub"] == assertion.client_id
        assert 0 < len(payload["jti"]) <= JTI_CHARS_MAX
        assert header["alg"] in SIGNING_ALGORITHMS
        if flaw(assertion, OURS, NOW_MS) is None:
            audiences = payload["aud"] if isinstance(payload["aud"], list) else [payload["aud"]]
            assert audiences
            assert OURS.issuperset(audiences)
            assert NOW_S - LEEWAY_S < payload["exp"] <= NOW_S + LIFE_S_MAX + LEEWAY_S
            assert payload.get("iat", 0) <= NOW_S + LEEWAY_S
            assert payload.get("nbf", 0) <= NOW_S + LEEWAY_S
        assert key_of(assertion, with_keys(SIGNER)) is None
