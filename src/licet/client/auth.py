"""Defines `LicetAuth`, the authentication of an httpx client: each request carries a valid token.

One generator handles a request, for threads and for tasks. The token is sent to the origins of the API only;
on a redirect to another origin httpx removes it.
"""

import ssl
from collections.abc import AsyncGenerator, Generator, Iterable
from datetime import timedelta
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import httpx

from licet.client import at_exit
from licet.client.client_assertion import Signing
from licet.client.clock import Timing
from licet.client.errors import ForeignOrigin
from licet.client.session import Session
from licet.client.token_endpoint import TokenServer, goes_in_body
from licet.client.tokens import Secret, Tokens
from licet.client.transport import LOOPBACK, Wire

TIMEOUT = timedelta(seconds=10)  # a guess: a grant takes milliseconds, a password's hash some 15 of them
NO_WAIT = timedelta(0)

_PORTS = {"http": 80, "https": 443}
_UNAUTHORIZED = 401


class _Need(NamedTuple):
    """New tokens are needed, other than these."""

    worn: Tokens | None


_Origin = tuple[str, str, int | None]


class LicetAuth(httpx.Auth):
    """Authenticates the requests of an httpx client, sync or async, by a session of a Licet client.

    - `tenant_url`: the URL before `/token` and `/logoff`, such as `https://licence.example.com/Jim_Test`.
    - `api`: the URL of the API, or several; the token is sent to their origins only.
    - `private_key`: instead of a secret, an unlocked private key in PEM, which signs an assertion for each
      request (RFC 7523); it needs `licet[jwt]`. `key_id` is its `kid` at the server.
    - `scope`: the scope to ask for; None for the server's default.
    - `wait_for_seat`: how long to wait when no seat is free. All users of this object share the wait.
    - `queue`: stand in the queue of the pool meanwhile, where it has one; the server puts off its answers.
    - `credentials_in_body`: None chooses the header, or the body where id or secret have characters that
      servers read differently in the header.
    - `timeout`: for one request to the token server.
    - `allow_http`: also send secrets and tokens to other machines without TLS.

    As a context manager, sync or async, it logs off at the end. Raises ValueError when an argument is
    invalid.
    """

    def __init__(
        self,
        tenant_url: str,
        client_id: str,
        client_secret: str | None = None,
        *,
        private_key: str | None = None,
        key_id: str | None = None,
        api: str | Iterable[str],
        scope: str | None = None,
        wait_for_seat: timedelta = NO_WAIT,
        queue: bool = False,
        credentials_in_body: bool | None = None,
        timeout: timedelta = TIMEOUT,
        allow_http: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        timing: Timing | None = None,
    ) -> None:
        secret, key = Secret(client_secret or ""), Secret(private_key or "")
        is_signed = private_key is not None
        if is_signed == (client_secret is not None):
            raise ValueError("give either client_secret or private_key")
        del client_secret, private_key  # so that a traceback with variables does not show them
        _check_credentials(client_id, key if is_signed else secret)
        if timeout <= NO_WAIT or wait_for_seat < NO_WAIT:
            raise ValueError("timeout must be more than nothing, and wait_for_seat not less")
        url = _tenant_url(tenant_url, allow_http=allow_http)
        urls = [api] if isinstance(api, str) else list(api)
        self._origins = frozenset(_api_origin(given, allow_http=allow_http) for given in urls)
        if not self._origins:
            raise ValueError("api names no URL")
        timing = timing or Timing()
        self._server = TokenServer(
            url=url,
            client_id=client_id,
            proof=Signing(client_id, url.rstrip("/"), key, key_id, timing.wall_s) if is_signed else secret,
            scope=scope,
            in_body=goes_in_body(client_id, secret) if credentials_in_body is None else credentials_in_body,
        )
        wire = Wire(url, timeout_s=timeout.total_seconds(), verify=ssl_context, timing=timing)
        self._session = Session(
            self._server, wire, timing, seat_wait_s=wait_for_seat.total_seconds(), in_line=queue
        )
        at_exit.watch(self._session, self)

    def __repr__(self) -> str:
        server: TokenServer | None = getattr(self, "_server", None)  # absent where a traceback shows it early
        if server is None:
            return "LicetAuth(...)"
        return f"LicetAuth({server.url!r}, {server.client_id!r}, scope={server.scope!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the server says of its licence, such as `licence_expires_soon`; empty where all is well."""
        return self._session.warnings

    def log_off(self) -> bool:
        """End the session, which frees its seat; return whether the server confirmed it.

        The next request begins a new one.
        """
        return self._session.log_off()

    async def alog_off(self) -> bool:
        """The same, for tasks."""
        return await self._session.alog_off()

    def close(self) -> None:
        """Log off for good: requests raise SessionClosed from now on."""
        self._session.close()
        self._session.log_off()

    async def aclose(self) -> None:
        """The same, for tasks."""
        self._session.close()
        await self._session.alog_off()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Called by httpx for a request of a `Client`.

        Raises LicetError.
        """
        flow = self._flow(request)
        got: Tokens | httpx.Response | None = None
        while True:
            try:
                step = flow.send(got)
            except StopIteration:
                return
            got = self._session.get(step.worn) if isinstance(step, _Need) else (yield step)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Called by httpx for a request of an `AsyncClient`.

        Raises LicetError.
        """
        flow = self._flow(request)
        got: Tokens | httpx.Response | None = None
        while True:
            try:
                step = flow.send(got)
            except StopIteration:
                return
            got = await self._session.aget(step.worn) if isinstance(step, _Need) else (yield step)

    def _flow(
        self, request: httpx.Request
    ) -> Generator[_Need | httpx.Request, Tokens | httpx.Response | None, None]:
        """Send a request to the API, and once more with new tokens if it answers 401."""
        if _origin(request.url) not in self._origins:
            raise ForeignOrigin(f"{_origin_text(request.url)} is not the API; the token is not sent there")
        tokens = yield _Need(None)
        assert isinstance(tokens, Tokens)
        request.headers["Authorization"] = tokens.authorization
        response = yield request
        assert isinstance(response, httpx.Response)
        if response.status_code != _UNAUTHORIZED or _origin(response.request.url) not in self._origins:
            return
        if not _can_be_repeated(request):
            self._session.doubt(tokens)
            return
        renewed = yield _Need(tokens)
        assert isinstance(renewed, Tokens)
        request.headers["Authorization"] = renewed.authorization
        yield request


def _can_be_repeated(request: httpx.Request) -> bool:
    """Whether the body can be sent again; one from a generator or a file cannot."""
    try:
        request.content  # noqa: B018 - a property that raises
    except httpx.RequestNotRead:
        return False
    return True


def _check_credentials(client_id: str, secret: Secret) -> None:
    if not (_is_text(client_id) and _is_text(secret.reveal())):
        raise ValueError("client_id, client_secret and private_key must be text, and not be empty")


def _is_text(text: str) -> bool:
    return text != "" and text.encode(errors="replace").decode() == text


def _tenant_url(text: str, *, allow_http: bool) -> str:
    return f"{_checked('tenant_url', text, allow_http=allow_http).rstrip('/').removesuffix('/token')}/"


def _api_origin(text: str, *, allow_http: bool) -> _Origin:
    return _origin(httpx.URL(_checked("api", text, allow_http=allow_http)))


def _checked(name: str, text: str, *, allow_http: bool) -> str:
    """The URL, if it is allowed.

    Raises ValueError, whose text does not show it: it may contain a password.
    """
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in _PORTS and parts.hostname and parts.port != 0 and httpx.URL(text).host
    except (ValueError, httpx.InvalidURL):
        is_usable = False
    if not is_usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{name} must be an http or https URL without a user, a query and a fragment")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK and not allow_http:
        raise ValueError(f"{name} is http, which others can read; use https, or say allow_http=True")
    return text


def _origin(url: httpx.URL) -> _Origin:
    return url.scheme, url.host, url.port or _PORTS.get(url.scheme)


def _origin_text(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
