"""Protects the admin listener, as ASGI middleware: Host and Origin checks, size limits, security headers.

The rules:

- Every answer has the security headers and a request id, even one that the framework makes.
- A host name that is not the server's is refused: a page of another site whose name was made to resolve to
  this server (DNS rebinding) must not read or change anything. An IP address is accepted.
- A method that is not safe must not come from another site's page, whatever cookies come with it.
- A body has a largest size, and when the listener closes every stream ends.
- Where administrators reach the listener by https, every request counts as one over TLS, whether the proxy is
  trusted or not: so cookies are `Secure`, and browsers are ordered to use https only (RFC 6797).

It is plain ASGI, because it has to work for streams as well. It knows nothing of the application behind it.
"""

import asyncio
import itertools
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

from licet.admin.problems import Problem, forged_request

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Refuse = Callable[[Scope, Problem], Application]

BODY_BYTES_MAX = 256 * 1024  # well above the largest form, and parsed within a millisecond or two
HEAD_BYTES_MAX = 16 * 1024  # as on the public listener
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SLASH = "\udc2f"  # a slash within a segment: no name contains a surrogate

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SECURITY_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    # Without a referrer policy of this kind a browser sends "null" as the origin of our own forms.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_NO_STORE = (b"cache-control", b"no-store")
_HSTS = (b"strict-transport-security", b"max-age=31536000")  # a year; of this name alone (RFC 6797 6.1.2)
_LOCAL = re.compile(r"localhost|.+\.localhost")


class Gate:
    """The outermost layer of the admin listener. `refuse` makes an answer from a problem.

    Accepted host names are those in `urls`, that of its machine, and every IP address. Administrators use the
    first of `urls`. `larger` are the paths whose bodies may have so many bytes; `*` is any one segment.
    """

    def __init__(
        self,
        application: Application,
        *,
        urls: Iterable[str],
        closing: asyncio.Event,
        refuse: Refuse,
        body_bytes_max: int = BODY_BYTES_MAX,
        larger: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._application = application
        parts = [urlsplit(url.lower()) for url in urls]
        self._names = {
            socket.gethostname().lower(),
            *(part.hostname.rstrip(".") for part in parts if part.hostname),
        }
        self._origins = {f"{part.scheme}://{part.netloc}" for part in parts}
        self._is_tls = bool(parts) and parts[0].scheme == "https"
        self._headers = (*SECURITY_HEADERS, _NO_STORE, *((_HSTS,) if self._is_tls else ()))
        self._closing = closing
        self._refuse = refuse
        self._body_bytes_max = body_bytes_max
        self._larger = {tuple(path.split("/")): bytes_ for path, bytes_ in larger.items()}
        # Unique in this log for long enough: a random prefix, then a count.
        prefix = secrets.token_hex(4)
        self._request_ids = (f"a{prefix}-{number:x}" for number in itertools.count(1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":  # No other protocol is served here.
            return
        request_id = next(self._request_ids)
        state = {**scope.get("state", {}), "request_id": request_id}
        # A copy: the connection's own scope says that the answer to a HEAD has no body.
        scope = {**scope, "state": state, "path": _path(scope), "method": _method(scope)}
        if self._is_tls:
            scope["scheme"] = "https"
        application = self._application
        bytes_max = self._bytes_max(scope["path"])
        try:
            self._check(scope, bytes_max)
        except Problem as problem:
            application = self._refuse(scope, problem)
        incoming = _Incoming(receive, self._closing, bytes_max)
        await application(scope, incoming, _dressed(send, request_id, self._headers))

    def _check(self, scope: Scope, bytes_max: int) -> None:
        """Raises Problem."""
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEAD_BYTES_MAX:
            raise Problem(431, "too-large", f"A head has at most {HEAD_BYTES_MAX // 1024} KiB.")
        fields = dict(scope["headers"])
        host = fields.get(b"host", b"").decode("latin-1")
        if not self._is_known(host):
            raise Problem(
                421,
                "wrong-host",
                "This server is not known by the name in the Host header; set admin_url to make it known.",
            )
        if int(fields.get(b"content-length", b"0")) > bytes_max:
            raise too_large(bytes_max)
        if scope["method"] in SAFE_METHODS:
            return
        if not self._is_own_page(fields, host):
            raise forged_request("The request comes from a page of another site.")

    def _bytes_max(self, path: str) -> int:
        """How many bytes a body may have that is sent to this path."""
        segments = path.split("/")
        for pattern, bytes_max in self._larger.items():
            if len(pattern) == len(segments) and all(
                part in {"*", segment} for part, segment in zip(pattern, segments, strict=True)
            ):
                return bytes_max
        return self._body_bytes_max

    def _is_own_page(self, fields: dict[bytes, bytes], host: str) -> bool:
        """Whether our own page or a program sent it: a browser sends the origin."""
        if (site := fields.get(b"sec-fetch-site")) is not None:
            return site in {b"same-origin", b"none"}
        origin = fields.get(b"origin", b"").decode("latin-1")
        return not origin or origin.lower() in self._origins or _is_same(origin, host)

    def _is_known(self, host: str) -> bool:
        name = _host_name(host)
        return name is not None and (_is_address(name) or name in self._names or bool(_LOCAL.fullmatch(name)))


class _Incoming:
    """The incoming messages, bounded, with an end when the listener closes."""

    def __init__(self, receive: Receive, closing: asyncio.Event, bytes_max: int) -> None:
        self._receive = receive
        self._closing = closing
        self._left = bytes_max
        self._bytes_max = bytes_max
        self._is_whole = False

    async def __call__(self) -> Message:
        """The next message."""
        message = await (self._end() if self._is_whole else self._receive())
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            self._is_whole = not message.get("more_body", False)
            if self._left < 0:
                raise too_large(self._bytes_max)
        return message

    async def _end(self) -> Message:
        """Return the end after the body: the client's or ours."""
        waits = [asyncio.ensure_future(self._receive()), asyncio.ensure_future(self._closing.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return {"type": "http.disconnect"}


def too_large(bytes_max: int) -> Problem:
    """The problem of a body that is too large."""
    return Problem(413, "too-large", f"A body has at most {bytes_max // 1024} KiB.")


def _dressed(send: Send, request_id: str, headers_of_all: Iterable[tuple[bytes, bytes]]) -> Send:
    """Send a message with the headers that every answer has."""

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            names = {name.lower() for name, _ in headers}
            more = [(b"x-request-id", request_id.encode()), *headers_of_all]
            message = {**message, "headers": headers + [it for it in more if it[0] not in names]}
        await send(message)

    return dressed


def _path(scope: Scope) -> str:
    """The path, in which an encoded slash does not separate segments."""
    raw = scope.get("raw_path")
    if raw is None or b"%" not in raw:
        path: str = scope["path"]
        return path
    return "/".join(_segments(raw.decode("latin-1").partition("?")[0]))


def _method(scope: Scope) -> str:
    """The method that it is answered as: a HEAD is a GET without a body (RFC 9110 9.3.2)."""
    method: str = scope["method"]
    return "GET" if method == "HEAD" else method


def _segments(path: str) -> Iterator[str]:
    for segment in path.split("/"):
        yield unquote(segment).replace("/", SLASH)


def _host_name(host: str) -> str | None:
    """The name in a Host header, without its port; None when there is none."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return None
    return name.rstrip(".") if name else None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_same(origin: str, host: str) -> bool:
    """Whether a page's origin is this server; a proxy before it may have changed the scheme."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return bool(parts.netloc) and parts.netloc.lower() == host.lower()
