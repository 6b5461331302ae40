"""APIs behind each kind of guard: plain ASGI, FastAPI and WSGI.

They answer 200 to every request that the guard lets in, with the caller's identity as JSON.
"""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any, Protocol
from wsgiref.validate import validator

import httpx
import uvicorn
from fastapi import Depends, FastAPI

from licet.guard import Guard, GuardMiddleware, Identity, WsgiGuardMiddleware, identity
from licet.guard.asgi import Receive, Scope, Send
from licet.guard.fastapi import dependency
from support.web.http_site import PATIENCE_S

URL = "http://api"


def token_of(name: str) -> str:
    """A token in Licet's format that no server has issued."""
    return f"lca_{name:_<88}"


Headers = list[tuple[str, str]] | dict[str, str]


class Api(Protocol):
    """A kind of guarded API."""

    def __call__(self, guard: Guard, method: str, headers: Headers, path: str = "/") -> httpx.Response:
        """Send a request to an API with this guard, and return the answer."""


def plain(guard: Guard, method: str, headers: Headers, path: str = "/") -> httpx.Response:
    """An ASGI application behind the middleware."""
    return asyncio.run(
        _asked(guard, GuardMiddleware(_asgi, guard, public=["/health"]), method, headers, path)
    )


def fastapi(guard: Guard, method: str, headers: Headers, path: str = "/") -> httpx.Response:
    """A FastAPI application whose handler has the dependency."""
    app = FastAPI()
    licensed = dependency(guard)

    @app.api_route("/", methods=["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"])
    async def handle(who: Annotated[Identity, Depends(licensed)]) -> dict[str, Any]:
        return shown(who)

    return asyncio.run(_asked(guard, app, method, headers, path))


def wsgi(guard: Guard, method: str, headers: Headers, path: str = "/") -> httpx.Response:
    """A WSGI application behind the middleware, checked for PEP 3333 on both sides."""
    app = validator(WsgiGuardMiddleware(validator(_wsgi), guard, public=["/health"]))
    with httpx.Client(transport=httpx.WSGITransport(app=app)) as http:
        return http.request(method, f"{URL}{path}", headers=headers)


KINDS: tuple[Api, ...] = (plain, fastapi, wsgi)


def shown(who: Identity) -> dict[str, Any]:
    """An identity in the form of JSON."""
    return asdict(who) | {"scopes": sorted(who.scopes), "features": sorted(who.features)}


async def _asked(guard: Guard, app: Any, method: str, headers: Headers, path: str) -> httpx.Response:
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as http:
            return await http.request(method, f"{URL}{path}", headers=headers)
    finally:
        await guard.aclose()


async def _asgi(scope: Scope, receive: Receive, send: Send) -> None:
    content = {} if scope["path"] == "/health" else shown(identity(scope))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


def _wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    content = {} if environ["PATH_INFO"] == "/health" else shown(identity(environ))
    body = json.dumps(content).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


async def answer_ok(scope: Any, receive: Any, send: Any) -> None:
    """The smallest ASGI application."""
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@contextmanager
def an_asgi_api(guard: Guard) -> Iterator[str]:
    """Serve an API behind the ASGI middleware with uvicorn; yields its URL."""
    with serving_asgi(GuardMiddleware(answer_ok, guard)) as url:
        yield url


@contextmanager
def serving_asgi(app: Any) -> Iterator[str]:
    """Serve an ASGI application with uvicorn; yields its URL."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1000)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
