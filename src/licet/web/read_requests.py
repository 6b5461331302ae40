"""Holds a request that was read: what it asks a lane, and how the lane's reply becomes an answer.

    read -> item -> its lane -> reply -> answer

A request that comes again byte for byte (`licet.web.http.repeated`) is not read again: it asks its lane what
it asked before. The rules:

- Each time the set-up, the keys and the secret must be as they were when it was read (`KeptRequest.holds`).
- Nothing is kept that could be a secret.
- The store is asked each time. While it has the session exactly as before, the answer is reused until time
  alone would change it. It is kept from the second request on: most requests come once, or all day.
"""

from collections.abc import Callable
from typing import Any, Protocol
from weakref import ref

from msgspec.structs import replace

from licet.clock import Clock
from licet.credentials.tokens import AccessToken, Tokens, new_sid
from licet.lanes.contract import Submitter
from licet.ledger.commands import Command, Grant, Outcome, Refresh
from licet.model import ClientSecret, Session, Tenant
from licet.protocol import forward_auth, introspect, metadata, token
from licet.protocol.message import Response
from licet.web.authentication import Authenticator
from licet.web.last_uses import LastUses
from licet.web.request import Exchange, ReadRequest
from licet.web.sessions_read import Read


class Means(Protocol):
    """What is needed to answer requests. `tokens` is replaced when the keys change."""

    clock: Clock
    find_tenant: Callable[[str], Tenant | None]
    commits: Submitter[Command, Outcome]
    reads: Submitter[bytes, Read]
    authenticator: Authenticator
    tokens: Tokens
    public_url: str
    uses: LastUses[bytes, Read]


class TokenRequest:
    """A grant or a refresh.

    Each grant begins another session. A session keeps its refresh token, so its client sends the same bytes.
    """

    __slots__ = ("_command", "_means")

    def __init__(self, means: Means, command: Grant | Refresh) -> None:
        self._means = means
        self._command = command

    @property
    def lane(self) -> Submitter[Command, Outcome]:
        """Commits."""
        return self._means.commits

    def item(self, exchange: Exchange) -> Command:
        """The command; a grant gets the id of a new session."""
        command = self._command
        if isinstance(command, Grant):
            return replace(command, sid=new_sid(self._means.clock.now_ms()), address=exchange.address)
        return replace(command, address=exchange.address)

    def answer(self, reply: Outcome, tenant: Tenant) -> Response:
        """Tokens. Raises OAuthError."""
        return token.respond(reply, tenant, self._means.tokens)


class _SessionRequest:
    """A question about the session of a token. The answer is kept as long as it is right."""

    __slots__ = (
        "_came_before",
        "_from_ms",
        "_means",
        "_response",
        "_seat_number",
        "_session",
        "_sid",
        "_until_ms",
    )

    def __init__(self, means: Means, sid: bytes) -> None:
        self._means = means
        self._sid = sid
        self._came_before = False
        self._from_ms = self._until_ms = 0  # when `_response` is right, if session and seat are the same
        self._session: Session | None = None
        self._seat_number = 0
        self._response: Response | None = None

    @property
    def lane(self) -> Submitter[bytes, Read]:
        """Reads."""
        return self._means.reads

    def item(self, _: Exchange) -> bytes:
        """The session."""
        return self._sid

    def _kept(self, read: Read) -> Response | None:
        """The answer from before, if it is still right. It is never a refusal."""
        if (
            self._from_ms <= read.now_ms < self._until_ms  # a clock can be set back
            and read.session == self._session
            and read.seat_number == self._seat_number
        ):
            return self._response
        return None

    def _comes_again(self) -> bool:
        came_before, self._came_before = self._came_before, True
        return came_before

    def _keep(self, read: Read, response: Response, until_ms: int) -> None:
        self._session, self._seat_number = read.session, read.seat_number
        self._response, self._from_ms, self._until_ms = response, read.now_ms, until_ms


class IntrospectionRequest(_SessionRequest):
    """A resource server asks about a token (RFC 7662)."""

    __slots__ = ("_question",)

    def __init__(self, means: Means, question: introspect.Question) -> None:
        super().__init__(means, question.sid)
        self._question = question

    def answer(self, reply: Read, tenant: Tenant) -> Response:
        """Whether the token is active."""
        response, question = self._kept(reply), self._question
        if response is None:
            issuer = metadata.issuer(self._means.public_url, tenant)
            response = introspect.respond(
                question, reply.session, tenant, issuer, reply.now_ms, seat_number=reply.seat_number
            )
            if self._comes_again() and reply.session is not None:
                until_ms = introspect.same_until_ms(question, reply.session, tenant, reply.now_ms)
                self._keep(reply, response, until_ms)
        if introspect.is_use(question, response):
            self._means.uses.note(self._sid, reply)
        return response


class VerifyRequest(_SessionRequest):
    """A proxy asks whether a request may pass (forward authentication)."""

    __slots__ = ("_access", "_asked")

    def __init__(self, means: Means, asked: forward_auth.Asked, access: AccessToken) -> None:
        super().__init__(means, access.sid)
        self._asked = asked.kept()
        self._access = access

    def answer(self, reply: Read, tenant: Tenant) -> Response:
        """A yes. Raises OAuthError."""
        response = self._kept(reply)
        if response is None:
            response = forward_auth.respond(self._asked, self._access, reply.session, tenant, reply.now_ms)
            if self._comes_again() and reply.session is not None:
                self._keep(reply, response, forward_auth.same_until_ms(self._access, reply.session))
        self._means.uses.note(self._sid, reply)
        return response


class KeptRequest:
    """A request that was read, for when it comes again: whose it is, and whether it still holds.

    `client_id` is the client that authenticated by `secret`; both are None where none has to.
    """

    __slots__ = ("_means", "_of", "_secret", "_tokens", "_version", "client_id", "read")

    def __init__(
        self,
        means: Means,
        read: ReadRequest[Any, Any],
        tenant: Tenant,
        *,
        client_id: str | None = None,
        secret: ClientSecret | None = None,
    ) -> None:
        self._means = means
        self._of, self._version = (tenant.id, tenant.name), tenant.version
        self._tokens = ref(means.tokens)
        self._secret = secret
        self.client_id = client_id
        self.read = read

    def holds(self) -> Tenant | None:
        """Its tenant, if the request still means what it did when it was read; None if it must be read anew.

        While set-up and keys stay the same, only a client's secret can expire.
        """
        means, secret = self._means, self._secret
        tenant_id, name = self._of
        tenant = means.find_tenant(name)
        if (
            tenant is None
            or tenant.version != self._version
            or tenant.id != tenant_id
            or self._tokens() is not means.tokens
            or (secret is not None and not means.authenticator.is_valid(secret))
        ):
            return None
        return tenant
