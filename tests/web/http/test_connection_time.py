"""How long an HTTP connection may take for what, and how many there may be."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from licet.web.http.connection import GuardedHttpProtocol
from licet.web.http.phases import BODY_TIMEOUT_S, HEAD_BYTES_MAX, HEAD_TIMEOUT_S, TAKEN_BYTES_LEAST
from support.waiting import until
from support.web.listening import (
    IDLE_S,
    PATIENCE_S,
    Client,
    HastyAsgiProtocol,
    HastyProtocol,
    OneProtocol,
    Patient,
    PatientAsgiProtocol,
    PatientProtocol,
    Server,
    SmallProtocol,
    assert_refusal,
    chunked,
    get,
    head_of,
    post,
    silent,
)
from support.web.treatments import HUGE, LARGE

TAKEN_BYTES = 4 * TAKEN_BYTES_LEAST  # between two time limits: well above what counts as steady
QUIET_S = 0.01  # in which there would be something, as what was sent after it has been answered


def assert_all_time_out(server: Server, *parts: bytes) -> None:
    """Who sends these and no more is refused in the end."""
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in parts]
        for client, part in zip(clients, parts, strict=True):
            client.send(part)
        server.pass_time(max(HEAD_TIMEOUT_S, BODY_TIMEOUT_S))
        for client in clients:
            assert_refusal(client.last_answer(), 408)


@pytest.fixture(scope="module")
def hasty() -> Iterator[Server]:
    """A server that gives a client no time to take what it is sent."""
    with Server(HastyProtocol) as server:
        yield server


@contextmanager
def asked_for_much(protocol: type[GuardedHttpProtocol], connection: str) -> Iterator[tuple[Server, Client]]:
    """A server and its client, which has asked for a large answer and reads only what it says."""
    with Server(protocol, buffer_bytes=4096) as server, server.connect_slowly() as client:
        client.send(post("/huge", b"", f"Connection: {connection}"))
        yield server, client


class ClosedProtocol(HastyAsgiProtocol):
    """It answers nobody who has ended its side, as the admin listener."""

    serves_half_closed = False


@pytest.fixture(scope="module")
def hasty_stream() -> Iterator[Server]:
    """The same of the listener whose answers may be streams."""
    with Server(HastyAsgiProtocol) as server:
        yield server


@pytest.fixture
def narrow() -> Iterator[Server]:
    """A server that can send little at a time."""
    with Server(HastyProtocol, buffer_bytes=4096) as server:
        yield server


@pytest.fixture
def small() -> Iterator[Server]:
    """A server with room for two connections."""
    with Server(SmallProtocol) as server:
        yield server


@pytest.fixture(autouse=True)
def silence(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Whatever a client sends: no warning, no traceback, none of its bytes in the log."""
    with silent(caplog, monkeypatch, is_bug=request.node.name.startswith("test_a_bug")):
        yield


class TestTime:
    """Every wait for the client has an end."""

    def test_a_client_that_sends_nothing_is_left_without_a_word(self, hasty: Server) -> None:
        """There is no request to answer."""
        with hasty.connect() as client:
            hasty.pass_time(HEAD_TIMEOUT_S)
            assert client.end() == b""

    def test_a_client_that_stops_within_a_head_is_told_so(self, hasty: Server) -> None:
        """RFC 9110 section 15.5.9."""
        assert_all_time_out(hasty, b"G", b"\r\n", post()[:-1], post()[:-4])

    @pytest.mark.parametrize("begun", [b"", post()], ids=["first", "second"])
    @pytest.mark.parametrize(
        "part", [post()[:-2] + b"X: ", post("/token", b"x" * 100)[:-100]], ids=["head", "body"]
    )
    def test_more_bytes_do_not_make_the_time_longer(self, hasty: Server, begun: bytes, part: bytes) -> None:
        """The deadline is that of the whole head or body."""
        with hasty.connect() as client:
            client.send(begun)
            assert begun == b"" or client.answer().status == 200
            client.send(part)
            for _ in range(3):
                hasty.pass_time(0.3 * HEAD_TIMEOUT_S)
                hasty.catch_up()
                assert client.hears_nothing(QUIET_S)
                client.send(b"x")
            hasty.pass_time(0.1 * HEAD_TIMEOUT_S)
            assert_refusal(client.last_answer(), 408)

    def test_a_second_request_has_a_time_of_its_own(self, hasty: Server) -> None:
        """It starts with the request's first byte."""
        with hasty.connect() as client:
            client.send(post())
            assert client.answer().status == 200
            hasty.pass_time(1.5 * HEAD_TIMEOUT_S)
            client.send(post()[:20])
            hasty.pass_time(0.9 * HEAD_TIMEOUT_S)
            hasty.catch_up()
            assert client.hears_nothing(QUIET_S)
            hasty.pass_time(0.1 * HEAD_TIMEOUT_S)
            assert_refusal(client.last_answer(), 408)

    def test_an_idle_connection_is_closed_without_a_word(self, hasty: Server) -> None:
        """RFC 9112 section 9.5. The time is uvicorn's timeout_keep_alive."""
        with hasty.connect() as client:
            client.send(post())
            assert client.answer().status == 200
            hasty.pass_time(0.9 * IDLE_S)
            hasty.catch_up()
            assert client.hears_nothing(QUIET_S)
            hasty.pass_time(0.1 * IDLE_S)
            assert client.end() == b""

    def test_a_client_that_stops_within_a_body_is_told_so(self, hasty: Server) -> None:
        """RFC 9110 section 15.5.9. The application learns that the request is no more."""
        hasty.application.saw_disconnect.clear()
        whole = post("/token", b"ab")
        assert_all_time_out(hasty, whole[:-2], whole[:-1], chunked(b"1\r\na\r\n"), chunked(b"0\r\n\r"))
        assert hasty.application.saw_disconnect.wait(PATIENCE_S)

    def test_a_body_has_a_time_of_its_own(self, hasty: Server) -> None:
        """The head's deadline ends with the head, and the first request's with that."""
        with hasty.connect() as client:
            hasty.pass_time(0.6 * HEAD_TIMEOUT_S)
            for _ in range(2):
                client.send(post("/token", b"ab")[:-1])
                hasty.pass_time(0.6 * BODY_TIMEOUT_S)
                client.send(b"b")
                assert client.answer().json["body"] == "ab"

    @pytest.mark.parametrize("late", [0, 1])
    def test_the_application_has_all_the_time_it_needs(self, hasty: Server, late: int) -> None:
        """The time-outs are the client's."""
        request = post("/gated", b"a=b")
        with hasty.connect() as client:
            client.send(request[: len(request) - late])
            hasty.wait_at_the_gate()
            client.send(request[len(request) - late :])
            hasty.pass_time(2 * IDLE_S)
            hasty.catch_up()
            assert client.hears_nothing(QUIET_S)
            hasty.open_the_gate()
            assert client.answer().status == 200

    def test_an_answer_that_has_begun_is_not_followed_by_a_refusal(self, hasty_stream: Server) -> None:
        """A client that stops within a body, but is being answered, gets that answer or none."""
        with hasty_stream.connect() as client:
            client.send(post("/begun", b"ab")[:-1])
            hasty_stream.wait_at_the_gate()
            hasty_stream.pass_time(BODY_TIMEOUT_S)
            assert client.end().endswith(b"\r\n\r\nbegin")
        hasty_stream.open_the_gate()

    def test_a_client_that_does_not_take_its_answer_is_dropped(self, hasty_stream: Server) -> None:
        """An answer waits for its reader, but not for ever."""
        with hasty_stream.connect() as client:
            client.send(post("/endless"))
            assert hasty_stream.application.released.wait(PATIENCE_S)

    @pytest.mark.parametrize("connection", ["close", "keep-alive"])
    def test_a_client_that_does_not_take_a_last_answer_is_dropped(
        self, narrow: Server, connection: str
    ) -> None:
        """The same when the application is done with it."""
        with narrow.connect_slowly() as client:
            client.send(post("/large", b"", f"Connection: {connection}"))
            narrow.pass_time(IDLE_S)
            assert client.is_gone()
            assert len(client.end()) < LARGE

    @pytest.mark.parametrize("protocol", [HastyProtocol, HastyAsgiProtocol])
    def test_a_client_that_reads_none_of_many_answers_is_dropped(
        self, protocol: type[GuardedHttpProtocol]
    ) -> None:
        """Another request does not give it more time to read the answers before."""
        with Server(protocol, buffer_bytes=4096) as server, server.connect_slowly() as client:
            client.send(post("/large") * 20)
            assert client.is_gone()

    @pytest.mark.parametrize("connection", ["close", "keep-alive"])
    @pytest.mark.parametrize("protocol", [PatientProtocol, PatientAsgiProtocol])
    def test_a_client_that_reads_slowly_but_steadily_gets_its_whole_answer(
        self, protocol: type[GuardedHttpProtocol], connection: str
    ) -> None:
        """TAKEN_BYTES_LEAST: the time limits are for who takes nothing."""
        with asked_for_much(protocol, connection) as (server, client):
            for taken in range(TAKEN_BYTES, HUGE, TAKEN_BYTES):
                client.take(taken)
                server.pass_time(IDLE_S)
            assert len(client.answer().json["x"]) == HUGE

    @pytest.mark.parametrize("connection", ["close", "keep-alive"])
    @pytest.mark.parametrize("protocol", [PatientProtocol, PatientAsgiProtocol])
    def test_a_client_that_takes_almost_nothing_is_dropped(
        self, protocol: type[GuardedHttpProtocol], connection: str
    ) -> None:
        """TAKEN_BYTES_LEAST: a few bytes in each time limit do not keep a connection."""
        with asked_for_much(protocol, connection) as (server, client):
            with suppress(ConnectionError, AssertionError):  # it may be cut off while it reads
                for taken in range(1, 4):
                    client.take(taken)
                    server.pass_time(IDLE_S)
            until(lambda: server.connections == 0)

    def test_a_client_that_ends_its_side_and_reads_nothing_is_dropped(self) -> None:
        """It may wait for an answer that it does not get; the one before is not read."""
        with Server(ClosedProtocol, buffer_bytes=4096) as server, server.connect_slowly() as client:
            client.send(post("/large") + post("/gated"))
            server.wait_at_the_gate()
            client.say_no_more()
            assert client.is_gone()
            server.open_the_gate()

    def test_whole_requests_set_no_timers(self, patient: Server) -> None:
        """One alarm for the connection and one for its first idle time, however many requests."""
        with patient.connect() as client:
            Patient.alarms = 0
            for _ in range(50):
                client.send(post("/token", b"a=b"))
                assert client.answer().status == 200
            assert Patient.alarms <= 2


class TestRoom:
    """Connections are counted."""

    def test_a_client_without_room_is_told_when_to_come_again(self, small: Server) -> None:
        """RFC 9110 sections 15.6.4 and 10.2.3."""
        with small.connect() as first, small.connect() as second:
            for client in (first, second):
                client.send(post())
                assert client.answer().status == 200
            with small.connect() as third:
                third.send(post("/token", b"a=b"))
                refused = third.last_answer()
            assert_refusal(refused, 503)
            assert refused.headers["retry-after"] == "1"

    def test_a_client_without_room_that_says_nothing_is_told_nothing(self, small: Server) -> None:
        """An answer that comes before its request is an error to some clients."""
        with small.connect() as first, small.connect() as second:
            for client in (first, second):
                client.send(post())
                assert client.answer().status == 200
            with small.connect() as third:
                first.send(post())
                assert first.answer().status == 200
                small.pass_time_now(PATIENCE_S)
                assert third.end() == b""

    def test_even_the_clients_without_room_are_bounded(self, small: Server) -> None:
        """TURNED_AWAY_MAX."""
        with small.connect() as first, small.connect() as second:
            for client in (first, second):
                client.send(post())
                assert client.answer().status == 200
            # A reset or an end, as the system likes it.
            with small.connect(), small.connect() as fourth, suppress(ConnectionError):
                fourth.send(post())
                assert fourth.end() == b""

    def test_a_connection_that_gives_way_is_gone_whatever_its_client_reads(self) -> None:
        """Or a source could keep more connections open than it may have."""
        with Server(OneProtocol, buffer_bytes=4096) as server:
            for _ in range(3):
                with server.connect_slowly() as slow:
                    slow.send(post("/large"))
                    assert not slow.hears_nothing(PATIENCE_S)  # the rest is written, and not read
                    with server.connect() as client:
                        client.send(post())
                        assert client.answer().status == 200
                        until(lambda: server.connections == 1)

    def test_a_client_that_takes_an_answer_slowly_gives_way_too(self) -> None:
        """That it has more time is no reason to keep another one out."""
        one = Server(OneProtocol, buffer_bytes=4096, idle_s=int(PATIENCE_S))
        with one as server, server.connect_slowly() as slow:
            slow.send(post("/huge"))
            slow.take(TAKEN_BYTES)
            server.pass_time_now(PATIENCE_S)
            with server.connect() as client:
                client.send(post())
                assert client.answer().status == 200

    def test_a_connection_that_ends_makes_room(self, small: Server) -> None:
        """The count goes down."""
        for _ in range(10):
            with small.connect() as client:
                client.send(post("/token", b"", "Connection: close"))
                assert client.last_answer().status == 200

    def test_a_connection_that_ended_leaves_nothing_behind(self, patient: Server) -> None:
        """Not even until the next garbage collection."""
        gc.collect()  # connections of tests before
        last = post("/early", b"", "Connection: close") + post()
        for message in (post(), get(), post("/early", b"x")[:-1], last, head_of(HEAD_BYTES_MAX + 1), b"\0"):
            with patient.connect() as client:
                client.send(message)
                client.answer()
        with patient.connect() as client:
            for _ in range(1000):
                client.send(post())
                assert client.answer().status == 200
                if len(Patient.living) <= 1:
                    return
        pytest.fail(f"{len(Patient.living)} connections are still there")
