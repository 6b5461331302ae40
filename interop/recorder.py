"""What stands between a client and Licet, and sees how it asks: a proxy, and an API that wants a token.

    /{tenant}/...      is handed to Licet as it came, and the answer back
    /api/{tenant}      204 to a live token of the tenant, else 401

It changes nothing. What it records is how a client authenticates and what it asks for.
"""

import asyncio
import socket
import threading
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qs

import httpx
import uvicorn

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
_OF_A_CONNECTION = {
    b"host",
    b"connection",
    b"keep-alive",
    b"upgrade",
    b"transfer-encoding",
    b"content-length",
}
_PATIENCE_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that went through. `basic` are the bytes that Basic had in it; `api` is one to the API."""

    path: str
    status: int
    grant_type: str | None
    by: str  # basic, body, private_key_jwt, bearer, none
    basic: bytes | None
    token: str | None


class Recorder:
    """Listens on a port of its own until the end of its block; `target` is Licet's URL once it has one."""

    def __init__(self) -> None:
        self.target = ""
        self.asked: list[Asked] = []
        self._api_auth = ("", "")
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            self._app,
            log_config=None,
            lifespan="off",
            ws="none",
            interface="asgi3",
            http="h11",
            log_level="error",
        )  # httptools loses a body behind `Upgrade: h2c`, which Java asks for
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._socket.listen()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def serve(self, target: str, api: tuple[str, str]) -> None:
        """Hand on to this URL; the API asks there with these credentials."""
        self.target, self._api_auth = target, api

    def since(self, mark: int, end: str = "/token") -> list[Asked]:
        """What was asked after `len(asked)` was `mark`, at paths that end so."""
        return [request for request in self.asked[mark:] if request.path.endswith(end)]

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._served())

    async def _served(self) -> None:
        async with httpx.AsyncClient(timeout=_PATIENCE_S) as self._http:
            await self._server.serve(sockets=[self._socket])

    async def _app(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body = await _body(receive)
        headers = {name: value for name, value in scope["headers"] if name not in _OF_A_CONNECTION}
        token = _bearer(headers)
        if scope["path"].startswith("/api/"):
            answer = await self._api(scope["path"].removeprefix("/api/"), token)
        else:
            url = self.target + scope["raw_path"].decode() + _query(scope)
            answer = await self._http.request(
                scope["method"], url, headers=list(headers.items()), content=body
            )
        self.asked.append(asked(scope["path"], answer.status_code, headers, body))
        await _answer(send, answer)

    async def _api(self, tenant: str, token: str | None) -> httpx.Response:
        if token is not None:
            url = f"{self.target}/{tenant}/introspect"
            introspected = await self._http.post(url, data={"token": token}, auth=self._api_auth)
            if introspected.raise_for_status().json()["active"]:
                return httpx.Response(204)
        return httpx.Response(401, headers={"www-authenticate": 'Bearer error="invalid_token"'})


def asked(path: str, status: int, headers: dict[bytes, bytes], body: bytes) -> Asked:
    """What there is to know of a request."""
    form = parse_qs(body.decode("utf-8", "replace"))
    basic = _basic(headers)
    by = "none"
    if basic is not None:
        by = "basic"
    elif "client_assertion" in form:
        by = "private_key_jwt"
    elif "client_secret" in form:
        by = "body"
    elif _bearer(headers) is not None:
        by = "bearer"
    return Asked(
        path=path,
        status=status,
        grant_type=form.get("grant_type", [None])[0],
        by=by,
        basic=basic,
        token=_bearer(headers),
    )


def _basic(headers: dict[bytes, bytes]) -> bytes | None:
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        return b64decode(value, validate=True)
    except NotBase64:
        return value


def _bearer(headers: dict[bytes, bytes]) -> str | None:
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    return value.decode() if scheme.lower() == b"bearer" else None


def _query(scope: dict[str, Any]) -> str:
    return f"?{scope['query_string'].decode()}" if scope["query_string"] else ""


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        event = await receive()
        body += bytes(event.get("body", b""))
        if not event.get("more_body"):
            return body


async def _answer(send: Send, answer: httpx.Response) -> None:
    headers = [(name.lower(), value) for name, value in answer.headers.raw]
    kept = [(name, value) for name, value in headers if name not in _OF_A_CONNECTION]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
    await send({"type": "http.response.body", "body": answer.content})
