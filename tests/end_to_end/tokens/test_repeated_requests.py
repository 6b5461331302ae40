"""The same bytes again, at a running server: what has changed meanwhile counts, as it does for all."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from licet.clock import wall_ms
from support.cli.command_line import run
from support.server.callers import TENANT, rows, with_secrets
from support.server.running import RunningServer
from support.server.wire import Wire
from support.waiting import until

TIMES = 3  # the first is parsed, and the others are not


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that the tests share; each brings its own clients."""
    with RunningServer(tmp_path_factory.mktemp("repeated"), trusted_proxies="127.0.0.1") as running:
        yield running


class Repeated:
    """A client that sends the same bytes again and again, in one piece."""

    def __init__(self, server: RunningServer, request: bytes) -> None:
        self._url, self._request = server.url, request

    def ask(self, source: str | None = None) -> tuple[int, Any]:
        """Send them, from this address; the status and content of the answer."""
        with Wire(self._url, source) as wire:
            wire.send(self._request)
            answer = wire.answer()
        assert answer is not None
        return answer.status, json.loads(answer.body) if answer.body else None

    def ask_often(self) -> list[tuple[int, Any]]:
        """Send them so often that they are known."""
        return [self.ask() for _ in range(TIMES)]


def posted(endpoint: str, authorization: str, form: str, *fields: str) -> bytes:
    head = [
        f"POST /{TENANT}/{endpoint} HTTP/1.1",
        "Host: licet.test",
        f"Authorization: {authorization}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(form)}",
        *fields,
    ]
    return ("\r\n".join(head) + "\r\n\r\n" + form).encode()


def granting(server: RunningServer, client_id: str, scope: str = "all") -> tuple[Repeated, str]:
    """A new client that asks for tokens, and its header."""
    (header,) = with_secrets(server, [client_id]).values()
    return Repeated(server, posted("token", header, f"grant_type=client_credentials&scope={scope}")), header


def verifying(server: RunningServer, token: str, method: str = "POST") -> Repeated:
    """A proxy that asks whether requests with this token may pass."""
    head = [
        f"GET /{TENANT}/verify HTTP/1.1",
        "Host: licet.test",
        f"Authorization: Bearer {token}",
        f"X-Original-Method: {method}",
    ]
    return Repeated(server, ("\r\n".join(head) + "\r\n\r\n").encode())


def operate(server: RunningServer, *arguments: str) -> str:
    """Run a verb of the command line about the tenant, in another process."""
    return run(*arguments, "--tenant", TENANT, "--data", str(server.data)).stdout


def test_each_grant_is_a_session_of_its_own(operated: RunningServer) -> None:
    """Two answers never have the same token, whatever is remembered of the request."""
    client, _ = granting(operated, "Own")
    answers = client.ask_often()
    assert [status for status, _ in answers] == [200] * TIMES
    assert len({content["access_token"] for _, content in answers}) == TIMES
    assert len({content["refresh_token"] for _, content in answers}) == TIMES


def test_a_grant_through_a_proxy_has_the_address_that_the_proxy_gives(operated: RunningServer) -> None:
    """What stands before the endpoints reads the headers of a request that came before, too."""
    (header,) = with_secrets(operated, ["Behind"]).values()
    form = "grant_type=client_credentials&scope=view"
    for host in ("192.0.2.1", "192.0.2.2"):
        Repeated(operated, posted("token", header, form, f"X-Forwarded-For: {host}")).ask_often()
    sessions = rows(
        operated,
        "SELECT address FROM session JOIN client ON client.key = client_key WHERE client_id = 'Behind'",
    )
    assert sorted(sessions) == [("192.0.2.1",)] * TIMES + [("192.0.2.2",)] * TIMES


def test_a_header_of_a_proxy_counts_for_who_is_that_proxy_and_for_nobody_else(
    operated: RunningServer,
) -> None:
    """The same bytes from elsewhere: their `X-Forwarded-For` is the sender's own word."""
    (header,) = with_secrets(operated, ["Posing"]).values()
    form = "grant_type=client_credentials&scope=view"
    client = Repeated(operated, posted("token", header, form, "X-Forwarded-For: 192.0.2.1"))
    client.ask_often()
    for _ in range(TIMES):
        assert client.ask("127.0.0.2")[0] == 200
    client.ask()
    sessions = rows(
        operated,
        "SELECT address FROM session JOIN client ON client.key = client_key WHERE client_id = 'Posing'",
    )
    assert sorted(sessions) == [("127.0.0.2",)] * TIMES + [("192.0.2.1",)] * (TIMES + 1)


def test_a_client_that_is_disabled_or_removed_is_refused_at_once(operated: RunningServer) -> None:
    """When the command has ended, the next request is refused."""
    client, _ = granting(operated, "Disabled")
    client.ask_often()
    operate(operated, "client", "disable", "Disabled", "--yes")
    assert _refused(client) == (401, "invalid_client")
    operate(operated, "client", "enable", "Disabled")
    until(lambda: client.ask()[0] == 200)
    client.ask_often()
    operate(operated, "client", "remove", "Disabled", "--yes")
    assert _refused(client) == (401, "invalid_client")


def test_a_secret_that_is_revoked_is_refused(operated: RunningServer) -> None:
    """Within a second, as for a request that is read."""
    client, _ = granting(operated, "Rotated")
    client.ask_often()
    (listed,) = json.loads(operate(operated, "client", "secret", "list", "Rotated", "--json"))
    operate(operated, "client", "secret", "remove", "Rotated", listed["secret_id"], "--yes")
    until(lambda: _refused(client) == (401, "invalid_client"))


def test_a_scope_that_a_client_may_no_longer_use_is_refused(operated: RunningServer) -> None:
    """RFC 6749 5.2."""
    client, _ = granting(operated, "Scoped", "view")
    client.ask_often()
    operate(operated, "client", "set", "Scoped", "--scope", "all", "--yes")
    until(lambda: _refused(client) == (400, "invalid_scope"))
    operate(operated, "client", "set", "Scoped", "--scope", "all", "--scope", "view", "--yes")
    until(lambda: client.ask()[0] == 200)


def test_a_full_pool_denies_and_gives_its_seat_again(operated: RunningServer) -> None:
    """L1. A denial is remembered no more than a grant is: each request is decided."""
    client, _ = granting(operated, "Denied")
    assert client.ask_often()[-1][0] == 200
    operate(operated, "session", "end", "--client", "Denied", "--yes")
    operate(operated, "pool", "set", "full", "--seats", "0")
    try:
        for status, content in client.ask_often():
            assert (status, content["error"], content["reason"]) == (
                400,
                "temporarily_unavailable",
                "no_seats",
            )
    finally:
        operate(operated, "pool", "set", "full", "--seats", "5")
    assert client.ask()[0] == 200


def test_an_ended_session_is_inactive_for_an_api_and_for_a_proxy_at_once(operated: RunningServer) -> None:
    """L4: a logoff counts from the next request on, also for one that came a thousand times."""
    client, _ = granting(operated, "Ended")
    token = client.ask()[1]["access_token"]
    (api,) = with_secrets(operated, ["RepeatingApi"], introspects=True).values()
    asking = Repeated(operated, posted("introspect", api, f"token={token}"))
    proxy = verifying(operated, token)
    assert all(content["active"] for _, content in asking.ask_often())
    assert [status for status, _ in proxy.ask_often()] == [204] * TIMES
    operated.http.post(f"/{TENANT}/logoff", headers={"Authorization": f"Bearer {token}"})
    assert asking.ask() == (200, {"active": False})
    assert proxy.ask()[0] == 401


def test_a_session_is_refreshed_until_it_ends(operated: RunningServer) -> None:
    """RFC 6749 6: its refresh token is the same each time, so that a client sends the same bytes."""
    client, header = granting(operated, "Refreshed")
    granted = client.ask()[1]
    refreshing = Repeated(
        operated,
        posted("token", header, f"grant_type=refresh_token&refresh_token={granted['refresh_token']}"),
    )
    answers = []
    for _ in range(TIMES):  # two tokens of one session, of one millisecond, would say the same
        answers.append(refreshing.ask()[1])
        answered_ms = wall_ms()
        until(lambda: wall_ms() > answered_ms)  # noqa: B023 - called at once
    assert {answer["refresh_token"] for answer in answers} == {granted["refresh_token"]}
    assert len({answer["access_token"] for answer in answers}) == TIMES
    operate(operated, "session", "end", "--client", "Refreshed", "--yes")
    assert _refused(refreshing) == (400, "invalid_grant")


def test_an_api_that_may_no_longer_introspect_is_refused(operated: RunningServer) -> None:
    """RFC 7662 2.1."""
    token = granting(operated, "AskedAbout", "view")[0].ask()[1]["access_token"]
    (api,) = with_secrets(operated, ["LosingApi"], introspects=True).values()
    asking = Repeated(operated, posted("introspect", api, f"token={token}"))
    asking.ask_often()
    operate(operated, "client", "set", "LosingApi", "--no-introspection")
    until(lambda: asking.ask()[0] == 400)


def test_a_proxy_is_answered_by_the_method_that_it_sent(operated: RunningServer) -> None:
    """RFC 9110 9.2.1: what is remembered of one request says nothing of another."""
    token = granting(operated, "Reader", "view")[0].ask()[1]["access_token"]
    reading, writing = verifying(operated, token, "GET"), verifying(operated, token, "POST")
    for _ in range(TIMES):
        assert (reading.ask()[0], writing.ask()[0]) == (204, 403)


def test_a_token_whose_key_was_pruned_is_worth_nothing(operated: RunningServer) -> None:
    """Keys are no part of the set-up: they have their own file."""
    client, _ = granting(operated, "OldKey", "view")
    token = client.ask()[1]["access_token"]
    proxy = verifying(operated, token, "GET")
    proxy.ask_often()
    for verb in (("rotate",), ("prune", "--yes")):
        run("key", *verb, "--data", str(operated.data))
    until(partial(_is, proxy.ask, 401))
    assert client.ask()[0] == 200


def _is(ask: Callable[[], tuple[int, Any]], status: int) -> bool:
    return ask()[0] == status


def _refused(client: Repeated) -> tuple[int, str]:
    status, content = client.ask()
    return status, content.get("error", "")
