"""Sends HTTP requests to a server at little cost, because the load shares the processors with the servers.

A `Connection` carries one request at a time. A `Line` has all connections of one process to one node, and
gives up on answers that do not come. A request without an answer may have been carried out; the client has to
allow for that.
"""

import asyncio
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Mapping
from typing import NamedTuple, cast
from urllib.parse import quote

import msgspec

from chaos.history import Claims, now_us

PATIENCE_S = 2.5  # for an answer; a node has to report within two seconds that it cannot reach the store
SWEEP_S = 0.25
UNDER_WAY_MAX = 32  # requests to one node: more would wait in it until their clients have given up
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


class Seat(msgspec.Struct):
    """The claim of a seat in a token or an introspection."""

    number: int = 0
    counted_for: str = ""


class Said(msgspec.Struct):
    """The members of an answer of any endpoint, and the claims of a JWT."""

    access_token: str = ""
    refresh_token: str = ""
    error: str = ""
    reason: str = ""
    seats: int = 0
    in_use: int = 0
    queue_position: int = 0
    logged_off: bool = False
    seat_released: bool = False
    active: bool | None = None
    seat: Seat | None = None
    error_description: str = ""
    sid: str = ""
    iat: int = 0
    exp: int = 0
    client_id: str = ""
    username: str = ""
    scope: str = ""
    pool: str = ""


class Answer(NamedTuple):
    """An answer: its status, and its body."""

    status: int
    said: Said


_decode = msgspec.json.Decoder(Said).decode
_NOTHING = Said()


class Connection(asyncio.Protocol):
    """One connection; `ask` returns None if no answer comes."""

    def __init__(self) -> None:
        self.is_open = True
        self.left_us = 0
        self.asked_at_s = self.wait_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer | None] | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _: Exception | None) -> None:
        """End a request without an answer."""
        self.is_open = False
        self._finish(None)

    def data_received(self, data: bytes) -> None:
        """Collect the parts of an answer."""
        self._buffer = self._buffer + data if self._buffer else data
        head, found, body = self._buffer.partition(_HEAD_END)
        if not found:
            return
        length = int(head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0] or 0)
        if len(body) < length:
            return
        self._buffer = b""
        self._finish(Answer(int(head[9:12]), _decode(body) if body.startswith(b"{") else _NOTHING))

    def ask(self, request: bytes) -> asyncio.Future[Answer | None]:
        """Send a request."""
        assert self._transport is not None
        self._waiting = self._loop.create_future()
        self.asked_at_s = self._loop.time()
        if self.is_open:
            self._transport.write(request)
        else:
            self._finish(None)
        return self._waiting

    def leave(self, *, hears: bool) -> None:
        """Leave before the answer comes: close the connection, or, if `hears`, only its sending half."""
        if self._waiting is None or not self.is_open:
            return
        self.left_us = now_us()
        if not hears:
            self.give_up()
            return
        assert self._transport is not None
        self.is_open = False
        self.asked_at_s = self._loop.time() - self.wait_s  # from now on it is due
        self._transport.write_eof()

    def give_up(self) -> None:
        """Wait no longer for the answer."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()
        self._finish(None)

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is awaited."""
        return self._waiting is not None

    def _finish(self, answer: Answer | None) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
        if self.left_us and self._transport is not None:
            self._transport.abort()


class Line:
    """All connections to one node, as many as are used at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._under_way = 0

    @property
    def has_room(self) -> bool:
        """Whether one more request may be under way."""
        return self._under_way < UNDER_WAY_MAX

    async def take(self, wait_s: float = 0.0) -> Connection | None:
        """An idle connection; None if the node cannot be reached.

        `wait_s` is how long the node may delay the answer; such a request does not count as under way.
        """
        self._under_way += not wait_s
        connection = await self._connected()
        if connection is None:
            self._under_way -= not wait_s
        else:
            connection.wait_s = wait_s
        return connection

    async def _connected(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
            self._all.discard(connection)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE_S):
                _, connection = await loop.create_connection(Connection, "127.0.0.1", self._port)
        except (OSError, TimeoutError):
            return None
        self._all.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Return a connection for others to use."""
        self._under_way -= not connection.wait_s
        if connection.is_open:
            self._idle.append(connection)
        else:
            self._all.discard(connection)

    def sweep(self, patience_s: float = PATIENCE_S) -> None:
        """Give up on requests whose answers are overdue by more than this."""
        before_s = asyncio.get_running_loop().time() - patience_s
        for connection in tuple(self._all):
            if connection.is_waiting and connection.asked_at_s + connection.wait_s < before_s:
                connection.give_up()


def basic(client_id: str, secret: str) -> str:
    """The `Authorization` header of a client (RFC 7617)."""
    return f"Basic {b64encode(f'{client_id}:{secret}'.encode()).decode()}"


def post(path: str, authorization: str, form: Mapping[str, str] | None = None, wait_s: int = 0) -> bytes:
    """A POST request; its answer may be delayed for `wait_s` (RFC 7240). `authorization` may be ''."""
    head = f"POST /{path} HTTP/1.1\r\nhost: chaos\r\n"
    if authorization:
        head += f"authorization: {authorization}\r\n"
    if wait_s:
        head += f"prefer: wait={wait_s}\r\n"
    if form is None:
        return f"{head}content-length: 0\r\n\r\n".encode("ascii")
    body = "&".join(f"{name}={quote(value)}" for name, value in form.items())
    typed = f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}"
    return f"{head}{typed}\r\n\r\n{body}".encode("ascii")


def sid_of(token: str) -> str:
    """The session of a token of any kind, in hexadecimal: 20 bytes behind version and key id, or a claim."""
    return _claims(token).sid if _is_jwt(token) else urlsafe_b64decode(token[4:36])[2:22].hex()


def issued_ms_of(access_token: str) -> int:
    """When an access token was issued, by the clock of the store: 6 bytes behind the session, or a claim."""
    if _is_jwt(access_token):
        return _claims(access_token).iat * 1000
    return int.from_bytes(urlsafe_b64decode(access_token[4:44])[22:28], "big")


def number_of(access_token: str) -> int:
    """The seat number in a JWT; 0 if it has none."""
    seat = _claims(access_token).seat if _is_jwt(access_token) else None
    return 0 if seat is None else seat.number


def claims_of(access_token: str) -> Claims | None:
    """The claims of an access token, if it is a JWT."""
    if not _is_jwt(access_token):
        return None
    said = _claims(access_token)
    seat = said.seat or Seat()
    return Claims(
        client=said.client_id,
        user=said.username,
        scope=said.scope,
        pool=said.pool,
        counted_for=seat.counted_for,
        number=seat.number,
        iat=said.iat,
        exp=said.exp,
    )


def _is_jwt(token: str) -> bool:
    return token.startswith("eyJ")


def _claims(token: str) -> Said:
    return _decode(payload_of(token))


def payload_of(jwt: str) -> bytes:
    """The claims of a JWT as JSON, not verified."""
    payload = jwt.split(".")[1]
    return urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
