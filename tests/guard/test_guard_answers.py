"""`licet.guard`: endpoints that answer nonsense, and arguments that make no sense."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from licet.guard import Guard, Refused
from support.guard.guarded import KINDS, Api
from support.guard.introspecting import LIVE, TOKEN, guard_at, status
from support.web.http_site import PATIENCE_S, Reply, Site, says

NONSENSE: dict[str, tuple[Reply | bytes, str]] = {
    "not JSON": (says(200, b"<html>"), "answers 200 and no OAuth error"),
    "a list": (says(200, [LIVE]), "answers 200 and no OAuth error"),
    "without end": (says(200, b"[" * 50_000), "answers 200 and no OAuth error"),
    "empty": (says(200, {}), "without saying whether the token is active"),
    "active as text": (says(200, {**LIVE, "active": "true"}), "without saying"),
    "active as a number": (says(200, {**LIVE, "active": 1}), "without saying"),
    "a scope that is a list": (says(200, {**LIVE, "scope": ["all"]}), "a scope that is no text"),
    "a fault": (says(500, LIVE), "answers 500"),
    "created": (says(201, LIVE), "answers 201"),
    "too much": (says(200, {**LIVE, "more": "x" * 100_000}), "answers more than it may"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.9\r\n", "does not answer: RemoteProtocolError"),
    "nothing": (b"", "does not answer: RemoteProtocolError"),
    "half of it": (b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"active": true', "does not answer"),
}


@pytest.fixture(params=KINDS, ids=lambda made: made.__name__)
def api(request: pytest.FixtureRequest) -> Api:
    """Each kind of API."""
    kind: Api = request.param
    return kind


@pytest.fixture
def licet() -> Iterator[Site]:
    """An introspection endpoint."""
    with Site(lambda _: says(200, LIVE)) as site:
        yield site


class TestNonsense:
    """An endpoint that is none lets nobody in."""

    @pytest.mark.parametrize("name", NONSENSE)
    def test_nobody_is_let_in_and_the_log_says_why(
        self, licet: Site, api: Api, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """503, without a token in the log."""
        reply, why = NONSENSE[name]
        licet.answer = lambda _: reply
        assert status(api, guard_at(licet.url)) == 503
        assert f"{licet.url}/Jim_Test/introspect " in caplog.text
        assert why in caplog.text
        assert TOKEN not in caplog.text

    @pytest.mark.parametrize("code", [301, 302, 307, 308])
    def test_a_redirect_gets_neither_token_nor_secret(self, licet: Site, api: Api, code: int) -> None:
        """It is not followed, whoever answers there."""
        with Site(lambda _: says(200, LIVE)) as other:
            licet.answer = lambda _: says(code, location=f"{other.url}/Jim_Test/introspect")
            assert status(api, guard_at(licet.url)) == 503
            assert not other.asked

    @pytest.mark.parametrize(
        "head", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n", b"HTTP/1.1 200"]
    )
    def test_one_that_drips_is_given_up(self, api: Api, head: bytes) -> None:
        """Each byte comes in time, and the answer never."""
        ended = threading.Event()

        def drip(listening: socket.socket) -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.sendall(head)
                while not ended.wait(0.01):
                    connection.sendall(b"x" if head else b"")

        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=drip, args=(listening,), daemon=True)
            thread.start()
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            assert status(api, guard_at(url, timeout=timedelta(milliseconds=150))) == 503
            ended.set()
            thread.join(PATIENCE_S)

    @pytest.mark.parametrize(
        "content",
        [
            {**LIVE, "iss": "https://licence.example.com/Other"},
            {**LIVE, "iss": "https://licence.example.com/Jim_Test/evil"},
            {**LIVE, "iss": ["https://licence.example.com/Jim_Test"]},
            {**LIVE, "iss": "http://[/Jim_Test"},
            {**LIVE, "token_type": "refresh_token"},
            {**LIVE, "token_type": None},
            {**LIVE, "active": False},
        ],
    )
    def test_a_token_that_is_not_for_this_api_is_a_bad_one(
        self, licet: Site, api: Api, content: dict[str, Any]
    ) -> None:
        """Of another tenant, or to refresh with: 401."""
        licet.answer = lambda _: says(200, content)
        assert status(api, guard_at(licet.url)) == 401

    @pytest.mark.parametrize("issuer", ["https://licence.example.com/Jim_Test", None])
    def test_the_log_says_whose_a_token_is_that_is_of_another_issuer(
        self, licet: Site, api: Api, issuer: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Else a guard with a wrong URL refuses everybody, and nobody knows why."""
        licet.answer = lambda _: says(200, {**LIVE, "iss": "https://licence.example.com/Other\n"})
        assert status(api, guard_at(licet.url, issuer=issuer)) == 401
        ours = issuer or "any that ends with Jim_Test"
        assert f"its issuer is 'https://licence.example.com/Other\\n', and not {ours}" in caplog.text
        assert TOKEN not in caplog.text

    @pytest.mark.parametrize("issuer", ["https://licence.example.com/Jim_Test", None])
    def test_the_issuer_can_be_held_to_the_letter(self, licet: Site, api: Api, issuer: str | None) -> None:
        """Else the tenant's name is enough, as a server has several addresses."""
        licet.answer = lambda _: says(200, {**LIVE, "iss": "https://other.example.com/Jim_Test/"})
        assert status(api, guard_at(licet.url, issuer=issuer)) == (401 if issuer else 200)

    @pytest.mark.parametrize("told", [{}, {"read_only": None}, {"read_only": "false"}, {"read_only": 0}])
    def test_a_token_of_which_the_server_does_not_say_that_it_may_write_may_not(
        self, licet: Site, api: Api, told: dict[str, Any]
    ) -> None:
        """Whatever its scopes are called."""
        silent = {name: value for name, value in LIVE.items() if name != "read_only"}
        licet.answer = lambda _: says(200, silent | told)
        assert status(api, guard_at(licet.url)) == 403
        assert status(api, guard_at(licet.url), method="GET") == 200

    def test_a_token_without_a_scope_may_only_look(self, licet: Site, api: Api) -> None:
        """RFC 7662 2.2: the scope is optional; what is not said is not allowed."""
        licet.answer = lambda _: says(200, {"active": True})
        assert status(api, guard_at(licet.url)) == 403
        assert status(api, guard_at(licet.url), method="GET") == 200


class TestArguments:
    """What can't be is told at once, without a secret."""

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"tenant_url": "licence.example.com"}, "must be an http or https URL"),
            ({"tenant_url": "https://licence.example.com"}, "must end with the name of a tenant"),
            ({"tenant_url": "https://u:p@licence.example.com/Jim_Test"}, "without a user"),
            ({"tenant_url": "http://licence.example.com/Jim_Test"}, "http, which others can read"),
            ({"client_secret": ""}, "must be text"),
            ({"scopes": "all"}, "a list of scopes"),
            ({"read_only_scopes": ['vi"ew']}, "one that is no scope"),
            ({"writing_scope": "a b"}, "one that is no scope"),
            ({"realm": 'a"b'}, "realm must be"),
            ({"realm": "a\r\nX: y"}, "realm must be"),
            ({"cache": timedelta(seconds=-1)}, "cache not less"),
            ({"timeout": timedelta(0)}, "must be more than nothing"),
            ({"cache_entries_max": 0}, "must be more than nothing"),
        ],
    )
    def test_a_mistake_is_told(self, changes: dict[str, Any], why: str) -> None:
        """Before the first request."""
        arguments: dict[str, Any] = {
            "tenant_url": "https://licence.example.com/Jim_Test",
            "client_id": "Api",
            "client_secret": "correct-horse",
        }
        with pytest.raises(ValueError, match=why) as raised:
            Guard(**(arguments | changes))
        assert "correct-horse" not in str(raised.value)

    def test_nothing_shows_a_secret(self, licet: Site, caplog: pytest.LogCaptureFixture) -> None:
        """Neither what it keeps, nor its log at any level, nor a refusal."""
        licet.answer = lambda _: says(500)
        guard = guard_at(licet.url)
        with caplog.at_level(logging.DEBUG), pytest.raises(Refused) as raised:
            guard.check("GET", f"Bearer {TOKEN}")
        kept = repr([guard, vars(guard), vars(guard._introspector), raised.value, vars(raised.value)])
        for secret in (TOKEN, "password", "Basic "):
            assert secret not in kept
            assert secret not in caplog.text
        guard.close()
