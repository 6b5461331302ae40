"""A receiver of alerts: a real HTTP server that checks signatures as Standard Webhooks specifies.

    with Receiver() as receiver:
        ...
        assert receiver.received[0].is_signed(secret)

`answer` decides what it answers. The check shares no code with Licet's signing.
"""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

PATIENCE_S = 60.0


class Received(NamedTuple):
    """A received request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The id of the message."""
        return self.headers["webhook-id"]

    @property
    def content(self) -> Any:
        """The content of the message."""
        return json.loads(self.body)

    def is_signed(self, secret: str, *, now_s: int | None = None, tolerance_s: int = 300) -> bool:
        """Whether it is signed with this secret as Standard Webhooks specifies, and is no replay."""
        kind, _, encoded = secret.partition("_")
        assert kind == "whsec"
        timestamp = self.headers["webhook-timestamp"]
        if now_s is not None and abs(now_s - int(timestamp)) > tolerance_s:
            return False
        content = f"{self.id}.{timestamp}.{self.body.decode()}".encode()
        digest = hmac.new(base64.b64decode(encoded), content, hashlib.sha256).digest()
        expected = base64.b64encode(digest).decode()
        versions = (it.split(",", 1) for it in self.headers["webhook-signature"].split(" "))
        return any(version == "v1" and hmac.compare_digest(it, expected) for version, it in versions)


Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Handles one request."""

    server: "_Server"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Keep the request, and answer as the test wants."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver = self.server.receiver
        receiver.received.append(Received(self.path, headers, body))
        receiver.answer(self)

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the library's name
        """Nothing is printed."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: "Receiver"

    def handle_error(self, *_: object) -> None:
        """Ignore errors: in some tests the client leaves in the middle of an answer, on purpose."""


class Receiver:
    """The server. A test may change `answer` at any time."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.received: list[Received] = []
        self.answer: Answer = answer or says(204)
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.receiver = self
        self.url = f"http://127.0.0.1:{self._server.server_port}/licet"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def says(status: int, body: bytes = b"", **headers: str) -> Answer:
    """An `answer` that is always the same."""
    return lambda handler: handler.say(status, body, **headers)
