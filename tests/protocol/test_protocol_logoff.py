"""Logoff and revocation, without I/O (RFC 6750, RFC 7009)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from licet.credentials.keyring import new_keyring
from licet.credentials.tokens import Tokens
from licet.ledger.commands import ClientRefused, End, Ended, Outcome, SessionUnknown, Swept
from licet.model import EndReason, Session
from licet.protocol import logoff, revoke
from licet.protocol.errors import OAuthError
from licet.protocol.message import Request
from support.examples import CLIENTS, jim_test, sid

NOW_MS = 1_700_000_000_000
TOKENS = Tokens(new_keyring(NOW_MS))
TENANT = jim_test()
CLIENT = CLIENTS[0]
SESSION = Session(
    sid=sid(1),
    tenant_id=1,
    client_key=1,
    scope="all",
    pool_id=1,
    holder="client:TestClientId",
    started_at_ms=NOW_MS,
    renewed_at_ms=NOW_MS,
    expires_at_ms=NOW_MS + 1_200_000,
    address="192.0.2.1",
)
ACCESS = TOKENS.access(SESSION, TENANT, issued_at_ms=NOW_MS, expires_at_ms=NOW_MS + 600_000, scope="all")
REFRESH = TOKENS.refresh(SESSION)
ELSEWHERE = replace(SESSION, tenant_id=2)
FOREIGN = TOKENS.access(ELSEWHERE, TENANT, issued_at_ms=NOW_MS, expires_at_ms=NOW_MS + 600_000, scope="all")


def request(**form: str) -> Request:
    return Request(tenant="Jim_Test", basic=None, form=form, address="192.0.2.9")


class TestBearer:
    """Which token an Authorization header has (RFC 6750 2.1)."""

    @pytest.mark.parametrize(
        ("authorization", "sent"),
        [
            (None, None),
            (b"Bearer abc", "abc"),
            (b"bearer abc", "abc"),
            (b"BEARER  abc ", "abc"),
            (b"Bearer", ""),
            (b"Bearer \xff", "\xff"),
            (b"Basic abc", None),
            (b"Bearerabc", None),
            (b"", None),
        ],
    )
    def test_the_scheme_is_told_from_the_token(self, authorization: bytes | None, sent: str | None) -> None:
        """RFC 9110 11.1: the scheme is case-insensitive."""
        assert logoff.bearer(authorization) == sent

    def test_a_token_of_this_tenant_names_its_session(self) -> None:
        """Whether it lives, the store knows."""
        assert logoff.read_bearer(ACCESS, TENANT, TOKENS).sid == SESSION.sid

    @pytest.mark.parametrize(
        "sent",
        ["", "abc", "\xff", ACCESS[:-1], REFRESH, FOREIGN],
        ids=["nothing", "text", "latin", "cut", "refresh", "foreign"],
    )
    def test_a_token_that_was_never_of_this_tenant_is_invalid(self, sent: str) -> None:
        """S39; RFC 6750 3.1: 401 and the error in the challenge."""
        with pytest.raises(OAuthError) as raised:
            logoff.read_bearer(sent, TENANT, TOKENS)
        assert (raised.value.error, raised.value.status) == ("invalid_token", 401)
        assert b'error="invalid_token"' in dict(raised.value.headers)[b"www-authenticate"]

    def test_a_token_of_a_tenant_that_is_not_there_is_invalid_as_well(self) -> None:
        """S42: the names of tenants are not told."""
        with pytest.raises(OAuthError) as raised:
            logoff.read_bearer(ACCESS, None, TOKENS)
        assert raised.value.error == "invalid_token"

    def test_a_token_that_has_expired_ends_no_session_that_lives(self) -> None:
        """S38: whoever finds an old token must not be able to end a session with it."""
        access = logoff.read_bearer(ACCESS, TENANT, TOKENS)
        logoff.must_be_current(access, SESSION, NOW_MS + 599_999)
        with pytest.raises(OAuthError, match="refresh token") as raised:
            logoff.must_be_current(access, SESSION, NOW_MS + 600_000)
        assert raised.value.error == "invalid_token"

    def test_a_token_that_has_expired_together_with_its_session_is_no_error(self) -> None:
        """S39: logging off twice is none, however late."""
        access = logoff.read_bearer(ACCESS, TENANT, TOKENS)
        logoff.must_be_current(access, None, NOW_MS + 600_000)


class TestForm:
    """A refresh token with the credentials of its client, for who has no good access token any more."""

    def test_a_refresh_token_ends_its_session_if_that_is_the_clients(self) -> None:
        """S39."""
        assert logoff.read_form(request(refresh_token=REFRESH), TENANT, CLIENT, TOKENS) == End(
            tenant_id=1, sid=SESSION.sid, reason=EndReason.LOGOFF, client_key=1
        )

    def test_who_sends_no_token_at_all_is_told_what_to_send(self) -> None:
        """S39; RFC 6750 3.1: a challenge without an error code."""
        with pytest.raises(OAuthError) as raised:
            logoff.read_form(request(), TENANT, CLIENT, TOKENS)
        assert raised.value.status == 401
        assert dict(raised.value.headers) == {b"www-authenticate": b'Bearer realm="licet"'}

    @pytest.mark.parametrize(
        "sent",
        ["abc", REFRESH[:-1], ACCESS, TOKENS.refresh(ELSEWHERE)],
        ids=["text", "cut", "access", "foreign"],
    )
    def test_a_token_that_was_never_a_refresh_token_of_this_tenant_is_invalid(self, sent: str) -> None:
        """S39."""
        with pytest.raises(OAuthError) as raised:
            logoff.read_form(request(refresh_token=sent), TENANT, CLIENT, TOKENS)
        assert (raised.value.error, raised.value.status) == ("invalid_token", 401)


class TestAnswer:
    """What a logoff is told."""

    @pytest.mark.parametrize("released", [True, False])
    @pytest.mark.parametrize("session", [SESSION, None])
    def test_a_session_that_is_over_is_logged_off_whoever_ended_it(
        self, session: Session | None, *, released: bool
    ) -> None:
        """S39: idempotent; the seat is told apart."""
        response = logoff.respond(Ended(session=session, seat_released=released))
        assert response.status == 200
        assert json.loads(response.body) == {"logged_off": True, "seat_released": released}

    def test_of_a_seat_on_hold_it_is_told_in_how_many_seconds_it_is_free(self) -> None:
        """L18: it was not released, and will be."""
        ended = Ended(session=SESSION, seat_released=False, seat_free_at_ms=40_000, seat_released_in_s=40)
        told = {"logged_off": True, "seat_released": False, "seat_released_in": 40}
        assert json.loads(logoff.respond(ended).body) == told

    def test_a_session_of_another_client_is_told_like_a_token_that_never_was(self) -> None:
        """S39: a foreign token has no effect and tells nothing."""
        with pytest.raises(OAuthError) as foreign:
            logoff.respond(SessionUnknown())
        with pytest.raises(OAuthError) as never:
            logoff.read_form(request(refresh_token="abc"), TENANT, CLIENT, TOKENS)
        assert (foreign.value.error, foreign.value.description) == (
            never.value.error,
            never.value.description,
        )

    @pytest.mark.parametrize("outcome", [ClientRefused(), Swept(sessions=0)])
    def test_an_outcome_of_something_else_is_a_bug(self, outcome: Outcome) -> None:
        """Not an answer."""
        with pytest.raises(AssertionError):
            logoff.respond(outcome)


class TestRevoke:
    """RFC 7009."""

    @pytest.mark.parametrize("token", [ACCESS, REFRESH], ids=["access", "refresh"])
    @pytest.mark.parametrize("hint", [None, "access_token", "refresh_token", "anything"])
    def test_either_token_ends_its_session_whatever_the_hint(self, token: str, hint: str | None) -> None:
        """S40; RFC 7009 2.1: the hint only speeds up the search."""
        form = {"token": token} | ({} if hint is None else {"token_type_hint": hint})
        assert revoke.read(request(**form), TENANT, CLIENT, TOKENS) == End(
            tenant_id=1, sid=SESSION.sid, reason=EndReason.REVOKED, client_key=1
        )

    @pytest.mark.parametrize(
        "token",
        ["abc", ACCESS[:-1], FOREIGN, TOKENS.refresh(ELSEWHERE)],
        ids=["text", "cut", "foreign access", "foreign refresh"],
    )
    def test_a_token_that_is_none_of_this_tenant_ends_nothing(self, token: str) -> None:
        """S40; RFC 7009 2.2: it is no error."""
        assert revoke.read(request(token=token), TENANT, CLIENT, TOKENS) is None

    @given(st.text(min_size=1, max_size=100))
    def test_any_text_is_no_error(self, token: str) -> None:
        """S08, S40."""
        assert revoke.read(request(token=token), TENANT, CLIENT, TOKENS) is None

    def test_a_token_that_is_absent_is_a_malformed_request(self) -> None:
        """RFC 7009 2.1: it is required."""
        with pytest.raises(OAuthError) as raised:
            revoke.read(request(), TENANT, CLIENT, TOKENS)
        assert raised.value.error == "invalid_request"

    def test_the_answer_says_nothing_in_json(self) -> None:
        """S40; RFC 7009 2.2: the client looks at the status only. Some parse what comes with it."""
        response = revoke.respond()
        assert (response.status, response.body) == (200, b"{}")
        assert (b"cache-control", b"no-store") in response.headers
