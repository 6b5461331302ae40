"""The public listener: routes a request, awaits what it needs, and answers it.

    head -> (body -> form) -> check the client -> protocol.read -> lane -> protocol.respond

It is plain ASGI: two path segments choose the endpoint, and a router for them costs a quarter of the requests
a second (docs/explanation/performance.md). It decides nothing: what a request means is in `licet.protocol`,
who may have a seat in `licet.ledger.rules`. Every refusal is an `OAuthError` on its way here.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from time import perf_counter
from typing import Any

from licet.clock import Clock
from licet.credentials.client_assertions import Assertion
from licet.credentials.tokens import Tokens, new_sid
from licet.lanes.contract import QueueFull, Submitter
from licet.ledger.commands import Command, End, Outcome
from licet.model import Client, EndReason, Session, Tenant
from licet.protocol import forward_auth, introspect, jwks, logoff, metadata, revoke, token
from licet.protocol.client_authentication import audiences, parse_basic, read_credentials
from licet.protocol.errors import OAuthError, Refusal, fault, invalid_request, no_token, unavailable
from licet.protocol.message import (
    BODY_BYTES_MAX,
    Credentials,
    Request,
    Response,
    answer,
    body_too_large,
    check_content_type,
    check_query,
    parse_form,
    refusal,
)
from licet.store.errors import StoreUnavailable
from licet.telemetry.measures import Measures
from licet.web.authentication import Authenticator
from licet.web.recording import Attempt, Recorder
from licet.web.refusals import Kind, LogRateLimit
from licet.web.source import source_of
from licet.web.tarpit import Tarpit
from licet.web.welcome import accepts_page, welcome

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Read = tuple[int, Session | None]


class Disconnected(Exception):
    """The client went away before its request was whole."""


class Exchange:
    """One request under way: what is known of it, for its handler and for the log."""

    __slots__ = (
        "_receive",
        "address",
        "audiences",
        "authorization",
        "content_length",
        "content_type",
        "credentials",
        "is_ambiguous",
        "is_authenticating",
        "named",
        "tenant",
    )

    def __init__(self, scope: Scope, receive: Receive, tenant: str) -> None:
        self._receive = receive
        self.tenant = tenant
        self.credentials: Credentials | Assertion | None = None
        self.audiences: frozenset[str] = frozenset()
        self.named: str | None = None  # the client_id of a form, for when there are no credentials
        self.is_authenticating = False  # and what is refused meanwhile is a failed authentication
        self.address = scope["client"][0] if scope["client"] else ""
        self.authorization: bytes | None = None
        self.content_type: bytes | None = None
        self.content_length = 0
        self.is_ambiguous = False
        for name, value in scope["headers"]:
            if name == b"authorization":
                self.is_ambiguous = self.authorization is not None
                self.authorization = value
            elif name == b"content-type":
                self.content_type = value
            elif name == b"content-length":
                self.content_length = int(value)

    async def request(self) -> Request:
        """The request with its body, once its head allows it.

        What the head alone can refuse is refused before a client that waits for `100 Continue` sends the
        body (RFC 9110 10.1.1). Raises OAuthError, Disconnected.
        """
        self.must_be_clear()
        check_content_type(self.content_type)
        if self.content_length > BODY_BYTES_MAX:
            raise body_too_large()
        basic = None if self.authorization is None else parse_basic(self.authorization)
        form = parse_form(await self._body())
        return Request(tenant=self.tenant, basic=basic, form=form, address=self.address)

    async def gone(self) -> None:
        """Return when the client waits no more, once the body is here."""
        await self._receive()

    def known_client_id(self, tenant: Tenant | None) -> str | None:
        """The client_id that was sent, if there is such a client."""
        if tenant is None:
            return None
        sent = self.credentials.client_ids if self.credentials else (self.named,)
        return next((it for it in sent if it in tenant.clients), None)

    def must_be_clear(self) -> None:
        """Return unless there are two Authorization headers, of which nobody knows the right one.

        Raises OAuthError.
        """
        if self.is_ambiguous:
            raise invalid_request("There are two Authorization headers.")

    async def _body(self) -> bytes:
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            body += message["body"]
            if len(body) > BODY_BYTES_MAX:
                raise body_too_large()
            if not message["more_body"]:
                return bytes(body)


class PublicApp:
    """The ASGI application. `tokens` is replaced when the keys change."""

    def __init__(
        self,
        *,
        clock: Clock,
        find_tenant: Callable[[str], Tenant | None],
        commits: Submitter[Command, Outcome],
        reads: Submitter[bytes, Read],
        authenticator: Authenticator,
        tokens: Tokens,
        public_url: str,
        is_ready: Callable[[], bool],
        store_failed: Callable[[], None],
        measures: Measures,
        refusals: LogRateLimit,
        tarpit: Tarpit,
        dashboard_url: str = "",
        recorder: Recorder,
    ) -> None:
        self.tokens = tokens
        self._clock = clock
        self._find_tenant = find_tenant
        self._commits = commits
        self._reads = reads
        self._authenticator = authenticator
        self._public_url = public_url
        self._is_ready = is_ready
        self._store_failed = store_failed
        self._measures = measures
        self._refusals = refusals
        self._tarpit = tarpit
        self._dashboard_url = dashboard_url
        self._recorder = recorder
        self._endpoints: dict[str, tuple[frozenset[str], Callable[[Exchange], Awaitable[Response]]]] = {
            "token": (frozenset({"POST"}), self._token),
            "logoff": (frozenset({"POST", "GET"}), self._logoff),
            "revoke": (frozenset({"POST"}), self._revoke),
            "introspect": (frozenset({"POST"}), self._introspect),
        }
        # Unique in this log for as long as it matters, and cheap: a random start, then a count.
        prefix = secrets.token_hex(4)
        self._request_ids = (f"{prefix}-{number:x}" for number in itertools.count(1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing leaves here but an answer of the error table or of its endpoint."""
        began_s, request_id = perf_counter(), next(self._request_ids)
        try:
            response = await self._route(scope, receive, request_id)
        except Disconnected:
            return
        except Exception as bug:  # noqa: BLE001 - nobody above knows the error table
            if self._refusals.admits(_FAULT):
                self._refusals.write(_FAULT, request_id=request_id, exc_info=bug)
            response = refusal(fault(), request_id)
        named = (b"x-request-id", request_id.encode())
        if response.status == _NO_CONTENT:  # which has no length (RFC 9110 8.6)
            headers = (*response.headers, named)
        else:
            length = (b"content-length", str(len(response.body)).encode())
            headers = (*response.headers, length, named)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})
        self._measures.answered(scope["path"], response.status, began_s)

    async def _route(self, scope: Scope, receive: Receive, request_id: str) -> Response:
        segments = scope["path"].split("/")[1:]
        exchange = Exchange(scope, receive, segments[0] if segments else "")
        try:
            if len(segments) == 2 and (endpoint := self._endpoints.get(segments[1])) is not None:  # noqa: PLR2004
                methods, handle = endpoint
                _check_method(scope["method"], methods)
                check_query(scope["query_string"])
                return await handle(exchange)
            if segments[1:2] == ["verify"]:
                return await self._verify(exchange, scope, is_below=len(segments) > 2)  # noqa: PLR2004
            if (page := self._for_browsers(scope, exchange.address, request_id)) is not None:
                return page
            return self._document(scope["method"], segments, request_id)
        except OAuthError as error:
            refused = error
        except QueueFull:
            refused = unavailable("too much waits already")
        except StoreUnavailable as down:
            self._store_failed()
            refused = unavailable(str(down))
        attempt = self._attempt(refused, exchange, request_id)
        kind = _kind(refused)
        if self._refusals.admits(kind):
            self._note(kind, refused, attempt, exchange, request_id)
        if refused.refusal is Refusal.RATE_LIMITED:
            await self._tarpit.hold(source_of(exchange.address))
        return refusal(refused, request_id)

    def _attempt(self, refused: OAuthError, exchange: Exchange, request_id: str) -> Attempt | None:
        """The failed authentication that a refusal is, if it is one; it is recorded when it is answered.

        The request id of a denial is recorded at once: what it is of is no secret.
        """
        is_denied = refused.refusal is Refusal.NO_SEAT
        if not (is_denied or exchange.is_authenticating or refused.refusal is Refusal.INVALID_CLIENT):
            return None
        if refused.refusal is Refusal.UNAVAILABLE:
            return None
        tenant, address = self._find_tenant(exchange.tenant), exchange.address
        name = exchange.known_client_id(tenant)
        client = tenant.clients.get(name) if tenant is not None and name is not None else None
        if is_denied:
            if tenant is not None and client is not None:
                fields = refused.fields
                self._recorder.denied(tenant, client, fields, request_id=request_id, address=address)
            return None
        attempt = Attempt(refused, tenant, client, exchange.credentials, exchange.audiences)
        record = partial(self._recorder.client_failed, attempt, request_id=request_id, address=address)
        # The answer is sent without another wait: this is behind it, and its time says nothing of the cause.
        asyncio.get_running_loop().call_soon(record)
        return attempt

    def _note(
        self,
        kind: Kind,
        refused: OAuthError,
        attempt: Attempt | None,
        exchange: Exchange,
        request_id: str,
    ) -> None:
        # What is not the name of ours could be anything, a secret in the wrong place as well.
        tenant = self._find_tenant(exchange.tenant)
        self._refusals.write(
            kind,
            request_id=request_id,
            status=refused.status,
            error=refused.error,
            detail=refused.detail,
            tenant=tenant.name if tenant else None,
            client_id=exchange.known_client_id(tenant),
            address=exchange.address,
            **({"cause": self._recorder.cause_of(attempt).value} if attempt else {}),
            **refused.fields,
        )

    async def _token(self, exchange: Exchange) -> Response:
        request = await exchange.request()
        tenant, client = await self._authenticate(exchange, request, "token")
        command = token.read(request, tenant, client, self.tokens, new_sid(self._clock.now_ms()))
        outcome = await self._commits.submit(command)
        return token.respond(outcome, tenant, self.tokens)

    async def _logoff(self, exchange: Exchange) -> Response:
        exchange.must_be_clear()
        if (sent := logoff.bearer(exchange.authorization)) is not None:
            return await self._logoff_bearer(exchange, sent)
        if exchange.content_type is None:
            raise no_token()
        request = await exchange.request()
        tenant, client = await self._authenticate(exchange, request, "logoff")
        end = logoff.read_form(request, tenant, client, self.tokens)
        return logoff.respond(await self._commits.submit(end))

    async def _logoff_bearer(self, exchange: Exchange, sent: str) -> Response:
        tenant = self._find_tenant(exchange.tenant)
        access = logoff.read_bearer(sent, tenant, self.tokens)
        assert tenant is not None
        if access.expires_at_ms <= self._clock.now_ms():
            now_ms, session = await self._reads.submit(access.sid)
            logoff.must_be_current(access, session, now_ms)
        end = End(tenant_id=tenant.id, sid=access.sid, reason=EndReason.LOGOFF)
        return logoff.respond(await self._commits.submit(end))

    async def _revoke(self, exchange: Exchange) -> Response:
        request = await exchange.request()
        tenant, client = await self._authenticate(exchange, request, "revoke")
        end = revoke.read(request, tenant, client, self.tokens)
        if end is not None:
            await self._commits.submit(end)
        return revoke.respond()

    async def _introspect(self, exchange: Exchange) -> Response:
        request = await exchange.request()
        tenant, client = await self._authenticate(exchange, request, "introspect")
        question = introspect.read(request, tenant, client, self.tokens)
        now_ms, session = await self._reads.submit(question.sid) if question else (0, None)
        issuer = metadata.issuer(self._public_url, tenant)
        return introspect.respond(question, session, tenant, issuer, now_ms)

    async def _verify(self, exchange: Exchange, scope: Scope, *, is_below: bool) -> Response:
        """The body, if there is one, is the original request's: nobody waits for it."""
        exchange.must_be_clear()
        asked = forward_auth.Asked(
            method=scope["method"],
            query=scope["query_string"],
            headers=scope["headers"],
            is_below=is_below,
        )
        tenant = self._find_tenant(exchange.tenant)
        access = forward_auth.read(asked, exchange.authorization, tenant, self.tokens)
        assert tenant is not None
        now_ms, session = await self._reads.submit(access.sid)
        return forward_auth.respond(asked, access, session, tenant, now_ms)

    async def _authenticate(
        self, exchange: Exchange, request: Request, endpoint: str
    ) -> tuple[Tenant, Client]:
        """The tenant and the client that the request's credentials prove.

        Raises OAuthError, QueueFull, StoreUnavailable.
        """
        exchange.is_authenticating, exchange.named = True, request.form.get("client_id")
        exchange.credentials = credentials = read_credentials(request)
        tenant = self._find_tenant(exchange.tenant)
        if isinstance(credentials, Assertion):
            is_strict = tenant is not None and tenant.strict_assertions
            issuer = f"{self._public_url}/{exchange.tenant}"
            exchange.audiences = audiences(issuer, endpoint, is_strict=is_strict)
            client = await self._authenticator.check_assertion(
                tenant,
                credentials,
                exchange.audiences,
                exchange.address,
                self._commits.submit,
            )
        else:
            client = await self._authenticator.check(tenant, credentials, exchange.address, exchange.gone)
            while (now := self._find_tenant(exchange.tenant)) is not tenant:
                # It waited for a hash, and the password may have been changed meanwhile.
                tenant = now
                client = await self._authenticator.check(tenant, credentials, exchange.address, exchange.gone)
        exchange.is_authenticating = False
        assert tenant is not None  # a client of no tenant proves nothing
        return tenant, client

    def _for_browsers(self, scope: Scope, address: str, request_id: str) -> Response | None:
        """The answer to a person who opens this address, and to what a browser asks for by itself."""
        if scope["method"] not in _READ:
            return None
        if scope["path"] == "/" and accepts_page(scope["headers"]):
            return welcome(self._dashboard_url, address)
        # Not to the log: nobody made a mistake.
        return refusal(_nothing(), request_id) if scope["path"] == "/favicon.ico" else None

    def _document(self, method: str, segments: list[str], request_id: str) -> Response:
        """What needs no client: metadata at both of its addresses, the public keys, and health.

        Raises OAuthError.
        """
        match segments:
            case ["health", "live"]:
                _check_method(method, _READ)
                return answer({"status": "live"})
            case ["health", "ready"]:
                _check_method(method, _READ)
                # Not to the log: it is asked every few seconds, and the log has the cause once.
                is_ready = self._is_ready()
                return answer({"status": "ready"}) if is_ready else refusal(unavailable(""), request_id)
            case [name, "jwks.json"] if (tenant := self._find_tenant(name)) is not None:
                _check_method(method, _READ)
                return jwks.respond(tenant, self.tokens)
        sought = metadata.tenant_at(segments, self._public_url)
        tenant = self._find_tenant(sought) if sought is not None else None
        if tenant is not None:
            _check_method(method, _READ)
            return metadata.respond(self._public_url, tenant)
        raise _nothing()


def _nothing() -> OAuthError:
    return OAuthError(Refusal.NOT_FOUND, "There is nothing at this address.")


_READ = frozenset({"GET", "HEAD"})
_NO_CONTENT = 204
_FAULT = Kind("error", "fault", Refusal.FAULT.status, Refusal.FAULT.error)


def _kind(refused: OAuthError) -> Kind:
    level = "error" if refused.refusal is Refusal.UNAVAILABLE else "info"
    return Kind(level, "refused", refused.status, refused.error)


def _check_method(method: str, allowed: Iterable[str]) -> None:
    if method not in allowed:
        allow = ", ".join(sorted(allowed))
        raise OAuthError(
            Refusal.METHOD_NOT_ALLOWED,
            f"This address takes {allow}.",
            headers=((b"allow", allow.encode()),),
        )
