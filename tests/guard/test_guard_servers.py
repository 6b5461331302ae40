"""`licet.guard` under real servers with threads, in Flask and Django, and in several event loops at once.

And what a server hands an application: a request by WSGI, a WebSocket, a child of a server that forks.
"""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest

from licet.guard import Guard, GuardMiddleware, WsgiGuardMiddleware, identity
from support.guard.calling import CONTEXT
from support.guard.frameworks import django_application, flask_application
from support.guard.guarded import token_of
from support.guard.introspecting import LIVE, TOKEN, guard_at
from support.guard.threaded_servers import serving
from support.web.http_site import PATIENCE_S, Site, says

THREADS = 8
CALLS = 40
TOKENS = 4


@pytest.fixture
def licet() -> Iterator[Site]:
    """An introspection endpoint."""
    with Site(lambda _: says(200, LIVE)) as site:
        yield site


@pytest.fixture
def guard(licet: Site) -> Iterator[Guard]:
    """A guard whose clock stands still: what it was told, it remembers."""
    guard = Guard(f"{licet.url}/Jim_Test", "Api", "password", ssl_context=CONTEXT, now_s=lambda: 1000.0)
    yield guard
    guard.close()


@pytest.mark.parametrize("application", [flask_application, django_application])
def test_many_threads_ask_once_about_each_token(
    licet: Site, guard: Guard, application: Callable[[Guard], Any]
) -> None:
    """And everybody is told who calls, also while the question is on its way."""
    with serving(application(guard)) as url, httpx.Client(verify=CONTEXT, timeout=PATIENCE_S) as http:

        def call(number: int) -> tuple[int, str]:
            found = http.post(url, headers={"Authorization": f"Bearer {token_of(str(number % TOKENS))}"})
            return found.status_code, found.json()["user"]

        with ThreadPoolExecutor(THREADS) as pool:
            assert set(pool.map(call, range(CALLS))) == {(200, "TC")}
    assert sorted(it.form["token"] for it in licet.asked) == [token_of(str(it)) for it in range(TOKENS)]


def test_event_loops_of_several_threads_share_what_is_remembered(licet: Site, guard: Guard) -> None:
    """Each asks over connections of its own, and closes them."""

    async def call(number: int) -> str | None:
        found = [await guard.acheck("POST", f"Bearer {token_of(str(number % TOKENS))}") for _ in range(3)]
        await guard.aclose()
        return found[0].user

    with ThreadPoolExecutor(THREADS) as pool:
        assert set(pool.map(lambda number: asyncio.run(call(number)), range(CALLS))) == {"TC"}
    assert TOKENS <= len(licet.asked) <= THREADS * TOKENS  # they do not wait for one another
    assert not guard._introspector._of_loops  # type: ignore[attr-defined]


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
