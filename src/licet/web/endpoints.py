"""Serves the endpoints of a tenant, one function each: read, submit, turn the outcome into an answer.

    exchange -> (body -> form) -> authenticate -> protocol.read -> lane -> protocol.respond

What a request means is in `licet.protocol`, who may have a seat in `licet.ledger.rules`. A refusal is an
`OAuthError`, which `licet.web.public` turns into an answer.
"""

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any

from msgspec.structs import replace

from licet.clock import Clock
from licet.credentials.client_assertions import Assertion
from licet.credentials.tokens import Tokens, new_sid
from licet.lanes.contract import Submitter
from licet.ledger.commands import Command, End, Ended, Grant, Outcome, Refresh, ScopeRefused
from licet.model import Client, EndReason, Tenant
from licet.protocol import forward_auth, introspect, licences, logoff, prefer, revoke, token
from licet.protocol.client_authentication import NAMING, audiences, read_credentials
from licet.protocol.errors import OAuthError, Refusal, no_token
from licet.protocol.message import Request, Response
from licet.web.authentication import Authenticator, Verified
from licet.web.last_uses import LastUses
from licet.web.read_requests import IntrospectionRequest, KeptRequest, TokenRequest, VerifyRequest
from licet.web.request import Exchange, ReadRequest
from licet.web.sessions_read import Read
from licet.web.waiting import WaitingRequests

SCOPES_KEPT_MAX = 8  # of a refresh that is kept: whether its session has them, is not known when it is read


class Endpoints:
    """The endpoints. `tokens` is replaced when the keys change; `uses` are for upkeep to write down.

    Each raises OAuthError, QueueFull, StoreUnavailable, Disconnected.
    """

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
        waiting: WaitingRequests,
        latest_setup: Callable[[], Awaitable[None]],
    ) -> None:
        self.tokens = tokens
        self.uses: LastUses[bytes, Read] = LastUses()
        self.clock = clock
        self.find_tenant = find_tenant
        self.commits = commits
        self.reads = reads
        self.authenticator = authenticator
        self.public_url = public_url
        self._waiting = waiting
        self._latest_setup = latest_setup

    async def token(self, exchange: Exchange) -> Response:
        """A grant or a refresh."""
        request, tenant, client = await self._authenticated(exchange, "token", is_carried=True)
        try:
            command, tenant, client = await self._command(request, exchange, tenant, client)
        except OAuthError:
            await self._use(exchange)
            raise
        if isinstance(command, Grant) and command.queue:
            if wait_s := prefer.wait_s(exchange.headers):
                await self._use(exchange)  # it may ask several times
                return await self._token_in_time(request, command, tenant, client, exchange, wait_s)
        elif isinstance(command, Grant) or len(command.scope or ()) <= SCOPES_KEPT_MAX:
            self._keep(exchange, self._by_secret(exchange, tenant, TokenRequest(self, command)))
        if exchange.verified is None:
            outcome = await self.commits.submit(command)
        else:
            outcome = await self.commits.submit(replace(command, assertion=exchange.verified.use))
            _settle(exchange, outcome)
        return token.respond(outcome, tenant, self.tokens)

    async def _command(
        self, request: Request, exchange: Exchange, tenant: Tenant, client: Client
    ) -> tuple[Grant | Refresh, Tenant, Client]:
        """What a client asks for, and the set-up by which it may.

        Raises OAuthError, QueueFull, StoreUnavailable.
        """
        sid = new_sid(self.clock.now_ms())
        try:
            return token.read(request, tenant, client, self.tokens, sid), tenant, client
        except OAuthError as refused:
            if refused.refusal is not Refusal.INVALID_SCOPE:
                raise
        # The scope may have been added a moment ago, and what the client has authenticated by be removed.
        if await self._latest(exchange) is not tenant:
            request, tenant, client = await self._authenticated(exchange, "token", is_carried=True)
        return token.read(request, tenant, client, self.tokens, sid), tenant, client

    async def _token_in_time(  # noqa: PLR0917 - who asks for what, and for how long
        self,
        request: Request,
        grant: Grant,
        tenant: Tenant,
        client: Client,
        exchange: Exchange,
        wait_s: int,
    ) -> Response:
        """A grant of a client that stands in line for so long (RFC 7240 4.3)."""
        submit = self.commits.submit
        outcome, is_applied = await self._waiting.grant(grant, tenant, client, exchange, submit, wait_s)
        applied = (prefer.applied(wait_s),) if is_applied else ()
        try:
            # The set-up may have changed meanwhile.
            tenant = self.find_tenant(tenant.name) or tenant
            if isinstance(outcome, ScopeRefused):
                # Its scope draws on other pools now: it asks for a seat of those, for the time that is left.
                client = tenant.clients_by_key.get(client.key, client)
                again = token.read(request, tenant, client, self.tokens, new_sid(self.clock.now_ms()))
                if isinstance(again, Grant):
                    left_s = max(0, wait_s - round(exchange.waited_s))
                    outcome, _ = await self._waiting.grant(again, tenant, client, exchange, submit, left_s)
                    tenant = self.find_tenant(tenant.name) or tenant
            response = token.respond(outcome, tenant, self.tokens)
        except OAuthError as refused:
            refused.headers += applied
            raise
        return replace(response, headers=response.headers + applied)

    async def logoff(self, exchange: Exchange) -> Response:
        """The end of a session, by its token as a bearer or by a form with credentials."""
        exchange.must_be_clear()
        if (sent := logoff.bearer(exchange.authorization)) is not None:
            return await self._logoff_bearer(exchange, sent)
        if b"content-type" not in exchange.fields:
            raise no_token()
        request, tenant, client = await self._authenticated(exchange, "logoff")
        end = logoff.read_form(request, tenant, client, self.tokens)
        return logoff.respond(await self._ended(end))

    async def _logoff_bearer(self, exchange: Exchange, sent: str) -> Response:
        tenant = self.find_tenant(exchange.tenant)
        access = logoff.read_bearer(sent, tenant, self.tokens)
        assert tenant is not None
        if access.expires_at_ms <= self.clock.now_ms():
            read = await self.reads.submit(access.sid)
            logoff.must_be_current(access, read.session, read.now_ms)
        end = End(tenant_id=tenant.id, sid=access.sid, reason=EndReason.LOGOFF)
        return logoff.respond(await self._ended(end))

    async def revoke(self, exchange: Exchange) -> Response:
        """The end of a session (RFC 7009)."""
        request, tenant, client = await self._authenticated(exchange, "revoke")
        end = revoke.read(request, tenant, client, self.tokens)
        if end is not None:
            await self._ended(end)
        return revoke.respond()

    async def _ended(self, end: End) -> Outcome:
        """The end of a session: who waits for its seat hears of it."""
        outcome = await self.commits.submit(end)
        if isinstance(outcome, Ended) and outcome.seat_released and outcome.session is not None:
            self._waiting.freed(outcome.session.pool_id)
        return outcome

    async def introspect(self, exchange: Exchange) -> Response:
        """Whether a token is active (RFC 7662)."""
        request, tenant, client = await self._authenticated(exchange, "introspect")
        question = introspect.read(request, tenant, client, self.tokens)
        if question is None:
            return introspect.INACTIVE
        read = IntrospectionRequest(self, question)
        return await self._read(read, exchange, tenant, self._by_secret(exchange, tenant, read))

    async def licences(self, exchange: Exchange) -> Response:
        """The signed licences of a tenant, for the guard of an API."""
        request = await exchange.bare_request()
        tenant, client = await self.authenticate(exchange, request, "licences")
        licences.check(client)
        return licences.respond(tenant, self.clock.now_ms())

    async def verify(self, exchange: Exchange, *, is_below: bool) -> Response:
        """Forward authentication for a proxy. `is_below`: the path goes on after the endpoint's.

        The body, if there is one, is the original request's, and is not read.
        """
        exchange.must_be_clear()
        asked = forward_auth.Asked(
            method=exchange.method, query=exchange.query, headers=exchange.headers, is_below=is_below
        )
        tenant = self.find_tenant(exchange.tenant)
        access = forward_auth.read(asked, exchange.authorization, tenant, self.tokens)
        assert tenant is not None
        read = VerifyRequest(self, asked, access)
        return await self._read(read, exchange, tenant, KeptRequest(self, read, tenant))

    async def _read(
        self,
        read: IntrospectionRequest | VerifyRequest,
        exchange: Exchange,
        tenant: Tenant,
        kept: KeptRequest | None,
    ) -> Response:
        """The answer about a session, which is `kept` for the next time if it is no refusal."""
        response = read.answer(await self.reads.submit(read.item(exchange)), tenant)
        self._keep(exchange, kept)
        return response

    def _keep(self, exchange: Exchange, kept: KeptRequest | None) -> None:
        if kept is not None:
            exchange.keep(kept)

    def _by_secret(
        self, exchange: Exchange, tenant: Tenant, read: ReadRequest[Any, Any]
    ) -> KeptRequest | None:
        """What can be kept of a request: nothing unless its client has a generated secret in a header."""
        proven = exchange.proven
        if proven is None or (secret := self.authenticator.secret_of(proven, tenant)) is None:
            return None
        return KeptRequest(self, read, tenant, client_id=proven.client_id, secret=secret)

    async def _authenticated(
        self, exchange: Exchange, endpoint: str, *, is_carried: bool = False
    ) -> tuple[Request, Tenant, Client]:
        """A request with a form, whole, with the tenant and the client that it authenticates.

        `is_carried` as in `authenticate`.

        A header by which a client authenticated before is not read again, but whose it is counts only beside
        a form that names no client, and by the set-up of the instant at which the form is here.
        Raises OAuthError, QueueFull, StoreUnavailable, Disconnected.
        """
        seen = self.authenticator.seen(exchange.authorization)
        request = await exchange.request(is_known=seen is not None)
        if seen is not None:
            tenant = self.find_tenant(exchange.tenant)
            if tenant is not None and NAMING.isdisjoint(request.form):
                client = self.authenticator.recheck(seen, tenant)
                if client is not None:
                    exchange.named, exchange.proven = client.client_id, seen
                    return request, tenant, client
            request = replace(request, basic=exchange.basic())
        tenant, client = await self.authenticate(exchange, request, endpoint, is_carried=is_carried)
        if client.secrets and NAMING.isdisjoint(request.form):
            exchange.proven = self.authenticator.seen(exchange.authorization)
        return request, tenant, client

    async def authenticate(
        self, exchange: Exchange, request: Request, endpoint: str, *, is_carried: bool = False
    ) -> tuple[Tenant, Client]:
        """The tenant, and the client that the request's credentials authenticate (RFC 6749 2.3).

        An assertion is marked as used, unless it `is_carried` by the command that the caller submits: then it
        is left in `exchange.verified`, and the client has authenticated when that is settled.
        Raises OAuthError, QueueFull, StoreUnavailable.
        """
        exchange.is_authenticating, exchange.named = True, request.form.get("client_id")
        exchange.credentials = credentials = read_credentials(request)
        tenant: Tenant | None
        if isinstance(credentials, Assertion):
            exchange.verified = await self._verified(exchange, credentials, endpoint)
            tenant, client = exchange.verified.tenant, exchange.verified.client
            if not is_carried:
                await self._use(exchange)
        else:
            header = None if request.basic is None else exchange.authorization
            check = partial(self.authenticator.check, gone=exchange.gone, header=header)
            tenant = self.find_tenant(exchange.tenant)

            async def latest() -> Tenant | None:
                nonlocal tenant
                tenant = await self._latest(exchange)
                return tenant

            client = await check(tenant, credentials, exchange.address, latest=latest)
            while (now := self.find_tenant(exchange.tenant)) is not tenant:
                # It waited for a hash, and the password may have been changed meanwhile. There is no further
                # look: that could find another change each time, and this would never end.
                tenant = now
                client = await check(tenant, credentials, exchange.address)
        exchange.is_authenticating = False
        assert tenant is not None  # without a tenant no client is authenticated
        return tenant, client

    async def _verified(self, exchange: Exchange, assertion: Assertion, endpoint: str) -> Verified:
        """The client that an assertion authenticates. Raises OAuthError."""

        def known() -> tuple[Tenant | None, Collection[str]]:
            tenant = self.find_tenant(exchange.tenant)
            is_strict = tenant is not None and tenant.strict_assertions
            issuer = f"{self.public_url}/{exchange.tenant}"
            exchange.audiences = audiences(issuer, endpoint, is_strict=is_strict)
            return tenant, exchange.audiences

        async def latest() -> tuple[Tenant | None, Collection[str]]:
            await self._latest_setup()
            return known()

        check = partial(self.authenticator.check_assertion, latest=latest)
        tenant, ours = known()
        return await check(tenant, assertion, ours, exchange.address)

    async def _latest(self, exchange: Exchange) -> Tenant | None:
        """The tenant of a request, by the set-up as it is now."""
        await self._latest_setup()
        return self.find_tenant(exchange.tenant)

    async def _use(self, exchange: Exchange) -> None:
        """Mark the assertion of a request as used, if it has one that no command carries.

        Raises OAuthError, QueueFull, StoreUnavailable.
        """
        if exchange.verified is not None:
            _settle(exchange, await self.commits.submit(exchange.verified.use))


def _settle(exchange: Exchange, outcome: Outcome) -> None:
    """Let the client of a request have authenticated, if its assertion was used by this for the first time.

    Raises OAuthError.
    """
    verified, exchange.verified = exchange.verified, None
    assert verified is not None
    exchange.is_authenticating = True
    verified.settle(outcome)
    exchange.is_authenticating = False
