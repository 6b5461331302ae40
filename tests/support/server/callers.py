"""Clients that call one server concurrently, and checks of its store."""

import asyncio
import json
import sqlite3
from base64 import b64encode
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, closing, suppress
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from licet.credentials.generated import ClientSecrets
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.store.opening import SQLITE_NAME
from support.server.running import RunningServer

TENANT = "Jim_Test"
GRANT = {"grant_type": "client_credentials"}


class Answer(NamedTuple):
    """An answer of the server: its status and its content."""

    status: int
    content: dict[str, Any]

    @property
    def told(self) -> str:
        """`granted` for a grant or refresh, else the reason of the refusal."""
        if "access_token" in self.content:
            return "granted"
        return str(self.content.get("reason", self.content.get("error")))


class Caller:
    """A connection to a server: one question at a time, or several before the first answer is read.

    When the server is gone, what waits for an answer raises OSError or EOFError.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> "Caller":
        """Connect."""
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def ask(self, path: str, authorization: str = "", **form: str) -> Answer:
        """Post a form to `/{path}`."""
        self.say(path, authorization, **form)
        return await self.hear()

    def say(self, path: str, authorization: str = "", **form: str) -> None:
        """Send a request."""
        body = urlencode(form)
        authorized = f"authorization: {authorization}\r\n" if authorization else ""
        typed = "content-type: application/x-www-form-urlencoded\r\n" if form else ""
        head = f"POST /{path} HTTP/1.1\r\nhost: licet.test\r\n{authorized}{typed}content-length: {len(body)}"
        self._writer.write(f"{head}\r\n\r\n{body}".encode("ascii"))

    async def hear(self) -> Answer:
        """Read the next answer."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        body = await self._reader.readexactly(length)
        return Answer(int(head.split()[1]), json.loads(body or b"{}"))

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


@asynccontextmanager
async def opened(urls: Collection[str]) -> AsyncIterator[list[Caller]]:
    """Open a connection to each of these."""
    callers = await asyncio.gather(*map(Caller.open, urls))
    try:
        yield callers
    finally:
        await asyncio.gather(*(caller.close() for caller in callers))


def bearer(answer: Answer) -> str:
    """The `Authorization` header with the token of an answer."""
    return f"Bearer {answer.content['access_token']}"


def with_secrets(
    server: RunningServer,
    client_ids: Collection[str],
    *,
    tenant: str = TENANT,
    **settings: Any,
) -> dict[str, str]:
    """Add clients with generated secrets, which need no Argon2; returns their Authorization headers."""
    secrets = ClientSecrets(read_keyring(server.data / FILE_NAME).pepper)
    made = {client_id: secrets.generate() for client_id in client_ids}
    with server.changing() as change:
        setup = change.tenant(tenant)
        if "TC" not in setup.users:
            setup.add_user("TC")
        for client_id, secret in made.items():
            setup.add_client(client_id, secret, **({"user": "TC"} | settings))
    return {client_id: basic(client_id, secret.secret) for client_id, secret in made.items()}


def rows(server: RunningServer, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """The result of a query, read beside the server."""
    with closing(sqlite3.connect(server.data / SQLITE_NAME)) as connection:
        return connection.execute(query, parameters).fetchall()


def in_use(server: RunningServer, tenant: str = TENANT, pool: str = "full") -> int:
    """The seats in use of a pool; the counter and the rows have to agree."""
    query = """
        SELECT in_use, (SELECT count(*) FROM seat WHERE pool_id = pool.id) FROM pool
        WHERE name = ? AND tenant_id = (SELECT id FROM tenant WHERE name = ?)
    """
    ((kept, counted),) = rows(server, query, pool, tenant)
    assert kept == counted
    return int(kept)


def basic(client_id: str, secret: str) -> str:
    """The `Authorization` header of a client."""
    return f"Basic {b64encode(f'{client_id}:{secret}'.encode()).decode()}"
