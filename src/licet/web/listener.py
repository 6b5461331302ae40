"""The HTTP connection: what may come from the network before there is a request to look at.

uvicorn's protocol parses HTTP and runs the application; this subclass sets its bounds. The rules:

- Whatever comes in gets an answer that is complete, or none: an error is never written into another answer.
- Everything that is kept has a largest size, and every wait that depends on the client has an end.
- One request at a time: bytes after it stay unparsed until it is answered, so that each is counted alone
  and no request is begun on a connection that is about to be closed.
- A connection is used again only after a request that was received whole; after any other it is closed
  so that the client still gets the answer (RFC 9112 section 9.6).
- Nothing of what the client sent is logged, nor repeated in an answer.

It does not know the application: not its paths, not its clients, not its own smaller limits.
"""

import asyncio
import contextvars
import http
import json
import math
import os
import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from uvicorn.config import Config
    from uvicorn.server import ServerState

HEAD_BYTES_MAX: Final = 16 * 1024
"""Request line and header fields of one request. Node.js has the same bound, Apache and nginx about half;
a token request with a 2 KiB client assertion and a proxy's additions stays under 4 KiB."""

HEADERS_MAX: Final = 100
"""Header fields of one request, as in Apache (LimitRequestFields). A browser behind two proxies sends 30."""

BODY_BYTES_MAX: Final = 64 * 1024
"""The body of one request, its chunk framing included. Eight times what the application takes: the refusal is
the application's to give, and this bound is for the client that does not wait for it."""

HELD_BYTES_MAX: Final = 64 * 1024
"""Pipelined bytes that wait for the answer before them: some two hundred token requests."""

LINGER_BYTES_MAX: Final = 1024 * 1024
"""What is read and thrown away behind a last answer. Costs no memory; one read is up to 250 KiB, so a smaller
bound would be used up by what the kernel had received before the client could see the answer."""

CONNECTIONS_MAX: Final = 800
"""Open connections that are served. Together with TURNED_AWAY_MAX and the store's files it stays below 1,024,
the usual soft limit on open files, and at the worst case of some 150 KiB each below 128 MiB."""

TURNED_AWAY_MAX: Final = 100
"""Connections above CONNECTIONS_MAX that are told so at the same time; any more are closed without a word."""

HEAD_TIMEOUT_S: Final = 10.0
"""For a whole head: three retransmissions of a lost packet (1, 2 and 4 seconds, RFC 6298) fit in."""

BODY_TIMEOUT_S: Final = 10.0
"""For the body after the head, for the same reason; 8 KiB fit in the first flight of packets (RFC 6928)."""

ANSWER_TIMEOUT_S: Final = 10.0
"""For the client to take answers off a connection that is full of them."""

LINGER_TIMEOUT_S: Final = 1.0
"""Between the last answer and the close: several round trips for the client to see the end and stop."""

_BLANK_LINE: Final = b"\r\n\r\n"
_NEVER: Final = math.inf
_VERSIONS: Final = ("1.1", "1.0")
_ONLY_ONCE: Final = (b"host", b"transfer-encoding")

# uri-host [ ":" port ] with an IP-literal in brackets (RFC 9110 section 7.2, RFC 3986 section 3.2.2). May be empty.
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-fv:.]+\]|[-\w.~%!$&'()*+,;=]*)(?::[0-9]*)?")


class _Phase(Enum):
    """What the next bytes of a connection are."""

    HEAD = auto()
    """The request line and header fields of a request, or nothing yet."""

    BODY = auto()
    """The rest of a request that the application has been given."""

    HELD = auto()
    """A later request: the one before is whole and not answered yet."""

    DROPPED = auto()
    """Of no use: the answer on its way is the last, but it is not complete yet."""

    DISCARDED = auto()
    """Of no use: the last answer is complete and the client may not have seen it yet."""

    TURNED_AWAY = auto()
    """A request for which there is no room."""


def refusal(status: int, description: str) -> bytes:
    """An error answer, complete, after which the connection is closed."""
    request_id = os.urandom(8).hex()
    overloaded = status == http.HTTPStatus.SERVICE_UNAVAILABLE
    body = json.dumps(
        {
            "error": "server_error" if overloaded else "invalid_request",
            "error_description": description,
            "request_id": request_id,
        },
        separators=(",", ":"),
    )
    lines = [
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "cache-control: no-store",
        "pragma: no-cache",
        *(["retry-after: 1"] if overloaded else []),
        "connection: close",
        f"x-request-id: {request_id}",
    ]
    return f"{'\r\n'.join(lines)}\r\n\r\n{body}".encode("ascii")
