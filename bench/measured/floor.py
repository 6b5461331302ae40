"""The floor: the smallest ASGI application on the same HTTP server, as `floor:app` for uvicorn.

It reads the form of a token request and answers as many bytes as a grant does; it checks and keeps nothing.
"""

from typing import Any
from urllib.parse import parse_qsl

BODY = b'{"access_token":"lca_%s","token_type":"Bearer","expires_in":600,"refresh_token":"lcr_%s",' % (
    b"a" * 88,
    b"r" * 72,
)
BODY += b'"refresh_expires_in":1200,"scope":"all"}'
HEADERS = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"pragma", b"no-cache"),
    (b"content-length", str(len(BODY)).encode()),
]


async def app(_scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Parse a form, and answer JSON of the size of a grant."""
    message = await receive()
    parse_qsl(message["body"])
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
