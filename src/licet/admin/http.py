"""Serves the connections of the admin listener: the public listener's protocol with other limits.

Framing, time-outs and limits are those of `licet.web.http.connection`. What differs:

- The application is one of ASGI. Answers may be streams, which end when the client disconnects.
- Bodies may be larger, and slower.
- A refusal before there is a request is a problem (RFC 9457) with the security headers of every answer.
"""

from http import HTTPStatus
from typing import ClassVar, Final

import msgspec

from licet.admin.gate import SECURITY_HEADERS
from licet.admin.problems import Problem
from licet.web.http.asgi import AsgiHttpProtocol
from licet.web.http.connections import Limits, share_of

CONNECTIONS_MAX: Final = 100
"""Open connections. A browser opens six, and each page that follows by itself keeps one."""

TURNED_AWAY_MAX: Final = 10
"""Connections without room that get an answer at the same time."""

BODY_BYTES_MAX: Final = 8 * 1024 * 1024
"""Twice the largest body that the gate takes: the refusal of a larger one is the gate's to give."""

BODY_TIMEOUT_S: Final = 20.0
"""So 4 MiB come in whole at 2 Mbit/s."""

KEEP_ALIVE_S: Final = 5
"""Between two requests on one connection, as uvicorn has it."""

_KINDS: Final = {413: "too-large", 431: "too-large", 503: "store-unavailable"}


class AdminHttpProtocol(AsgiHttpProtocol):
    """One connection."""

    limits: ClassVar[Limits] = Limits(
        connections_max=CONNECTIONS_MAX,
        per_source_max=share_of(CONNECTIONS_MAX),
        turned_away_max=TURNED_AWAY_MAX,
    )
    body_bytes_max: ClassVar[int] = BODY_BYTES_MAX
    body_timeout_s: ClassVar[float] = BODY_TIMEOUT_S
    serves_half_closed: ClassVar[bool] = (
        False  # a browser closes both directions: nobody would read an answer
    )

    @staticmethod
    def refusal(status: int, description: str, request_id: str) -> bytes:
        """A problem, complete, after which the connection is closed."""
        body = msgspec.json.encode(Problem(status, kind_of(status), description).content(request_id))
        fields = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode("ascii")),
            *SECURITY_HEADERS,
        ]
        status_line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode("ascii")
        lines = [status_line, *(b"%b: %b" % field for field in fields), b"", body]
        return b"\r\n".join(lines)


def kind_of(status: int) -> str:
    """The end of the type of a problem with the connection."""
    return _KINDS.get(status, "malformed-request")
