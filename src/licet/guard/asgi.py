"""The guard before an ASGI application: Starlette, FastAPI, Django, Quart and others.

HTTP and WebSocket are guarded; a WebSocket carries anything, so a token that may only look opens none. Any
other kind of connection is not passed on, but for `lifespan`.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from licet.guard.caller import KEY
from licet.guard.guard import OVERRIDING, Guard
from licet.guard.refusal import Refused, malformed

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_NO_PERSON = 1008  # RFC 6455 7.4.1: policy violation


class GuardMiddleware:
    """An application behind a guard; `public` are paths, each as a whole, that need no token."""

    def __init__(self, app: Application, guard: Guard, public: Iterable[str] = ()) -> None:
        self._app = app
        self._guard = guard
        self._public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] == "lifespan":
            try:
                await self._app(scope, receive, send)
            finally:
                await self._guard.aclose()
        elif scope["type"] in {"http", "websocket"}:
            await self._guarded(scope, receive, send)
        else:
            raise RuntimeError(f"the guard does not know connections of type {scope['type']!r}")

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in self._public:
            try:
                scope[KEY] = await self._identity(scope)
            except Refused as refused:
                await (_refuse if scope["type"] == "http" else _close)(scope, receive, send, refused)
                return
        await self._app(scope, receive, send)

    async def _identity(self, scope: Scope) -> Any:
        found = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        if len(found) > 1:
            raise malformed(self._guard.realm)
        return await self._guard.acheck(
            scope.get("method", "WEBSOCKET"),
            found[0].decode("latin-1") if found else None,
            # To what is behind, as a WSGI application, both spellings may be one.
            is_overridden=any(
                name.decode("latin-1").lower().replace("_", "-") in OVERRIDING for name, _ in scope["headers"]
            ),
        )


async def _refuse(scope: Scope, _receive: Receive, send: Send, refused: Refused, kind: str = "http") -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in refused.headers.items()]
    headers.append((b"content-length", str(len(refused.body)).encode()))
    await send({"type": f"{kind}.response.start", "status": refused.status, "headers": headers})
    body = b"" if scope.get("method") == "HEAD" else refused.body
    await send({"type": f"{kind}.response.body", "body": body})


async def _close(scope: Scope, receive: Receive, send: Send, refused: Refused) -> None:
    """Before it is accepted, so that the handshake is refused."""
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await _refuse(scope, receive, send, refused, "websocket.http")
    else:
        await send({"type": "websocket.close", "code": _NO_PERSON})
