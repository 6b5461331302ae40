"""Puts the guard before an ASGI application: Starlette, FastAPI, Django, Quart and others.

HTTP and WebSocket are guarded; a WebSocket can carry anything, so a read-only token cannot open one. Other
kinds of connections are not passed on, except `lifespan`.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from licet.guard.guard import OVERRIDING, Guard
from licet.guard.identity import KEY, Identity
from licet.guard.refusal import Refused, malformed
from licet.guard.watching import POLICY_VIOLATION, Message, Watched

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_GUARDED = frozenset({"http", "websocket"})
_OPENED = "WEBSOCKET"  # not a safe method
_NAME = b"authorization"
_OVERRIDING = frozenset(name.encode() for name in OVERRIDING)
_LENGTHS = frozenset(map(len, [_NAME, *_OVERRIDING]))  # few other headers have to be compared
# To lower case, and `_` to `-`: for an application behind it, such as WSGI, the two may be the same.
_SPELLING = bytes.maketrans(ascii_uppercase.encode() + b"_", ascii_lowercase.encode() + b"-")


class GuardMiddleware:
    """An application behind a guard; `public` are whole paths that need no token."""

    def __init__(self, app: Application, guard: Guard, public: Iterable[str] = ()) -> None:
        self._app = app
        self._guard = guard
        self._public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in _GUARDED:
            await self._pass_on(scope, receive, send)
            return
        if scope["path"] not in self._public:
            try:
                scope[KEY] = recall(self._guard, scope) or await check(self._guard, scope)
            except Refused as refused:
                await (_refuse if scope["type"] == "http" else _close)(scope, receive, send, refused)
                return
            if scope["type"] == "websocket" and (every_s := self._guard.rechecks_every_s) is not None:
                receive, send = self._watched(scope, receive, send, every_s)
        await self._app(scope, receive, send)

    def _watched(self, scope: Scope, receive: Receive, send: Send, every_s: float) -> tuple[Receive, Send]:
        """Check a WebSocket again with its messages."""

        async def again() -> Identity:
            return recall(self._guard, scope) or await check(self._guard, scope)

        watched = Watched(receive, send, again, now_s=self._guard.now_s, every_s=every_s)
        return watched.receive, watched.send

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise RuntimeError(f"the guard does not know connections of type {scope['type']!r}")

        async def send_after_closing(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown"):  # afterwards the event loop may end
                await self._guard.aclose()
            await send(message)

        try:
            await self._app(scope, receive, send_after_closing)
        finally:
            await self._guard.aclose()


def recall(guard: Guard, scope: Scope, scopes: Iterable[str] = ()) -> Identity | None:
    """The caller of a request that needs these scopes and the guard's; None where `check` has to ask.

    Raises Refused.
    """
    authorization: bytes | None = None
    is_overridden = False
    for spelt, value in scope["headers"]:
        if len(spelt) in _LENGTHS:
            name = spelt.translate(_SPELLING)
            if name == _NAME:
                if authorization is not None:
                    raise malformed(guard.realm)
                authorization = value
            elif name in _OVERRIDING:
                is_overridden = True
    if authorization is None:
        return None
    method = scope.get("method", _OPENED)
    return guard.recall_permitted(authorization, method, scopes, is_overridden=is_overridden)


async def check(guard: Guard, scope: Scope, scopes: Iterable[str] = ()) -> Identity:
    """The caller, when the cache does not have it; a repeated header has been refused by then.

    Raises Refused.
    """
    headers = {name.translate(_SPELLING): value for name, value in scope["headers"]}
    authorization = headers.get(_NAME)
    return await guard.acheck(
        scope.get("method", _OPENED),
        None if authorization is None else authorization.decode("latin-1"),
        scopes=scopes,
        is_overridden=not _OVERRIDING.isdisjoint(headers),
    )


async def _refuse(scope: Scope, _receive: Receive, send: Send, refused: Refused, kind: str = "http") -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in refused.headers.items()]
    headers.append((b"content-length", str(len(refused.body)).encode()))
    await send({"type": f"{kind}.response.start", "status": refused.status, "headers": headers})
    body = b"" if scope.get("method") == "HEAD" else refused.body
    await send({"type": f"{kind}.response.body", "body": body})


async def _close(scope: Scope, receive: Receive, send: Send, refused: Refused) -> None:
    """Close before accepting, so that the handshake is refused."""
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await _refuse(scope, receive, send, refused, "websocket.http")
    else:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
