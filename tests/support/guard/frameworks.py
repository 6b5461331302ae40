"""APIs behind a guard in real frameworks: Starlette, Flask, and Django on WSGI and ASGI.

Each adds the guard as the how-to guides say, and calls `identity` with the framework's request.
"""

import asyncio
from functools import cache
from typing import Any

import django
import flask
import httpx
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, JsonResponse
from django.urls import path as url
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from licet.guard import Guard, GuardMiddleware, WsgiGuardMiddleware, identity
from support.guard.guarded import URL, Api, Headers, shown

METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"]


def in_starlette(guard: Guard, method: str, headers: Headers, path: str = "/") -> httpx.Response:
    """Starlette, with the guard in its list of middleware."""

    async def handle(request: Request) -> JSONResponse:
        return JSONResponse(shown(identity(request)))

    guarded = Middleware(GuardMiddleware, guard=guard)
    app = Starlette(routes=[Route("/", handle, methods=METHODS)], middleware=[guarded])
    return asyncio.run(_asked(guard, app, method, headers, path))


def in_flask(guard: Guard, method: str, headers: Headers, path: str = "/") -> httpx.Response:
    """Flask."""
    return _called(flask_application(guard), method, headers, path)


def flask_application(guard: Guard) -> flask.Flask:
    """A Flask application with the guard around its `wsgi_app`."""
    app = flask.Flask("jobs")

    @app.route("/", methods=METHODS)
    def handle() -> dict[str, Any]:
        return shown(identity(flask.request))

    app.wsgi_app = WsgiGuardMiddleware(app.wsgi_app, guard)  # type: ignore[method-assign]
    return app


def in_django(guard: Guard, method: str, headers: Headers, path: str = "/") -> httpx.Response:
    """Django on WSGI."""
    return _called(django_application(guard), method, headers, path)


def django_application(guard: Guard) -> WsgiGuardMiddleware:
    """A Django application with the guard around its WSGI handler."""
    _set_up_django()
    return WsgiGuardMiddleware(WSGIHandler(), guard)


def in_async_django(guard: Guard, method: str, headers: Headers, path: str = "/async") -> httpx.Response:
    """Django on ASGI, with a view that is a coroutine."""
    _set_up_django()
    return asyncio.run(_asked(guard, GuardMiddleware(ASGIHandler(), guard), method, headers, path))


FRAMEWORKS: tuple[Api, ...] = (in_starlette, in_flask, in_django, in_async_django)


def _called(app: Any, method: str, headers: Headers, path: str) -> httpx.Response:
    with httpx.Client(transport=httpx.WSGITransport(app=app)) as http:
        return http.request(method, f"{URL}{path}", headers=headers)


async def _asked(guard: Guard, app: Any, method: str, headers: Headers, path: str) -> httpx.Response:
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as http:
            return await http.request(method, f"{URL}{path}", headers=headers)
    finally:
        await guard.aclose()


def _view(request: HttpRequest) -> JsonResponse:
    return JsonResponse(shown(identity(request)))


async def _async_view(request: HttpRequest) -> JsonResponse:
    return JsonResponse(shown(identity(request)))


@cache
def _set_up_django() -> None:
    """Configure Django, which is possible only once in a process."""
    urls = (url("", _view), url("async", _async_view))
    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=urls, SECRET_KEY="tests")
    django.setup()
