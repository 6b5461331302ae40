"""The connections of the admin listener: framing, time-outs, streams, over real sockets."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from licet.admin.http import CONNECTIONS_MAX, AdminHttpProtocol
from support.server.connecting import Wire, flooded_from, in_loop, served
from support.server.running import PATIENCE_S, RunningServer

HASTE_S = 0.05
REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\n"
WHOLE = REQUEST + b"connection: close\r\n\r\n"
POST = b"POST /api/v1/me HTTP/1.1\r\nhost: localhost\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"


class Hasty(AdminHttpProtocol):
    """Time-outs that a test can wait for."""

    head_timeout_s = HASTE_S
    body_timeout_s = HASTE_S
    linger_timeout_s = HASTE_S
    answer_timeout_s = HASTE_S


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b""),
        (b"GET / HT", b"HTTP/1.1 408"),
        (REQUEST, b"HTTP/1.1 408"),
        (b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n12345", b"HTTP/1.1 408"),
    ],
)
def test_a_request_that_does_not_come_whole_is_not_waited_for(sent: bytes, status: bytes) -> None:
    """Otherwise a hundred of them would keep every administrator out."""

    async def answer(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def ask(wire: Wire) -> None:
        wire.send(sent)
        assert (await wire.rest())[:12] == status

    in_loop(answer, Hasty, ask)


def test_an_answer_on_its_way_may_take_as_long_as_it_takes() -> None:
    """An event stream goes on for hours; its application may have tasks of its own."""

    async def answer(_scope: Any, receive: Any, send: Any) -> None:
        assert not (await receive())["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first ", "more_body": True})
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(4 * HASTE_S))
        await send({"type": "http.response.body", "body": b"last"})

    async def ask(wire: Wire) -> None:
        wire.send(REQUEST + b"\r\n")
        assert await wire.until(b"first ")
        assert await wire.until(b"last")

    in_loop(answer, Hasty, ask)


def test_a_stream_ends_when_its_client_goes() -> None:
    """A browser that leaves the page closes its side; nobody would take what comes."""

    async def answer(_scope: Any, receive: Any, send: Any) -> None:
        assert not (await receive())["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        seen.append("gone")

    async def ask(wire: Wire) -> None:
        wire.send(REQUEST + b"\r\n")
        assert await wire.until(b"first")
        wire.say_no_more()
        await wire.rest()

    seen: list[str] = []
    in_loop(answer, AdminHttpProtocol, ask)
    assert seen == ["gone"]


def test_a_large_body_comes_whole() -> None:
    """A declaration of all tenants, in parts as they come."""

    async def answer(_scope: Any, receive: Any, send: Any) -> None:
        size = 0
        while True:
            message = await receive()
            size += len(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"size=%d." % size})

    async def ask(wire: Wire) -> None:
        wire.send(REQUEST + b"content-length: 4000000\r\n\r\n" + b"x" * 4_000_000)
        assert await wire.until(b"size=4000000.")

    in_loop(answer, AdminHttpProtocol, ask)


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with an admin listener that answers."""
    with RunningServer(tmp_path_factory.mktemp("admin"), admin=True) as server:
        assert served(server.admin_url, WHOLE).startswith(b"HTTP/1.1 303")
        yield server


DISPUTED = {
    "a length and a coding": POST + CHUNKED + b"content-length: 5\r\n\r\n0\r\n\r\n",
    "a coding and a length": POST + b"content-length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "two lengths": POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
    "another coding": POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a folded line": REQUEST + b"x-a: b\r\n c\r\n\r\n",
    "a bare LF in the head": b"GET / HTTP/1.1\nhost: localhost\n\n",
    "a bare LF behind a field": REQUEST + b"x-a: b\n\r\n",
    "a space before the colon": REQUEST + b"x-a : b\r\n\r\n",
    "a chunk size that is none": POST + CHUNKED + b"\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk size with a bare LF": POST + CHUNKED + b"\r\n5\nhello\r\n0\r\n\r\n",
    "a chunk without its end": POST + CHUNKED + b"\r\n5\r\nhello0\r\n\r\n",
    "a chunk extension with a bare LF": POST + CHUNKED + b"\r\n5;a=\nb\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", DISPUTED)
def test_what_two_could_read_in_two_ways_is_refused_and_the_connection_closed(
    admin: RunningServer, name: str
) -> None:
    """RFC 9112 5.2, 6.3, 7.1 and 11.2: before the sign-in, and nothing behind it is answered."""
    answers = served(admin.admin_url, DISPUTED[name] + WHOLE)
    assert answers.count(b"HTTP/1.1 ") == 1
    head, _, body = answers.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 "), answers
    assert b"\r\nconnection: close" in head.lower()
    assert b"content-security-policy" in head
    assert json.loads(body)["type"] == "tag:licet,2026:malformed-request"


def test_what_is_malformed_is_no_fault_of_the_server(tmp_path: Path) -> None:
    """Nobody without a sign-in makes it log tracebacks."""
    with RunningServer(tmp_path, admin=True) as server:
        for sent in DISPUTED.values():
            served(server.admin_url, sent)
        lines = [json.loads(line) for line in server.log().splitlines() if "admin_refused" in line]
        log = server.log()
    assert "internal-error" not in log
    assert "exception" not in log
    assert "Traceback" not in log
    assert {line["level"] for line in lines} == {"info"}


def test_silent_connections_of_one_address_keep_nobody_out(admin: RunningServer) -> None:
    """An address has a tenth of the connections."""
    with flooded_from(admin.admin_url, ["127.0.0.2"], CONNECTIONS_MAX + 10, REQUEST):
        for _ in range(20):
            assert httpx.get(f"{admin.admin_url}/sign-in", timeout=PATIENCE_S).status_code == 200


def test_silent_connections_of_many_addresses_keep_nobody_out(admin: RunningServer) -> None:
    """Where the listener is full, those of the largest holder go first."""
    addresses = [f"127.0.0.{number}" for number in range(2, 22)]
    with flooded_from(admin.admin_url, addresses, 10, REQUEST):
        for _ in range(20):
            assert httpx.get(f"{admin.admin_url}/sign-in", timeout=PATIENCE_S).status_code == 200


def test_a_client_that_is_turned_away_is_told_so(tmp_path: Path) -> None:
    """503 as a problem."""
    with RunningServer(tmp_path, admin=True) as server:
        held = [served_open(server.admin_url) for _ in range(10)]
        answer = served(server.admin_url, WHOLE)
        for connection in held:
            connection.close()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"too many connections from this address" in answer


def served_open(url: str) -> socket.socket:
    """A connection on which an answer came, a moment ago."""
    parsed = httpx.URL(url)
    connection = socket.create_connection((parsed.host, parsed.port or 0), PATIENCE_S)
    connection.sendall(REQUEST + b"\r\n")
    assert connection.recv(65_536).startswith(b"HTTP/1.1 303")
    return connection
