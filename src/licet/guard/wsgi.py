"""Puts the guard before a WSGI application (PEP 3333): Flask, Django and others."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from licet.guard.guard import OVERRIDING, Guard
from licet.guard.identity import KEY
from licet.guard.refusal import Refused

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_OVERRIDING = frozenset(f"HTTP_{name.upper().replace('-', '_')}" for name in OVERRIDING)


class WsgiGuardMiddleware:
    """An application behind a guard; `public` are whole paths that need no token."""

    def __init__(self, app: Application, guard: Guard, public: Iterable[str] = ()) -> None:
        self._app = app
        self._guard = guard
        self._public = frozenset(public)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        environ.pop(KEY, None)
        if environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "") not in self._public:
            try:
                environ[KEY] = self._guard.check(
                    environ["REQUEST_METHOD"],
                    environ.get("HTTP_AUTHORIZATION"),  # a repeated header is one malformed value
                    is_overridden=not environ.keys().isdisjoint(_OVERRIDING),
                )
            except Refused as refused:
                return _refuse(environ, start_response, refused)
        return self._app(environ, start_response)


def _refuse(environ: Environ, start_response: Callable[..., Any], refused: Refused) -> list[bytes]:
    headers = [*refused.headers.items(), ("Content-Length", str(len(refused.body)))]
    start_response(f"{refused.status} {HTTPStatus(refused.status).phrase}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [refused.body]
