"""Reading a form as RFC 6749 3.2 and App. B ask, and writing answers."""

import json
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from licet.protocol.errors import OAuthError, invalid_client
from licet.protocol.message import (
    BODY_BYTES_MAX,
    KNOWN,
    PARAMETERS_MAX,
    answer,
    body_too_large,
    check_content_type,
    check_query,
    form_decode,
    parse_form,
    refusal,
    required,
)

CONTROL = "".join(map(chr, (*range(0x20), 0x7F)))
NAMES = st.text(st.characters(codec="utf-8", exclude_characters=CONTROL))
FORMS = st.dictionaries(NAMES, NAMES.filter(bool), max_size=PARAMETERS_MAX)


def refused(body: bytes) -> OAuthError:
    with pytest.raises(OAuthError) as raised:
        parse_form(body)
    assert (raised.value.error, raised.value.status) == ("invalid_request", 400)
    return raised.value


class TestForm:
    """What comes out of a body."""

    @given(FORMS, st.sampled_from((quote, quote_plus)))
    def test_a_form_is_read_as_it_was_written(
        self, form: dict[str, str], quote_via: Callable[..., str]
    ) -> None:
        """RFC 6749 App. B: a space is `+` or %20."""
        assert parse_form(urlencode(form, quote_via=quote_via).encode()) == form

    @given(FORMS)
    def test_the_order_of_the_parameters_does_not_matter(self, form: dict[str, str]) -> None:
        """RFC 6749 3.2."""
        backwards = dict(reversed(form.items()))
        assert parse_form(urlencode(form).encode()) == parse_form(urlencode(backwards).encode())

    @given(st.binary(max_size=200))
    @example(b"%")
    @example(b"a=%0")
    @example(b"&&==&=")
    @example("scope=\u00fcber".encode("latin-1"))
    def test_any_bytes_are_a_form_or_refused(self, body: bytes) -> None:
        """RFC 6749 5.2: nothing that is sent is a fault of the server."""
        with suppress(OAuthError):
            assert all(parse_form(body).values())

    def test_text_beyond_ascii_may_stand_as_it_is(self) -> None:
        """RFC 6749 App. B: the encoding is UTF-8."""
        assert parse_form("client_id=Müller&client_secret=%C3%A4%2B+".encode()) == {
            "client_id": "Müller",
            "client_secret": "ä+ ",
        }

    def test_only_the_first_equals_sign_divides(self) -> None:
        """A token may end in `=`."""
        assert parse_form(b"token=a=b==") == {"token": "a=b=="}

    def test_an_empty_body_has_no_parameters(self) -> None:
        """RFC 6749 3.2."""
        assert parse_form(b"") == {}

    def test_a_parameter_without_a_value_counts_as_absent(self) -> None:
        """RFC 6749 3.2."""
        assert parse_form(b"scope=&grant_type&token=a") == {"token": "a"}

    @pytest.mark.parametrize("name", sorted(KNOWN))
    def test_a_known_parameter_that_is_there_twice_is_refused(self, name: str) -> None:
        """RFC 6749 3.2: equal values, no value or another spelling of the name make no difference."""
        spelled = "".join(f"%{ord(letter):02x}" for letter in name)
        for other in (f"{name}=a", f"{name}=b", f"{name}=", name, f"{spelled}=a"):
            assert "twice" in refused(f"{name}=a&x=y&{other}".encode()).description

    def test_an_unknown_parameter_may_be_there_twice(self) -> None:
        """RFC 6749 3.2 has unknown parameters ignored; RFC 8707 2 repeats `resource`."""
        assert parse_form(b"resource=a&resource=b&token=c")["token"] == "c"

    def test_names_are_told_apart_by_case(self) -> None:
        """RFC 6749 1.9: unless noted otherwise, all names and values are case sensitive."""
        assert parse_form(b"scope=a&Scope=b") == {"scope": "a", "Scope": "b"}

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            (b"scope=\xff", "UTF-8"),
            (b"scope=%ff", "UTF-8"),
            (b"scope=%C3", "UTF-8"),
            (b"scope=%ED%A0%80", "UTF-8"),  # half of a surrogate pair
            (b"%C0%AE=a", "UTF-8"),  # a dot, longer than it need be
            (b"scope=%", "hexadecimal"),
            (b"scope=%4", "hexadecimal"),
            (b"scope=%zz", "hexadecimal"),
            (b"scope=%+1", "hexadecimal"),
            (b"scope=a\0b", "control"),
            (b"scope=%00", "control"),
            (b"scope=a%0d%0Ab", "control"),
            (b"sco\tpe=a", "control"),
            (b"scope=a\x7f", "control"),
        ],
    )
    def test_what_is_no_clean_text_is_refused(self, body: bytes, told: str) -> None:
        """S08: also in a parameter that nobody knows."""
        assert told in refused(body).description
        assert told in refused(body.replace(b"scope", b"unknown")).description

    def test_the_number_of_parameters_is_bounded(self) -> None:
        """S07."""
        most = "&".join(f"p{number}=x" for number in range(PARAMETERS_MAX))
        assert len(parse_form(most.encode())) == PARAMETERS_MAX
        assert str(PARAMETERS_MAX) in refused(f"{most}&one=more".encode()).description

    def test_a_required_parameter_that_is_absent_is_named(self) -> None:
        """RFC 6749 5.2."""
        assert required({"token": "a"}, "token") == "a"
        with pytest.raises(OAuthError, match="token is missing") as raised:
            required({}, "token")
        assert raised.value.error == "invalid_request"

    def test_no_refusal_repeats_what_was_sent(self) -> None:
        """S29."""
        for body in (b"scope=hunter2%", b"hunter2=\xff", b"scope=hunter2&scope=hunter2", b"hunter2=%00"):
            assert "hunter2" not in refused(body).description + refused(body).detail


class TestDecoding:
    """One name or value (RFC 6749 App. B)."""

    @pytest.mark.parametrize(
        ("written", "read"),
        [("a+b", "a b"), ("a%2Bb", "a+b"), ("a%20b", "a b"), ("%c3%A9", "é"), ("100%25", "100%"), ("", "")],
    )
    def test_plus_is_a_space_and_percent_a_byte(self, written: str, read: str) -> None:
        """RFC 6749 App. B."""
        assert form_decode(written) == read

    def test_it_is_decoded_once(self) -> None:
        """`%2541` is `%41`, not `A`."""
        assert form_decode("%2541") == "%41"


class TestContentType:
    """RFC 6749 3.2: the body is a form."""

    @pytest.mark.parametrize(
        "value",
        [
            b"application/x-www-form-urlencoded",
            b"application/x-www-form-urlencoded; charset=UTF-8",
            b"application/x-www-form-urlencoded;charset=utf-8",
            b"Application/X-WWW-Form-URLEncoded",
            b" application/x-www-form-urlencoded ; a=b",
        ],
    )
    def test_a_form_may_be_spelt_in_any_case_and_name_a_charset(self, value: bytes) -> None:
        """RFC 9110 8.3.1."""
        check_content_type(value)

    @pytest.mark.parametrize(
        "value",
        [
            None,
            b"",
            b";",
            b"application/json",
            b"text/plain",
            b"multipart/form-data; boundary=x",
            b"application/x-www-form-urlencoded-not",
            b"application/json; application/x-www-form-urlencoded",
            b"application/x-www-form-urlencoded, application/json",
            b"\xff",
        ],
    )
    def test_anything_else_is_refused(self, value: bytes | None) -> None:
        """S02."""
        with pytest.raises(OAuthError, match="must be a form") as raised:
            check_content_type(value)
        assert raised.value.error == "invalid_request"


class TestQuery:
    """RFC 9700 4.3: nothing of the protocol stands in a URL."""

    @pytest.mark.parametrize("name", [*sorted(KNOWN), "access_token"])
    @pytest.mark.parametrize("query", ["{}=a", "{}", "{}=", "a=b&{}=c", "&&{}=c&"])
    def test_a_parameter_of_the_protocol_is_refused(self, name: str, query: str) -> None:
        """S05."""
        with pytest.raises(OAuthError, match="never in the URL"):
            check_query(query.format(name).encode())

    def test_it_is_refused_in_any_spelling(self) -> None:
        """%63 is c."""
        with pytest.raises(OAuthError):
            check_query(b"%63lient%5Fsecret=a")

    @pytest.mark.parametrize("query", [b"", b"a=b", b"x=client_secret", b"%", b"\xff=%ff", b"Scope"])
    def test_any_other_query_is_ignored(self, query: bytes) -> None:
        """RFC 6749 3.2: an endpoint's URL may have a query of its own."""
        check_query(query)

    @given(st.binary(max_size=100))
    def test_any_bytes_are_a_query_or_refused(self, query: bytes) -> None:
        """S08."""
        with suppress(OAuthError):
            check_query(query)


class TestAnswers:
    """What goes out."""

    def test_an_answer_is_json_that_nobody_keeps(self) -> None:
        """S27; RFC 6749 5.1."""
        response = answer({"scope": "view", "name": "Müller"})
        assert response.status == 200
        assert dict(response.headers) == {
            b"content-type": b"application/json",
            b"cache-control": b"no-store",
            b"pragma": b"no-cache",
        }
        assert json.loads(response.body) == {"scope": "view", "name": "Müller"}

    def test_a_refusal_is_json_with_the_request_id_and_the_headers_of_its_error(self) -> None:
        """S27, S30; RFC 6749 5.2."""
        error = invalid_client("a detail")
        response = refusal(error, "id-1")
        assert response.status == 401
        assert set(answer({}).headers) < set(response.headers)
        assert dict(response.headers)[b"www-authenticate"].startswith(b"Basic ")
        assert json.loads(response.body) == {
            "error": "invalid_client",
            "error_description": error.description,
            "request_id": "id-1",
        }

    def test_what_is_for_the_log_is_not_told(self) -> None:
        """S16: why a client did not authenticate is nobody's business but the log's."""
        assert b"a detail" not in refusal(invalid_client("a detail"), "id-1").body

    def test_a_body_that_is_too_large_is_told_the_limit(self) -> None:
        """S07; RFC 9110 15.5.14."""
        error = body_too_large()
        assert error.status == 413
        assert str(BODY_BYTES_MAX) in error.description
