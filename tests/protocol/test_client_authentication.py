"""How a client says who it is: RFC 6749 2.3.1, RFC 7617."""

from base64 import b64encode
from contextlib import suppress
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from licet.protocol.client_authentication import (
    CLIENT_ID_CHARS_MAX,
    SECRET_CHARS_MAX,
    parse_basic,
    read_credentials,
)
from licet.protocol.errors import OAuthError
from licet.protocol.message import Credentials, Request

PRINTABLE = st.characters(codec="utf-8", exclude_categories=("C", "Z"))
IDS = st.text(PRINTABLE, max_size=10).map(lambda text: text.replace(":", ""))
SECRETS = st.text(PRINTABLE, max_size=20)


def basic(pair: str | bytes) -> bytes:
    return b"Basic " + b64encode(pair.encode() if isinstance(pair, str) else pair)


def read(authorization: bytes | None = None, **form: str) -> Credentials:
    given = None if authorization is None else parse_basic(authorization)
    found = read_credentials(Request(tenant="T", basic=given, form=form, address="192.0.2.1"))
    assert isinstance(found, Credentials)
    return found


def refused(authorization: bytes | None = None, **form: str) -> OAuthError:
    with pytest.raises(OAuthError) as raised:
        read(authorization, **form)
    return raised.value


class TestBasic:
    """HTTP Basic."""

    def test_the_credentials_of_the_example_call_are_read(self) -> None:
        """The header of tests/fixtures/webrequest.http."""
        assert parse_basic(b"Basic VGVzdENsaWVudElkOnBhc3N3b3Jk").candidates == (
            ("TestClientId", "password"),
        )

    @pytest.mark.parametrize("scheme", [b"Basic", b"basic", b"BASIC", b"bAsIc"])
    def test_the_scheme_is_case_insensitive(self, scheme: bytes) -> None:
        """S11; RFC 9110 11.1."""
        assert parse_basic(scheme + b" YTpi").candidates == (("a", "b"),)

    def test_the_first_colon_divides(self) -> None:
        """S09; RFC 7617 2: a password may have colons, an id has none."""
        assert parse_basic(basic("a:b:c")).candidates == (("a", "b:c"),)

    @given(IDS, SECRETS)
    def test_form_encoded_credentials_are_decoded_first(self, client_id: str, secret: str) -> None:
        """S09; RFC 6749 2.3.1, App. B."""
        assert parse_basic(basic(f"{quote_plus(client_id)}:{quote_plus(secret)}")).candidates[0] == (
            client_id,
            secret,
        )

    def test_a_form_encoded_id_may_have_a_colon(self) -> None:
        """S09; RFC 6749 App. B."""
        assert parse_basic(basic(f"{quote_plus('a:b c')}:{quote('d e')}")).candidates[0] == ("a:b c", "d e")

    @given(IDS, SECRETS)
    def test_credentials_as_they_are_stay_a_candidate(self, client_id: str, secret: str) -> None:
        """RFC 7617 2: curl and the example call of the Web API do not encode them."""
        candidates = parse_basic(basic(f"{client_id}:{secret}")).candidates
        assert (client_id, secret) in candidates
        assert len(candidates) == 1 or "%" in client_id + secret or "+" in client_id + secret

    def test_what_only_looks_form_encoded_is_taken_as_it_is(self) -> None:
        """A raw password may have a `%`; if it is not right either, the answer says what is odd about it."""
        for secret, flaw in {"100%": "hexadecimal", "b%ff": "UTF-8", "b%00": "control"}.items():
            credentials = parse_basic(basic(f"a:{secret}"))
            assert credentials.candidates == (("a", secret),)
            assert flaw in credentials.flaw

    @pytest.mark.parametrize(
        ("authorization", "told"),
        [
            (b"Basic", "colon"),
            (b"Basic ", "colon"),
            (b"Basic !!!!", "Base64"),
            (b"Basic YTpi=", "Base64"),
            (b"Basic YTp", "Base64"),  # no padding
            (b"Basic YT pi", "Base64"),
            (b"Basic YTpi\xff", "Base64"),
            (b"Basic _-_-", "Base64"),  # the alphabet of URLs
            (basic(b"a:\xff"), "UTF-8"),
            (basic("a"), "colon"),
            (basic("a:\0"), "control"),
            (basic("a\n:b"), "control"),
        ],
    )
    def test_what_is_malformed_is_refused_with_the_reason(self, authorization: bytes, told: str) -> None:
        """S10: 400 and never 500."""
        error = refused(authorization)
        assert (error.error, error.status) == ("invalid_request", 400)
        assert told in error.description

    @pytest.mark.parametrize("authorization", [b"", b"Bearer abc", b"Digest a=b", b"Basics YTpi", b"\xff"])
    def test_another_scheme_proves_nothing(self, authorization: bytes) -> None:
        """S13: it is answered with the challenge that names Basic."""
        error = refused(authorization)
        assert (error.error, error.status) == ("invalid_client", 401)
        assert dict(error.headers)[b"www-authenticate"].startswith(b"Basic ")

    @given(st.binary(max_size=120))
    @example(b"Basic Og==")
    def test_any_bytes_are_credentials_or_refused(self, authorization: bytes) -> None:
        """S08, S10."""
        with suppress(OAuthError):
            assert parse_basic(authorization).candidates

    @given(st.binary(max_size=120))
    @example(b"%:%ff")
    @example(b"+:\x85")
    def test_any_bytes_in_base64_are_credentials_or_refused(self, pair: bytes) -> None:
        """S08, S10."""
        with suppress(OAuthError):
            assert 1 <= len(parse_basic(basic(pair)).candidates) <= 2

    def test_the_secret_is_not_shown_by_accident(self) -> None:
        """S30: a log or a traceback may show the value."""
        assert "hunter2" not in repr(parse_basic(basic("a:hunter2")))


class TestBounds:
    """S07: what is longer than any credentials can be is refused before it is hashed."""

    def test_credentials_of_the_largest_size_are_read(self) -> None:
        """The bounds count characters, not bytes."""
        client_id, secret = "ä" * CLIENT_ID_CHARS_MAX, "é" * SECRET_CHARS_MAX
        assert parse_basic(basic(f"{client_id}:{secret}")).candidates == ((client_id, secret),)
        assert read(client_id=client_id, client_secret=secret).candidates == ((client_id, secret),)

    def test_they_count_what_was_encoded_and_not_its_encoding(self) -> None:
        """RFC 6749 App. B: a letter becomes up to twelve characters."""
        client_id, secret = "ä" * CLIENT_ID_CHARS_MAX, "!" * SECRET_CHARS_MAX
        candidates = parse_basic(basic(f"{quote(client_id)}:{quote(secret)}")).candidates
        assert candidates[0] == (client_id, secret)

    @pytest.mark.parametrize(
        ("client_id", "secret"), [("a" * (CLIENT_ID_CHARS_MAX + 1), "b"), ("a", "b" * (SECRET_CHARS_MAX + 1))]
    )
    def test_longer_ones_are_answered_like_wrong_ones(self, client_id: str, secret: str) -> None:
        """S16: their length tells nothing."""
        for error in (
            refused(basic(f"{client_id}:{secret}")),
            refused(client_id=client_id, client_secret=secret),
        ):
            assert (error.error, error.status) == ("invalid_client", 401)


class TestPlaces:
    """The header or the body, and never both."""

    def test_credentials_in_the_body_are_taken_as_they_are(self) -> None:
        """RFC 6749 2.3.1: the form was decoded already."""
        assert read(client_id="a%41+", client_secret="b+%42").candidates == (("a%41+", "b+%42"),)

    @pytest.mark.parametrize(
        "form", [{"client_secret": "password"}, {"client_id": "a", "client_secret": "b"}]
    )
    def test_two_secrets_are_refused(self, form: dict[str, str]) -> None:
        """S12; RFC 6749 2.3: never more than one way, even with equal values."""
        error = refused(basic("a:b"), **form)
        assert (error.error, error.status) == ("invalid_request", 400)
        assert "twice" in error.description

    def test_the_body_may_repeat_the_client_id_of_the_header(self) -> None:
        """S12: many libraries do; as it is or as it was meant."""
        assert read(basic("a:b"), client_id="a").candidates == (("a", "b"),)
        assert read(basic("a%41:b"), client_id="aA").candidates[0] == ("aA", "b")
        assert read(basic("a%41:b"), client_id="a%41").candidates[0] == ("aA", "b")

    def test_the_body_may_not_name_another_client(self) -> None:
        """S12."""
        error = refused(basic("a:b"), client_id="c")
        assert (error.error, error.status) == ("invalid_request", 400)

    @pytest.mark.parametrize("form", [{}, {"client_id": "a"}, {"client_secret": "b"}])
    def test_half_of_the_credentials_are_none(self, form: dict[str, str]) -> None:
        """S15; RFC 6749 5.2."""
        error = refused(None, **form)
        assert (error.error, error.status) == ("invalid_client", 401)
        assert dict(error.headers)[b"www-authenticate"].startswith(b"Basic ")

    def test_a_header_that_is_malformed_is_not_saved_by_the_body(self) -> None:
        """S12: it is an attempt to use Basic."""
        assert refused(b"Basic !", client_id="a", client_secret="b").error == "invalid_request"
        assert refused(b"Bearer x", client_id="a", client_secret="b").error == "invalid_client"
