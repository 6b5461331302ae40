"""The error table, row by row, over HTTP: what a client is told, and with which headers.

The rows are those of docs/reference/errors.md.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import pytest

from licet.cli.run.demo import PASSWORD
from licet.model import GrantType
from licet.store.opening import SQLITE_NAME
from support.server.running import RunningServer
from support.server.served_tenant import AWAY, ServedTenant, suspend
from support.waiting import until

GRANT = {"grant_type": "client_credentials"}
BASIC, BEARER = 'Basic realm="licet", charset="UTF-8"', 'Bearer realm="licet"'
BEARER_INVALID = f'{BEARER}, error="invalid_token"'
BEARER_INSUFFICIENT = 'Bearer realm="licet", error="insufficient_scope", scope="all"'


def check(response: httpx.Response, status: int, error: str, challenge: str | None = None) -> dict[str, Any]:
    """What a refusal says beside what every one of them has."""
    assert (response.status_code, response.json()["error"]) == (status, error), response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    assert response.headers.get("www-authenticate") == challenge
    content: dict[str, Any] = response.json()
    assert content.pop("error") == error
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", content.pop("error_description"))
    assert content.pop("request_id") == response.headers["x-request-id"]
    assert response.headers.get("retry-after") == (
        str(content["retry_after"]) if "retry_after" in content else None
    )
    return content


Asking = Callable[[ServedTenant], httpx.Response]

ROWS: dict[str, tuple[int, str, str | None, Asking]] = {
    "malformed": (400, "invalid_request", None, lambda on: on.post("token", "scope=%")),
    "repeated": (400, "invalid_request", None, lambda on: on.post("token", "scope=a&scope=b")),
    "two authentications": (
        400,
        "invalid_request",
        None,
        lambda on: on.ask("token", client_secret="b", **GRANT),
    ),
    "no form": (
        400,
        "invalid_request",
        None,
        lambda on: on.post("token", "{}", content_type="application/json"),
    ),
    "in the query": (400, "invalid_request", None, lambda on: on.post("token?client_secret=b", "")),
    "no parameter": (400, "invalid_request", None, lambda on: on.ask("token", scope="view")),
    "no address": (404, "invalid_request", None, lambda on: on.post("tokens", "")),
    "no such method": (405, "invalid_request", None, lambda on: on.server.http.get(f"/{on.name}/token")),
    "body too large": (413, "invalid_request", None, lambda on: on.post("token", "x" * 8193)),
    "no credentials": (401, "invalid_client", BASIC, lambda on: on.post("token", "grant_type=x")),
    "wrong secret": (
        401,
        "invalid_client",
        BASIC,
        lambda on: on.ask("token", "TestClientId", "wrong", **GRANT),
    ),
    "unknown client": (401, "invalid_client", BASIC, lambda on: on.ask("token", "Nobody", **GRANT)),
    "unknown tenant": (401, "invalid_client", BASIC, lambda on: on.server.ask("Nowhere/token", **GRANT)),
    "another scheme": (401, "invalid_client", BASIC, lambda on: on.post("token", authorization="Bearer x")),
    "no refresh token": (
        400,
        "invalid_grant",
        None,
        lambda on: on.ask("token", grant_type="refresh_token", refresh_token="lcr_x"),
    ),
    "refresh token of another": (
        400,
        "invalid_grant",
        None,
        lambda on: on.refresh(on.grant(scope="view"), "Client2"),
    ),
    "another grant type": (
        400,
        "unsupported_grant_type",
        None,
        lambda on: on.ask("token", grant_type="password"),
    ),
    "unknown scope": (400, "invalid_scope", None, lambda on: on.ask("token", scope="admin", **GRANT)),
    "wider scope": (
        400,
        "invalid_scope",
        None,
        lambda on: on.refresh(on.grant(scope="view"), scope="all"),
    ),
    "no token": (401, "invalid_request", BEARER, lambda on: on.server.http.post(f"/{on.name}/logoff")),
    "no token in the form": (401, "invalid_request", BEARER, lambda on: on.ask("logoff")),
    "token never ours": (
        401,
        "invalid_token",
        BEARER_INVALID,
        lambda on: on.post("logoff", authorization="Bearer x"),
    ),
    "no token of the request": (
        401,
        "invalid_request",
        BEARER,
        lambda on: on.server.http.get(f"/{on.name}/verify"),
    ),
    "token of the request never ours": (
        401,
        "invalid_token",
        BEARER_INVALID,
        lambda on: on.server.http.get(f"/{on.name}/verify", headers={"authorization": "Bearer x"}),
    ),
    "is read-only": (
        403,
        "insufficient_scope",
        BEARER_INSUFFICIENT,
        lambda on: on.server.http.get(
            f"/{on.name}/verify",
            headers={"authorization": f"Bearer {on.grant(scope='view')['access_token']}"},
        ),
    ),
    "may not introspect": (400, "unauthorized_client", None, lambda on: on.ask("introspect", token="x")),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_refusal_is_told_as_the_table_says(tenant: ServedTenant, row: str) -> None:
    """RFC 6749 5.2, RFC 6750 3.1, RFC 7009 2.2.1, RFC 7662 2.3."""
    status, error, challenge, ask = ROWS[row]
    assert check(ask(tenant), status, error, challenge) == {}


def test_a_disabled_client_or_user_is_told_like_an_unknown_one(tenant: ServedTenant) -> None:
    """RFC 6749 5.2."""
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set_client("Client2", enabled=False)
        change.tenant(tenant.name).set_user("C3", enabled=False)
    for client_id in ("Client2", "Client3"):
        check(tenant.ask("token", client_id, **GRANT), 401, "invalid_client", BASIC)


@pytest.mark.parametrize("grant_type", list(GrantType))
def test_a_grant_that_the_client_may_not_use_is_told(tenant: ServedTenant, grant_type: GrantType) -> None:
    """RFC 6749 5.2."""
    with tenant.server.changing() as change:
        allowed = frozenset(GrantType) - {grant_type}
        change.tenant(tenant.name).set_client("TestClientId", grant_types=allowed)
    response = tenant.ask("token", grant_type=grant_type.value, refresh_token="lcr_x")
    assert check(response, 400, "unauthorized_client") == {}


class TestNoSeat:
    """temporarily_unavailable, because no seat is free."""

    @pytest.mark.parametrize("status", [400, 429, 503])
    def test_a_full_pool_is_told_in_numbers_with_the_status_of_the_tenant(
        self, tenant: ServedTenant, status: int
    ) -> None:
        """RFC 6749 4.1.2.1; the holders are never named."""
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set(no_seat_status=status)
        tenant.grant()
        tenant.server.advance(seconds=100.5)
        tenant.grant("Client2")
        response = tenant.ask("token", "Client3", **GRANT)
        assert check(response, status, "temporarily_unavailable") == {
            "reason": "all_in_use",
            "pool": "full",
            "seats": 2,
            "in_use": 2,
            "retry_after": 1100,  # 1200 less 100.5, rounded up
        }
        for holder in ("TestClientId", "TC", "Client2", "C2"):
            assert holder not in response.text

    def test_a_pool_without_seats_says_so_and_nothing_of_waiting(self, tenant: ServedTenant) -> None:
        """There will be none later either."""
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_pool("full", seats=0)
        response = tenant.ask("token", **GRANT)
        assert check(response, 400, "temporarily_unavailable") == {
            "reason": "no_seats",
            "pool": "full",
            "seats": 0,
            "in_use": 0,
        }

    def test_a_licence_that_has_expired_says_so_and_nothing_of_waiting(self, tenant: ServedTenant) -> None:
        """L7; `view` goes on working."""
        with tenant.server.changing() as change:
            now_ms = tenant.server.clock.now_ms()
            change.tenant(tenant.name).set_pool("full", expires_at_ms=now_ms + 1000)
        tenant.grant()
        tenant.server.advance(seconds=1)
        response = tenant.ask("token", **GRANT)
        assert check(response, 400, "temporarily_unavailable") == {
            "reason": "licence_expired",
            "pool": "full",
            "seats": 2,
            "in_use": 0,
        }
        assert tenant.grant(scope="view")["scope"] == "view"

    def test_a_client_that_is_kept_off_is_told_for_how_long(self, tenant: ServedTenant) -> None:
        """L12; `view` goes on working, and other clients get their seats."""
        suspend(tenant, seconds=299.5)
        response = tenant.ask("token", **GRANT)
        assert check(response, 400, "temporarily_unavailable") == {
            "reason": "suspended",
            "pool": "full",
            "seats": 2,
            "in_use": 0,
            "retry_after": 300,
        }
        assert tenant.grant(scope="view")["scope"] == "view"
        assert tenant.grant("Client2")["scope"] == "all"

    def test_who_does_not_authenticate_learns_nothing_of_seats(self, tenant: ServedTenant) -> None:
        """Credentials come first."""
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_pool("full", seats=0)
        assert check(tenant.ask("token", "Client3", "wrong", **GRANT), 401, "invalid_client", BASIC) == {}

    def test_a_refresh_is_never_told_that_there_is_no_seat(self, tenant: ServedTenant) -> None:
        """L5."""
        tokens = tenant.grant()
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_pool("full", seats=0)
        assert tenant.refresh(tokens).status_code == 200


def test_too_many_attempts_are_told_with_the_time_to_wait(strict_server: RunningServer) -> None:
    """RFC 6585 4; nothing of the licence is told."""
    for _ in range(3):
        check(strict_server.ask("Jim_Test/token", "Nobody", **GRANT), 401, "invalid_client", BASIC)
    limited = check(strict_server.ask("Jim_Test/token", "Nobody", **GRANT), 429, "temporarily_unavailable")
    wait_s = limited.pop("retry_after")
    assert limited == {"reason": "rate_limited"}
    assert 1 <= wait_s <= 60
    strict_server.advance(seconds=wait_s)
    check(strict_server.ask("Jim_Test/token", "Nobody", **GRANT), 401, "invalid_client", BASIC)


class TestUnavailable:
    """server_error, because the store is out of reach."""

    def test_whatever_needs_the_store_is_told_to_try_again(self, stranded_server: RunningServer) -> None:
        """RFC 9110 15.6.4, RFC 7009 2.2.1: and never that its credentials or its token are wrong."""
        tokens = self._tokens(stranded_server)
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}
        for response in (
            stranded_server.ask("Jim_Test/token", **GRANT),
            stranded_server.ask("Jim_Test/token", "Client1", **GRANT),
            stranded_server.ask(
                "Jim_Test/token", grant_type="refresh_token", refresh_token=tokens["refresh_token"]
            ),
            stranded_server.ask("Jim_Test/introspect", "Api", token=tokens["access_token"]),
            stranded_server.ask("Jim_Test/revoke", token=tokens["access_token"]),
            stranded_server.http.post("/Jim_Test/logoff", headers=bearer),
            stranded_server.http.get("/Jim_Test/verify", headers=bearer),
        ):
            assert check(response, 503, "server_error") == {"retry_after": 1}

    def test_what_does_not_need_it_is_answered_as_ever(self, stranded_server: RunningServer) -> None:
        """A wrong secret stays wrong, and a process that lives is not to be killed for it."""
        wrong = stranded_server.ask("Jim_Test/token", "TestClientId", "wrong", **GRANT)
        check(wrong, 401, "invalid_client", BASIC)
        assert stranded_server.http.get("/health/live").json() == {"status": "live"}
        assert stranded_server.http.get("/Jim_Test/.well-known/oauth-authorization-server").status_code == 200

    def test_readiness_tells_it_until_the_store_is_back(self, stranded_server: RunningServer) -> None:
        """A load balancer asks another node; nobody has to start anything anew."""
        stranded_server.advance(seconds=2)
        check(stranded_server.http.get("/health/ready"), 503, "server_error")
        self._tokens(stranded_server)
        check(stranded_server.http.get("/health/ready"), 503, "server_error")
        with _store_back(stranded_server):
            _until_ready(stranded_server)
            assert stranded_server.ask("Jim_Test/token", **GRANT).status_code == 200

    @staticmethod
    def _tokens(server: RunningServer) -> dict[str, Any]:
        """A live session, begun while the store was there for a moment."""
        with _store_back(server):
            tokens: dict[str, Any] = server.ask("Jim_Test/token", **GRANT).raise_for_status().json()
        return tokens


def test_a_fault_of_ours_is_told_without_a_word_of_it_and_logged_without_a_secret(
    tenant: ServedTenant,
) -> None:
    """RFC 9110 15.6.1; S30: also what a request brought along is a secret."""
    tokens = tenant.grant()
    _count_seats(tenant, 0)
    form = {"client_id": "TestClientId", "client_secret": PASSWORD}
    before = len(tenant.server.log())
    response = tenant.server.http.post(
        f"/{tenant.name}/logoff", data=form | {"refresh_token": tokens["refresh_token"]}
    )
    assert check(response, 500, "server_error") == {}
    logged = tenant.server.log()[before:]
    assert response.headers["x-request-id"] in logged
    assert "Contradiction" in logged
    assert "Contradiction" not in response.text
    for hidden in (tokens["refresh_token"], f"'{PASSWORD}'"):
        assert hidden not in logged
    assert tenant.server.ask("Jim_Test/token", **GRANT, scope="view").status_code == 200
    _count_seats(tenant, 1)


def _count_seats(tenant: ServedTenant, in_use: int) -> None:
    """Say so many seats are in use, right or wrong: what no command can do."""
    with closing(sqlite3.connect(tenant.server.data / SQLITE_NAME)) as store:
        store.execute(
            "UPDATE pool SET in_use = ? WHERE tenant_id = (SELECT id FROM tenant WHERE name = ?)",
            (in_use, tenant.name),
        )
        store.commit()


@contextmanager
def _store_back(server: RunningServer) -> Iterator[None]:
    """A store that was moved away is back for as long as the block lasts."""
    away, here = server.data / AWAY, server.data / SQLITE_NAME
    away.rename(here)
    try:
        yield
    finally:
        here.rename(away)


def _until_ready(server: RunningServer) -> None:
    until(lambda: server.http.get("/health/ready").status_code == 200)
