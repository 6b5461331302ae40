"""The HTTP connection, seen from the network: raw bytes over real sockets to a real server.

Nothing here sleeps: a test that needs time to pass waits for bytes, for the end of the connection, or for a
signal of the application.
"""

import itertools
import json
import logging
import random
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from licet.web.http import connection as listener
from licet.web.http.exchange import refusal
from licet.web.http.phases import (
    BODY_BYTES_MAX,
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    HELD_BYTES_MAX,
    LINGER_BYTES_MAX,
    LINGER_TIMEOUT_S,
)
from support.listening import (
    BODY_LIMIT,
    HASTE_S,
    LARGE,
    PATIENCE_S,
    Client,
    HastyProtocol,
    PatientProtocol,
    Server,
    SmallProtocol,
    assert_refusal,
    chunked,
    get,
    head_of,
    post,
)

FUZZ_SEED = 20_260_711


def assert_all_time_out(server: Server, *parts: bytes) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in parts]
        for client, part in zip(clients, parts, strict=True):
            client.send(part)
        for client in clients:
            assert_refusal(client.last_answer(), 408)


@pytest.fixture(scope="module")
def patient() -> Iterator[Server]:
    """A server with the time-outs of production."""
    with Server(PatientProtocol) as server:
        yield server


@pytest.fixture(scope="module")
def hasty() -> Iterator[Server]:
    """A server with time-outs of a fifth of a second."""
    with Server(HastyProtocol, idle_s=1) as server:
        yield server


@pytest.fixture
def narrow() -> Iterator[Server]:
    """A server that can send little at a time."""
    with Server(HastyProtocol, idle_s=1, buffer_bytes=4096) as server:
        yield server


@pytest.fixture
def stopping() -> Iterator[Server]:
    """A server that the test stops."""
    with Server(PatientProtocol) as server:
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
    # pytest makes uvicorn write its access log, which is off.
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "disabled", True)
    caplog.set_level(logging.INFO, "uvicorn")  # a server's settings of another test have it silent
    yield
    told = [record.getMessage() for record in caplog.get_records("call") if record.levelno > logging.INFO]
    expected = ["Exception in ASGI application\n"] if request.node.name.startswith("test_a_bug") else []
    assert told == expected


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


class TestTime:
    """Every wait for the client has an end."""

    def test_a_client_that_sends_nothing_is_left_without_a_word(self, hasty: Server) -> None:
        """There is no request to answer."""
        with hasty.connect() as client:
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
            for count in itertools.count():
                assert count < 10
                if not client.hears_nothing(HASTE_S / 5):
                    break
                client.send(b"x")
            assert_refusal(client.last_answer(), 408)

    def test_a_second_request_has_a_time_of_its_own(self, hasty: Server) -> None:
        """It starts with the request's first byte."""
        with hasty.connect() as client:
            client.send(post())
            assert client.answer().status == 200
            assert client.hears_nothing(HASTE_S + 0.1)
            client.send(post()[:20])
            assert_refusal(client.last_answer(), 408)

    def test_an_idle_connection_is_closed_without_a_word(self, hasty: Server) -> None:
        """RFC 9112 section 9.5. The time is uvicorn's timeout_keep_alive."""
        with hasty.connect() as client:
            client.send(post())
            assert client.answer().status == 200
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
            assert client.hears_nothing(HASTE_S - 0.1)
            for _ in range(2):
                client.send(post("/token", b"ab")[:-1])
                assert client.hears_nothing(HASTE_S - 0.1)
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
            assert client.hears_nothing(HASTE_S + 0.1)
            hasty.open_the_gate()
            assert client.answer().status == 200

    def test_an_answer_that_has_begun_is_not_followed_by_a_refusal(self, hasty: Server) -> None:
        """A client that stops within a body, but is being answered, gets that answer or none."""
        with hasty.connect() as client:
            client.send(post("/begun", b"ab")[:-1])
            assert client.end().endswith(b"\r\n\r\nbegin")
        hasty.open_the_gate()

    def test_a_client_that_does_not_take_its_answer_is_dropped(self, hasty: Server) -> None:
        """An answer waits for its reader, but not for ever."""
        with hasty.connect() as client:
            client.send(post("/endless"))
            assert hasty.application.released.wait(PATIENCE_S)

    @pytest.mark.parametrize("connection", ["close", "keep-alive"])
    def test_a_client_that_does_not_take_a_last_answer_is_dropped(
        self, narrow: Server, connection: str
    ) -> None:
        """The same when the application is done with it."""
        with Client(socket.socket()) as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.socket.connect(narrow.address)
            client.send(post("/large", b"", f"Connection: {connection}"))
            assert client.is_gone()
            assert len(client.end()) < LARGE

    def test_whole_requests_set_no_timers(self, patient: Server) -> None:
        """One alarm for the connection and one for its first idle time, however many requests."""
        with patient.connect() as client:
            PatientProtocol.alarms = 0
            for _ in range(50):
                client.send(post("/token", b"a=b"))
                assert client.answer().status == 200
            assert PatientProtocol.alarms <= 2


class TestTheBody:
    """What follows a head, and what an early answer does to it."""

    def test_an_early_answer_reaches_a_client_that_still_sends(self, patient: Server) -> None:
        """RFC 9112 section 9.6: the answer is followed by an end, not by a reset."""
        for size in (BODY_LIMIT + 1, BODY_BYTES_MAX, BODY_BYTES_MAX + 1, 200_000, LINGER_BYTES_MAX):
            for _ in range(5):
                with patient.connect() as client:
                    client.send(post("/token", b"x" * size, "Connection: keep-alive"))
                    last = client.last_answer() if size > BODY_BYTES_MAX else client.answer()
                    assert last.status == 413
                    assert size <= BODY_BYTES_MAX or last.headers["connection"] == "close"

    def test_an_answer_before_the_body_ends_the_connection(self, patient: Server) -> None:
        """RFC 9112 section 9.3: what follows could not be told from the body."""
        with patient.connect() as client:
            client.send(post("/early", b"x" * LINGER_BYTES_MAX)[:-LINGER_BYTES_MAX])
            assert not client.hears_nothing(PATIENCE_S)
            client.send(b"x" * (LINGER_BYTES_MAX - 1))
            early = client.last_answer()
            assert early.status == 401
            assert early.headers["connection"] == "close"

    def test_it_does_so_even_if_the_body_comes_during_the_answer(self, patient: Server) -> None:
        """The answer has said `connection: close`."""
        with patient.connect() as client:
            client.send(post("/begun", b"ab")[:-1])
            patient.wait_at_the_gate()
            client.send(b"b")
            patient.catch_up()
            patient.open_the_gate()
            begun = client.last_answer()
            assert (begun.headers["connection"], begun.body) == ("close", b"beginclose")

    def test_an_early_answer_to_a_whole_request_keeps_the_connection(self, patient: Server) -> None:
        """The body came with the head."""
        with patient.connect() as client:
            for _ in range(2):
                client.send(post("/early", b"a=b"))
                early = client.answer()
                assert early.status == 401
                assert "connection" not in early.headers

    def test_a_body_that_was_not_asked_for_is_not_waited_for(self, patient: Server) -> None:
        """RFC 9110 section 10.1.1."""
        with patient.connect() as client:
            client.send(post("/early", b"ab", "Expect: 100-continue")[:-2])
            refused = client.last_answer()
            assert refused.status == 401
            assert refused.headers["connection"] == "close"

    def test_a_body_that_is_asked_for_keeps_the_connection(self, patient: Server) -> None:
        """RFC 9110 section 10.1.1: the interim answer comes when the application wants the body."""
        with patient.connect() as client:
            for _ in range(2):
                client.send(post("/token", b"ab", "Expect: 100-continue")[:-2])
                assert client.answer().status == 100
                client.send(b"ab")
                assert client.answer().json["body"] == "ab"

    def test_an_expectation_in_version_1_0_is_ignored(self, patient: Server) -> None:
        """RFC 9110 section 10.1.1."""
        with patient.connect() as client:
            client.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            patient.catch_up()
            client.send(b"ab")
            assert client.last_answer().json["body"] == "ab"

    def test_a_body_that_is_asked_for_too_late_is_not_asked_for(self, hasty: Server) -> None:
        """The request was refused; no interim answer follows its answer."""
        hasty.application.saw_disconnect.clear()
        with hasty.connect() as client:
            client.send(post("/gated", b"ab", "Expect: 100-continue")[:-2])
            assert not client.hears_nothing(PATIENCE_S)
            hasty.open_the_gate()
            assert_refusal(client.last_answer(), 408)
            assert hasty.application.saw_disconnect.wait(PATIENCE_S)

    def test_an_expected_body_that_does_not_come_has_a_deadline(self, hasty: Server) -> None:
        """The interim answer is not the end of it."""
        with hasty.connect() as client:
            client.send(post("/token", b"ab", "Expect: 100-continue")[:-2])
            assert client.answer().status == 100
            assert_refusal(client.last_answer(), 408)

    @pytest.mark.parametrize("framed", [False, True])
    def test_a_body_that_the_application_does_not_read_is_bounded(
        self, patient: Server, framed: bool
    ) -> None:
        """RFC 9110 section 15.5.14. Chunk framing counts: a body of chunks can be nothing but framing."""
        body = b"1;" + b"x" * BODY_BYTES_MAX if framed else b"x" * (BODY_BYTES_MAX + 1)
        head = chunked(b"") if framed else post("/gated", body)[: -len(body)]
        with patient.connect() as client:
            client.send(head.replace(b"/token", b"/gated") + body[:20_000])
            patient.catch_up()
            client.send(body[20_000:])
            assert not client.hears_nothing(PATIENCE_S)
            patient.application.saw_disconnect.clear()
            patient.open_the_gate()
            assert_refusal(client.last_answer(), 413)
            assert patient.application.saw_disconnect.wait(PATIENCE_S)

    def test_a_client_that_does_not_stop_sending_is_cut_off(self, patient: Server) -> None:
        """LINGER_BYTES_MAX: the answer was there to be read before."""
        with patient.connect() as client:
            client.send(post("/early", b"x")[:-1])
            assert client.answer().status == 401
            assert client.is_cut_off()

    @pytest.mark.parametrize(
        "sent", [post("/early", b"x")[:-1], post("/early", b"", "Connection: close") + b"x"]
    )
    def test_a_client_that_does_not_close_is_closed(self, hasty: Server, sent: bytes) -> None:
        """LINGER_TIMEOUT_S."""
        with hasty.connect() as client:
            client.send(sent)
            assert client.last_answer().status == 401
            assert client.is_gone()

    def test_a_chunked_body_is_read_wherever_it_is_cut(self, patient: Server) -> None:
        """RFC 9112 section 7.1."""
        body = b"3;a=b\r\n\r\n\r\r\n4\r\n\n\r\n\r\r\n0\r\nT: v\r\n\r\n"
        with patient.connect() as client:
            message = chunked(body)
            for cut in range(len(message)):
                client.send(message[:cut])
                patient.catch_up()
                client.send(message[cut:] + post("/token", b"next"))
                assert client.answer().json["body"] == "\r\n\r\n\r\n\r"
                assert client.answer().json["body"] == "next"

    def test_trailer_fields_do_not_become_header_fields(self, patient: Server) -> None:
        """RFC 9110 section 6.5.1."""
        with patient.connect() as client:
            client.send(chunked(b"1\r\na\r\n0\r\nAuthorization: Basic x\r\n\r\n"))
            assert client.answer().json["names"] == ["host", "transfer-encoding"]


def malformed() -> list[Any]:
    host = "Host: licet.test"
    both = "Content-Length: 2\r\nTransfer-Encoding: chunked"
    return [
        pytest.param(message, id=name)
        for name, message in {
            "no host": get(),
            "two hosts": get(host, host),
            "two hosts in version 1.0": get(host, host, version="1.0"),
            "host with a space": get("Host: a b"),
            "host with a path": get("Host: a/b"),
            "host with user": get("Host: a@b"),
            "host beyond ASCII": get("Host: \xe9"),
            "length and coding": get(host, both),
            "coding and length": get(host, *reversed(both.split("\r\n"))),
            "two lengths": get(host, "Content-Length: 2", "Content-Length: 3"),
            "the same length twice": get(host, "Content-Length: 2", "Content-Length: 2"),
            "list of lengths": get(host, "Content-Length: 2, 2"),
            "length with a sign": get(host, "Content-Length: +2"),
            "length below nought": get(host, "Content-Length: -2"),
            "length in hexadecimal": get(host, "Content-Length: 0x2"),
            "length beyond 64 bits": get(host, "Content-Length: 99999999999999999999"),
            "no length": get(host, "Content-Length:"),
            "unknown coding": get(host, "Transfer-Encoding: gzip"),
            "two codings": get(host, "Transfer-Encoding: gzip, chunked"),
            "two codings in two lines": get(host, "Transfer-Encoding: gzip", "Transfer-Encoding: chunked"),
            "identity coding": get(host, "Transfer-Encoding: identity"),
            "coding in version 1.0": get(host, "Transfer-Encoding: chunked", version="1.0") + b"0\r\n\r\n",
            "bad chunk size": chunked(b"x\r\n"),
            "chunk size below nought": chunked(b"-1\r\n"),
            "chunk size beyond 64 bits": chunked(b"11111111111111111\r\n"),
            "chunk longer than its size": chunked(b"1\r\nab\r\n"),
            "chunk with bare line feeds": chunked(b"1\na\n0\n\n"),
            "last chunk with a bare line feed": chunked(b"0\r\n\n"),
            "chunk extension with a line feed": chunked(b'1;a="\n"\r\na\r\n0\r\n\r\n'),
            "folded header": get(host, "X: a\r\n b"),
            "space before the first header": get(" X: a", host),
            "space before the colon": get("Host : licet.test"),
            "header without a name": get(host, ": a"),
            "header without a colon": get(host, "X"),
            "header name beyond ASCII": get(host, "\xe9: a"),
            "null in a header": get(host, "X: a\0b"),
            "bare line feeds": b"GET / HTTP/1.1\nHost: licet.test\n\n",
            "bare line feed after a header": b"GET / HTTP/1.1\r\nHost: licet.test\n\r\n",
            "bare line feed at the end": b"GET / HTTP/1.1\r\nHost: licet.test\r\n\n",
            "bare carriage return": b"GET / HTTP/1.1\rHost: licet.test\r\r",
            "target beyond ASCII": get(host, path="/\xe9"),
            "query beyond ASCII": get(host, path="/?\xff"),
            "null in the target": get(host, path="/\0"),
            "space in the target": get(host, path="/ a"),
            "target without a path": get(host, path="licet.test:443"),
            "version 0.9": b"GET /\r\n\r\n",
            "version 1.2": get(host, version="1.2"),
            "version 2.0": get(host, version="2.0"),
            "version 3": get(host, version="3"),
            "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "unknown method": b"FETCH / HTTP/1.1\r\nHost: licet.test\r\n\r\n",
            "method in small letters": b"get / HTTP/1.1\r\nHost: licet.test\r\n\r\n",
            "tunnel": b"CONNECT licet.test:443 HTTP/1.1\r\nHost: licet.test\r\n\r\n\x16\x03\x01",
            "an answer": b"HTTP/1.1 200 OK\r\n\r\n",
            "SSH": b"SSH-2.0-OpenSSH_9.9\r\n",
            "SMTP": b"EHLO licet.test\r\n",
            "nulls": b"\0" * 100,
            "line feeds of UTF-16": "GET / HTTP/1.1\r\n\r\n".encode("utf-16"),
        }.items()
    ]


def client_hello() -> bytes:
    """The first bytes of a TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="licet.test").do_handshake()
    return outgoing.read()


class TestMalformedRequests:
    """What is not HTTP/1.1, or could be read in two ways."""

    @pytest.mark.parametrize("message", malformed())
    def test_a_malformed_request_is_refused_at_once(self, patient: Server, message: bytes) -> None:
        """RFC 9112 sections 2.2, 3, 3.2, 5.1, 5.2, 6.1, 6.3 and 7.1; the client need not end its side."""
        with patient.connect() as client:
            client.send(message)
            assert_refusal(client.last_answer(), 400)

    @pytest.mark.parametrize("message", malformed())
    def test_it_does_not_touch_the_answer_before_it(self, patient: Server, message: bytes) -> None:
        """RFC 9112 section 9.3.2: first the answer that is pending, whole, then the refusal."""
        with patient.connect() as client:
            client.send(post("/gated", b"a=b") + message)
            patient.wait_at_the_gate()
            patient.open_the_gate()
            assert client.answer().json["body"] == "a=b"
            assert_refusal(client.last_answer(), 400)

    def test_tls_on_a_plain_port_is_refused_at_once(self, patient: Server) -> None:
        """A client that was given https for http must not wait."""
        with patient.connect() as client:
            client.send(client_hello())
            assert_refusal(client.last_answer(), 400)

    def test_a_malformed_body_is_refused_and_the_application_told(self, patient: Server) -> None:
        """The application gets a disconnect, not half a body as a whole one."""
        patient.application.saw_disconnect.clear()
        with patient.connect() as client:
            client.send(chunked(b"1\r\na\r\n"))
            patient.catch_up()
            client.send(b"x\r\n")
            assert patient.application.saw_disconnect.wait(LINGER_TIMEOUT_S / 2)
            assert_refusal(client.last_answer(), 400)

    def test_a_malformed_body_does_not_touch_the_answer_that_has_begun(self, patient: Server) -> None:
        """The answer is completed, and the connection closed."""
        with patient.connect() as client:
            client.send(chunked(b"1\r\na\r\n").replace(b"/token", b"/begun"))
            patient.wait_at_the_gate()
            client.send(b"x\r\n" * 10)
            patient.open_the_gate()
            begun = client.last_answer()
            assert (begun.status, begun.body) == (200, b"beginclose")
            assert begun.headers["connection"] == "close"

    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    @pytest.mark.parametrize("host", ["a", "a:80", "a.example:", "192.0.2.1", "[2001:db8::1]:8080", ""])
    def test_a_host_of_any_kind_is_good(self, patient: Server, host: str, version: str) -> None:
        """RFC 9110 section 7.2; an empty one too (RFC 9112 section 3.2)."""
        with patient.connect() as client:
            client.send(get(f"Host: {host}", version=version))
            assert client.answer().status == 200

    def test_version_1_0_needs_no_host(self, patient: Server) -> None:
        """RFC 9112 section 3.2."""
        with patient.connect() as client:
            client.send(get(version="1.0"))
            assert client.last_answer().status == 200

    def test_an_absolute_target_is_good(self, patient: Server) -> None:
        """RFC 9112 section 3.2.2."""
        with patient.connect() as client:
            client.send(get("Host: licet.test", path="http://licet.test/token"))
            assert client.answer().json["path"] == "/token"


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

    def test_a_client_that_is_gone_is_no_trouble(self, patient: Server) -> None:
        """The answer finds a reset connection."""
        with patient.connect() as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.send(post("/begun"))
            patient.wait_at_the_gate()
        patient.open_the_gate()
        with patient.connect() as client:
            client.send(post())
            assert client.answer().status == 200


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

    def test_a_connection_that_ends_makes_room(self, small: Server) -> None:
        """The count goes down."""
        for _ in range(10):
            with small.connect() as client:
                client.send(post("/token", b"", "Connection: close"))
                assert client.last_answer().status == 200

    def test_a_connection_that_ended_leaves_nothing_behind(self, patient: Server) -> None:
        """Not even until the next garbage collection."""
        last = post("/early", b"", "Connection: close") + post()
        for message in (post(), get(), post("/early", b"x")[:-1], last, head_of(HEAD_BYTES_MAX + 1), b"\0"):
            with patient.connect() as client:
                client.send(message)
                client.answer()
        with patient.connect() as client:
            for _ in range(1000):
                client.send(post())
                assert client.answer().status == 200
                if len(PatientProtocol.living) <= 1:
                    return
        pytest.fail(f"{len(PatientProtocol.living)} connections are still there")


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
        PatientProtocol.told.clear()
        ids = []
        for _ in range(2):
            with patient.connect() as client:
                client.send(get())
                ids.append(json.loads(client.last_answer().body)["request_id"])
        assert ids[0] != ids[1]
        assert [(told[0], told[1], told[3]) for told in PatientProtocol.told] == [
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
            assert client.end() == b""

    def test_a_bug_that_shortens_an_answer_ends_the_connection(self, patient: Server) -> None:
        """RFC 9112 section 6.3: the connection ends before the length is reached."""
        with patient.connect() as client:
            client.send(get("Host: licet.test", path="/miscounted"))
            assert client.end().endswith(b"\r\n\r\n{}")

    def test_an_application_may_give_way_to_others(self, patient: Server) -> None:
        """It is no task of the loop's, and a bare turn of the loop is no future."""
        with patient.connect() as client:
            for _ in range(2):
                client.send(post("/turns", b"a=b"))
                assert json.loads(client.answer().body)["body"] == "a=b"

    def test_a_bug_of_the_application_is_an_answer_too(self, patient: Server) -> None:
        """That is uvicorn's; the application has its own."""
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


def fuzzed(dice: random.Random) -> bytes:
    """Good requests, some of them spoilt, or plain noise."""
    if dice.random() < 0.2:
        return dice.randbytes(dice.randrange(1, 3000))
    good = [
        post("/token", b"a=b"),
        chunked(b"3\r\nabc\r\n0\r\n\r\n"),
        get("Host: a", "Connection: Upgrade", "Upgrade: h2c"),
        post("/early", b"x" * 100, "Expect: 100-continue"),
    ]
    message = bytearray(b"".join(dice.choices(good, k=dice.randrange(1, 4))))
    for _ in range(dice.randrange(4)):
        at = dice.randrange(len(message))
        piece = dice.choice([b"", b"\r\n", b"\n", b"\0", b" ", b":", b"\xff", bytes(message[:at]), b"9" * 30])
        message[at : at + dice.randrange(5)] = piece
    return bytes(message)


class TestAnyBytes:
    """Whatever comes."""

    def test_any_bytes_in_any_cutting_get_whole_answers_and_an_end(self, patient: Server) -> None:
        """No 500, no hang, no half an answer; the server is as before."""
        print(f"fuzz seed {FUZZ_SEED}")  # noqa: T201 -- shown when it fails
        dice = random.Random(FUZZ_SEED)  # noqa: S311 -- must be repeatable
        for _ in range(600):
            message = fuzzed(dice)
            cut = dice.randrange(len(message) + 1)
            with patient.connect() as client:
                client.send(message[:cut])
                client.send(message[cut:])
                client.say_no_more()
                client._received = client.end()
                while client._received:
                    assert client.answer().status in {100, 200, 400, 401, 404, 431}, message
        with patient.connect() as client:
            client.send(post())
            assert client.answer().status == 200
