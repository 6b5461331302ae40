"""Opens connections as a hostile client does: raw bytes, many at once, from other addresses."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import uvicorn
from uvicorn.server import ServerState

from support.server.running import PATIENCE_S


def address_of(url: str) -> tuple[str, int]:
    """The address on which a server listens."""
    parsed = httpx.URL(url)
    return parsed.host, parsed.port or 0


def served(url: str, sent: bytes, source: str = "127.0.0.1") -> bytes:
    """Send these bytes at once; returns all that comes until the server closes or is silent."""
    with socket.create_connection(address_of(url), PATIENCE_S, source_address=(source, 0)) as connection:
        connection.sendall(sent)
        received = b""
        with suppress(TimeoutError, ConnectionError):
            while more := connection.recv(65_536):
                received += more
        return received


@contextmanager
def flooded_from(url: str, sources: Sequence[str], each: int, sent: bytes) -> Iterator[None]:
    """Keep so many connections from each address open during a `with` block, with this sent on each."""
    with ExitStack() as stack:
        for source in sources:
            for _ in range(each):
                connection = socket.create_connection(address_of(url), PATIENCE_S, source_address=(source, 0))
                stack.enter_context(connection)
                with suppress(ConnectionError):
                    connection.sendall(sent)
        yield


class Wire:
    """A connection to a server in the same event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._writer.write(data)

    def say_no_more(self) -> None:
        """Close the sending half of the connection."""
        self._writer.write_eof()

    async def until(self, mark: bytes) -> bytes:
        """All that comes, up to this."""
        return await self._reader.readuntil(mark)

    async def rest(self) -> bytes:
        """All that comes until the connection is closed, in any way."""
        try:
            return await self._reader.read()
        except ConnectionResetError:
            return b""


def in_loop(application: Any, protocol: Any, ask: Callable[[Wire], Awaitable[None]]) -> None:
    """Send a request to an application over one connection with this protocol, which must end in time."""

    async def run() -> None:
        config = uvicorn.Config(application, http=protocol, ws="none", lifespan="off", log_config=None)
        config.load()
        state, loop = ServerState(), asyncio.get_running_loop()
        server = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
        async with asyncio.timeout(PATIENCE_S), server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                await ask(Wire(reader, writer))
            finally:
                writer.close()
            await asyncio.gather(*state.tasks)

    asyncio.run(run())
