"""Passes one request and its answer between the connection and the application.

uvicorn's cycle is right for every answer; this subclass of it is quick for the usual one, a whole answer to
a request that is here. The rules:

- A head is not written before the first part of the body, as ASGI demands: one packet and one system call.
- uvicorn does what is unusual: a body in parts, one of unknown length, HEAD, a full connection.
- The application continues within the event that it waited for, and not as a task one turn of the loop later.

It takes 4 us less for each request, of 14 that the HTTP server took (measured with the floor of `bench/`).
"""

import asyncio
import contextvars
import http
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol, cast

from uvicorn._types import HTTPScope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_FRAMING = (b"connection", b"transfer-encoding")
_NO_CONTENT = 204  # it has neither a length nor a body (RFC 9110 8.6)


class Outlet:
    """What an answer may do with the connection: for the cycle it stands in for the transport.

    `close` is not the transport's: only the protocol knows whether the client still sends.
    """

    __slots__ = ("_head", "_transport", "close", "head_is_next", "is_closing")

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        self._transport = transport
        self._head = b""
        self.head_is_next = False
        self.is_closing = transport.is_closing
        self.close = end

    def write(self, data: bytes) -> None:
        """Write a head or a part of a body."""
        if self.head_is_next:
            self.head_is_next = False
            self._head = data
        elif self._head:
            self._transport.write(self._head + data)
            self._head = b""
        else:
            self._transport.write(data)

    def write_whole(self, answer: bytes) -> None:
        """Write a head with all of its body."""
        self.head_is_next = False
        self._transport.write(answer)

    def flush(self) -> None:
        """Write a held head that no body follows."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def let_go(self) -> None:
        """Write nothing more: the connection is gone, and the application may not have noticed yet."""
        self._head = b""
        self.close = self._transport.close


class Line(NamedTuple):
    """What all cycles of a connection share. There is one cycle at a time, so one event is enough."""

    outlet: Outlet
    flow: FlowControl
    logger: logging.Logger
    event: asyncio.Event


class Common(NamedTuple):
    """The header fields of every answer, as pairs and as bytes."""

    fields: list[tuple[bytes, bytes]]
    lines: bytes


class UnderWay(Protocol):
    """One request and its answer, as far as a connection knows them."""

    response_started: bool
    response_complete: bool

    def add_body(self, part: bytes) -> None:
        """A part of the body has arrived."""

    def request_complete(self, *, is_reusable: bool) -> None:
        """All of the request has arrived; `is_reusable`: the connection may be used again afterwards."""

    def client_is_done(self) -> None:
        """The client sends no more, and may have gone."""

    def be_last(self) -> None:
        """The answer is the last one of the connection."""

    def refused(self) -> None:
        """The connection has answered by itself: nothing more may be written."""


class Cycle(RequestResponseCycle):
    """One request and its answer, for an ASGI application."""

    # The initial values, by uvicorn's names: most of them never change.
    access_log = False
    disconnected = False
    keep_alive = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding: bool | None = None
    expected_content_length = 0
    _start: Any = None
    _is_received = False

    def __init__(
        self,
        line: Line,
        common: Common,
        scope: HTTPScope,
        *,
        expects_100: bool,
        on_response: Callable[[], None],
    ) -> None:
        # uvicorn's attributes, without its `__init__`, which costs a quarter of what all of this saves.
        self.scope = scope
        self.transport = cast("asyncio.Transport", line.outlet)
        self.flow = line.flow
        self.logger = self.access_logger = line.logger
        self.default_headers = common.fields
        self.message_event = line.event
        self.on_response = on_response
        self.waiting_for_100_continue = expects_100
        self.body = bytearray()
        self._outlet = line.outlet
        self._common = common.lines

    def add_body(self, part: bytes) -> None:
        """A part of the body has arrived; it is kept until the application has answered."""
        if not self.response_complete:
            self.body += part
            if len(self.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            self.message_event.set()

    def request_complete(self, *, is_reusable: bool) -> None:
        """All of the request has arrived; an answer that has begun has already decided on the connection."""
        self.more_body = False
        self.message_event.set()
        if not self.response_started:
            self.keep_alive = is_reusable

    def client_is_done(self) -> None:
        """The client sends no more: a request that waits in a line may give its place back."""
        self.message_event.set()

    def be_last(self) -> None:
        """The answer is the last one of the connection."""
        self.keep_alive = False

    def refused(self) -> None:
        """The connection has answered by itself: the application learns that the client is gone."""
        self.disconnected = True
        self.waiting_for_100_continue = False
        self.message_event.set()

    async def receive(self) -> Any:
        """The body, at once when all of it is here; then, when there is one, the end of the connection."""
        if self._is_received and not self.disconnected and not self.response_complete:
            # Nothing more comes in. Not uvicorn's `receive`, which would read the bytes that are held back.
            await self.message_event.wait()
            return {"type": "http.disconnect"}
        if self._is_received or self.more_body or self.waiting_for_100_continue or self.disconnected:
            message: Any = await super().receive()
            self._is_received = not message.get("more_body")
            return message
        self._is_received = True
        self.message_event.clear()
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        """Take a part of the answer; a head waits for its body."""
        start = self._start
        if start is None:
            if self.response_started or message["type"] != "http.response.start":
                await super().send(message)
            else:
                self._start = message
            return
        self._start = None
        answer = self._usual(start, message)
        if answer is None:
            await super().send(start)
            await super().send(message)
        elif not self.disconnected:
            self._complete(answer)

    def _usual(self, start: Any, message: Any) -> bytes | None:
        """The answer as bytes; None when it is an unusual one, or an invalid one."""
        if message.get("more_body") or self.flow.write_paused or self.scope["method"] == "HEAD":
            return None
        lines, length, body = [STATUS_LINE[start["status"]]], None, message.get("body", b"")
        for name, value in start["headers"]:
            if name in _FRAMING:
                return None
            if name == b"content-length":
                length = value
            lines.append(b"%b: %b\r\n" % (name, value))
        head = b"".join(lines)
        if length != b"%d" % len(body) and (start["status"] != _NO_CONTENT or length is not None or body):
            return None
        # A line end within a value would begin a forged header.
        if not len(lines) == head.count(b"\r") == head.count(b"\n"):
            return None
        closing = b"" if self.keep_alive else b"connection: close\r\n"
        return b"%b%b%b\r\n%b" % (head, self._common, closing, body)

    def _complete(self, answer: bytes) -> None:
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self._outlet.write_whole(answer)
        self.message_event.set()
        if not self.keep_alive:
            self._outlet.close()
        self.on_response()


def refusal(status: int, description: str, request_id: str) -> bytes:
    """An error answer, complete, after which the connection is closed."""
    overloaded = status == http.HTTPStatus.SERVICE_UNAVAILABLE
    error = "server_error" if overloaded else "invalid_request"
    content = {"error": error, "error_description": description, "request_id": request_id}
    body = json.dumps(content, separators=(",", ":"))
    head = (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "cache-control: no-store",
        "pragma: no-cache",
        *(("retry-after: 1",) if overloaded else ()),
        "connection: close",
        f"x-request-id: {request_id}",
        "",
        body,
    )
    return "\r\n".join(head).encode("ascii")


class Run:
    """An application that answers one request, in `running` until its end; like a task it can be cancelled.

    `asyncio.current_task()` does not know it: an application may wait for futures, but for nothing that needs
    a task of its own. An eager task would do the same without these lines, but asyncio has them only since
    Python 3.12, and 3.11 is supported.
    """

    __slots__ = ("_context", "_coroutine", "_loop", "_running", "_waits_for")

    def __init__(
        self, coroutine: Coroutine[Any, Any, None], running: set[Any], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._coroutine = coroutine
        self._context = contextvars.copy_context()
        self._running = running
        self._loop = loop
        self._waits_for: asyncio.Future[Any] | None = None
        running.add(self)
        self.go_on()

    def go_on(self, _: object = None) -> None:
        """Go on until the next wait."""
        try:
            waits_for = self._waits_for = self._context.run(self._coroutine.send, None)
        except StopIteration:
            self._running.discard(self)
        except BaseException:
            self._running.discard(self)
            raise
        else:
            if waits_for is None:  # asyncio.sleep(0)
                self._loop.call_soon(self.go_on)
            else:
                # As a task does: mark the future as waited for.
                waits_for._asyncio_future_blocking = False  # noqa: SLF001
                waits_for.add_done_callback(self.go_on)

    def cancel(self, _: object = None) -> bool:
        """Cancel what it waits for, so that it ends."""
        return self._waits_for is not None and self._waits_for.cancel()
