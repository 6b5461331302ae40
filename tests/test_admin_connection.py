"""The connections of the admin listener: one with no whole request is closed, one that is answered is not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from licet.web.admin.connection import BoundedHttpProtocol

REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\n"
PATIENCE_S = 10.0
LOOKS = 4


class Impatient(BoundedHttpProtocol):
    """It looks again and again, and says when it has looked a few times."""

    look_every_s = 0.02
    looks = 0
    has_looked: asyncio.Event

    def _look(self) -> None:
        super()._look()
        type(self).looks += 1
        if self.looks >= LOOKS:
            self.has_looked.set()


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """One part of an answer, and the other when there were several looks."""
    del scope
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first ", "more_body": True})
    await Impatient.has_looked.wait()
    await send({"type": "http.response.body", "body": b"last"})


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server that looks often."""
    Impatient.looks, Impatient.has_looked = 0, asyncio.Event()
    config = uvicorn.Config(answer, http=Impatient, ws="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Impatient(config, state, {}), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection is closed, in whichever way."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


def in_time(work: Callable[[], Awaitable[None]]) -> None:
    """Run this, which ends."""

    async def run() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await work()

    asyncio.run(run())


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HT", REQUEST, b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n12345"],
)
def test_a_request_that_does_not_come_whole_is_not_waited_for(sent: bytes) -> None:
    """Otherwise a hundred of them would keep every administrator out."""

    async def run() -> None:
        async with connected() as (reader, writer):
            writer.write(sent)
            assert await rest(reader) == b""

    in_time(run)


def test_an_answer_on_its_way_may_take_as_long_as_it_takes() -> None:
    """An event stream goes on for hours."""

    async def run() -> None:
        async with connected() as (reader, writer):
            writer.write(REQUEST + b"\r\n")
            assert b"first " in await reader.readuntil(b"first ")
            assert b"last" in await reader.readuntil(b"last")
            assert Impatient.looks >= LOOKS

    in_time(run)
