"""A WebSocket behind a guard that counts: its token is checked again with its messages."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from licet.guard import Guard, GuardMiddleware, identity
from support.guard.seat_memories import START_S, Time
from support.guard.signed_server import SignedServer
from support.web.http_site import Site

HOLD_S = 60
OPEN = {"type": "websocket.connect"}
MESSAGE = {"type": "websocket.receive", "text": "more"}
ACCEPT = {"type": "websocket.accept"}
EVENT = {"type": "websocket.send", "text": "news"}
GONE = {"type": "websocket.disconnect", "code": 1008}
CLOSED = {"type": "websocket.close", "code": 1008}


@pytest.fixture
def time() -> Time:
    """The clock of server and guard."""
    return Time()


@pytest.fixture(params=["introspection", "jwt"])
def server(request: pytest.FixtureRequest, time: Time) -> Iterator[SignedServer]:
    """A server of references, and one of JWTs."""
    with Site() as site:
        yield SignedServer(site, time, request.param)


class Socket:
    """Both ends of an open WebSocket, as the application has it and as its server does."""

    def __init__(self, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        self.receive = receive
        self.send = send
        self.coming: list[Any] = []
        self.sent: list[Any] = []

    async def gets(self) -> Any:
        """What the application gets when the client sends something."""
        self.coming.append(MESSAGE)
        return await self.receive()


Script = Callable[[Socket], Awaitable[None]]


def run(guard: Guard, token: str, script: Script) -> list[Any]:
    """What the client of a WebSocket gets, while its application does this."""
    coming: list[Any] = [OPEN]
    sent: list[Any] = []

    async def receive() -> Any:
        return coming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert identity(scope).client == "C1"
        assert await receive() == OPEN
        await send(ACCEPT)
        socket = Socket(receive, send)
        socket.coming, socket.sent = coming, sent
        await script(socket)

    async def connect() -> None:
        headers = [(b"authorization", f"Bearer {token}".encode())]
        scope = {"type": "websocket", "path": "/", "headers": headers}
        await GuardMiddleware(app, guard)(scope, receive, send)
        await guard.aclose()

    asyncio.run(connect())
    guard.close()
    return sent


async def hand_over(guard: Guard, server: SignedServer) -> None:
    """Another gets the number: its token is a hold newer."""
    token = server.token(client="C2", iat=START_S + HOLD_S)
    assert (await guard.acheck("POST", f"Bearer {token}")).client == "C2"


def test_its_next_message_after_a_hand_over_closes_it(server: SignedServer, time: Time) -> None:
    """Within the cache; the message is not passed on, and no later one."""
    guard = server.guard()

    async def script(socket: Socket) -> None:
        assert await socket.gets() == MESSAGE
        await hand_over(guard, server)
        time.s += 4.9
        assert await socket.gets() == MESSAGE  # what was found a moment ago counts
        time.s += 0.1
        assert await socket.gets() == GONE
        assert await socket.receive() == GONE
        await socket.send(EVENT)

    assert run(guard, server.token(client="C1"), script) == [ACCEPT, CLOSED]


def test_the_next_message_of_the_application_closes_it_as_well(server: SignedServer, time: Time) -> None:
    """Somebody may only listen."""
    guard = server.guard()

    async def script(socket: Socket) -> None:
        await socket.send(EVENT)
        await hand_over(guard, server)
        time.s += 5
        for _ in range(3):
            await socket.send(EVENT)
        assert await socket.gets() == GONE

    assert run(guard, server.token(client="C1"), script) == [ACCEPT, EVENT, CLOSED]


def test_a_guard_that_remembers_nothing_checks_each_message(server: SignedServer) -> None:
    """As each request."""
    guard = server.guard(cache=timedelta(0))

    async def script(socket: Socket) -> None:
        assert await socket.gets() == MESSAGE
        await hand_over(guard, server)
        assert await socket.gets() == GONE

    assert run(guard, server.token(client="C1"), script) == [ACCEPT, CLOSED]


def test_it_ends_with_its_token(server: SignedServer, time: Time) -> None:
    """The client opens another with its next one; so a logoff ends it where the server is asked."""
    guard = server.guard()

    async def script(socket: Socket) -> None:
        for _ in range(20):
            time.s += 10
            assert await socket.gets() == MESSAGE
        server.introspected.clear()
        time.s += 401
        assert await socket.gets() == GONE

    assert run(guard, server.token(client="C1"), script) == [ACCEPT, CLOSED]


def test_it_is_closed_otherwise_where_the_client_may_try_again(server: SignedServer, time: Time) -> None:
    """1013: its token may be good, and nobody can tell."""
    guard = server.guard()

    async def script(socket: Socket) -> None:
        server.is_down = True
        time.s += 301
        assert (await socket.gets())["code"] == 1013
        server.is_down = False

    sent = run(guard, server.token(client="C1"), script)
    assert sent == [ACCEPT, {"type": "websocket.close", "code": 1013}]


def test_what_is_no_message_is_passed_on(server: SignedServer, time: Time) -> None:
    """The end of a WebSocket is the end."""
    guard = server.guard()

    async def script(socket: Socket) -> None:
        time.s += 1000
        socket.coming.append({"type": "websocket.disconnect", "code": 1000})
        assert await socket.receive() == {"type": "websocket.disconnect", "code": 1000}
        await socket.send({"type": "websocket.close", "code": 1000})

    assert run(guard, server.token(client="C1"), script)[1:] == [{"type": "websocket.close", "code": 1000}]


def test_a_guard_without_a_licence_does_not_check_it_again(server: SignedServer, time: Time) -> None:
    """As before: who has opened it has it."""
    guard = server.guard(is_counting=False)

    async def script(socket: Socket) -> None:
        time.s += 1000
        assert await socket.gets() == MESSAGE

    assert run(guard, server.token(client="C1"), script) == [ACCEPT]
