"""Answers the requests of a connection by an ASGI application, as the admin listener has one.

uvicorn's cycle sends every answer correctly. It does not know that bytes after a request are held back, and
that only the connection can end itself properly.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from licet.web.http.connection import GuardedHttpProtocol
from licet.web.http.exchange import UnderWay
from licet.web.http.head import scope_of

_LOGGER: Final = logging.getLogger("uvicorn.error")


class AsgiHttpProtocol(GuardedHttpProtocol):
    """One connection to an ASGI application."""

    def _begin(self, fields: Mapping[bytes, bytes], *, expects_100: bool) -> UnderWay:
        del fields
        scope = scope_of(
            self.url,
            method=self.parser.get_method(),
            version=self.parser.get_http_version(),
            headers=self.headers,
            ends=(self.server, self.client),
            scheme=self.scheme,
        )
        outlet = _Outlet(self.transport, self._end)
        return Cycle(
            let_go=outlet.let_go,
            scope=scope,
            transport=cast("asyncio.Transport", outlet),
            flow=self.flow,
            logger=_LOGGER,
            access_logger=_LOGGER,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expects_100,
            keep_alive=False,
            on_response=self.on_response_complete,
        )

    def _start(self, under_way: Any) -> None:  # a Cycle, of `_begin`
        task = self.loop.create_task(under_way.run_asgi(self.app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class _Outlet:
    """Stands in for the transport: `close` is not the transport's, as the client may still send."""

    __slots__ = ("_transport", "close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        self._transport = transport
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = end

    def let_go(self) -> None:
        """The connection is gone, which the application may not have noticed yet."""
        self.close = self._transport.close


class Cycle(RequestResponseCycle):
    """One request and its answer."""

    _is_received = False

    def __init__(self, *, let_go: Callable[[], None], **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._let_go = let_go

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
        """The client sends no more: an application that waits for that is told."""
        self.message_event.set()

    def is_followed(self) -> None:
        """The client has sent a later request, which waits for this answer."""

    def be_last(self) -> None:
        """The answer is the last one of the connection."""
        self.keep_alive = False

    def refused(self) -> None:
        """The connection has answered by itself: the application learns that the client is gone."""
        self.disconnected = True
        self.waiting_for_100_continue = False
        self.message_event.set()

    def lost(self) -> None:
        """The connection is gone: the application learns it."""
        self.disconnected = not self.response_complete
        self.message_event.set()
        self._let_go()

    async def receive(self) -> Any:
        """The body; then, when there is one, the end of the connection."""
        if self._is_received and not self.disconnected and not self.response_complete:
            # Nothing more comes in. Not uvicorn's `receive`, which would read the bytes that are held back.
            await self.message_event.wait()
            return {"type": "http.disconnect"}
        message: Any = await super().receive()
        self._is_received = not message.get("more_body")
        return message
