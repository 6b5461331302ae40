"""Clients that wait in line for the seats of a pool, each with a connection and an address of its own.

line = Line(server, "Queue1", clients=3, seats=1, queue=20)
token = await line.take("c0")
waiting = await line.wait("c1")     # a long poll, which has its place when this returns
await line.log_off(token)
assert (await waiting.answer()).status == 200
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from ssl import SSLContext
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import httpx

from licet.store.postgres.store import PostgresStore
from licet.store.schema import queue_place, seat
from support.server.running import PASSWORD_HASH, RunningServer
from support.store.store_site import rows
from support.waiting import until

PATIENCE_S = 60.0
GRANT = {"grant_type": "client_credentials"}


class Answer(NamedTuple):
    """An answer."""

    status: int
    headers: dict[str, str]
    content: dict[str, Any]


class Poll:
    """A request that was sent, on a connection that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> Answer:
        """Read the answer."""
        async with asyncio.timeout(PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers["content-length"]))
        return Answer(int(head[0].split()[1]), headers, json.loads(body))

    def send(self, data: bytes) -> None:
        """Send more bytes."""
        self.writer.write(data)

    async def leave(self) -> None:
        """Close the connection."""
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Break the connection, as a program that crashed."""
        self.writer.transport.abort()


class Node(RunningServer):
    """A node of an installation on PostgreSQL."""

    def __init__(self, data: Path, url: str, **settings: Any) -> None:
        self._store_url = url
        super().__init__(data, store=url, **settings)

    @contextmanager
    def store(self) -> Iterator[Any]:
        """The store of all nodes, opened beside them."""
        with closing(PostgresStore(self._store_url, answer_s=PATIENCE_S)) as store:
            yield store


class Line:
    """A tenant whose pool has a queue, and its clients c0, c1 and so on; their passwords are `password`."""

    def __init__(
        self,
        server: RunningServer,
        name: str,
        *,
        clients: int = 4,
        tls: SSLContext | None = None,
        **pool: Any,
    ) -> None:
        self.server = server
        self.tls = tls
        self.name = name
        self._polls: list[Poll] = []
        with server.changing() as change:
            tenant = change.add_tenant(name, seats=1)
            tenant.add_user("TC", password_hash=PASSWORD_HASH)
            for number in range(clients):
                tenant.add_client(f"c{number}", user="TC")
            tenant.set_pool("full", **{"queue": 20, **pool})

    def request(
        self, client: str, *, prefer: str = "", via: str = "", secret: str = "password", **form: str
    ) -> bytes:
        """The bytes of a client's request."""
        content = urlencode({**GRANT, **form})
        lines = [
            f"POST /{self.name}/token HTTP/1.1",
            "Host: licet",
            f"Authorization: Basic {b64encode(f'{client}:{secret}'.encode()).decode()}",
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(content)}",
            *([f"Prefer: {prefer}"] if prefer else []),
            *([f"X-Forwarded-For: {via}"] if via else []),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + content).encode()

    async def send(self, client: str, *, at: str = "", url: str = "", data: bytes = b"", **sent: Any) -> Poll:
        """Send a request, or these bytes, from the address `at`, to the server or to another one."""
        parts = urlsplit(url or self.server.url)
        local = (at, 0) if at else None
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port, local_addr=local, ssl=self.tls
        )
        writer.write(data or self.request(client, **sent))
        self._polls.append(Poll(reader, writer))
        return self._polls[-1]

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(poll.leave() for poll in self._polls))

    async def ask(self, client: str, **sent: Any) -> Answer:
        """Send a request, and return its answer."""
        poll = await self.send(client, **sent)
        try:
            return await poll.answer()
        finally:
            await poll.leave()

    async def take(self, client: str) -> str:
        """Take a seat; returns its token."""
        answer = await self.ask(client)
        assert answer.status == httpx.codes.OK, answer
        token: str = answer.content["access_token"]
        return token

    async def queue(self, client: str, **sent: Any) -> Answer:
        """Ask for a place in line."""
        return await self.ask(client, **{"queue": "true", **sent})

    async def wait(self, client: str, *, seconds: int = 60, **sent: Any) -> Poll:
        """Begin to wait in line; when this returns, the place exists, and the request waits."""
        before = self.waiting()
        poll = await self.send(client, prefer=f"wait={seconds}", queue="true", **sent)
        await self.until_waiting(before + 1)
        return poll

    async def until_waiting(self, count: int) -> None:
        """Wait until so many requests wait."""
        await asyncio.to_thread(until, lambda: self.waiting() == count)

    async def until_looked(self, count: int) -> None:
        """Wait until the server has read its store for waiting requests so often."""
        await asyncio.to_thread(until, lambda: self.looks() >= count)

    async def log_off(self, token: str, *, url: str = "") -> None:
        """Give a seat back at the server or another one."""
        parts = urlsplit(url or self.server.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=self.tls)
        head = f"POST /{self.name}/logoff HTTP/1.1\r\nHost: licet\r\nAuthorization: Bearer {token}\r\n"
        poll = Poll(reader, writer)
        poll.send(f"{head}Content-Length: 0\r\n\r\n".encode())
        assert (await poll.answer()).content["logged_off"]
        await poll.leave()

    def metrics(self, of: RunningServer | None = None) -> Mapping[str, float]:
        """The metrics of the server or another one."""
        verify = True if self.tls is None else self.tls
        answer = httpx.get(f"{(of or self.server).admin_url}/metrics", timeout=PATIENCE_S, verify=verify)
        text = answer.raise_for_status().text
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def waiting(self) -> int:
        """How many requests wait."""
        return int(self.metrics()["licet_long_polls"])

    def looks(self, of: RunningServer | None = None) -> int:
        """How often the server or another one has read its store for waiting requests (once a second)."""
        return int(self.metrics(of)["licet_long_poll_reads_total"])

    def places(self) -> list[str]:
        """The holders of places, in order."""
        with self.server.store() as store:
            tenant = store.tenant(self.name)
            assert tenant is not None
            found = rows(store, queue_place, tenant_id=tenant.id)
        found.sort(key=lambda place: (-place.level, place.number))
        return [place.holder.removeprefix("client:") for place in found]

    def seats_in_use(self) -> int:
        """How many seats are in use."""
        with self.server.store() as store:
            tenant = store.tenant(self.name)
            assert tenant is not None
            seats, now_ms = rows(store, seat, tenant_id=tenant.id), store.clock.now_ms()
        return sum(it.expires_at_ms > now_ms for it in seats)
