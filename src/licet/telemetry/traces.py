"""Traces requests with OpenTelemetry: one span a request, with spans for the hash and the commit.

    POST /{tenant}/token                             http.response.status_code, licet.tenant, licet.outcome
      hash      from the queue to the verdict        only where a password was hashed
      commit    from the queue to the answer         licet.command, licet.outcome

The rules:

- Traces are off unless the standard variable OTEL_EXPORTER_OTLP_ENDPOINT says where to send them. When off,
  nothing is imported, and no request passes through this module: it wraps parts of the server, or does not.
- A caller's `traceparent` is used (https://www.w3.org/TR/trace-context/), and nothing else of its context.
- An attribute is a name of ours or an administrator's: never a path, a header, a form, a token or an address.
- A collector that does not answer costs spans, and no request.

OpenTelemetry is an extra: `licet[otel]`. The SDK reads its own variables, such as
OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and OTEL_EXPORTER_OTLP_HEADERS.
"""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from licet.extras import how_to_install
from licet.lanes.contract import Submitter, Waiter
from licet.lanes.hashing import Attempting, Check, Hashed, Hashing, Part
from licet.ledger.commands import (
    AssertionUse,
    ClientRefused,
    Denied,
    End,
    Ended,
    Grant,
    Granted,
    Refresh,
    ScopeRefused,
    SessionUnknown,
    Sweep,
    Swept,
    UseAssertion,
)
from licet.log import Log
from licet.model import Tenant
from licet.protocol.message import Response
from licet.telemetry.measures import endpoint_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL: Final = "http/protobuf"
LAST_WITHIN_S: Final = 3.0  # to send what is left when the server stops

_ROUTES: Final = {
    "token": "/{tenant}/token",
    "logoff": "/{tenant}/logoff",
    "revoke": "/{tenant}/revoke",
    "introspect": "/{tenant}/introspect",
    "licences": "/{tenant}/licences",
    "verify": "/{tenant}/verify",
    "jwks": "/{tenant}/jwks.json",
    "metadata": "/.well-known/oauth-authorization-server/{tenant}",
    "health": "/health",
}
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_COMMANDS: Final[Mapping[type, str]] = {
    Grant: "grant",
    Refresh: "refresh",
    End: "end",
    Sweep: "sweep",
    UseAssertion: "use_assertion",
}
_OUTCOMES: Final[Mapping[type, str]] = {
    Granted: "granted",
    Denied: "denied",
    Ended: "ended",
    Swept: "swept",
    AssertionUse: "used",
    ClientRefused: "refused",
    ScopeRefused: "refused",
    SessionUnknown: "refused",
}
_REFUSED, _FAULT = 400, 500  # from this status on

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def begin(environment: Mapping[str, str], version: str, log: Log) -> "Traces | None":
    """Traces, where the environment asks for them; None where it does not, or where they are not possible.

    The log then says why.
    """
    if not any(environment.get(name) for name in ENDPOINTS) or _is_off(environment):
        return None
    protocol = next((value for name in PROTOCOLS if (value := environment.get(name))), PROTOCOL)
    if protocol != PROTOCOL:
        log.error("traces_off", detail=f"traces are sent by {PROTOCOL} only; set {PROTOCOLS[0]} to that")
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra
    except ImportError as missing:
        log.error(  # noqa: TRY400 - where it was sought, helps nobody
            "traces_off", detail=f"this takes an extra ({missing.name} is missing): {how_to_install('otel')}"
        )
        return None
    name = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": "licet"}
    resource = Resource.create({"service.version": version, **name})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    log.info("traces_on")
    return Traces(provider, version)


def _is_off(environment: Mapping[str, str]) -> bool:
    is_disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return is_disabled or environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"


class Asked(Protocol):
    """What a span has of a request."""

    method: str
    path: str
    scheme: str
    headers: list[tuple[bytes, bytes]]
    request_id: str


Exchanged = TypeVar("Exchanged", bound=Asked)
Answering = Callable[[Exchanged], Awaitable[Response]]


class Traces:
    """Wraps the parts of a server, so that they make spans."""

    def __init__(self, provider: "TracerProvider", version: str) -> None:
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - an extra
            TraceContextTextMapPropagator,
        )

        self._provider = provider
        self.tracer = provider.get_tracer("licet", version)
        self.propagator = TraceContextTextMapPropagator()

    def application(
        self, inner: Answering[Exchanged], find_tenant: Callable[[str], Tenant | None]
    ) -> Answering[Exchanged]:
        """The public application with a span for each request."""
        return _TracedApplication(self, inner, find_tenant)

    def submitter(self, inner: Submitter[Item, Answer], name: str) -> Submitter[Item, Answer]:
        """A lane with a span of this name for each wait."""
        return _TracedSubmitter(self, inner, name)

    def hashing(self, inner: Hashing) -> Hashing:
        """Hashing with a span for each password of a request."""
        return _TracedHashing(self, inner)

    async def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, LAST_WITHIN_S)


class _TracedApplication(Generic[Exchanged]):
    """One span for each request, a child of the caller's where it sends one."""

    def __init__(
        self,
        traces: Traces,
        inner: Answering[Exchanged],
        find_tenant: Callable[[str], Tenant | None],
    ) -> None:
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415 - an extra

        self._traces = traces
        self._inner = inner
        self._find_tenant = find_tenant
        self._server = SpanKind.SERVER
        self._fault = StatusCode.ERROR

    async def __call__(self, exchange: Exchanged) -> Response:
        """Answer one request."""
        method = exchange.method if exchange.method in _METHODS else "_OTHER"
        route = _ROUTES.get(endpoint_of(exchange.path))
        with self._traces.tracer.start_as_current_span(
            f"{method} {route}" if route else method,
            context=self._traces.propagator.extract(_sent(exchange)),
            kind=self._server,
            attributes=self._attributes(exchange, method, route),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            response = await self._inner(exchange)
            self._note(span, response, exchange.request_id)
            return response

    def _attributes(self, exchange: Exchanged, method: str, route: str | None) -> dict[str, str]:
        found = {"http.request.method": method, "url.scheme": exchange.scheme}
        if route:
            found["http.route"] = route
        # What is not the name of a tenant could be anything, even a secret in the wrong place.
        names = exchange.path.split("/")
        tenants = (self._find_tenant(name) for name in (*names[1:2], names[-1]))
        if (tenant := next((it for it in tenants if it), None)) is not None:
            found["licet.tenant"] = tenant.name
        return found

    def _note(self, span: "Span", response: Response, request_id: str) -> None:
        span.set_attribute("http.response.status_code", response.status)
        span.set_attribute("licet.request_id", request_id)
        if response.status >= _FAULT:
            span.set_attribute("error.type", str(response.status))
            span.set_status(self._fault)
        if response.status >= _REFUSED:
            _note_refusal(span, response.body)


def _sent(exchange: Asked) -> dict[str, str]:
    """The caller's context. A repeated header is ignored (Trace Context 3.2)."""
    found: dict[str, str] = {}
    parents = 0
    for name, value in exchange.headers:
        if name == b"traceparent":
            parents += 1
            found["traceparent"] = value.decode("latin-1")
        elif name == b"tracestate":
            before = found.get("tracestate")
            found["tracestate"] = (f"{before}," if before else "") + value.decode("latin-1")
    return found if parents == 1 else {}


def _note_refusal(span: "Span", body: bytes) -> None:
    """The codes of an answer of the error table: `error`, and `reason` of a denial."""
    try:
        content = json.loads(body)
    except ValueError:  # a HEAD has none
        return
    for key in ("error", "reason"):
        if isinstance(content, dict) and isinstance(content.get(key), str):
            span.set_attribute(f"licet.{key}", content[key])


def _name_of(outcome: object) -> str | None:
    if isinstance(outcome, AssertionUse) and not outcome.is_first:
        return "refused"
    return _OUTCOMES.get(type(outcome))


class _TracedSubmitter(Submitter[Item, Answer]):
    """One span for each wait; the request's span gets the outcome, too."""

    def __init__(self, traces: Traces, inner: Submitter[Item, Answer], name: str) -> None:
        from opentelemetry.trace import get_current_span  # noqa: PLC0415 - an extra

        self._traces = traces
        self._inner = inner
        self._name = name
        self._current = get_current_span

    def put(self, item: Item, waiter: Waiter[Answer]) -> None:
        """Without a span: a request that is traced submits."""
        self._inner.put(item, waiter)

    async def submit(self, item: Item) -> Answer:
        """Submit it to the lane. Raises what the lane raises."""
        request = self._current()
        with self._traces.tracer.start_as_current_span(self._name, record_exception=False) as span:
            if (command := _COMMANDS.get(type(item))) is not None:
                span.set_attribute("licet.command", command)
            outcome = await self._inner.submit(item)
            if (name := _name_of(outcome)) is not None:
                span.set_attribute("licet.outcome", name)
                request.set_attribute("licet.outcome", name)
            return outcome

    async def close(self) -> None:
        """Finish what is under way."""
        await self._inner.close()

    @property
    def is_open(self) -> bool:
        """Whether work is taken."""
        return self._inner.is_open

    @property
    def trouble(self) -> str:
        """Why what is submitted now would not be done."""
        return self._inner.trouble

    @property
    def queue_length(self) -> int:
        """How many items wait for an answer."""
        return self._inner.queue_length


class _TracedHashing(Hashing):
    """A span from the queue to the result, for what belongs to a request."""

    def __init__(self, traces: Traces, inner: Hashing) -> None:
        from opentelemetry.trace import get_current_span  # noqa: PLC0415 - an extra

        self._traces = traces
        self._inner = inner
        self._current = get_current_span

    def start(self, check: Check[Hashed], attempt: Attempting, part: Part) -> asyncio.Future[Hashed]:
        """Hash something when its turn comes. Raises QueueFull, TooManyFailures."""
        future = self._inner.start(check, attempt, part)
        if self._current().get_span_context().is_valid:
            span = self._traces.tracer.start_span("hash")
            future.add_done_callback(lambda _: span.end())
        return future

    def give_up(self, future: asyncio.Future[Any]) -> None:
        """Cancel what nobody waits for any more."""
        self._inner.give_up(future)

    @property
    def queue_max(self) -> int:
        """How many may wait."""
        return self._inner.queue_max

    @property
    def queue_length(self) -> int:
        """How many wait for a thread, or have one."""
        return self._inner.queue_length

    def close(self) -> None:
        """End the threads."""
        self._inner.close()
