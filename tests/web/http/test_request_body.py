"""The body of a request on the connection: its framing, its limit, and who waits for it."""

from collections.abc import Iterator

import pytest

from licet.web.http.phases import BODY_BYTES_MAX, BODY_TIMEOUT_S, LINGER_BYTES_MAX
from support.web.listening import (
    PATIENCE_S,
    HastyProtocol,
    Server,
    assert_refusal,
    chunked,
    post,
    silent,
)
from support.web.treatments import BODY_LIMIT


@pytest.fixture(scope="module")
def hasty() -> Iterator[Server]:
    """A server that does not wait long for a client to see an end."""
    with Server(HastyProtocol) as server:
        yield server


@pytest.fixture(autouse=True)
def silence(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Whatever a client sends: no warning, no traceback, none of its bytes in the log."""
    with silent(caplog, monkeypatch, is_bug=request.node.name.startswith("test_a_bug")):
        yield


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

    def test_it_does_so_even_if_the_body_comes_during_the_answer(self, streaming: Server) -> None:
        """The answer has said `connection: close`."""
        with streaming.connect() as client:
            client.send(post("/begun", b"ab")[:-1])
            streaming.wait_at_the_gate()
            client.send(b"b")
            streaming.catch_up()
            streaming.open_the_gate()
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
            hasty.wait_at_the_gate()
            hasty.pass_time(BODY_TIMEOUT_S)
            assert not client.hears_nothing(PATIENCE_S)
            hasty.open_the_gate()
            assert_refusal(client.last_answer(), 408)
            assert hasty.application.saw_disconnect.wait(PATIENCE_S)

    def test_an_expected_body_that_does_not_come_has_a_deadline(self, hasty: Server) -> None:
        """The interim answer is not the end of it."""
        with hasty.connect() as client:
            client.send(post("/token", b"ab", "Expect: 100-continue")[:-2])
            assert client.answer().status == 100
            hasty.pass_time(BODY_TIMEOUT_S)
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

    def test_a_trailer_field_that_says_close_makes_the_answer_the_last_one(self, patient: Server) -> None:
        """RFC 9112 section 9.3: the client hears that its next request is not answered here."""
        with patient.connect() as client:
            client.send(chunked(b"1\r\na\r\n0\r\nConnection: close\r\n\r\n"))
            last = client.last_answer()
            assert last.json["body"] == "a"
            assert last.headers["connection"] == "close"

    def test_what_came_behind_such_a_trailer_is_not_answered(self, patient: Server) -> None:
        """RFC 9112 section 9.6: the connection ends after the last answer."""
        with patient.connect() as client:
            client.send(chunked(b"1\r\na\r\n0\r\nConnection: close\r\n\r\n") + post())
            assert client.last_answer().json["body"] == "a"

    def test_another_trailer_field_keeps_the_connection(self, patient: Server) -> None:
        """RFC 9112 section 9.3: it persists unless somebody says `close`."""
        with patient.connect() as client:
            for _ in range(2):
                client.send(chunked(b"1\r\na\r\n0\r\nConnection: keep-alive\r\nT: v\r\n\r\n"))
                assert "connection" not in client.answer().headers
