"""Applications behind a listener under test: each path names one way to handle a request."""

import asyncio
import contextvars
import json
import threading
from typing import TYPE_CHECKING, Any

from licet.protocol.errors import OAuthError
from licet.protocol.message import Response
from licet.web.request import Disconnected, Exchange
from support.examples import jim_test

if TYPE_CHECKING:
    from collections.abc import Callable

    from licet.lanes.contract import Waiter
    from licet.model import Tenant

BODY_LIMIT = 8 * 1024
LARGE = 50_000
"""Bytes of an answer: more than small socket buffers, less than the high-water mark of uvicorn."""

HUGE = 1_000_000
"""Bytes of an answer: more than all high-water marks, also those of TLS."""

LAST_PATH: contextvars.ContextVar[str] = contextvars.ContextVar("LAST_PATH", default="")


class Gate:
    """A point where an application waits until the test opens it."""

    def __init__(self) -> None:
        self._gate = asyncio.Event()
        self.reached = threading.Event()
        self.released = threading.Event()
        self.saw_disconnect = threading.Event()

    def open(self) -> None:
        """Let the waiting request go on. Call this in the event loop of the server."""
        self._gate.set()

    async def wait(self) -> None:
        """Report that the gate was reached, and wait until it opens."""
        self._gate.clear()  # it may have been opened for a request that was gone by then
        self.reached.set()
        await self._gate.wait()


class AnsweredBefore:
    """A request that is kept with its answer, for repetitions of it."""

    client_id: str | None = None
    read: Any = None  # the question to a lane: there is none here

    def __init__(self, application: "Application", content: dict[str, Any]) -> None:
        self._application = application
        self.content = content

    def holds(self) -> "Tenant | None":
        """The tenant, while the test lets the kept answer hold; then None."""
        return jim_test() if self._application.holds else None


class Application(Gate):
    """The application behind the direct protocol: each path names one way to handle a request.

    A request to `token` is kept: the same bytes again get the same answer, while `holds` is true.
    """

    holds = True
    repetitions = 0
    quick_answers = 0

    async def __call__(self, exchange: Exchange) -> Response:
        """Handle a request in the way that its path names."""
        exchange.request_id = "an-id"
        if exchange.again is not None:
            return self._answer_again(exchange)
        treatment: Callable[..., Any] = getattr(self, exchange.path.strip("/") or "token", self.token)
        found: Response = await treatment(exchange)
        return found

    def ask(self, exchange: Exchange, waiter: "Waiter[Any]") -> None:
        """Begin to answer a repeated request."""
        exchange.request_id = "an-id"
        waiter.set_result(None)

    def answer(self, exchange: Exchange, _: object) -> Response:
        """Complete the answer to a repeated request."""
        self.quick_answers += 1
        # There is no context of its own in this way, as nothing that answers so sets a variable of one.
        return contextvars.copy_context().run(self._answer_again, exchange)

    async def refuse(self, fault: Exception, _: Exchange) -> Response:
        """Raise the fault again: these tests cause none."""
        raise fault

    def _answer_again(self, exchange: Exchange) -> Response:
        assert isinstance(exchange.again, AnsweredBefore)
        self.repetitions += 1
        return answered(exchange.again.content)

    async def token(self, exchange: Exchange) -> Response:
        """Read the body up to a limit, and answer with what was received."""
        try:
            body = await exchange.body()
        except OAuthError as error:
            return response(error.status, {"error": "too large"})
        except Disconnected:
            self.saw_disconnect.set()
            raise
        content = {
            "path": exchange.path,
            "body": body.decode("latin-1"),
            "names": [name.decode() for name, _ in exchange.headers],
        }
        exchange.keep(AnsweredBefore(self, content))
        return answered(content)

    async def early(self, _: Exchange) -> Response:
        """Answer without reading the body."""
        return response(401, {"error": "invalid_client"})

    async def gated(self, exchange: Exchange) -> Response:
        """Answer when the test opens the gate."""
        await self.wait()
        return await self.token(exchange)

    async def pondered(self, exchange: Exchange) -> Response:
        """Read the request, and answer when the test opens the gate."""
        body = await exchange.body()
        gone = asyncio.ensure_future(exchange.gone())
        await self.wait()
        gone.cancel()
        return response(200, {"body": body.decode()})

    async def watched(self, exchange: Exchange) -> Response:
        """Read the request, and answer when the client has disconnected."""
        body = (await exchange.body()).decode()
        self.reached.set()
        await exchange.gone()
        self.released.set()
        return response(503, {"body": body, "then": "http.disconnect"})

    async def large(self, _: Exchange) -> Response:
        """Answer with a large body."""
        return response(200, {"x": "x" * LARGE})

    async def huge(self, _: Exchange) -> Response:
        """Answer with a huge body."""
        return response(200, {"x": "x" * HUGE})

    async def head(self, _: Exchange) -> Response:
        """Answer without a body."""
        return Response(status=204, headers=(), body=b"")

    async def crash(self, _: Exchange) -> Response:
        """Raise an exception, as an application with a bug."""
        raise LookupError("a bug")

    async def forged(self, exchange: Exchange) -> Response:
        """Put what the client sent into a header, including its line end."""
        value = exchange.query.replace(b"!", b"\r\n").replace(b"*", b"\n")
        return Response(status=200, headers=((b"x-echo", value),), body=b"{}")

    async def turns(self, exchange: Exchange) -> Response:
        """Let other tasks run in between, as with `asyncio.sleep(0)`."""
        for _ in range(3):
            await asyncio.sleep(0)
        return await self.token(exchange)


def answered(content: dict[str, Any]) -> Response:
    """An answer with this content, and the path of the request before it on this connection."""
    found = response(200, content | {"last path": LAST_PATH.get()})
    LAST_PATH.set(content["path"])
    return found


def response(status: int, content: dict[str, Any]) -> Response:
    body = json.dumps(content).encode()
    return Response(status=status, headers=((b"content-type", b"application/json"),), body=body)


class AsgiApplication(Gate):
    """The same for ASGI; an ASGI application can also begin an answer and not complete it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle a request in the way that its path names."""
        treatment: Callable[..., Any] = getattr(self, scope["path"].strip("/") or "token", self.token)
        await treatment(scope, receive, send)

    async def token(self, scope: Any, receive: Any, send: Any) -> None:
        """Read the body up to a limit, and answer with what was received."""
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.saw_disconnect.set()
                return
            body += message["body"]
            if len(body) > BODY_LIMIT:
                await answer(send, 413, {"error": "too large"})
                return
            if not message["more_body"]:
                break
        content = {
            "path": scope["path"],
            "body": body.decode("latin-1"),
            "names": [name.decode() for name, _ in scope["headers"]],
            "last path": LAST_PATH.get(),
        }
        LAST_PATH.set(scope["path"])
        await answer(send, 200, content)

    async def early(self, _scope: Any, _receive: Any, send: Any) -> None:
        """Answer without reading the body."""
        await answer(send, 401, {"error": "invalid_client"})

    async def gated(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer when the test opens the gate."""
        await self.wait()
        await self.token(scope, receive, send)

    async def pondered(self, _scope: Any, receive: Any, send: Any) -> None:
        """Read the request, and answer when the test opens the gate."""
        message = await receive()
        # Waits for a disconnect, as ASGI applications do that can be interrupted; that opens the way in.
        gone = asyncio.ensure_future(receive())
        await self.wait()
        gone.cancel()
        await answer(send, 200, {"body": message["body"].decode()})

    async def watched(self, _scope: Any, receive: Any, send: Any) -> None:
        """Read the request, and answer when the client has disconnected."""
        body = (await receive())["body"].decode()
        self.reached.set()
        message = await receive()
        await answer(send, 503, {"body": body, "then": message["type"]})
        self.released.set()

    async def begun(self, _scope: Any, _receive: Any, send: Any) -> None:
        """Begin an answer, and complete it when the test opens the gate."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"begin", "more_body": True})
        await self.wait()
        await send({"type": "http.response.body", "body": b"close"})

    async def endless(self, _scope: Any, _receive: Any, send: Any) -> None:
        """Send more than the kernel buffers, until the client is gone."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})
        self.released.set()

    async def large(self, _scope: Any, _receive: Any, send: Any) -> None:
        """Answer with a large body."""
        await answer(send, 200, {"x": "x" * LARGE})

    async def huge(self, _scope: Any, _receive: Any, send: Any) -> None:
        """Answer with a huge body."""
        await answer(send, 200, {"x": "x" * HUGE})

    async def head(self, _scope: Any, _receive: Any, send: Any) -> None:
        """Answer without a body."""
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def crash(self, _scope: Any, _receive: Any, _send: Any) -> None:
        """Raise an exception, as an application with a bug."""
        raise LookupError("a bug")

    async def relapsed(self, scope: Any, receive: Any, send: Any) -> None:
        """Raise an exception after a complete answer."""
        await self.early(scope, receive, send)
        raise LookupError("a bug")

    async def forged(self, scope: Any, _receive: Any, send: Any) -> None:
        """Put what the client sent into a header, including its line end."""
        value = scope["query_string"].replace(b"!", b"\r\n").replace(b"*", b"\n")
        headers = [(b"content-length", b"2"), (b"x-echo", value)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    async def miscounted(self, _scope: Any, _receive: Any, send: Any) -> None:
        """Announce a longer body than is sent."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": b"{}"})

    async def turns(self, scope: Any, receive: Any, send: Any) -> None:
        """Let other tasks run in between, as with `asyncio.sleep(0)`."""
        for _ in range(3):
            await asyncio.sleep(0)
        await self.token(scope, receive, send)


async def answer(send: Any, status: int, content: dict[str, Any]) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
