"""Reads one request to the public listener: its head, and its body where an endpoint wants one.

An endpoint gets an `Exchange` and returns a `Response`. The listener (`licet.web.http.direct`) makes the
exchange from the bytes of a connection, and bytes from the response.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from licet.credentials.client_assertions import Assertion
from licet.lanes.contract import Submitter, Waiter
from licet.model import Tenant
from licet.protocol.client_authentication import parse_basic
from licet.protocol.errors import invalid_request
from licet.protocol.message import (
    BODY_BYTES_MAX,
    Credentials,
    Request,
    Response,
    body_too_large,
    check_content_type,
    parse_form,
)
from licet.web.authentication import Verified
from licet.web.known_headers import Proven

Sent = Credentials | Assertion
Headers = list[tuple[bytes, bytes]]


def _nothing() -> None:
    """The default of `on_leaving`."""


class Disconnected(Exception):
    """The client went away before its request was whole."""


class Exchange:
    """One request: what its endpoint and the log know of it."""

    scheme = "http"
    request_id = ""
    tenant = ""  # its name in the path
    credentials: Sent | None = None
    audiences: frozenset[str] = frozenset()
    proven: Proven | None = None  # the known header by which its client authenticated
    named: str | None = None  # the client_id in the form or of the known header, if there are no credentials
    is_authenticating = False  # a refusal meanwhile is a failed authentication
    verified: Verified | None = None  # a client whose assertion is still to be marked as used
    waited_s = 0.0  # in line for a seat
    again: "Repetition | None" = None  # what was kept of it, if it came before (`keep`)
    asked_of: Tenant | None = None  # its tenant when it came again, if it came before
    began_s = 0.0  # by `perf_counter`
    on_leaving: Callable[[], object] = staticmethod(_nothing)  # called when `is_leaving` may have become true

    def __init__(
        self,
        method: str,
        target: tuple[str, bytes],
        headers: Headers,
        fields: Mapping[bytes, bytes],
        address: str,
    ) -> None:
        """`target` is the path, unescaped, and the query; `fields` are the headers, of a name the last."""
        self.method = method
        self.path, self.query = target
        self.headers = headers
        self.fields = fields
        self.address = address
        self.authorization = fields.get(b"authorization")

    @property
    def is_gone(self) -> bool:
        """Whether nobody can get the answer any more."""
        return False

    @property
    def is_leaving(self) -> bool:
        """Whether the client is gone, or could go without notice: then it waits in no line."""
        return False

    @abstractmethod
    async def body(self) -> bytes:
        """All of the body. Raises Disconnected, and OAuthError when it is too large."""

    @abstractmethod
    async def gone(self) -> None:
        """Return when the client no longer waits, once the body is here."""

    def keep(self, repetition: "Repetition") -> None:
        """Let this request be answered by `repetition` when it comes again byte for byte.

        Call it only if the client has authenticated or shown a live token, and keep no secret. What is kept
        may be forgotten at any time.
        """

    async def request(self, *, is_known: bool = False) -> Request:
        """The request with its body, once its head allows it; `is_known`: its Authorization is not read.

        A request that its head makes wrong is refused before a client that waits for `100 Continue` sends the
        body (RFC 9110 10.1.1). Raises OAuthError, Disconnected.
        """
        self.must_be_clear()
        check_content_type(self.fields.get(b"content-type"))
        if int(self.fields.get(b"content-length", 0)) > BODY_BYTES_MAX:
            raise body_too_large()
        basic = None if is_known else self.basic()
        form = parse_form(await self.body())
        return Request(tenant=self.tenant, basic=basic, form=form, address=self.address)

    async def bare_request(self) -> Request:
        """The request of an endpoint that takes no form; a body is read and ignored.

        Raises OAuthError, Disconnected.
        """
        self.must_be_clear()
        basic = self.basic()
        await self.body()
        return Request(tenant=self.tenant, basic=basic, form={}, address=self.address)

    def basic(self) -> Credentials | None:
        """The credentials of its Authorization header, if it has one.

        Raises OAuthError.
        """
        return None if self.authorization is None else parse_basic(self.authorization)

    def must_be_clear(self) -> None:
        """Return unless there are two Authorization headers, either of which could be meant.

        Raises OAuthError.
        """
        if len(self.fields) < len(self.headers) and _is_repeated(b"authorization", self.headers):
            raise invalid_request("There are two Authorization headers.")

    def known_client_id(self, tenant: Tenant | None) -> str | None:
        """The client_id that was sent, if there is such a client."""
        if tenant is None:
            return None
        sent = self.credentials.client_ids if self.credentials else (self.named,)
        return next((client_id for client_id in sent if client_id in tenant.clients), None)


Answering = Callable[[Exchange], Awaitable[Response]]
"""What answers requests. Raises Disconnected where nobody waits for the answer."""

Item = TypeVar("Item")
Reply = TypeVar("Reply")


class ReadRequest(Protocol[Item, Reply]):
    """A request that was read: what it asks a lane, and how the reply becomes an answer."""

    @property
    def lane(self) -> Submitter[Item, Reply]:
        """The lane that it asks."""

    def item(self, exchange: Exchange, /) -> Item:
        """What it asks when it comes in this exchange."""

    def answer(self, reply: Reply, tenant: Tenant, /) -> Response:
        """The answer, by the set-up as it was when the lane was asked. Raises OAuthError."""


class Repetition(Protocol):
    """A request that was read, for when it comes again byte for byte."""

    client_id: str | None
    """The client that authenticates by it, if any."""

    read: ReadRequest[Any, Any]

    def holds(self) -> Tenant | None:
        """Its tenant, if it still means what it meant when it was read; None if it must be read anew."""


class Quick(Protocol):
    """Answers requests that came before, in two steps: ask a lane, then answer its reply."""

    def ask(self, exchange: Exchange, waiter: Waiter[Any]) -> None:
        """Ask its lane. Raises QueueFull, StoreUnavailable."""

    def answer(self, exchange: Exchange, reply: Any) -> Response:
        """The answer. Raises OAuthError and more, which `refuse` takes."""

    def refuse(self, fault: Exception, exchange: Exchange) -> Coroutine[Any, Any, Response]:
        """The answer to a request that failed with this."""


def _is_repeated(sought: bytes, headers: Headers) -> bool:
    return sum(name == sought for name, _ in headers) > 1
