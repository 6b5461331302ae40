"""How the public listener answers: in one piece, no faster than the client reads, and at the end too."""

import logging
from collections.abc import Callable, Iterator

import pytest

from licet.web.http.direct import HEADS_MAX, _head, _kept_head, _known_target
from support.waiting import until
from support.web.listening import (
    Patient,
    PatientProtocol,
    Server,
    get,
    post,
    silent,
)
from support.web.treatments import LARGE

MANY = 8


@pytest.fixture
def narrow() -> Iterator[Server]:
    """A server that can send little at a time."""
    with Server(PatientProtocol, buffer_bytes=4096) as server:
        yield server


def held() -> list[Patient]:
    """The connections whose client does not read; one that is only being made has no flow yet."""
    return [it for it in Patient.living if hasattr(it, "flow") and it.flow.write_paused]


def test_answers_wait_while_the_client_does_not_read(narrow: Server) -> None:
    """Requests in a row cannot fill the memory with answers: one is written when the last has been read."""
    with narrow.connect_slowly() as client:
        client.send(post("/large") * MANY)
        until(lambda: bool(held()))
        narrow.catch_up()
        (connection,) = held()
        assert connection.transport.get_write_buffer_size() <= 2 * (LARGE + 1000)
        assert [len(client.answer().body) for _ in range(MANY)] == [LARGE + len('{"x": ""}')] * MANY


def test_a_client_that_leaves_while_its_answer_waits_leaves_nothing(narrow: Server) -> None:
    """Neither the answer nor the connection."""
    with narrow.connect_slowly() as client:
        client.send(post("/large") * MANY)
        until(lambda: bool(held()))
        client.reset()
    until(lambda: not held())
    with narrow.connect() as client:
        client.send(post())
        assert client.answer().status == 200


@pytest.mark.parametrize("path", ["/gated", "/pondered"])
def test_a_request_that_outlasts_the_stop_is_answered_that_the_server_stops(
    path: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9110 15.6.4: the client may try again, at another node."""
    with (
        silent(caplog, monkeypatch, but="Cancel 1 running task(s), timeout graceful shutdown exceeded"),
        Server(PatientProtocol, grace_s=0) as server,
        server.connect() as client,
    ):
        client.send(post(path, b"a=b"))
        server.wait_at_the_gate()
        server.stop()
        answer = client.last_answer()
        assert answer.status == 503
        assert answer.json["error"] == "server_error"
        assert answer.headers["connection"] == "close"


def test_a_bug_is_answered_as_an_error_with_the_id_that_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 6749 5.2 for the shape. The connection ends: nobody knows what state it is in."""
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "disabled", True)
    Patient.faults.clear()
    with Server(PatientProtocol) as server, server.connect() as client:
        client.send(post("/crash"))
        answer = client.last_answer()
    assert (answer.status, answer.json["error"]) == (500, "server_error")
    assert answer.json["request_id"] == answer.headers["x-request-id"] == "an-id"
    assert "a bug" not in answer.body.decode()
    ((request_id, fault),) = Patient.faults
    assert (request_id, fault) == ("an-id", "LookupError('a bug')")


def test_heads_that_are_kept_are_bounded() -> None:
    """RFC 9110 5.5. Headers may have what a request said, and each could be another one."""
    for number in range(2 * HEADS_MAX):
        _kept_head(200, ((b"x-number", b"%d" % number),))
    assert _kept_head.cache_info().currsize == HEADS_MAX


@pytest.mark.parametrize("spell", [_head, _kept_head])
def test_no_value_of_a_header_begins_another_header(spell: Callable[..., bytes]) -> None:
    """RFC 9110 5.5, for an answer whose head is kept and for one whose is not."""
    with pytest.raises(ValueError, match="a line end"):
        spell(200, ((b"x-number", b"1\r\nx-forged: 2"),))


def test_a_target_with_a_query_is_read_and_not_kept(patient: Server) -> None:
    """RFC 9700 4.3.2: a token in a query is a mistake, which must not stay in the memory of the server."""
    before = _known_target.cache_info()
    with patient.connect() as client:
        client.send(get("Host: licet.test", path="/?access_token=secret"))
        assert client.answer().status == 200
    assert _known_target.cache_info() == before


def test_an_answer_to_head_has_the_length_and_no_body(patient: Server) -> None:
    """RFC 9110 9.3.2."""
    with patient.connect() as client:
        client.send(get("Host: licet.test").replace(b"GET", b"HEAD") + get("Host: licet.test", path="/head"))
        head = client._until(b"\r\n\r\n")
        assert b"content-length: " in head.lower()
        assert client.answer().status == 204
