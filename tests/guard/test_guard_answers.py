"""`licet.guard`: what is remembered, what an outage does, and endpoints that answer nonsense."""

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest

from licet.guard import Guard, GuardMiddleware, Refused, WsgiGuardMiddleware, identity
from support.calling import CONTEXT
from support.guarded import KINDS, Api, plain, token_of, wsgi
from support.http_site import PATIENCE_S, Asked, Reply, Site, says
from support.running import RunningServer

TOKEN = token_of("abc")
LIVE = {
    "active": True,
    "scope": "all",
    "client_id": "TestClientId",
    "username": "TC",
    "token_type": "Bearer",
    "read_only": False,
    "cache_for": 5,
}
PATIENCE = timedelta(seconds=PATIENCE_S)

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


class Now:
    """The guard's clock."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.s


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


@pytest.fixture
def now() -> Now:
    """The guard's clock."""
    return Now()


def guard_at(url: str, now: Now | None = None, **options: Any) -> Guard:
    """A guard of the tenant `Jim_Test` there."""
    options = {"timeout": PATIENCE, "ssl_context": CONTEXT, "now_s": now or Now(), **options}
    return Guard(f"{url}/Jim_Test", "Api", "password", **options)


def status(api: Api, guard: Guard, token: str = TOKEN, method: str = "POST") -> int:
    """How a request is answered."""
    found = api(guard, method, {"Authorization": f"Bearer {token}"}).status_code
    guard.close()
    return found


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


class TestMemory:
    """What was said a moment ago."""

    @pytest.mark.parametrize("cache_for", [5, 2, 0.5])
    def test_an_answer_counts_as_long_as_the_server_says(
        self, licet: Site, api: Api, now: Now, cache_for: float
    ) -> None:
        """From when the question was sent: its seat cannot be anybody else's until then (L18)."""
        licet.answer = lambda _: says(200, {**LIVE, "cache_for": cache_for})
        guard = guard_at(licet.url, now)
        assert status(api, guard) == 200
        licet.answer = lambda _: says(200, {"active": False})
        now.s += cache_for - 0.1
        assert status(api, guard) == 200
        now.s += 0.1
        assert status(api, guard) == 401
        assert len(licet.asked) == 2

    def test_the_time_of_the_question_counts_and_not_that_of_the_answer(
        self, licet: Site, api: Api, now: Now
    ) -> None:
        """An answer that was long on its way is believed for less."""

        def answer(_: Asked) -> Reply:
            now.s += 3
            return says(200, {**LIVE, "cache_for": 5})

        licet.answer = answer
        guard = guard_at(licet.url, now)
        assert status(api, guard) == 200
        licet.answer = lambda _: says(200, {"active": False})
        now.s += 1.9
        assert status(api, guard) == 200
        now.s += 0.1
        assert status(api, guard) == 401

    @pytest.mark.parametrize("told", [None, 0, -1, "5", True, [5], 1e300, float("nan"), float("inf")])
    def test_an_answer_of_which_it_is_not_said_counts_for_its_request_alone(
        self, licet: Site, api: Api, now: Now, told: object
    ) -> None:
        """A server that says nothing, or nonsense: its seat may be somebody else's the next moment."""
        licet.answer = lambda _: says(200, {**LIVE, "cache_for": told})
        guard = guard_at(licet.url, now)
        assert [status(api, guard) for _ in range(2)] == [200, 200]
        assert len(licet.asked) == 2

    def test_a_guard_can_only_remember_for_less(self, licet: Site, api: Api, now: Now) -> None:
        """`cache` is a bound of the API's own."""
        licet.answer = lambda _: says(200, {**LIVE, "cache_for": 4})
        for cache_s, remembered_s in ((2, 2), (60, 4)):
            guard = guard_at(licet.url, now, cache=timedelta(seconds=cache_s))
            before = len(licet.asked)
            status(api, guard)
            now.s += remembered_s - 0.1
            status(api, guard)
            assert len(licet.asked) == before + 1
            now.s += 0.1
            status(api, guard)
            assert len(licet.asked) == before + 2

    def test_an_outage_is_bridged_as_far_as_the_memory_goes(self, licet: Site, api: Api, now: Now) -> None:
        """And not for a token that was not asked about."""
        guard = guard_at(licet.url, now)
        status(api, guard)
        licet.answer = lambda _: says(503)
        now.s += 4
        assert status(api, guard) == 200
        assert status(api, guard, token_of("other")) == 503
        now.s += 1
        assert status(api, guard) == 503
        licet.answer = lambda _: says(200, LIVE)
        assert status(api, guard) == 200

    def test_a_bad_token_is_remembered_for_a_second(self, licet: Site, api: Api, now: Now) -> None:
        """Shorter than a good one: it may be on its way."""
        licet.answer = lambda _: says(200, {"active": False})
        guard = guard_at(licet.url, now)
        assert [status(api, guard) for _ in range(3)] == [401] * 3
        assert len(licet.asked) == 1
        licet.answer = lambda _: says(200, LIVE)
        now.s += 1
        assert status(api, guard) == 200

    def test_nothing_is_remembered_when_it_is_not_wanted(self, licet: Site, api: Api, now: Now) -> None:
        """Every request asks, bad tokens as well."""
        guard = guard_at(licet.url, now, cache=timedelta(0))
        for content in (LIVE, {"active": False}, LIVE):
            licet.answer = lambda _, content=content: says(200, content)  # type: ignore[misc]
            assert status(api, guard) == (200 if content["active"] else 401)

    @pytest.mark.parametrize("minutes", [-15, 0, 15])
    def test_no_answer_outlives_its_token_whatever_the_clock_here_says(
        self, licet: Site, api: Api, now: Now, minutes: int
    ) -> None:
        """Its end is counted from the server's own time."""
        server_now = datetime.now(UTC) + timedelta(minutes=minutes)

        def answer(_: Asked) -> bytes:
            body = json.dumps({**LIVE, "exp": int(server_now.timestamp()) + 3})
            return (
                f"HTTP/1.1 200 OK\r\nDate: {format_datetime(server_now, usegmt=True)}\r\n\r\n{body}".encode()
            )

        licet.answer = answer
        guard = guard_at(licet.url, now)
        status(api, guard)
        licet.answer = lambda _: says(200, {"active": False})
        now.s += 2.9
        assert status(api, guard) == 200
        now.s += 0.1
        assert status(api, guard) == 401

    @pytest.mark.parametrize("exp", [1, "soon", True, -5, 1e300])
    def test_an_end_that_is_over_or_makes_no_sense_is_not_remembered(
        self, licet: Site, api: Api, now: Now, exp: object
    ) -> None:
        """The server says that it lives; it is asked again next time."""
        licet.answer = lambda _: says(200, {**LIVE, "exp": exp})
        guard = guard_at(licet.url, now)
        assert [status(api, guard) for _ in range(2)] == [200, 200]
        assert len(licet.asked) == 2

    def test_memory_is_bounded_and_bad_tokens_push_out_no_good_one(self, licet: Site, now: Now) -> None:
        """Somebody may send any number of them."""
        guard = guard_at(licet.url, now, cache_entries_max=3)
        assert status(wsgi, guard, token_of("good")) == 200
        licet.answer = lambda _: says(200, {"active": False})
        for number in range(5):
            status(wsgi, guard, token_of(f"bad{number}"))
        assert status(wsgi, guard, token_of("good")) == 200
        licet.answer = lambda _: says(200, LIVE)
        for number in range(5):
            status(wsgi, guard, token_of(f"more{number}"))
        assert (len(guard._cache._live), len(guard._cache._dead)) == (3, 3)
        assert "good" not in repr(vars(guard._cache))

    def test_no_token_stays_in_memory_after_it_counts(self, licet: Site, now: Now) -> None:
        """The next answer takes with it what has expired, good tokens and bad ones."""
        guard = guard_at(licet.url, now)
        for content in (LIVE, {"active": False}):
            licet.answer = lambda _, content=content: says(200, content)  # type: ignore[misc]
            for token in ("first", "second"):
                status(wsgi, guard, token_of(f"{token}-{content['active']}"))
            now.s += 5
            status(wsgi, guard, token_of(f"third-{content['active']}"))
        third = [f"Bearer {token_of(name)}".encode() for name in ("third-True", "third-False")]
        assert [*guard._cache._live, *guard._cache._dead] == third

    @pytest.mark.parametrize("hold_s", [0, 60])
    def test_against_licet_itself(self, tmp_path: Path, hold_s: int) -> None:
        """A logoff counts at once, and of a seat that is held after what is remembered."""
        now = Now()
        with RunningServer(tmp_path) as server:
            with server.changing() as change:
                change.tenant("Jim_Test").set_pool("full", hold_s=hold_s)
            guard = guard_at(server.url, now)
            token = server.ask("Jim_Test/token", grant_type="client_credentials").json()["access_token"]
            assert status(plain, guard, token) == 200
            server.ask("Jim_Test/revoke", token=token)
            if hold_s:
                assert status(plain, guard, token) == 200
                now.s += 5
            assert status(plain, guard, token) == 401
            server.kill()
            assert status(plain, guard, token) == 401
            now.s += 1
            assert status(plain, guard, token) == 503


class TestTogether:
    """Many at once."""

    def test_requests_with_one_token_share_a_question(self, licet: Site) -> None:
        """Tasks."""
        guard = guard_at(licet.url)

        async def run() -> set[str | None]:
            found = await asyncio.gather(*(guard.acheck("GET", f"Bearer {TOKEN}") for _ in range(20)))
            await guard.aclose()
            return {it.client for it in found}

        assert asyncio.run(run()) == {"TestClientId"}
        assert len(licet.asked) == 1

    def test_threads_with_one_token_share_a_question(self, licet: Site) -> None:
        """The answer is held back until all have begun."""
        guard = guard_at(licet.url)
        asked, gate = threading.Event(), threading.Event()

        def answer(_: Asked) -> Reply:
            asked.set()
            gate.wait(PATIENCE_S)
            return says(200, LIVE)

        licet.answer = answer
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(guard.check, "GET", f"Bearer {TOKEN}") for _ in range(8)]
            assert asked.wait(PATIENCE_S)
            gate.set()
            assert {it.result().client for it in calls} == {"TestClientId"}
        assert len(licet.asked) == 1
        guard.close()

    def test_where_no_thread_runs_beside_the_requests_they_are_refused_in_time(
        self, licet: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Some servers stop threads: here the one that asks never gets to it."""
        guard = guard_at(licet.url, timeout=timedelta(milliseconds=50))
        freed = threading.Event()
        guard._desks._background._started().call_soon_threadsafe(freed.wait, PATIENCE_S)  # type: ignore[attr-defined]
        with pytest.raises(Refused) as refused:
            guard.check("GET", f"Bearer {TOKEN}")
        assert refused.value.status == 503
        assert "do threads run in this process?" in caplog.text
        freed.set()
        guard.close()

    def test_a_request_that_is_given_up_takes_nobody_along(self, licet: Site) -> None:
        """The others get the answer."""
        guard = guard_at(licet.url)
        asked, gate = threading.Event(), threading.Event()

        def answer(_: Asked) -> Reply:
            asked.set()
            gate.wait(PATIENCE_S)
            return says(200, LIVE)

        licet.answer = answer

        async def run() -> str | None:
            first = asyncio.create_task(guard.acheck("GET", f"Bearer {TOKEN}"))
            await asyncio.to_thread(asked.wait, PATIENCE_S)
            second = asyncio.create_task(guard.acheck("GET", f"Bearer {TOKEN}"))
            await asyncio.sleep(0)
            first.cancel()
            gate.set()
            found = await second
            await guard.aclose()
            return found.client

        assert asyncio.run(run()) == "TestClientId"
        assert len(licet.asked) == 1


class TestServers:
    """What a server hands an application."""

    def test_a_real_wsgi_server(self, licet: Site) -> None:
        """Two headers arrive as one there, and are refused."""
        guard = guard_at(licet.url)

        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [(identity(environ).user or "").encode()]

        class Quiet(WSGIRequestHandler):
            def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the library's name
                pass

        with make_server("127.0.0.1", 0, WsgiGuardMiddleware(app, guard), handler_class=Quiet) as serving:
            thread = threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            url = f"http://127.0.0.1:{serving.server_port}/"
            two = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
            with httpx.Client(verify=CONTEXT) as http:
                assert http.post(url, headers=two[:1]).text == "TC"
                assert http.post(url, headers=two).status_code == 400
                assert http.post(url).status_code == 401
                head = http.head(url)
                assert (head.status_code, head.content) == (401, b"")
            serving.shutdown()
            thread.join(PATIENCE_S)
        guard.close()

    @pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
    def test_a_websocket_is_for_tokens_that_may_write(self, licet: Site, extensions: dict[str, Any]) -> None:
        """It carries anything; refused before it is accepted."""
        opened: list[str] = []

        async def app(scope: Any, *_: Any) -> None:
            opened.append(identity(scope).client or "")

        async def run(scope_told: str) -> list[dict[str, Any]]:
            licet.answer = lambda _: says(
                200, {**LIVE, "scope": scope_told, "read_only": scope_told == "view"}
            )
            sent: list[dict[str, Any]] = []

            async def receive() -> dict[str, Any]:
                return {"type": "websocket.connect"}

            async def send(message: Any) -> None:
                sent.append(message)

            guard = guard_at(licet.url)
            headers = [(b"Authorization", f"Bearer {TOKEN}".encode())]
            scope = {"type": "websocket", "path": "/", "headers": headers, "extensions": extensions}
            await GuardMiddleware(app, guard)(scope, receive, send)
            await guard.aclose()
            return sent

        first = asyncio.run(run("view"))[0]
        if extensions:
            assert (first["type"], first["status"]) == ("websocket.http.response.start", 403)
        else:
            assert first == {"type": "websocket.close", "code": 1008}
        assert not opened
        assert asyncio.run(run("all")) == []
        assert opened == ["TestClientId"]

    def test_a_child_of_a_server_that_forks_asks_by_itself(self, licet: Site) -> None:
        """The thread that asks is not there in it, and its connections are the parent's."""
        lines = f"""
import os
from datetime import timedelta
from licet.guard import Guard
guard = Guard("{licet.url}/Jim_Test", "Api", "password", cache=timedelta(0))
for _ in range(2):
    assert guard.check("GET", "Bearer {TOKEN}").client == "TestClientId"
    if (pid := os.fork()) == 0:
        assert guard.check("GET", "Bearer {TOKEN}").client == "TestClientId"
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
guard.close()
"""
        found = subprocess.run(
            [sys.executable, "-c", lines], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert (found.returncode, found.stderr) == (0, "")
        assert len(licet.asked) == 4

    def test_other_connections_are_not_passed_on(self, licet: Site) -> None:
        """`lifespan` is, as there is nobody in it."""
        passed: list[str] = []

        async def app(scope: Any, *_: Any) -> None:
            passed.append(scope["type"])

        guarded: Any = GuardMiddleware(app, guard_at(licet.url))
        asyncio.run(guarded({"type": "lifespan"}, None, None))
        with pytest.raises(RuntimeError, match="does not know"):
            asyncio.run(guarded({"type": "pigeon"}, None, None))
        assert passed == ["lifespan"]


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
        kept = repr([guard, vars(guard), vars(guard._desks), raised.value, vars(raised.value)])
        for secret in (TOKEN, "password", "Basic "):
            assert secret not in kept
            assert secret not in caplog.text
        guard.close()
