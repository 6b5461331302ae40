"""Traces: off without a word, and on, told to a collector over OTLP with nothing in them that is a secret.

The collector is a small HTTP server here, which decodes what it is sent.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from licet.extras import how_to_install
from licet.telemetry import traces
from support.server.running import PATIENCE_S, RunningServer

GRANT = {"grant_type": "client_credentials"}
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"  # the example of Trace Context 3.2
SERVER = 2  # SpanKind


class Collector:
    """Takes traces at a port of its own."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.paths: set[str] = set()
        self._news = Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with collector._news:
                    collector.paths.add(self.path)
                    collector.bodies.append(body)
                    collector._news.notify_all()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def spans(self) -> list[Any]:
        """All spans so far, with their attributes as a mapping beside."""
        with self._news:
            return [
                span
                for body in self.bodies
                for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans
                for of_scope in of_resource.scope_spans
                for span in of_scope.spans
            ]

    def of_request(self, request_id: str) -> dict[str, Any]:
        """The spans of a request, by name, once its own has come; `request` is that."""
        with self._news:
            assert self._news.wait_for(lambda: self._request(request_id), PATIENCE_S), "no such span"
        mine = self._request(request_id)
        assert mine is not None
        return {"request": mine} | {it.name: it for it in self.spans() if it.parent_span_id == mine.span_id}

    def _request(self, request_id: str) -> Any:
        return next((span for span in self.spans() if told(span).get("licet.request_id") == request_id), None)

    def close(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()


def told(span: Any) -> dict[str, Any]:
    """The attributes of a span."""
    return {
        attribute.key: attribute.value.string_value or attribute.value.int_value
        for attribute in span.attributes
    }


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A collector."""
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="module")
def traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that sends its traces there, soon."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "20"}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in variables.items():
            patched.setenv(name, value)
        with RunningServer(tmp_path_factory.mktemp("traced"), manual_clock=True) as server:
            yield server


def test_a_grant_is_a_span_with_the_hash_and_the_commit_below(
    traced: RunningServer, collector: Collector
) -> None:
    answer = traced.ask("Jim_Test/token", "Client1", **GRANT)
    found = collector.of_request(answer.headers["x-request-id"])
    request = found["request"]
    assert (request.name, request.kind) == ("POST /{tenant}/token", SERVER)
    attributes = told(request)
    assert attributes["licet.tenant"] == "Jim_Test"
    assert attributes["licet.outcome"] == "granted"
    assert attributes["http.response.status_code"] == 200
    assert told(found["commit"]) == {"licet.command": "grant", "licet.outcome": "granted"}
    for name in ("hash", "commit"):
        child = found[name]
        assert child.trace_id == request.trace_id
        assert request.start_time_unix_nano <= child.start_time_unix_nano
        assert child.end_time_unix_nano <= request.end_time_unix_nano
    assert collector.paths == {"/v1/traces"}


def test_a_password_that_is_remembered_makes_no_hash(traced: RunningServer, collector: Collector) -> None:
    traced.ask("Jim_Test/token", "Client2", **GRANT)
    answer = traced.ask("Jim_Test/token", "Client2", scope="view", **GRANT)
    assert "hash" not in collector.of_request(answer.headers["x-request-id"])


def test_the_callers_context_is_taken_over(traced: RunningServer, collector: Collector) -> None:
    """Trace Context 3.2."""
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    answer = traced.http.get("/health/live", headers=headers)
    request = collector.of_request(answer.headers["x-request-id"])["request"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)


@pytest.mark.parametrize(
    "sent",
    [
        [f"00-{TRACE}-{PARENT}"],
        [f"00-{'0' * 32}-{PARENT}-01"],
        ["nonsense"],
        [""],
        [f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01"],
    ],
)
def test_a_context_that_is_none_begins_another(
    traced: RunningServer, collector: Collector, sent: list[str]
) -> None:
    """Trace Context 4.3: whatever is wrong with it, the request is answered, in a trace of its own."""
    answer = traced.http.get("/health/live", headers=[("traceparent", it) for it in sent])
    assert answer.status_code == 200
    request = collector.of_request(answer.headers["x-request-id"])["request"]
    assert request.trace_id.hex() != TRACE
    assert not request.parent_span_id


def test_a_refusal_has_its_code(traced: RunningServer, collector: Collector) -> None:
    answer = traced.ask("Jim_Test/token", "nobody", **GRANT)
    attributes = told(collector.of_request(answer.headers["x-request-id"])["request"])
    assert (attributes["http.response.status_code"], attributes["licet.error"]) == (401, "invalid_client")
    assert "licet.outcome" not in attributes


def test_a_denial_has_its_reason(traced: RunningServer, collector: Collector) -> None:
    answers = [traced.ask("Jim_Test/token", f"Client{number}", **GRANT) for number in range(1, 7)]
    denied = next(it for it in answers if it.status_code == 400)
    attributes = told(collector.of_request(denied.headers["x-request-id"])["request"])
    assert (attributes["licet.outcome"], attributes["licet.reason"]) == ("denied", "all_in_use")


def test_an_introspection_waits_for_a_read(traced: RunningServer, collector: Collector) -> None:
    tokens = traced.ask("Jim_Test/token", "Client3", scope="view", **GRANT).json()
    answer = traced.ask("Jim_Test/introspect", "Api", token=tokens["access_token"])
    found = collector.of_request(answer.headers["x-request-id"])
    assert found["request"].name == "POST /{tenant}/introspect"
    assert "read" in found


def test_a_proxy_s_question_is_one_endpoint_whatever_it_asks_for(
    traced: RunningServer, collector: Collector
) -> None:
    tokens = traced.ask("Jim_Test/token", "Client3", scope="view", **GRANT).json()
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    for path, name in (("verify", "GET /{tenant}/verify"), ("verify/jobs/7", "GET /{tenant}/verify")):
        answer = traced.http.get(f"/Jim_Test/{path}", headers=bearer)
        found = collector.of_request(answer.headers["x-request-id"])
        assert found["request"].name == name
        assert "read" in found


def test_nothing_that_a_client_sends_is_in_a_trace(traced: RunningServer, collector: Collector) -> None:
    """No secret, no token, no path, no query, no address: also where they stand in the wrong place."""
    secret = "hunter2-of-the-client"
    tokens = traced.ask("Jim_Test/token", "Client4", scope="view", **GRANT).json()
    bearer = {"authorization": f"Bearer {tokens['access_token']}", "tracestate": f"x={secret}"}
    answers = [
        traced.ask("Jim_Test/token", "Client4", secret, **GRANT),
        traced.ask(f"{secret}/token", secret, secret, **GRANT),
        traced.http.get(f"/{secret}?password={secret}"),
        traced.http.request("PROPFIND", f"/Jim_Test/{secret}"),
        traced.http.post("/Jim_Test/logoff", headers=bearer),
    ]
    for answer in answers:
        collector.of_request(answer.headers["x-request-id"])
    everything = b"".join(collector.bodies)
    for hidden in (secret, tokens["access_token"], tokens["refresh_token"], "127.0.0.1", "password"):
        assert hidden.encode() not in everything


def test_a_collector_that_is_not_there_costs_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with RunningServer(tmp_path) as server:
        server.ask("Jim_Test/token", **GRANT).raise_for_status()
        assert server.terminate() == 0
        assert '"event": "traces_on"' in server.log()


def test_without_an_endpoint_opentelemetry_is_not_even_imported() -> None:
    code = (
        "import sys, licet.server.wiring; print([it for it in sys.modules if it.startswith('opentelemetry')])"
    )
    others = {name: it for name, it in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=others, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


class _Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields.get("detail", "")))

    warning = error = exception = info


ON = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {**ON, "OTEL_SDK_DISABLED": "true"},
        {**ON, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_traces_are_off_without_a_word_where_nobody_asks(environment: Mapping[str, str]) -> None:
    log = _Log()
    assert traces.begin(environment, "1", log) is None
    assert log.lines == []


def test_a_protocol_that_is_not_spoken_is_told() -> None:
    log = _Log()
    assert traces.begin({**ON, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "1", log) is None
    [(event, detail)] = log.lines
    assert event == "traces_off"
    assert "http/protobuf" in detail


def test_an_extra_that_is_missing_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server serves all the same."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    log = _Log()
    assert traces.begin(ON, "1", log) is None
    [(event, detail)] = log.lines
    assert event == "traces_off"
    assert detail.endswith(how_to_install("otel"))
