"""A small API of jobs that knows nothing of licences: GET /jobs lists them, POST /jobs adds one.

    python jobs.py [PORT]

Whoever stands before it decides who gets here, and says in X-Licet-User who it is.
"""

import json
import sys
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

PORT = 8001
BODY_BYTES_MAX = 65_536

Environ = dict[str, Any]
jobs: list[dict[str, str]] = []


def application(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The API (PEP 3333)."""
    status, content = _answer(environ)
    body = json.dumps(content).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _answer(environ: Environ) -> tuple[HTTPStatus, Any]:
    if environ["PATH_INFO"] != "/jobs":
        return HTTPStatus.NOT_FOUND, {"error": "there is /jobs, and nothing else"}
    match environ["REQUEST_METHOD"]:
        case "GET" | "HEAD":
            return HTTPStatus.OK, jobs
        case "POST":
            return _added(environ)
        case _:
            return HTTPStatus.METHOD_NOT_ALLOWED, {"error": "GET or POST"}


def _added(environ: Environ) -> tuple[HTTPStatus, Any]:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > BODY_BYTES_MAX:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": f"at most {BODY_BYTES_MAX} bytes"}
    try:
        title = str(json.loads(environ["wsgi.input"].read(length))["title"])
    except (ValueError, TypeError, KeyError):
        return HTTPStatus.BAD_REQUEST, {"error": 'send {"title": "..."}'}
    job = {"title": title, "added by": environ.get("HTTP_X_LICET_USER", "")}
    jobs.append(job)
    return HTTPStatus.CREATED, job


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""


def serve(app: Callable[..., Iterable[bytes]], port: int = PORT) -> None:
    """Serve an application on this machine until Ctrl-C."""
    with make_server("127.0.0.1", port, app, _Server, _Quiet) as server:
        server.serve_forever()


if __name__ == "__main__":
    serve(application, int(sys.argv[1]) if len(sys.argv) > 1 else PORT)
