"""The network between a node and a database: TCP proxies that cut, delay and lose answers.

A `Proxy` is one way from one node to one server. It understands of PostgreSQL's protocol only what a COMMIT
looks like: its text, or the name under which it was prepared. All proxies live in one thread with an event
loop of its own; their methods may be called from any other.
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
    """The thread in which all proxies live, from the beginning of a block to its end."""

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
        """A new way to a port of this machine."""
        proxy = Proxy(self, port)
        self.run(proxy.listen())
        return proxy

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do something in the thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class Proxy:
    """One way: `port` is where it begins, `target` the port where it ends."""

    def __init__(self, network: Network, target: int) -> None:
        self.port = free_port()
        self.target = target
        self.lost = 0  # commits whose answers were lost
        self._network = network
        self._held = asyncio.Event()  # set: what comes goes on
        self._held.set()
        self._refusing = False
        self._is_shut = self._refuses_when_shut = False
        self._delay_s = 0.0
        self._to_lose = 0
        self._meetings: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Begin."""
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", self.port)

    def hold(self) -> None:
        """Drop everything silently, like a network that loses all packets."""
        self._network.run(self._set(held=True))

    def refuse(self) -> None:
        """Break every connection, and refuse new ones."""
        self._network.run(self._set(refusing=True))

    def delay(self, seconds: float) -> None:
        """Let everything take so much longer, each way."""
        self._network.run(self._set(delay_s=seconds))

    def lose_commits(self, count: int) -> None:
        """Break the next connections at a COMMIT: the server has answered, the client has not read it."""
        self._network.run(self._set(to_lose=count))

    def mend(self) -> None:
        """Let everything through again. Connections that were held go on where they were."""
        self._network.run(self._set())

    def shut(self, *, silently: bool) -> None:
        """Let nothing through, whatever is mended, until `reopen`; silently, or breaking and refusing."""
        self._is_shut, self._refuses_when_shut = True, not silently
        self.mend()

    def reopen(self) -> None:
        """Forget what was under way, and begin anew."""
        self._is_shut = False
        self.refuse()
        self.mend()

    def close(self) -> None:
        """End."""
        self._network.run(self._close())

    async def _set(
        self, *, held: bool = False, refusing: bool = False, delay_s: float = 0.0, to_lose: int = 0
    ) -> None:
        self._refusing, self._delay_s, self._to_lose = refusing, delay_s, to_lose
        if self._is_shut:
            held, self._refusing = not self._refuses_when_shut, self._refuses_when_shut
        if held:
            self._held.clear()
        else:
            self._held.set()
        if self._refusing:
            self._break()

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        meetings = tuple(self._meetings)
        self._break()
        await asyncio.gather(*meetings, return_exceptions=True)

    def _break(self) -> None:
        for meeting in self._meetings:
            meeting.cancel()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        meeting = asyncio.current_task()
        assert meeting is not None
        self._meetings.add(meeting)
        try:
            with suppress(OSError, asyncio.CancelledError):
                if not self._refusing:
                    await self._held.wait()
                    await self._connect(reader, writer)
        finally:
            self._meetings.discard(meeting)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let both sides talk until one of them ends."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        way = _Way(self, writer, far_writer)
        both = [asyncio.create_task(way.up(reader)), asyncio.create_task(way.down(far_reader))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            far_writer.transport.abort()
            await asyncio.gather(*both, return_exceptions=True)

    async def pass_on(self) -> None:
        """Return when something may go through."""
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        if not self._held.is_set():
            await self._held.wait()

    def takes(self) -> bool:
        """Whether the answer to this COMMIT is one to lose."""
        if self._to_lose <= 0:
            return False
        self._to_lose -= 1
        self.lost += 1
        return True


class _Way:
    """One connection through a proxy."""

    def __init__(self, proxy: Proxy, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._near = near
        self._far = far
        self._names: set[bytes] = set()  # of COMMIT, as it was prepared
        self._is_losing = False

    async def up(self, reader: asyncio.StreamReader) -> None:
        """From the node to the server."""
        while data := await reader.read(_CHUNK_BYTES):
            await self._proxy.pass_on()
            if self._commits(data) and self._proxy.takes():
                self._is_losing = True
            self._far.write(data)
            await self._far.drain()

    async def down(self, reader: asyncio.StreamReader) -> None:
        """From the server to the node."""
        while data := await reader.read(_CHUNK_BYTES):
            if self._is_losing:
                return
            await self._proxy.pass_on()
            self._near.write(data)
            await self._near.drain()

    def _commits(self, data: bytes) -> bool:
        self._names.update(_PREPARED.findall(data))
        return _COMMIT in data or any(b"\x00" + name + b"\x00" in data for name in self._names)
