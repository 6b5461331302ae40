"""Routes a request to the public listener to its endpoint, and answers and logs what is refused.

Two path segments choose the endpoint; a routing library would cost a quarter of the requests a second
(docs/explanation/performance.md). What an endpoint does is in `endpoints.py`, what a refusal looks like in
`licet.protocol.errors`. Every refusal gets here as an `OAuthError`.

An `Exchange` comes in, and a `Response` goes out: what stands before it (traces, proxies) has the same form.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from time import perf_counter
from typing import Any

from licet.clock import Clock
from licet.credentials.tokens import Tokens
from licet.lanes.contract import QueueFull, Submitter, Waiter
from licet.ledger.commands import Command, Outcome
from licet.model import Tenant
from licet.protocol import jwks, metadata
from licet.protocol.errors import OAuthError, Refusal, fault, not_ready, unavailable
from licet.protocol.message import Response, answer, check_query, refusal
from licet.store.errors import StoreUnavailable
from licet.telemetry.measures import Measures
from licet.web.authentication import Authenticator
from licet.web.endpoints import Endpoints
from licet.web.log_rate_limit import Kind, LogRateLimit
from licet.web.recording import Attempt, Recorder
from licet.web.request import Disconnected, Exchange
from licet.web.sessions_read import Read
from licet.web.source import source_of
from licet.web.tarpit import Tarpit
from licet.web.waiting import WaitingRequests
from licet.web.welcome import WelcomePages, accepts_page

Route = tuple[frozenset[str], Callable[[Exchange], Awaitable[Response]]]


class PublicApp:
    """The public application."""

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
        trouble: Callable[[], str],
        store_failed: Callable[[], None],
        measures: Measures,
        refusals: LogRateLimit,
        tarpit: Tarpit,
        dashboard_url: str = "",
        recorder: Recorder,
        waiting: WaitingRequests,
        latest_setup: Callable[[], Awaitable[None]],
    ) -> None:
        self._find_tenant = find_tenant
        self._latest_setup = latest_setup
        self._public_url = public_url
        self._trouble = trouble
        self._store_failed = store_failed
        self._measures = measures
        self._refusals = refusals
        self._tarpit = tarpit
        self._welcome = WelcomePages(public_url, dashboard_url)
        self._recorder = recorder
        self.endpoints = Endpoints(
            clock=clock,
            find_tenant=find_tenant,
            commits=commits,
            reads=reads,
            authenticator=authenticator,
            tokens=tokens,
            public_url=public_url,
            waiting=waiting,
            latest_setup=latest_setup,
        )
        self._routes: dict[str, Route] = {
            "token": (frozenset({"POST"}), self.endpoints.token),
            "logoff": (frozenset({"POST", "GET"}), self.endpoints.logoff),
            "revoke": (frozenset({"POST"}), self.endpoints.revoke),
            "introspect": (frozenset({"POST"}), self.endpoints.introspect),
            "licences": (frozenset({"GET"}), self.endpoints.licences),
        }
        # Unique in this log for long enough, and cheap: a random prefix, then a count.
        prefix = secrets.token_hex(4)
        self._request_ids = (f"{prefix}-{number:x}" for number in itertools.count(1))

    async def __call__(self, exchange: Exchange) -> Response:
        """The answer to a request: its endpoint's, or one of the error table. Raises Disconnected alone."""
        exchange.began_s = perf_counter()
        exchange.request_id = next(self._request_ids)
        try:
            response = await self._routed(exchange)
        except Disconnected:
            raise
        except Exception as fault:  # noqa: BLE001 - nobody above knows the error table
            return await self.refuse(fault, exchange)
        # What a client waited in line says nothing of the server.
        self._measures.answered(exchange.path, response.status, exchange.began_s + exchange.waited_s)
        return response

    # A request that came before, in steps

    def ask(self, exchange: Exchange, waiter: Waiter[Any]) -> None:
        """Ask its lane. Raises QueueFull, StoreUnavailable."""
        assert exchange.again is not None
        exchange.began_s = perf_counter()
        exchange.request_id = next(self._request_ids)
        read = exchange.again.read
        read.lane.put(read.item(exchange), waiter)

    def answer(self, exchange: Exchange, reply: Any) -> Response:
        """The answer. Raises OAuthError and more, which `refuse` takes."""
        assert exchange.again is not None
        assert exchange.asked_of is not None
        response = exchange.again.read.answer(reply, exchange.asked_of)
        self._measures.answered(exchange.path, response.status, exchange.began_s)
        return response

    async def refuse(self, fault: Exception, exchange: Exchange) -> Response:
        """The answer of the error table where this went wrong."""
        response = await self._refused(fault, exchange)
        self._measures.answered(exchange.path, response.status, exchange.began_s + exchange.waited_s)
        return response

    # Any request

    async def _repeated(self, exchange: Exchange, tenant: Tenant) -> Response:
        """The same in one: what stands before the application waits for it. Raises OAuthError."""
        assert exchange.again is not None
        read = exchange.again.read
        return read.answer(await read.lane.submit(read.item(exchange)), tenant)

    def _routed(self, exchange: Exchange) -> Awaitable[Response]:
        """The answer, to be awaited. Raises OAuthError."""
        if exchange.asked_of is not None:
            return self._repeated(exchange, exchange.asked_of)
        segments = exchange.path.split("/")[1:]
        if segments:
            exchange.tenant = segments[0]
        if len(segments) == 2 and (route := self._routes.get(segments[1])) is not None:  # noqa: PLR2004
            methods, endpoint = route
            if exchange.method not in methods:
                raise _wrong_method(methods)
            check_query(exchange.query)
            return endpoint(exchange)
        if len(segments) > 1 and segments[1] == "verify":
            return self.endpoints.verify(exchange, is_below=len(segments) > 2)  # noqa: PLR2004
        return self._document(exchange, segments)

    # What needs no client

    async def _tenant(self, name: str) -> Tenant | None:
        """A tenant, which may have been added a moment ago."""
        if (found := self._find_tenant(name)) is None:
            await self._latest_setup()
            found = self._find_tenant(name)
        return found

    async def _document(self, exchange: Exchange, segments: list[str]) -> Response:
        """A page for browsers, health, the public keys, and metadata at both of its addresses.

        Raises OAuthError.
        """
        if (page := self._for_browsers(exchange, segments)) is not None:
            return page
        match segments:
            case ["health", "live"]:
                _check_method(exchange, _READ)
                return answer({"status": "live"})
            case ["health", "ready"]:
                _check_method(exchange, _READ)
                return self._readiness(exchange)
            case [name, "jwks.json"] if (tenant := await self._tenant(name)) is not None:
                _check_method(exchange, _READ)
                return jwks.respond(tenant, self.endpoints.tokens)
        sought = metadata.tenant_at(segments, self._public_url)
        tenant = await self._tenant(sought) if sought is not None else None
        if tenant is not None:
            _check_method(exchange, _READ)
            return metadata.respond(self._public_url, tenant)
        raise _nothing()

    def _for_browsers(self, exchange: Exchange, segments: list[str]) -> Response | None:
        """The answer to a person who opens this address in a browser, and to the browser's own requests.

        Raises OAuthError.
        """
        if exchange.path == "/":
            _check_method(exchange, _READ)
        elif exchange.method not in _READ or segments[1:] not in ([], [""]):
            return None
        if exchange.path == "/favicon.ico":  # Not logged: nobody made a mistake.
            return refusal(_nothing(), exchange.request_id)
        if not accepts_page(exchange.headers):
            return None
        if exchange.path == "/":
            return self._welcome.root(exchange.address)
        tenant = self._find_tenant(segments[0])
        return None if tenant is None else self._welcome.of_tenant(tenant.name)

    def _readiness(self, exchange: Exchange) -> Response:
        # Not logged: it is asked every few seconds, and the log has the cause once.
        trouble = self._trouble()
        return refusal(not_ready(trouble), exchange.request_id) if trouble else answer({"status": "ready"})

    # What is refused

    async def _refused(self, fault: Exception, exchange: Exchange) -> Response:
        """The answer where an endpoint has raised this."""
        if isinstance(fault, OAuthError):
            refused = fault.with_traceback(None)  # which would hold the frame that holds the error
        elif isinstance(fault, QueueFull):
            refused = unavailable("too much waits already")
        elif isinstance(fault, StoreUnavailable):
            self._store_failed()
            refused = unavailable(str(fault))
        else:
            return self._failed(fault, exchange)
        try:
            self._record(refused, exchange)
            if refused.refusal is Refusal.RATE_LIMITED:
                await self._tarpit.hold(source_of(exchange.address))
            return refusal(refused, exchange.request_id)
        except Exception as bug:  # noqa: BLE001 - as above
            return self._failed(bug, exchange)

    def _failed(self, bug: Exception, exchange: Exchange) -> Response:
        if self._refusals.admits(FAULT):
            self._refusals.write(FAULT, request_id=exchange.request_id, exc_info=bug)
        return refusal(fault(), exchange.request_id)

    def _record(self, refused: OAuthError, exchange: Exchange) -> None:
        """Record a refusal, and log it where its kind is not logged too often."""
        is_denied = refused.refusal is Refusal.NO_SEAT
        attempt = None if is_denied else self._attempt(refused, exchange)
        if is_denied and self._recorder.has_room():
            self._keep_id(refused, exchange)
        kind = _kind(refused)
        if self._refusals.admits(kind):
            self._note(kind, refused, attempt, exchange)

    def _keep_id(self, denied: OAuthError, exchange: Exchange) -> None:
        """Record the request id of a denial; at once, because it reveals nothing by its time."""
        tenant = self._find_tenant(exchange.tenant)
        name = exchange.known_client_id(tenant)
        if tenant is not None and name is not None:
            client, address = tenant.clients[name], exchange.address
            self._recorder.denied(
                tenant, client, denied.fields, request_id=exchange.request_id, address=address
            )

    def _attempt(self, refused: OAuthError, exchange: Exchange) -> Attempt | None:
        """The failed authentication that this refusal is, if any; it is recorded after the answer."""
        if not exchange.is_authenticating and refused.refusal is not Refusal.INVALID_CLIENT:
            return None
        if refused.refusal is Refusal.UNAVAILABLE:
            return None
        tenant, address, request_id = (
            self._find_tenant(exchange.tenant),
            exchange.address,
            exchange.request_id,
        )
        name = exchange.known_client_id(tenant)
        client = tenant.clients.get(name) if tenant is not None and name is not None else None
        attempt = Attempt(refused, tenant, client, exchange.credentials, exchange.audiences)
        record = partial(self._recorder.client_failed, attempt, request_id=request_id, address=address)
        # The answer is sent without another wait, so this runs after it, and its time reveals no cause.
        asyncio.get_running_loop().call_soon(record)
        return attempt

    def _note(self, kind: Kind, refused: OAuthError, attempt: Attempt | None, exchange: Exchange) -> None:
        # A name that we do not know could be anything, even a secret in the wrong place.
        tenant = self._find_tenant(exchange.tenant)
        self._refusals.write(
            kind,
            request_id=exchange.request_id,
            status=refused.status,
            error=refused.error,
            detail=refused.detail,
            tenant=tenant.name if tenant else None,
            client_id=exchange.known_client_id(tenant),
            address=exchange.address,
            **({"cause": self._recorder.cause_of(attempt).value} if attempt else {}),
            **refused.fields,
        )


def _nothing() -> OAuthError:
    return OAuthError(Refusal.NOT_FOUND, "There is nothing at this address.")


_READ = frozenset({"GET", "HEAD"})
FAULT = Kind(Refusal.FAULT.level, "fault", Refusal.FAULT.status, Refusal.FAULT.error)


def _kind(refused: OAuthError) -> Kind:
    return Kind(refused.refusal.level, "refused", refused.status, refused.error)


def _check_method(exchange: Exchange, allowed: Iterable[str]) -> None:
    if exchange.method not in allowed:
        raise _wrong_method(allowed)


def _wrong_method(allowed: Iterable[str]) -> OAuthError:
    allow = ", ".join(sorted(allowed))
    return OAuthError(
        Refusal.METHOD_NOT_ALLOWED,
        f"This address takes {allow}.",
        headers=((b"allow", allow.encode()),),
    )
