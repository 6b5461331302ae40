"""The table of a connection's phases, walked: each of its transitions by bytes over a real connection."""

import logging
import queue
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import ClassVar, NamedTuple

import pytest

from licet.web.http import phases
from licet.web.http.asgi import AsgiHttpProtocol
from licet.web.http.connection import GuardedHttpProtocol
from licet.web.http.connections import Limits
from licet.web.http.direct import DirectHttpProtocol
from licet.web.http.phases import BOUNDS, HELD_BYTES_MAX, TRANSITIONS, Event, Phase
from support.web.listening import HASTE_S, PATIENCE_S, Client, Server, chunked, get, post


class Step(NamedTuple):
    """A change of phase, of the connection from this port."""

    port: int
    phase: Phase
    event: Event


class Noted(GuardedHttpProtocol):
    """The protocol as it is; what it goes through is noted."""

    steps: ClassVar[queue.SimpleQueue[Step]] = queue.SimpleQueue()

    def _step(self, event: Event) -> None:
        before = self._phase
        super()._step(event)
        assert self.client is not None
        self.steps.put(Step(self.client[1], before, event))


class Hasty(Noted):
    """A time to take an answer that a test can wait for."""

    answer_timeout_s = HASTE_S


class Full(Noted):
    """No room for a second connection."""

    limits = Limits(connections_max=1)


Kind = type[DirectHttpProtocol | AsgiHttpProtocol]


def of(kind: Kind, noted: type) -> type[GuardedHttpProtocol]:
    """The same, of one of the listeners."""
    return type(f"{noted.__name__}{kind.__name__}", (noted, kind), {})


class Confused(AsgiHttpProtocol):
    """A bug: a request that is whole is taken for a connection without room."""

    def on_message_complete(self) -> None:
        """Make an event that has no place here."""
        self._step(Event.NO_ROOM)


class Walk:
    """A client on its way through the phases, and the server."""

    def __init__(self, server: Server, client: Client) -> None:
        self.server = server
        self.client = client
        self._port = client.socket.getsockname()[1]

    def until(self, phase: Phase, event: Event) -> None:
        """Wait for a change of phase."""
        while Noted.steps.get(timeout=PATIENCE_S) != (self._port, phase, event):
            pass

    def taken(self) -> Client:
        """The server has the connection."""
        self.server.catch_up()
        return self.client

    def turned_away(self) -> Client:
        """There is no room."""
        self.until(Phase.NEW, Event.NO_ROOM)
        return self.client

    def idle(self) -> Client:
        """One request is answered."""
        self.client.send(post())
        assert self.client.answer().status == 200
        return self.client

    def within_head(self) -> Client:
        """A part of a head has come."""
        self.client.send(post()[:5])
        self.until(Phase.NEW, Event.HEAD_BEGUN)
        return self.client

    def within_body(self, path: str = "/token") -> Client:
        """All has come but a byte of the body."""
        self.client.send(post(path, b"ab")[:-1])
        self.until(Phase.NEW, Event.HEAD_COMPLETE)
        return self.client

    def being_answered(self, *fields: str) -> Client:
        """A request is whole, and its answer waits."""
        self.server.application.reached.clear()  # by a request of another test that ended without it
        self.client.send(post("/gated", b"", *fields))
        self.server.wait_at_the_gate()
        return self.client

    def within_spoilt_body(self) -> Client:
        """An answer has begun, and what comes is no body."""
        self.server.application.reached.clear()
        self.client.send(chunked(b"").replace(b"/token", b"/begun"))
        self.server.wait_at_the_gate()
        self.client.send(b"x\r\n")
        return self.client

    def spoilt(self) -> Client:
        """The same, when the server has seen it."""
        self.within_spoilt_body()
        self.until(Phase.BODY, Event.SPOILT)
        return self.client

    def behind_too_much(self) -> Client:
        """So much has come behind a request that it is the last one."""
        client = self.being_answered()
        client.send_at_once(b"x" * (HELD_BYTES_MAX + 1), self.server)  # it reads no more behind that
        return client

    def lingering(self) -> Client:
        """The answer came before the body, which is still to come."""
        client = self.within_body("/early")
        assert client.answer().status == 401
        return client


def _send_behind_a_last_request(walk: Walk) -> None:
    walk.being_answered("Connection: close").send(post())
    walk.server.catch_up()
    walk.server.open_the_gate()


def _have_the_last_answer(walk: Walk) -> None:
    walk.behind_too_much()
    walk.until(Phase.ANSWER, Event.TOO_MUCH_HELD)
    walk.server.open_the_gate()


def _stop(walk: Walk) -> None:
    walk.within_head()
    walk.server.stop()


HALF, REST = post()[:5], post()[5:]
LAST = post("/token", b"", "Connection: close")
NEVER_KEPT = post("/token?a=b")  # it has a query, and is parsed each time

# Each is made when the client is there, and then waited for.
WALKS: dict[tuple[Phase, Event], Callable[[Walk], object]] = {
    (Phase.NEW, Event.NO_ROOM): lambda _: None,
    (Phase.NEW, Event.HEAD_BEGUN): lambda walk: walk.client.send(HALF),
    (Phase.NEW, Event.HEAD_COMPLETE): lambda walk: walk.client.send(NEVER_KEPT),
    (Phase.NEW, Event.CAME_AGAIN): lambda walk: walk.taken().send(post()),
    (Phase.NEW, Event.REFUSED): lambda walk: walk.client.send(get()),
    (Phase.NEW, Event.CLOSE): lambda walk: walk.client.say_no_more(),
    (Phase.NEW, Event.LOST): lambda walk: walk.taken().reset(),
    (Phase.TURNED_AWAY, Event.REFUSED): lambda walk: walk.client.send(post()),
    (Phase.TURNED_AWAY, Event.CLOSE): lambda walk: walk.client.say_no_more(),
    (Phase.TURNED_AWAY, Event.LOST): lambda walk: walk.turned_away().reset(),
    (Phase.IDLE, Event.HEAD_BEGUN): lambda walk: walk.idle().send(HALF),
    (Phase.IDLE, Event.HEAD_COMPLETE): lambda walk: walk.idle().send(NEVER_KEPT),
    (Phase.IDLE, Event.CAME_AGAIN): lambda walk: walk.idle().send(post()),
    (Phase.IDLE, Event.REFUSED): lambda walk: walk.idle().send(get()),
    (Phase.IDLE, Event.CLOSE): lambda walk: walk.idle().say_no_more(),
    (Phase.IDLE, Event.LOST): lambda walk: walk.idle().reset(),
    (Phase.HEAD, Event.HEAD_COMPLETE): lambda walk: walk.within_head().send(REST),
    (Phase.HEAD, Event.REFUSED): lambda walk: walk.within_head().say_no_more(),
    (Phase.HEAD, Event.CLOSE): _stop,
    (Phase.HEAD, Event.LOST): lambda walk: walk.within_head().reset(),
    (Phase.BODY, Event.BODY_COMPLETE): lambda walk: walk.within_body().send(b"b"),
    (Phase.BODY, Event.REFUSED): lambda walk: walk.within_body().say_no_more(),
    (Phase.BODY, Event.SPOILT): lambda walk: walk.within_spoilt_body(),
    (Phase.BODY, Event.LAST_COMPLETE): lambda walk: walk.within_body("/early"),
    (Phase.BODY, Event.CLOSE): lambda walk: walk.within_body("/endless"),  # of which nothing is taken
    (Phase.BODY, Event.LOST): lambda walk: walk.within_body().reset(),
    (Phase.ANSWER, Event.ANSWER_COMPLETE): lambda walk: walk.client.send(post()),
    (Phase.ANSWER, Event.TOO_MUCH_HELD): lambda walk: walk.behind_too_much(),
    (Phase.ANSWER, Event.LAST_COMPLETE): _send_behind_a_last_request,
    (Phase.ANSWER, Event.CLOSE): lambda walk: walk.client.send(LAST),
    (Phase.ANSWER, Event.LOST): lambda walk: walk.being_answered().reset(),
    (Phase.LAST_ANSWER, Event.LAST_COMPLETE): _have_the_last_answer,
    (Phase.LAST_ANSWER, Event.CLOSE): lambda walk: walk.spoilt(),
    (Phase.LAST_ANSWER, Event.LOST): lambda walk: walk.spoilt().reset(),
    (Phase.LINGER, Event.LAST_COMPLETE): lambda walk: walk.within_body("/relapsed"),
    (Phase.LINGER, Event.CLOSE): lambda walk: walk.lingering().say_no_more(),
    (Phase.LINGER, Event.LOST): lambda walk: walk.lingering().reset(),
    (Phase.CLOSING, Event.LAST_COMPLETE): lambda walk: walk.client.send(LAST.replace(b"token", b"relapsed")),
    (Phase.CLOSING, Event.CLOSE): lambda walk: walk.client.send(LAST.replace(b"token", b"large")),
    (Phase.CLOSING, Event.LOST): lambda walk: walk.client.send(LAST),
}
OVERDUE = {(Phase.BODY, Event.CLOSE), (Phase.LAST_ANSWER, Event.CLOSE), (Phase.CLOSING, Event.CLOSE)}
"""What is waited for is the end of a time-out."""
STREAMED = {
    (Phase.BODY, Event.SPOILT),
    (Phase.BODY, Event.CLOSE),
    (Phase.LAST_ANSWER, Event.CLOSE),
    (Phase.LAST_ANSWER, Event.LOST),
    (Phase.LINGER, Event.LAST_COMPLETE),
    (Phase.CLOSING, Event.LAST_COMPLETE),
}
"""What takes an answer that begins and does not end, as only an application of ASGI can give it."""
BOTH: list[tuple[Kind, Phase, Event]] = [
    *((AsgiHttpProtocol, *walked) for walked in WALKS if walked[1] is not Event.CAME_AGAIN),
    *((DirectHttpProtocol, *walked) for walked in WALKS if walked not in STREAMED),
]


@pytest.fixture(autouse=True)
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pytest makes uvicorn write its access log, which is off."""
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "disabled", True)


@pytest.fixture(scope="module")
def shared() -> Iterator[dict[Kind, Server]]:
    """A server of each kind with the time-outs of production."""
    with (
        Server(of(AsgiHttpProtocol, Noted)) as of_asgi,
        Server(of(DirectHttpProtocol, Noted)) as direct,
    ):
        yield {AsgiHttpProtocol: of_asgi, DirectHttpProtocol: direct}


@pytest.fixture
def server(shared: dict[Kind, Server], kind: Kind, phase: Phase, event: Event) -> Iterator[Server]:
    """The server on which this can happen."""
    if is_without_room(phase, event):
        with Server(of(kind, Full)) as full:
            yield full
    elif (phase, event) in OVERDUE:
        with Server(of(kind, Hasty), buffer_bytes=4096) as hasty:
            yield hasty
    elif (phase, event) == (Phase.HEAD, Event.CLOSE):
        with Server(of(kind, Noted)) as stopping:
            yield stopping
    else:
        yield shared[kind]


def is_without_room(phase: Phase, event: Event) -> bool:
    """Whether somebody else has to have the room."""
    return Phase.TURNED_AWAY in (phase, TRANSITIONS[phase][event])


@pytest.mark.parametrize(("kind", "phase", "event"), BOTH)
def test_each_transition_is_walked_by_bytes(server: Server, phase: Phase, event: Event) -> None:
    """What is in the table happens."""
    with ExitStack() as open_:
        if is_without_room(phase, event):
            Walk(server, open_.enter_context(server.connect())).idle()
        client = open_.enter_context(Client(socket.socket()))
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.socket.settimeout(PATIENCE_S)
        client.socket.connect(server.address)
        walk = Walk(server, client)
        WALKS[phase, event](walk)
        walk.until(phase, event)
        if server.application.reached.is_set():
            server.open_the_gate()


def test_every_transition_has_a_walk() -> None:
    """Nothing is in the table that no client can bring about."""
    assert set(WALKS) == {(phase, event) for phase, events in TRANSITIONS.items() for event in events}


def test_every_phase_has_bounds_that_are_there() -> None:
    """By the names of constants and of attributes."""
    assert list(BOUNDS) == list(TRANSITIONS) == list(Phase)
    for bounds in BOUNDS.values():
        for name in filter(None, (bounds.bytes_max, bounds.timeout_s)):
            assert hasattr(phases, name) or hasattr(GuardedHttpProtocol, name) or name == "timeout_keep_alive"


def test_an_event_that_has_no_place_says_so_and_cuts_the_connection_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It would be a bug: nothing goes on in a phase that nobody thought of."""
    with Server(Confused) as server, server.connect() as client:
        client.send(post())
        assert client.end() == b""
    said = "".join(str(record.exc_info) for record in caplog.records)
    assert "a connection in the phase BODY has no transition for NO_ROOM" in said
