"""The token endpoint, without I/O: a request becomes a command, an outcome an answer (RFC 6749 4.4, 6)."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from licet.credentials.keyring import new_keyring
from licet.credentials.tokens import Tokens
from licet.ledger.commands import (
    ClientRefused,
    Denied,
    Ended,
    Grant,
    Granted,
    Outcome,
    Refresh,
    ScopeRefused,
    SessionUnknown,
    Swept,
)
from licet.model import Client, GrantType, NoSeatReason, Scope, Session
from licet.protocol import token
from licet.protocol.errors import OAuthError
from licet.protocol.message import Request
from support.examples import ALL, CLIENTS, FULL, REPORT, REPORTS, VIEW, jim_test, sid

NOW_MS = 1_700_000_000_000
TOKENS = Tokens(new_keyring(NOW_MS))
TENANT = jim_test(scopes=(VIEW, ALL, REPORT), pools=(FULL, REPORTS))
CLIENT = CLIENTS[0]
SESSION = Session(
    sid=sid(1),
    tenant_id=1,
    client_key=1,
    scope="view all",
    pool_id=1,
    holder="client:TestClientId",
    started_at_ms=NOW_MS,
    renewed_at_ms=NOW_MS,
    expires_at_ms=NOW_MS + 1_200_000,
    address="192.0.2.1",
)
REFRESH_TOKEN = TOKENS.refresh(SESSION)
GRANTED = Granted(
    session=SESSION, may_refresh=True, scope="view all", at_ms=NOW_MS, access_expires_at_ms=NOW_MS + 600_000
)


def read(client: Client = CLIENT, **form: str) -> Grant | Refresh:
    request = Request(tenant="Jim_Test", basic=None, form=form, address="192.0.2.9")
    command = token.read(request, TENANT, client, TOKENS, sid(9))
    assert isinstance(command, Grant | Refresh)
    return command


def grant(client: Client = CLIENT, **form: str) -> Grant:
    command = read(client, grant_type="client_credentials", **form)
    assert isinstance(command, Grant)
    return command


def refresh(client: Client = CLIENT, **form: str) -> Refresh:
    command = read(client, grant_type="refresh_token", **{"refresh_token": REFRESH_TOKEN, **form})
    assert isinstance(command, Refresh)
    return command


def refused(client: Client = CLIENT, **form: str) -> str:
    with pytest.raises(OAuthError) as raised:
        read(client, **form)
    assert raised.value.status == 400
    return raised.value.error


def answered(outcome: Outcome) -> dict[str, Any]:
    response = token.respond(outcome, TENANT, TOKENS)
    assert response.status == 200
    content: dict[str, Any] = json.loads(response.body)
    return content


def failed(outcome: Outcome, no_seat_status: int = 400) -> OAuthError:
    with pytest.raises(OAuthError) as raised:
        token.respond(outcome, replace(TENANT, no_seat_status=no_seat_status), TOKENS)
    return raised.value


class TestGrantType:
    """S06; RFC 6749 5.2."""

    def test_a_grant_type_that_is_absent_is_a_malformed_request(self) -> None:
        """It is required."""
        assert refused() == "invalid_request"

    @pytest.mark.parametrize(
        "name", ["password", "authorization_code", "Client_Credentials", "x", "implicit "]
    )
    def test_one_that_is_unknown_is_unsupported(self, name: str) -> None:
        """RFC 6749 1.9: values are case sensitive."""
        assert refused(grant_type=name) == "unsupported_grant_type"

    @pytest.mark.parametrize("grant_type", list(GrantType))
    def test_one_that_the_client_may_not_use_is_unauthorized(self, grant_type: GrantType) -> None:
        """Whatever else stands in the request."""
        other = replace(CLIENT, grant_types=frozenset(GrantType) - {grant_type})
        assert refused(other, grant_type=grant_type.value, scope="\\") == "unauthorized_client"


class TestGrant:
    """grant_type=client_credentials (RFC 6749 4.4.2)."""

    def test_a_grant_is_for_the_client_that_asks_and_for_its_tenant(self) -> None:
        """Nothing in the form can change whom it is for."""
        assert grant(client_id="Client2", tenant="Other") == Grant(
            tenant_id=1, client_key=1, sid=sid(9), scope="all", pool_id=1, address="192.0.2.9"
        )

    def test_no_scope_means_the_default_scope_and_a_seat(self) -> None:
        """S22; L1; RFC 6749 3.3."""
        assert (grant().scope, grant().pool_id) == ("all", 1)

    def test_view_alone_needs_no_seat(self) -> None:
        """S25; L1."""
        assert (grant(scope="view").scope, grant(scope="view").pool_id) == ("view", None)

    @pytest.mark.parametrize("scope", ["view all", "all view", "all all view"])
    def test_the_order_of_scopes_does_not_matter(self, scope: str) -> None:
        """S23; RFC 6749 3.3: their order does not matter, and one that is named twice counts once."""
        command = grant(scope=scope)
        assert set(command.scope.split(" ")) == {"view", "all"}
        assert len(command.scope.split(" ")) == 2
        assert command.pool_id == 1

    @pytest.mark.parametrize(
        "scope",
        [
            "admin",
            "View",
            "ALL",
            "view admin",
            " view",
            "view ",
            "view  all",
            "view,all",
            'a"b',
            "a\\b",
            "é",
            "all\u00a0",
        ],
    )
    def test_an_unknown_or_malformed_scope_is_refused(self, scope: str) -> None:
        """S23; RFC 6749 3.3, App. A.4."""
        assert refused(grant_type="client_credentials", scope=scope) == "invalid_scope"

    def test_a_scope_that_the_client_may_not_have_is_refused_and_not_dropped(self) -> None:
        """S24."""
        viewer = replace(CLIENT, scopes=frozenset({"view"}))
        assert grant(viewer, scope="view").scope == "view"
        for scope in ("all", "view all"):
            assert refused(viewer, grant_type="client_credentials", scope=scope) == "invalid_scope"
        assert refused(viewer, grant_type="client_credentials") == "invalid_scope"

    def test_scopes_of_two_pools_are_refused(self) -> None:
        """L1: a session holds a seat of one pool at most."""
        assert grant(scope="report").pool_id == 2
        assert refused(grant_type="client_credentials", scope="all report") == "invalid_scope"

    @given(st.text(max_size=60))
    def test_any_scope_is_granted_or_refused(self, scope: str) -> None:
        """S08, S23; what is granted is what was asked."""
        with suppress(OAuthError):
            assert set(grant(scope=scope).scope.split(" ")) == set((scope or "all").split(" "))

    def test_a_refresh_token_in_a_grant_is_ignored(self) -> None:
        """S04: it is not a parameter of this grant."""
        assert grant(refresh_token="anything").sid == sid(9)


class TestRefresh:
    """grant_type=refresh_token (RFC 6749 6)."""

    def test_a_refresh_names_the_session_of_its_token(self) -> None:
        """And never a new one."""
        assert refresh() == Refresh(
            tenant_id=1, client_key=1, sid=SESSION.sid, scope=None, address="192.0.2.9"
        )

    def test_a_refresh_may_ask_for_less_scope(self) -> None:
        """S32; whether it is less, the ledger knows."""
        assert refresh(scope="view").scope == ("view",)

    def test_a_refresh_token_that_is_absent_is_a_malformed_request(self) -> None:
        """RFC 6749 6: it is required."""
        assert refused(grant_type="refresh_token") == "invalid_request"

    @pytest.mark.parametrize(
        "sent",
        ["x", "lcr_", REFRESH_TOKEN[:-1], REFRESH_TOKEN + "A", "lca_" + REFRESH_TOKEN[4:]],
        ids=["text", "prefix", "cut", "longer", "access"],
    )
    def test_a_refresh_token_that_is_none_is_an_invalid_grant(self, sent: str) -> None:
        """S33; RFC 6749 5.2."""
        assert refused(grant_type="refresh_token", refresh_token=sent) == "invalid_grant"

    def test_an_access_token_is_no_refresh_token(self) -> None:
        """RFC 6749 1.5."""
        sent = TOKENS.access(
            SESSION, TENANT, issued_at_ms=NOW_MS, expires_at_ms=NOW_MS + 1, scope=SESSION.scope
        )
        assert refused(grant_type="refresh_token", refresh_token=sent) == "invalid_grant"

    def test_a_refresh_token_of_another_tenant_is_an_invalid_grant(self) -> None:
        """S31: told like one that is unknown."""
        sent = TOKENS.refresh(replace(SESSION, tenant_id=2))
        assert refused(grant_type="refresh_token", refresh_token=sent) == "invalid_grant"

    def test_a_malformed_scope_is_refused(self) -> None:
        """S23."""
        assert refused(grant_type="refresh_token", refresh_token=REFRESH_TOKEN, scope=" ") == "invalid_scope"


class TestAnswer:
    """RFC 6749 5.1, 5.2."""

    def test_a_grant_is_answered_with_both_tokens_their_lives_and_the_scope(self) -> None:
        """S22, S28."""
        content = answered(GRANTED)
        access = TOKENS.read_access(content.pop("access_token"), TENANT)
        assert access is not None
        assert (access.sid, access.issued_at_ms, access.expires_at_ms) == (sid(1), NOW_MS, NOW_MS + 600_000)
        assert content == {
            "token_type": "Bearer",
            "expires_in": 600,
            "refresh_token": REFRESH_TOKEN,
            "refresh_expires_in": 1200,
            "scope": "view all",
        }

    def test_a_narrowed_refresh_is_answered_with_its_scope_and_the_same_refresh_token(self) -> None:
        """S32: the session keeps its own scope."""
        content = answered(replace(GRANTED, scope="view"))
        access = TOKENS.read_access(content["access_token"], TENANT)
        assert access is not None
        assert (access.scope, content["scope"], content["refresh_token"]) == ("view", "view", REFRESH_TOKEN)

    @pytest.mark.parametrize("names", [1, 10, 11, 12, 30, 100])
    def test_an_access_token_that_is_answered_is_accepted_however_long_its_scope_is(self, names: int) -> None:
        """S32; what cannot become a token has to be refused as a scope."""
        scopes = [
            Scope(name=f"{number:064}", licensed=False, read_only=True, pool=None) for number in range(names)
        ]
        tenant = jim_test(scopes=(VIEW, ALL, *scopes))
        narrowed = " ".join(it.name for it in scopes)
        session = replace(SESSION, scope=f"view {narrowed}")
        for form in (
            {"grant_type": "client_credentials", "scope": session.scope},
            {"grant_type": "refresh_token", "scope": narrowed, "refresh_token": REFRESH_TOKEN},
        ):
            request = Request(tenant="Jim_Test", basic=None, form=form, address="192.0.2.9")
            try:
                token.read(request, tenant, CLIENT, TOKENS, sid(9))
            except OAuthError:
                return
        content = answered(replace(GRANTED, session=session, scope=narrowed))
        assert TOKENS.read_access(content["access_token"], TENANT) is not None

    def test_a_client_that_may_not_refresh_gets_no_refresh_token(self) -> None:
        """S28; RFC 6749 4.4.3."""
        content = answered(replace(GRANTED, may_refresh=False))
        assert "refresh_token" not in content
        assert "refresh_expires_in" not in content

    @pytest.mark.parametrize(
        ("life_ms", "told_s"), [(1, 1), (999, 1), (1000, 1), (1999, 1), (2000, 2), (599_999, 599)]
    )
    def test_a_life_is_told_in_whole_seconds_and_never_too_long(self, life_ms: int, told_s: int) -> None:
        """S28: a positive number; rounded down."""
        session = replace(SESSION, expires_at_ms=NOW_MS + life_ms)
        content = answered(replace(GRANTED, session=session, access_expires_at_ms=NOW_MS + life_ms))
        assert (content["expires_in"], content["refresh_expires_in"]) == (told_s, told_s)

    @pytest.mark.parametrize("status", [400, 429, 503])
    def test_a_denial_has_the_status_that_the_tenant_chose(self, status: int) -> None:
        """The body is the same."""
        denied = Denied(reason=NoSeatReason.ALL_IN_USE, pool="full", seats=5, in_use=5, retry_after_s=30)
        error = failed(denied, status)
        assert (error.error, error.status) == ("temporarily_unavailable", status)
        assert dict(error.headers) == {b"retry-after": b"30"}

    @pytest.mark.parametrize(
        ("outcome", "error"),
        [
            (ScopeRefused(why="It cannot be had."), "invalid_scope"),
            (SessionUnknown(), "invalid_grant"),
            (ClientRefused(), "invalid_client"),
        ],
    )
    def test_what_the_ledger_refuses_is_told_as_its_error(self, outcome: Outcome, error: str) -> None:
        """RFC 6749 5.2."""
        assert failed(outcome).error == error

    def test_who_asked_while_its_scope_got_other_pools_is_told_to_try_again(self) -> None:
        """RFC 6749 5.2: a client takes `invalid_scope` for final, and nothing is wrong with its request."""
        error = failed(ScopeRefused(why="It was changed.", is_outdated=True))
        assert (error.error, error.status) == ("server_error", 503)
        assert dict(error.headers) == {b"retry-after": b"1"}

    def test_a_session_that_is_not_there_is_told_like_a_token_that_never_was(self) -> None:
        """S33: indistinguishable."""
        with pytest.raises(OAuthError) as never:
            read(grant_type="refresh_token", refresh_token="x")
        gone = failed(SessionUnknown())
        assert (gone.description, gone.status, gone.headers) == (
            never.value.description,
            never.value.status,
            never.value.headers,
        )

    @pytest.mark.parametrize("outcome", [Ended(session=None, seat_released=False), Swept(sessions=0)])
    def test_an_outcome_of_something_else_is_a_bug(self, outcome: Outcome) -> None:
        """Not an answer."""
        with pytest.raises(AssertionError):
            token.respond(outcome, TENANT, TOKENS)
