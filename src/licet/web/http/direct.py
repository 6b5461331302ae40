"""Answers the requests of a connection to the public listener, without ASGI.

    head -> DirectExchange -> answering(exchange), awaited in a Run -> Response -> head and body in one write

The rules:

- An answer is one piece: its head and body are written together, with one system call.
- The application continues within the event that it waited for, and not as a task one turn of the loop later.
- No answer is written until the client has read the previous ones: the connection waits.
- A request that repeats an earlier one byte for byte is not parsed again (`repeated.py`). If no layer before
  the application must see it, it is answered without a coroutine as soon as its lane replies.

The scope, messages and task of ASGI would add more than half of the cost of an introspection.
"""

import asyncio
import contextvars
from collections.abc import Coroutine, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from licet.model import Tenant
from licet.protocol.errors import Header
from licet.protocol.message import BODY_BYTES_MAX, Response, body_too_large
from licet.web.http.connection import GuardedHttpProtocol
from licet.web.http.exchange import UnderWay
from licet.web.http.head import path_of, target_of
from licet.web.http.phases import Phase
from licet.web.http.repeated import REQUEST_BYTES_MAX, Repeated, RepeatedRequests
from licet.web.request import Disconnected, Exchange, Headers, Quick, Repetition

HEADS_MAX = 64  # that are kept as bytes; the usual ones are a handful
TARGETS_MAX = 64  # that are kept as read, 2 MiB at worst: tenants have a handful of endpoints each

_BEFORE_A_REQUEST = (Phase.IDLE, Phase.NEW)  # no byte of it has come
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_CONTENT = 204  # it has neither a length nor a body (RFC 9110 8.6)


class DirectHttpProtocol(GuardedHttpProtocol):
    """One connection. `app` is an `Answering`."""

    _fields: ClassVar[tuple[object, bytes]] = ([], b"")
    """The header fields of every answer, as uvicorn has them and as bytes: one pair for all connections."""

    repeated: ClassVar[RepeatedRequests | None] = None
    """The requests that came before: one memory for all connections of a server."""

    quick: ClassVar[Quick | None] = None
    """What answers them in steps. Without it `app` answers them, as it does all others."""

    _name = b""  # of the bytes that were just received, if they may be one whole request

    @staticmethod
    def report_fault(request_id: str, fault: BaseException) -> None:
        """Report a bug before or behind the endpoints; a subclass may log it."""

    def resume_writing(self) -> None:
        """The client reads again: an answer that waited for that is written."""
        super().resume_writing()
        if isinstance(self._under_way, DirectExchange):
            self._under_way.write()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client: a request that came before, or something for the parser."""
        repeated = self.repeated
        if repeated is None or self._phase not in _BEFORE_A_REQUEST or len(data) > REQUEST_BYTES_MAX:
            super().data_received(data)
            return
        name = self._name = repeated.name(data)
        found = repeated.find(name)
        if found is None:
            super().data_received(data)
        elif (tenant := found.repetition.holds()) is not None:
            self._answer_again(found, tenant)
        else:
            repeated.forget(name)
            super().data_received(data)
        self._name = b""

    def keep(self, exchange: "DirectExchange", name: bytes, repetition: Repetition) -> None:
        """Remember the request of these bytes."""
        if self.repeated is not None:
            self.repeated.add(name, exchange, self.peer, repetition)

    def lines_of_all(self) -> bytes:
        """The header fields of every answer."""
        fields, lines = DirectHttpProtocol._fields
        now = self.server_state.default_headers
        if fields is not now:  # uvicorn makes a new list each second, for the date
            lines = b"".join(b"%s: %s\r\n" % field for field in now)
            DirectHttpProtocol._fields = now, lines
        return lines

    def has_answered(self, *, is_last: bool) -> None:
        """An answer is written."""
        if is_last:
            self._end()
        self.on_response_complete()

    def _begin(self, fields: Mapping[bytes, bytes], *, expects_100: bool) -> UnderWay:
        target = self.url
        return DirectExchange(
            self,
            self.parser.get_method().decode("ascii"),
            # A query may have a secret, in the wrong place: it is not kept.
            _known_target(target) if b"?" not in target else _target(target),
            self.headers,
            fields,
            expects_100=expects_100,
        )

    def _start(self, under_way: Any) -> None:  # a DirectExchange, of `_begin`
        if self._name and self._is_alone and not under_way.query:
            under_way.name = self._name
        Run(self.app(under_way), under_way, self.tasks, self.loop)

    def _answer_again(self, found: Repeated, tenant: Tenant) -> None:
        exchange = RepeatedExchange(self, found, tenant)
        self._begin_again(exchange)
        if self.quick is not None and found.peer == self.peer:
            exchange.begin(self.quick, found)
        else:
            Run(self.app(exchange), exchange, self.tasks, self.loop)


class DirectExchange(Exchange):
    """One request and its answer."""

    response_started = False
    response_complete = False
    _body = b""
    _answer = b""  # while it waits for the client
    _is_whole = False
    _is_alone = False  # the client sends no more
    _is_followed = False  # by a later request
    _is_gone = False
    _is_last = True  # until the whole request is here
    _waiting: asyncio.Future[None] | None = None
    name = b""  # of its bytes, where they are all of it and nothing else

    def __init__(
        self,
        connection: DirectHttpProtocol,
        method: str,
        target: tuple[str, bytes],
        headers: Headers,
        fields: Mapping[bytes, bytes],
        *,
        expects_100: bool,
    ) -> None:
        super().__init__(method, target, headers, fields, connection.peer)
        self.scheme = connection.scheme
        self._connection = connection
        self._expects_100 = expects_100

    # For the application

    async def body(self) -> bytes:
        """All of the body. Raises Disconnected, and OAuthError when it is too large."""
        if self._expects_100 and not self._is_whole and not self._is_gone:
            self._expects_100 = False
            self._connection.transport.write(_CONTINUE)
        while not self._is_gone:
            if len(self._body) > BODY_BYTES_MAX:
                raise body_too_large()
            if self._is_whole:
                return self._body
            await self._change()
        raise Disconnected

    async def gone(self) -> None:
        """Return when the client no longer waits, once the body is here."""
        while not self._is_gone and not self._is_alone:
            await self._change()

    @property
    def is_gone(self) -> bool:
        """Whether nobody can get the answer any more."""
        return self._is_gone

    @property
    def is_leaving(self) -> bool:
        """Whether the client is gone, or could go without notice, or does not read its answers."""
        is_unnoticed = self._is_alone or self._is_followed
        return self._is_gone or is_unnoticed or self._connection.flow.write_paused

    def keep(self, repetition: Repetition) -> None:
        """Let this request be answered by `repetition` when it comes again byte for byte."""
        if self.name and not self._is_last:
            self._connection.keep(self, self.name, repetition)

    # For the connection

    def add_body(self, part: bytes) -> None:
        """A part of the body has arrived. The connection bounds how much there may be."""
        if not self.response_started:
            self._body += part
            self._has_changed()

    def request_complete(self, *, is_reusable: bool) -> None:
        """All of the request has arrived; an answer that has begun has already decided on the connection."""
        self._is_whole = True
        if not self.response_started:
            self._is_last = not is_reusable
            self._has_changed()

    def client_is_done(self) -> None:
        """The client sends no more: a request that waits in a line may give its place back."""
        self._is_alone = True
        self._has_changed()
        self.on_leaving()

    def is_followed(self) -> None:
        """A later request has come: while it is kept, nothing is read, and so no end of the connection."""
        self._is_followed = True
        self.on_leaving()

    def be_last(self) -> None:
        """The answer is the last one of the connection."""
        self._is_last = True

    def refused(self) -> None:
        """The connection has answered by itself: the application learns that the client is gone."""
        self._is_gone = True
        self._has_changed()
        self.on_leaving()

    lost = refused

    # For the Run

    def respond(self, response: Response) -> None:
        """Write the answer, or keep it until the client reads."""
        status, body = response.status, response.body
        try:
            head = (_head if response.is_own else _kept_head)(status, response.headers)
        except ValueError as bug:
            self.fail(bug)
            return
        length = b"" if status == _NO_CONTENT else b"content-length: %d\r\n" % len(body)
        closing = b"connection: close\r\n" if self._is_last else b""
        if self.method == "HEAD":
            body = b""
        common, request_id = self._connection.lines_of_all(), self.request_id.encode("ascii")
        self._take(b"%b%bx-request-id: %b\r\n%b%b\r\n%b" % (head, length, request_id, common, closing, body))

    def fail(self, fault: BaseException) -> None:
        """Answer for an application that could not, unless nobody waits."""
        connection = self._connection
        if isinstance(fault, Disconnected):
            return
        if isinstance(fault, asyncio.CancelledError):
            status, description = 503, "The server is stopping."
        else:
            connection.report_fault(self.request_id, fault)
            status, description = 500, "The server has failed."
        self._is_last = True
        self._take(connection.whole_refusal(status, description, self.request_id))

    def write(self) -> None:
        """Write the answer that waits, if there is one and the client reads."""
        connection = self._connection
        if not self._answer or self._is_gone or connection.flow.write_paused:
            return
        self.response_complete = True
        connection.transport.write(self._answer)
        self._answer = b""
        connection.has_answered(is_last=self._is_last)

    def _take(self, answer: bytes) -> None:
        self.response_started = True
        self._answer = answer
        self.write()

    # What somebody waits for

    async def _change(self) -> None:
        """Return when something has happened to the request."""
        if self._waiting is None or self._waiting.done():
            self._waiting = self._connection.loop.create_future()
        await asyncio.shield(self._waiting)

    def _has_changed(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class RepeatedExchange(DirectExchange):
    """A request that came before, and its answer, which is written as soon as its lane replies.

    It takes the place of two objects: of the future that waits for the reply, and of the task among `tasks`.
    """

    _quick: Quick
    _is_over = False  # the reply is here, or is not waited for
    _is_whole, _is_last = True, False

    # The same for each request, and so not set for each: this is the hottest path.
    query = b""
    fields: Mapping[bytes, bytes] = MappingProxyType({})  # were read the first time
    authorization = None
    _expects_100 = False

    def __init__(self, connection: DirectHttpProtocol, found: Repeated, tenant: Tenant) -> None:
        self._connection = connection
        self.method, self.path, self.headers = found.method, found.path, found.headers
        self.address, self.scheme = connection.peer, connection.scheme
        self.again = repetition = found.repetition
        self.asked_of, self.tenant, self.named = tenant, tenant.name, repetition.client_id

    def begin(self, quick: Quick, found: Repeated) -> None:
        """Ask its lane. Its address and scheme are those of the first time, which a proxy may have given."""
        self.address, self.scheme = found.address, found.scheme
        self._quick = quick
        self._connection.tasks.add(cast("Any", self))
        try:
            quick.ask(self, self)
        except Exception as fault:  # noqa: BLE001 - whatever it is, a client waits
            self.set_exception(fault)

    # For its lane

    def done(self) -> bool:
        """Whether it waits no longer."""
        return self._is_over

    def set_result(self, reply: object) -> None:
        """Answer what the lane has replied."""
        self._end()
        try:
            response = self._quick.answer(self, reply)
        except Exception as fault:  # noqa: BLE001 - a refusal, or a bug
            self._refuse(fault)
        else:
            self.respond(response)

    def set_exception(self, fault: Exception) -> None:
        """Answer that it has failed."""
        self._end()
        self._refuse(fault)

    # For the server

    def cancel(self, msg: object = None) -> bool:
        """Wait no longer: the server stops, and passes its reason as `msg`."""
        del msg
        self._is_over = True
        self._connection.loop.call_soon(self._stop)  # the server is iterating over `tasks`
        return True

    def _stop(self) -> None:
        self._end()
        self.fail(asyncio.CancelledError())

    def _end(self) -> None:
        self._is_over = True
        self._connection.tasks.discard(cast("Any", self))

    def _refuse(self, fault: Exception) -> None:
        connection = self._connection
        Run(self._quick.refuse(fault, self), self, connection.tasks, connection.loop)


def _target(target: bytes) -> tuple[str, bytes]:
    """The path of a request target, unescaped, and its query."""
    raw_path, query = target_of(target)
    return path_of(raw_path), query


_known_target = lru_cache(TARGETS_MAX)(_target)


def _head(status: int, headers: tuple[Header, ...]) -> bytes:
    """The status line and these header fields.

    Raises ValueError where a value has a line end: behind it would begin a forged header.
    """
    lines = [STATUS_LINE[status], *[b"%b: %b\r\n" % field for field in headers]]
    head = b"".join(lines)
    if not len(lines) == head.count(b"\r") == head.count(b"\n"):
        raise ValueError("a header of an answer has a line end")
    return head


_kept_head = lru_cache(HEADS_MAX)(_head)


class Run:
    """An application that answers one request, in `running` until its end; like a task it can be cancelled.

    `asyncio.current_task()` does not know it: an application may wait for futures, but for nothing that needs
    a task of its own. An eager task would do the same without these lines, but asyncio has them only since
    Python 3.12, and 3.11 is supported.
    """

    __slots__ = ("_context", "_coroutine", "_exchange", "_loop", "_running", "_waits_for")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Response],
        exchange: DirectExchange,
        running: set[Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._coroutine = coroutine
        self._exchange = exchange
        self._context = contextvars.copy_context()
        self._running = running
        self._loop = loop
        self._waits_for: asyncio.Future[Any] | None = None
        running.add(self)
        self.go_on()

    def go_on(self, _: object = None) -> None:
        """Go on until the next wait, or to the answer."""
        try:
            waits_for = self._waits_for = self._context.run(self._coroutine.send, None)
        except StopIteration as end:
            self._running.discard(self)
            self._exchange.respond(end.value)
        except BaseException as fault:  # noqa: BLE001 - whatever it is, a client waits
            self._running.discard(self)
            self._exchange.fail(fault)
        else:
            if waits_for is None:  # asyncio.sleep(0)
                self._loop.call_soon(self.go_on)
            else:
                # As a task does: mark the future as waited for.
                waits_for._asyncio_future_blocking = False  # noqa: SLF001
                waits_for.add_done_callback(self.go_on)

    def cancel(self, msg: object = None) -> bool:
        """Cancel what it waits for, so that it ends. The server passes its reason as `msg`."""
        del msg
        return self._waits_for is not None and self._waits_for.cancel()
