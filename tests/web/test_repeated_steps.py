"""A request that comes again, while it waits for its lane: what fails then, leaves, or stops."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from licet.lanes.contract import QueueFull
from licet.protocol.message import Response
from licet.web.request import Exchange
from support.waiting import until
from support.web.listening import Client, Patient, PatientProtocol, Server, post, silent
from support.web.treatments import Application, response

REQUEST = post("/token", b"a=b")


class Lane:
    """In the place of what answers in steps: it holds requests back, until a test has a reply for them."""

    def __init__(self, application: Application) -> None:
        self.waiting: list[Any] = []
        self.fault: Exception | None = None
        self.bug: Exception | None = None
        self._application = application
        self._answer = application.answer
        vars(application).update(ask=self.ask, answer=self.answer, refuse=self.refuse)

    def ask(self, exchange: Exchange, waiter: Any) -> None:
        """Hold a request back, or fail."""
        exchange.request_id = "an-id"
        if self.fault is not None:
            raise self.fault
        self.waiting.append(waiter)
        self._application.reached.set()

    def answer(self, exchange: Exchange, reply: object) -> Response:
        """What it was answered before, or a bug."""
        if self.bug is not None:
            raise self.bug
        return self._answer(exchange, reply)

    async def refuse(self, fault: Exception, _: Exchange) -> Response:
        """The error table, of one line."""
        return response(503, {"fault": type(fault).__name__})


def is_open(connection: Patient) -> bool:
    """Whether it is connected; of another listener it may not be yet."""
    transport: Any = connection.transport
    return transport is not None and not transport.is_closing()


@pytest.fixture
def server() -> Iterator[Server]:
    """A listener that knows the request, and has no patience at its end."""
    with Server(PatientProtocol, grace_s=0) as server:
        make_known(server)
        yield server


def make_known(server: Server) -> None:
    """Have the request answered for the first time."""
    server.catch_up()
    with server.connect() as client:
        client.send_at_once(REQUEST, server)
        assert client.answer().status == 200


@pytest.fixture
def lane(server: Server) -> Lane:
    """What it asks from now on."""
    assert isinstance(server.application, Application)
    return Lane(server.application)


def in_loop(server: Server, do: Any, *given: Any) -> None:
    """Have this done where the server runs."""
    loop = server._server.servers[0].get_loop()
    loop.call_soon_threadsafe(do, *given)


def asked(server: Server, client: Client) -> None:
    """Send the request, and wait until the lane has it."""
    server.application.reached.clear()
    client.send_at_once(REQUEST, server)
    server.wait_at_the_gate()


def test_a_reply_is_answered_when_it_comes(server: Server, lane: Lane) -> None:
    """And no earlier."""
    with server.connect() as client:
        asked(server, client)
        (waiter,) = lane.waiting
        assert not waiter.done()
        in_loop(server, waiter.set_result, None)
        assert client.answer().json["body"] == "a=b"
        assert waiter.done()


def test_a_lane_that_takes_nothing_is_answered_by_the_error_table(server: Server, lane: Lane) -> None:
    """A full queue, or a store that is out of reach; the connection goes on."""
    lane.fault = QueueFull()
    with server.connect() as client:
        for _ in range(2):
            client.send_at_once(REQUEST, server)
            answer = client.answer()
            assert (answer.status, answer.json) == (503, {"fault": "QueueFull"})


def test_a_lane_that_fails_is_answered_by_the_error_table(server: Server, lane: Lane) -> None:
    """As when no answer came in time."""
    with server.connect() as client:
        asked(server, client)
        in_loop(server, lane.waiting[0].set_exception, TimeoutError())
        assert client.answer().json == {"fault": "TimeoutError"}


def test_a_reply_that_makes_no_answer_is_answered_by_the_error_table(server: Server, lane: Lane) -> None:
    """A denial, or a bug: whatever is raised, the client hears of it."""
    lane.bug = LookupError("a bug")
    with server.connect() as client:
        asked(server, client)
        in_loop(server, lane.waiting[0].set_result, None)
        assert client.answer().json == {"fault": "LookupError"}


def test_a_client_that_leaves_meanwhile_hurts_nobody(server: Server, lane: Lane) -> None:
    """Its reply comes, and goes nowhere."""
    with server.connect() as client:
        asked(server, client)
        client.reset()
    until(lambda: sum(map(is_open, Patient.living)) <= 1)
    with server.connect() as other:
        asked(server, other)
        for waiter in lane.waiting:
            in_loop(server, waiter.set_result, None)
        assert other.answer().json["body"] == "a=b"


def test_requests_behind_one_that_waits_are_answered_after_it(server: Server, lane: Lane) -> None:
    """RFC 9112 9.3.2."""
    with server.connect() as client:
        asked(server, client)
        client.send_at_once(post("/token", b"behind"), server)
        in_loop(server, lane.waiting[0].set_result, None)
        assert [client.answer().json["body"] for _ in range(2)] == ["a=b", "behind"]


def test_one_that_outlasts_the_stop_is_answered_that_the_server_stops(
    server: Server, lane: Lane, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9110 15.6.4; its lane sees that nobody waits any more."""
    log = "Cancel 1 running task(s), timeout graceful shutdown exceeded"
    with silent(caplog, monkeypatch, but=log), server.connect() as client:
        asked(server, client)
        server.stop()
        answer = client.last_answer()
    assert (answer.status, answer.json["error"]) == (503, "server_error")
    assert lane.waiting[0].done()


def test_a_server_that_stops_waits_for_the_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked before the stop is answered, as long as the time for it lasts."""
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "disabled", True)
    with Server(PatientProtocol, grace_s=60) as server, server.connect() as client:
        make_known(server)
        assert isinstance(server.application, Application)
        lane = Lane(server.application)
        asked(server, client)
        server._server.should_exit = True
        until(lambda: not server._server.servers[0].is_serving())
        loop = server._server.servers[0].get_loop()
        loop.call_soon_threadsafe(lane.waiting[0].set_result, None)
        answer = client.last_answer()
    assert (answer.json["body"], answer.headers["connection"]) == ("a=b", "close")
