"""A small real HTTP server that answers as a test wants, and remembers the requests.

    with Site(lambda asked: says(200, b"{}")) as site:
        httpx.get(f"{site.url}/path")
        assert site.asked[0].path == "/path"

An answer is a `Reply`, or raw bytes, after which the connection is closed.
"""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs

PATIENCE_S = 60.0


class Asked(NamedTuple):
    """A request; the names of its headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The fields of its form."""
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    @property
    def bearer(self) -> str:
        """Its bearer token."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")


class Reply(NamedTuple):
    """An answer with status, body and headers."""

    status: int
    body: bytes
    headers: dict[str, str]


Answering = Callable[[Asked], Reply | bytes]


def says(status: int, content: Any = b"", **headers: str) -> Reply:
    """An answer with these bytes, or with JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body)
        site = self.server.site
        site.asked.append(asked)
        reply = site.answer(asked)
        if isinstance(reply, bytes):
            self.close_connection = True
            self.wfile.write(reply)
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = _answer  # noqa: N815 - the library's names

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the library's name
        """Nothing is printed."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    site: "Site"

    def handle_error(self, *_: object) -> None:
        """Ignore errors: in some tests the client leaves in the middle of an answer, on purpose."""


class Site:
    """The server. A test may change `answer` at any time."""

    def __init__(self, answer: Answering | None = None) -> None:
        self.asked: list[Asked] = []
        self.answer: Answering = answer or (lambda _: says(200, {}))
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.site = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
