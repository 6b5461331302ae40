"""Runs TCP proxies between nodes and database servers, which can cut, delay and lose answers.

A `Proxy` forwards the connections of one node to one server. Of PostgreSQL's protocol it recognizes only a
COMMIT: by its text, or by the name under which it was prepared. All proxies run in one thread with an event
loop; their methods may be called from any other thread.
"""

import asyncio
import re
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self, TypeVar

import uvloop

from chaos.site.nodes import free_port

_CHUNK_BYTES = 1 << 16
_COMMIT = b"COMMIT\x00"
_PREPARED = re.compile(rb"P....([^\x00]+)\x00COMMIT\x00", re.DOTALL)

Result = TypeVar("Result")


class Network:
    """The thread in which all proxies run, during a `with` block."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def proxy(self, port: int) -> "Proxy":
        """Start a new proxy to a port of this machine."""
        proxy = Proxy(self, port)
        self.run(proxy.listen())
        return proxy

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine in the thread, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class Proxy:
    """One proxy, which listens on `port` and forwards to the port `target`."""

    def __init__(self, network: Network, target: int) -> None:
        self.port = free_port()
        self.target = target
        self.lost = 0  # commits whose answers were lost
        self._network = network
        self._open = asyncio.Event()  # set while data may pass
        self._open.set()
        self._refusing = False
        self._is_shut = self._refuses_when_shut = False
        self._delay_s = 0.0
        self._to_lose = 0
        self._connections: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Start to listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def hold(self) -> None:
        """Drop everything silently, like a network that loses all packets."""
        self._network.run(self._set(held=True))

    def refuse(self) -> None:
        """Break every connection, and refuse new ones."""
        self._network.run(self._set(refusing=True))

    def delay(self, seconds: float) -> None:
        """Delay all data by so long, in both directions."""
        self._network.run(self._set(delay_s=seconds))

    def lose_commits(self, count: int) -> None:
        """Break the next connections between the answer to a COMMIT and its arrival at the client."""
        self._network.run(self._set(to_lose=count))

    def mend(self) -> None:
        """Let all data pass again. Connections that were held continue."""
        self._network.run(self._set())

    def shut(self, *, silently: bool) -> None:
        """Let nothing pass until `reopen`, also after `mend`: drop data silently, or refuse connections."""
        self._is_shut, self._refuses_when_shut = True, not silently
        self.mend()

    def reopen(self) -> None:
        """Break all connections, and accept new ones."""
        self._is_shut = False
        self.refuse()
        self.mend()

    def close(self) -> None:
        """Stop listening, and break all connections."""
        self._network.run(self._close())

    async def _set(
        self, *, held: bool = False, refusing: bool = False, delay_s: float = 0.0, to_lose: int = 0
    ) -> None:
        self._refusing, self._delay_s, self._to_lose = refusing, delay_s, to_lose
        if self._is_shut:
            held, self._refusing = not self._refuses_when_shut, self._refuses_when_shut
        if held:
            self._open.clear()
        else:
            self._open.set()
        if self._refusing:
            self._break()

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        connections = tuple(self._connections)
        self._break()
        await asyncio.gather(*connections, return_exceptions=True)

    def _break(self) -> None:
        for connection in self._connections:
            connection.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        try:
            with suppress(OSError, asyncio.CancelledError):
                if not self._refusing:
                    await self._open.wait()
                    await self._connect(reader, writer)
        finally:
            self._connections.discard(connection)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward between both sides until one of them ends."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        connection = _Connection(self, writer, far_writer)
        both = [
            asyncio.create_task(connection.up(reader)),
            asyncio.create_task(connection.down(far_reader)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            far_writer.transport.abort()
            await asyncio.gather(*both, return_exceptions=True)

    async def pass_on(self) -> None:
        """Wait until data may pass."""
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        if not self._open.is_set():
            await self._open.wait()

    def takes(self) -> bool:
        """Whether to lose the answer to this COMMIT."""
        if self._to_lose <= 0:
            return False
        self._to_lose -= 1
        self.lost += 1
        return True


class _Connection:
    """One connection through a proxy."""

    def __init__(self, proxy: Proxy, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._near = near
        self._far = far
        self._names: set[bytes] = set()  # of prepared statements that are a COMMIT
        self._is_losing = False

    async def up(self, reader: asyncio.StreamReader) -> None:
        """Forward from the node to the server."""
        while data := await reader.read(_CHUNK_BYTES):
            await self._proxy.pass_on()
            if self._commits(data) and self._proxy.takes():
                self._is_losing = True
            self._far.write(data)
            await self._far.drain()

    async def down(self, reader: asyncio.StreamReader) -> None:
        """Forward from the server to the node."""
        while data := await reader.read(_CHUNK_BYTES):
            if self._is_losing:
                return
            await self._proxy.pass_on()
            self._near.write(data)
            await self._near.drain()

    def _commits(self, data: bytes) -> bool:
        self._names.update(_PREPARED.findall(data))
        return _COMMIT in data or any(b"\x00" + name + b"\x00" in data for name in self._names)
