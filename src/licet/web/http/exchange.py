"""Defines the interface between a connection and the code that answers one request.

`direct.py` answers for the public listener, `asgi.py` for ASGI applications, such as the admin listener.
"""

import http
import json
from typing import Final, Protocol

_SERVER_ERROR: Final = 500  # and above


class UnderWay(Protocol):
    """One request and its answer, as far as a connection knows them."""

    response_started: bool
    response_complete: bool

    def add_body(self, part: bytes) -> None:
        """A part of the body has arrived."""

    def request_complete(self, *, is_reusable: bool) -> None:
        """All of the request has arrived; `is_reusable`: the connection may be used again afterwards."""

    def client_is_done(self) -> None:
        """The client sends no more, and may have gone."""

    def is_followed(self) -> None:
        """The client has sent bytes of a later request. While they are kept, its end would go unnoticed."""

    def be_last(self) -> None:
        """The answer is the last one of the connection."""

    def refused(self) -> None:
        """The connection has answered by itself: nothing more may be written."""

    def lost(self) -> None:
        """The connection is gone."""


class _Nothing:
    """What is under way before the first request."""

    response_started = response_complete = True

    def _ignore(self, *_: object, **__: object) -> None:
        """There is nobody to tell."""

    add_body = request_complete = client_is_done = is_followed = be_last = refused = lost = _ignore


NOTHING: Final[UnderWay] = _Nothing()


def refusal(status: int, description: str, request_id: str) -> bytes:
    """An error answer, complete, after which the connection is closed."""
    overloaded = status == http.HTTPStatus.SERVICE_UNAVAILABLE
    error = "server_error" if status >= _SERVER_ERROR else "invalid_request"
    content = {"error": error, "error_description": description, "request_id": request_id}
    body = json.dumps(content, separators=(",", ":"))
    head = (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "cache-control: no-store",
        "pragma: no-cache",
        *(("retry-after: 1",) if overloaded else ()),
        "connection: close",
        f"x-request-id: {request_id}",
        "",
        body,
    )
    return "\r\n".join(head).encode("ascii")
