"""The HTTP connection, seen from the network: raw bytes over real sockets to a real server.

Nothing here sleeps: a test that needs time to pass waits for bytes, for the end of the connection, or for a
signal of the application.
"""

import json
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from licet.web.http import connection as listener
from licet.web.http.exchange import refusal
from licet.web.http.phases import HEAD_BYTES_MAX, HEADERS_MAX, HELD_BYTES_MAX, LINGER_BYTES_MAX
from support.web.listening import (
    PATIENCE_S,
    Patient,
    PatientProtocol,
    Server,
    assert_refusal,
    chunked,
    get,
    head_of,
    post,
    silent,
)


@pytest.fixture
def stopping() -> Iterator[Server]:
    """A server that the test stops."""
    with Server(PatientProtocol) as server:
        yield server


@pytest.fixture(autouse=True)
def silence(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Whatever a client sends: no warning, no traceback, none of its bytes in the log."""
    with silent(caplog, monkeypatch, is_bug=request.node.name.startswith("test_a_bug")):
        yield


class TestTheHead:
    """Request line and header fields."""

    def test_a_head_of_the_largest_size_is_answered_and_keeps_the_connection(self, patient: Server) -> None:
        """HEAD_BYTES_MAX is the last size that is served."""
        with patient.connect() as client:
            for _ in range(2):
                client.send(head_of(HEAD_BYTES_MAX))
                assert client.answer().status == 200

    def test_a_head_of_one_byte_more_is_refused(self, patient: Server) -> None:
        """RFC 6585 section 5."""
        with patient.connect() as client:
            client.send(head_of(HEAD_BYTES_MAX + 1))
            assert_refusal(client.last_answer(), 431)

    def test_a_trickled_head_is_counted_to_the_byte(self, patient: Server) -> None:
        """The bound holds for any cutting into packets."""
        for size, status in ((HEAD_BYTES_MAX, 200), (HEAD_BYTES_MAX + 1, 431)):
            with patient.connect() as client:
                client.send_in_pieces(head_of(size), 397, patient)
                assert client.answer().status == status

    def test_a_request_that_comes_byte_by_byte_is_answered(self, patient: Server) -> None:
        """The blank line is found wherever it is cut."""
        with patient.connect() as client:
            for _ in range(2):
                client.send_in_pieces(post("/token", b"a=b"), 1, patient)
                assert client.answer().json["body"] == "a=b"

    def test_pipelined_heads_are_counted_each_alone(self, patient: Server) -> None:
        """Together they may be larger than HEAD_BYTES_MAX."""
        with patient.connect() as client:
            client.send(head_of(10_000) * 5)
            assert [client.answer().status for _ in range(5)] == [200] * 5

    def test_a_large_head_behind_others_is_refused_after_their_answers(self, patient: Server) -> None:
        """RFC 9112 section 9.3.2: answers come in the order of the requests."""
        with patient.connect() as client:
            client.send(post() + chunked(b"1\r\na\r\n0\r\n\r\n") + head_of(HEAD_BYTES_MAX + 1))
            assert client.answer().status == 200
            assert client.answer().status == 200
            assert_refusal(client.last_answer(), 431)

    def test_a_head_behind_a_body_is_counted_from_its_first_byte(self, patient: Server) -> None:
        """Also if the body's end comes in the same packet, but not all of it."""
        body = chunked(b"1\r\na\r\n0\r\n\r\n")
        with patient.connect() as client:
            client.send(body[:-1])
            patient.catch_up()
            client.send(body[-1:] + head_of(HEAD_BYTES_MAX + 1))
            assert client.answer().status == 200
            assert_refusal(client.last_answer(), 431)

    def test_a_megabyte_of_head_is_refused_and_the_client_gets_the_refusal(self, patient: Server) -> None:
        """RFC 9112 section 9.6: no reset destroys the answer."""
        with patient.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nX: " + b"x" * (LINGER_BYTES_MAX // 2))
            assert_refusal(client.last_answer(), 431)

    @pytest.mark.parametrize(
        "flood",
        [
            pytest.param(b"\r\n" * HEAD_BYTES_MAX, id="blank lines"),
            pytest.param(b"GET / HTTP/1.1\r\nX:" + b" " * HEAD_BYTES_MAX, id="white space"),
            pytest.param(b"GET /" + b"a" * HEAD_BYTES_MAX, id="request target"),
            pytest.param(b"GET / HTTP/1.1\r\n" + b"a:\r\n" * HEAD_BYTES_MAX, id="empty headers"),
            pytest.param(b"GET / HTTP/1.1\r\n" + b"a" * HEAD_BYTES_MAX, id="header name"),
        ],
    )
    def test_what_the_parser_does_not_keep_is_counted_all_the_same(
        self, patient: Server, flood: bytes
    ) -> None:
        """No part of a head is free."""
        with patient.connect() as client:
            client.send(flood)
            assert_refusal(client.last_answer(), 431)

    def test_the_number_of_headers_is_bounded(self, patient: Server) -> None:
        """HEADERS_MAX is the last number that is served."""
        fields = [f"X-{number}: 1" for number in range(HEADERS_MAX - 2)]
        with patient.connect() as client:
            client.send(post("/token", b"", *fields))
            assert client.answer().status == 200
            client.send(post("/token", b"", *fields, "X: 1"))
            assert_refusal(client.last_answer(), 431)

    def test_a_blank_line_before_a_request_is_ignored(self, patient: Server) -> None:
        """RFC 9112 section 2.2."""
        with patient.connect() as client:
            client.send(b"\r\n\r\n" + post() + b"\r\n" + post())
            assert [client.answer().status for _ in range(2)] == [200, 200]


class TestUpgrades:
    """An offer of another protocol is not taken up (RFC 9110 section 7.8)."""

    @pytest.mark.parametrize("protocol", ["websocket", "h2c", "TLS/1.0", "HTTP/2.0, x"])
    @pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, upgrade", "Upgrade, HTTP2-Settings"])
    def test_a_request_with_an_upgrade_is_answered_with_its_body(
        self, patient: Server, protocol: str, connection: str
    ) -> None:
        """HTTP clients send `Upgrade: h2c` with ordinary requests, also with those that have a body."""
        fields = (f"Connection: {connection}", f"Upgrade: {protocol}")
        with patient.connect() as client:
            client.send(post("/token", b"a=b", *fields) + chunked(b"1\r\nc\r\n0\r\n\r\n", *fields) + post())
            first, second, third = (client.answer() for _ in range(3))
            assert (first.status, first.json["body"]) == (200, "a=b")
            assert (second.status, second.json["body"]) == (200, "c")
            assert third.status == 200
            assert "upgrade" not in first.json["names"]

    def test_an_upgrade_without_a_body_is_answered(self, patient: Server) -> None:
        """A WebSocket client learns that there is none here."""
        fields = (
            "Host: licet.test",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
        )
        with patient.connect() as client:
            client.send(get(*fields))
            assert client.answer().status == 200


class TestPipelining:
    """Several requests at once (RFC 9112 section 9.3.2)."""

    def test_a_hundred_requests_are_answered_in_their_order(self, patient: Server) -> None:
        """They are taken one by one."""
        with patient.connect() as client:
            client.send(b"".join(post("/token", b"%d" % number) for number in range(100)))
            assert [client.answer().json["body"] for _ in range(100)] == [
                str(number) for number in range(100)
            ]

    def test_a_flood_of_requests_ends_the_connection_after_an_answer(
        self, patient: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """HELD_BYTES_MAX: the client sees by the end which requests were not taken."""
        monkeypatch.setattr(listener, "HELD_BYTES_MAX", len(post()) * 10)
        for count, answered in ((10, 11), (11, 1)):
            with patient.connect() as client:
                client.send(post("/gated") + post() * count)
                patient.wait_at_the_gate()
                patient.open_the_gate()
                assert [client.answer().status for _ in range(answered)] == [200] * answered
                if count > 10:
                    assert client.end() == b""

    def test_a_flood_that_is_not_read_costs_the_server_nothing(self, patient: Server) -> None:
        """Requests that are dropped are dropped whole, and those that are answered are answered whole."""
        with patient.connect() as client:
            client.send(post("/token", b"x" * 1000) * (4 * HELD_BYTES_MAX // 1000))
            client.say_no_more()
            rest = client.end()
            assert rest.count(b"HTTP/1.1 ") == rest.count(b"HTTP/1.1 200 OK\r\n") > 0
            assert rest.endswith(b"}")

    def test_requests_behind_a_last_one_are_not_answered(self, patient: Server) -> None:
        """RFC 9112 section 9.6."""
        with patient.connect() as client:
            client.send(post("/gated", b"", "Connection: close") + post())
            patient.wait_at_the_gate()
            patient.open_the_gate()
            assert not client.hears_nothing(PATIENCE_S)
            client.send_in_pieces(post() * 5, len(post()), patient)
            assert client.last_answer().headers["connection"] == "close"

    def test_a_pipelined_request_is_served_in_a_context_of_its_own(self, patient: Server) -> None:
        """Nothing of one request is seen by the next, as with requests that come one by one."""
        with patient.connect() as client:
            client.send(post() * 2)
            assert [client.answer().json["last path"] for _ in range(2)] == ["", ""]

    def test_a_request_behind_a_refused_one_is_not_answered(self, patient: Server) -> None:
        """Nothing is known about where it would begin."""
        with patient.connect() as client:
            client.send(get() + post() * 10)
            assert_refusal(client.last_answer(), 400)


class TestHalfClosedConnections:
    """A client may end its side and wait for the answer."""

    def test_a_whole_request_is_answered(self, patient: Server) -> None:
        """The end says nothing about the answer."""
        with patient.connect() as client:
            client.send(post("/gated", b"a=b"))
            client.say_no_more()
            patient.wait_at_the_gate()
            patient.open_the_gate()
            assert client.last_answer().json["body"] == "a=b"

    def test_an_application_may_ask_whether_the_client_waits(self, patient: Server) -> None:
        """Whoever gave up closes its side; an application that hears of it may answer all the same."""
        with patient.connect() as client:
            client.send(post("/watched", b"a=b"))
            patient.wait_at_the_gate()
            client.say_no_more()
            assert client.last_answer().json == {"body": "a=b", "then": "http.disconnect"}

    def test_it_hears_of_a_connection_that_is_gone(self, patient: Server) -> None:
        """With a reset, for instance."""
        with patient.connect() as client:
            client.send(post("/watched", b"a=b"))
            patient.wait_at_the_gate()
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert patient.application.released.wait(PATIENCE_S)

    def test_all_whole_requests_are_answered_and_a_cut_one_refused(self, patient: Server) -> None:
        """RFC 9112 section 8."""
        for cut in (post()[:20], post("/token", b"ab")[:-1]):
            with patient.connect() as client:
                client.send(post("/token", b"1") + post("/token", b"2") + cut)
                client.say_no_more()
                assert [client.answer().json["body"] for _ in range(2)] == ["1", "2"]
                assert_refusal(client.last_answer(), 400)

    def test_a_cut_request_behind_one_that_takes_its_time_is_refused(self, patient: Server) -> None:
        """RFC 9112 section 8: the end was seen long before the cut request's turn."""
        with patient.connect() as client:
            client.send(post("/pondered", b"a=b") + post()[:20])
            client.say_no_more()
            patient.wait_at_the_gate()
            patient.catch_up()
            patient.open_the_gate()
            assert client.answer().json["body"] == "a=b"
            assert_refusal(client.last_answer(), 400)

    @pytest.mark.parametrize("part", [b"G", post()[:-1], post("/token", b"ab")[:-1], chunked(b"1\r\na")])
    def test_a_part_of_a_request_is_refused_at_once(self, patient: Server, part: bytes) -> None:
        """RFC 9112 section 8: it is never taken for the whole."""
        with patient.connect() as client:
            client.send(part)
            client.say_no_more()
            assert_refusal(client.last_answer(), 400)

    def test_nothing_is_answered_with_nothing(self, patient: Server) -> None:
        """A port scan."""
        with patient.connect() as client:
            client.say_no_more()
            assert client.end() == b""

    def test_a_client_that_is_gone_is_no_trouble(self, streaming: Server) -> None:
        """The answer finds a reset connection."""
        with streaming.connect() as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.send(post("/begun"))
            streaming.wait_at_the_gate()
        streaming.open_the_gate()
        with streaming.connect() as client:
            client.send(post())
            assert client.answer().status == 200


class TestAnswers:
    """What the protocol writes itself, and what it passes on."""

    @pytest.mark.parametrize("status", [400, 408, 413, 431, 503])
    def test_a_refusal_is_a_whole_answer(self, status: int) -> None:
        """RFC 6749 section 5.2 for the shape, RFC 9112 section 6.3 for the length."""
        head, _, body = refusal(status, "A reason.", "an-id").partition(b"\r\n\r\n")
        lines = head.decode("ascii").split("\r\n")
        assert lines[0].startswith(f"HTTP/1.1 {status} ")
        assert f"content-length: {len(body)}" in lines
        assert list(json.loads(body)) == ["error", "error_description", "request_id"]

    def test_a_refusal_is_told_of_under_the_id_that_the_client_gets(self, patient: Server) -> None:
        """Each has an id of its own, which finds it in the log."""
        Patient.told.clear()
        ids = []
        for _ in range(2):
            with patient.connect() as client:
                client.send(get())
                ids.append(json.loads(client.last_answer().body)["request_id"])
        assert ids[0] != ids[1]
        assert [(told[0], told[1], told[3]) for told in Patient.told] == [
            (request_id, 400, "127.0.0.1") for request_id in ids
        ]

    def test_a_refusal_has_the_headers_that_every_answer_has(self, patient: Server) -> None:
        """RFC 9110 section 6.6.1: a date."""
        with patient.connect() as client:
            client.send(get())
            assert client.last_answer().headers["date"].endswith(" GMT")

    def test_an_answer_without_a_body_is_sent(self, patient: Server) -> None:
        """Heads are held back for their bodies, but not for ever."""
        with patient.connect() as client:
            for _ in range(2):
                client.send(get("Host: licet.test", path="/head"))
                assert client.answer().status == 204
            for connection in ("keep-alive", "close"):
                client.send(get("Host: licet.test", f"Connection: {connection}").replace(b"GET", b"HEAD"))
                assert client._until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
            assert client.end() == b""

    @pytest.mark.parametrize("line_end", ["!", "*", "!!", "a*b"])
    def test_a_bug_that_puts_a_line_end_into_a_header_makes_no_header(
        self, patient: Server, line_end: str
    ) -> None:
        """RFC 9110 section 5.5: response splitting."""
        with patient.connect() as client:
            client.send(get("Host: licet.test", path=f"/forged?a{line_end}x-made:up"))
            assert b"x-made" not in client.end()

    def test_a_bug_that_shortens_an_answer_ends_the_connection(self, streaming: Server) -> None:
        """RFC 9112 section 6.3: the connection ends before the length is reached."""
        with streaming.connect() as client:
            client.send(get("Host: licet.test", path="/miscounted"))
            assert client.end().endswith(b"\r\n\r\n{}")

    def test_an_application_may_give_way_to_others(self, patient: Server) -> None:
        """It is no task of the loop's, and a bare turn of the loop is no future."""
        with patient.connect() as client:
            for _ in range(2):
                client.send(post("/turns", b"a=b"))
                assert json.loads(client.answer().body)["body"] == "a=b"

    def test_a_bug_of_the_application_is_an_answer_too(self, patient: Server) -> None:
        """The listener's own; an application answers by itself, as long as it can."""
        with patient.connect() as client:
            client.send(post("/crash"))
            assert client.last_answer().status == 500

    @pytest.mark.parametrize("late", [0, 1])
    def test_a_server_that_stops_completes_its_answers(self, stopping: Server, late: int) -> None:
        """RFC 9112 section 9.6, also if a part of the request comes only then."""
        request = post("/token" if late else "/gated", b"a=b")
        with stopping.connect() as client, stopping.connect() as idle:
            client.send(request[: len(request) - late])
            stopping.catch_up()
            stop = threading.Thread(target=stopping.stop)
            stop.start()
            assert idle.end() == b""
            client.send(request[len(request) - late :])
            stopping.open_the_gate()
            last = client.last_answer()
            assert last.json["body"] == "a=b"
            assert last.headers["connection"] == "close"
            stop.join(PATIENCE_S)
