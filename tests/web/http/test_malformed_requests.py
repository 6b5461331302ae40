"""What is not HTTP/1.1, could be read in two ways, or is any bytes at all."""

import random
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from licet.web.http.phases import LINGER_TIMEOUT_S
from support.web.listening import Server, assert_refusal, chunked, get, post, silent

FUZZ_SEED = 20_260_711


@pytest.fixture(autouse=True)
def silence(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Whatever a client sends: no warning, no traceback, none of its bytes in the log."""
    with silent(caplog, monkeypatch, is_bug=request.node.name.startswith("test_a_bug")):
        yield


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
            "fragment in the target": get(host, path="/health/ready#/logo.png"),
            "empty fragment in the target": get(host, path="/token#"),
            "fragment behind a query": get(host, path="/token?a=b#c"),
            "fragment of a target with a host": get(host, path="http://licet.test/token#c"),
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

    def test_a_malformed_body_does_not_touch_the_answer_that_has_begun(self, streaming: Server) -> None:
        """The answer is completed, and the connection closed."""
        with streaming.connect() as client:
            client.send(chunked(b"1\r\na\r\n").replace(b"/token", b"/begun"))
            streaming.wait_at_the_gate()
            client.send(b"x\r\n" * 10)
            streaming.open_the_gate()
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
