"""The error table as values: what is told, with which status, and what never is (RFC 6749 5.2)."""

import re

import pytest

from licet.ledger.commands import Denied
from licet.model import NoSeatReason
from licet.protocol import errors
from licet.protocol.errors import OAuthError, Refusal

# RFC 6749 5.2: %x20-21 / %x23-5B / %x5D-7E
TOLD = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")

TABLE = {
    Refusal.INVALID_REQUEST: ("invalid_request", 400),
    Refusal.NOT_FOUND: ("invalid_request", 404),
    Refusal.METHOD_NOT_ALLOWED: ("invalid_request", 405),
    Refusal.REQUEST_TIMEOUT: ("invalid_request", 408),
    Refusal.BODY_TOO_LARGE: ("invalid_request", 413),
    Refusal.NO_TOKEN: ("invalid_request", 401),
    Refusal.INVALID_CLIENT: ("invalid_client", 401),
    Refusal.INVALID_GRANT: ("invalid_grant", 400),
    Refusal.UNAUTHORIZED_CLIENT: ("unauthorized_client", 400),
    Refusal.UNSUPPORTED_GRANT_TYPE: ("unsupported_grant_type", 400),
    Refusal.INVALID_SCOPE: ("invalid_scope", 400),
    Refusal.INVALID_TOKEN: ("invalid_token", 401),
    Refusal.INSUFFICIENT_SCOPE: ("insufficient_scope", 403),
    Refusal.NO_SEAT: ("temporarily_unavailable", 400),
    Refusal.RATE_LIMITED: ("temporarily_unavailable", 429),
    Refusal.UNAVAILABLE: ("server_error", 503),
    Refusal.SETUP_CHANGED: ("server_error", 503),
    Refusal.FAULT: ("server_error", 500),
}


def denied(reason: NoSeatReason, *, seats: int = 5, retry_after_s: int | None = None) -> Denied:
    return Denied(reason=reason, pool="full", seats=seats, in_use=seats, retry_after_s=retry_after_s)


ALL_IN_USE = denied(NoSeatReason.ALL_IN_USE, retry_after_s=30)
EVERY = (
    errors.invalid_request("The request is malformed."),
    errors.invalid_client("a detail"),
    errors.invalid_grant("a detail"),
    errors.invalid_scope("The scope cannot be had."),
    errors.no_token(),
    errors.invalid_token("The token is not one of this server."),
    errors.insufficient_scope("all", "a detail"),
    errors.no_seat(ALL_IN_USE, 400),
    errors.no_seat(denied(NoSeatReason.NO_SEATS, seats=0), 400),
    errors.no_seat(denied(NoSeatReason.LICENCE_EXPIRED), 400),
    errors.no_seat(denied(NoSeatReason.LICENCE_MISSING), 400),
    errors.no_seat(denied(NoSeatReason.SUSPENDED, retry_after_s=300), 400),
    errors.rate_limited(7),
    errors.unavailable("a detail"),
    errors.setup_changed("a detail"),
    errors.fault(),
)


def test_every_refusal_has_the_code_and_status_of_its_standard() -> None:
    """RFC 6749 5.2, RFC 6750 3.1, RFC 6585 4, RFC 9110 15."""
    assert {refusal: (refusal.error, refusal.status) for refusal in Refusal} == TABLE


@pytest.mark.parametrize("error", EVERY, ids=lambda error: error.refusal.name)
def test_a_description_has_only_the_characters_that_it_may_have(error: OAuthError) -> None:
    """S29; RFC 6749 5.2."""
    assert TOLD.fullmatch(error.description)


@pytest.mark.parametrize("error", EVERY, ids=lambda error: error.refusal.name)
def test_a_challenge_comes_with_401_and_with_a_scope_that_is_too_little(error: OAuthError) -> None:
    """S13, S14; RFC 9110 11.6.1, RFC 6750 3.1: a client may read the header before the error."""
    assert (b"www-authenticate" in dict(error.headers)) == (error.status in {401, 403})


@pytest.mark.parametrize("error", EVERY, ids=lambda error: error.refusal.name)
def test_when_to_try_again_is_told_alike_in_the_header_and_in_the_answer(error: OAuthError) -> None:
    """RFC 9110 10.2.3; a library may hand on only one of them."""
    told = dict(error.headers).get(b"retry-after")
    assert told == (str(error.fields["retry_after"]).encode() if "retry_after" in error.fields else None)


def test_an_error_is_logged_with_its_detail_and_told_without() -> None:
    """S16."""
    for make in (errors.invalid_client, errors.invalid_grant, errors.unavailable, errors.setup_changed):
        one, other = make("unknown"), make("wrong")
        assert (one.detail, other.detail) == ("unknown", "wrong")
        assert (one.description, one.headers, one.fields) == (other.description, other.headers, other.fields)


def test_an_error_without_a_detail_is_logged_as_it_is_told() -> None:
    """There is nothing more to say."""
    error = errors.invalid_request("It is malformed.")
    assert error.detail == error.description == str(error)


def test_a_failed_client_is_asked_for_basic_in_utf_8() -> None:
    """RFC 6749 5.2, RFC 7617 2.1."""
    challenge = dict(errors.invalid_client("").headers)[b"www-authenticate"]
    assert challenge == b'Basic realm="licet", charset="UTF-8"'


def test_who_sends_no_token_gets_a_challenge_without_an_error_code() -> None:
    """S39; RFC 6750 3.1."""
    assert dict(errors.no_token().headers)[b"www-authenticate"] == b'Bearer realm="licet"'


def test_a_bad_token_is_named_in_the_challenge() -> None:
    """S39; RFC 6750 3."""
    challenge = dict(errors.invalid_token("x").headers)[b"www-authenticate"]
    assert challenge == b'Bearer realm="licet", error="invalid_token"'


def test_a_scope_that_may_more_is_named_in_the_challenge() -> None:
    """RFC 6750 3: where there is one."""
    named, unnamed = (dict(errors.insufficient_scope(it, "x").headers) for it in ("all", ""))
    assert named[b"www-authenticate"] == b'Bearer realm="licet", error="insufficient_scope", scope="all"'
    assert unnamed[b"www-authenticate"] == b'Bearer realm="licet", error="insufficient_scope"'


@pytest.mark.parametrize("status", [400, 429, 503])
def test_a_tenant_chooses_the_status_of_no_seat(status: int) -> None:
    """Clients differ in which they understand; the error code stays."""
    error = errors.no_seat(ALL_IN_USE, status)
    assert (error.error, error.status) == ("temporarily_unavailable", status)


def test_a_full_pool_is_told_in_numbers_and_when_to_try_again() -> None:
    """The holders are never told."""
    error = errors.no_seat(ALL_IN_USE, 400)
    assert error.fields == {
        "reason": "all_in_use",
        "pool": "full",
        "seats": 5,
        "in_use": 5,
        "retry_after": 30,
    }
    assert "5 of 5" in error.description


@pytest.mark.parametrize(
    "reason", [NoSeatReason.NO_SEATS, NoSeatReason.LICENCE_EXPIRED, NoSeatReason.LICENCE_MISSING]
)
def test_where_waiting_will_not_help_nobody_is_told_to_wait(reason: NoSeatReason) -> None:
    """L7: an expired licence has no earliest free seat."""
    error = errors.no_seat(denied(reason), 400)
    assert error.headers == ()
    assert error.fields == {"reason": reason.value, "pool": "full", "seats": 5, "in_use": 5}


def test_a_full_pool_and_too_many_attempts_are_told_apart_by_the_reason() -> None:
    """They share an error code."""
    limited = errors.rate_limited(7)
    assert (limited.error, limited.status) == ("temporarily_unavailable", 429)
    assert limited.fields == {"reason": "rate_limited", "retry_after": 7}
