"""Bytes of any size, encoding and order: each request gets an answer of the error table, and all goes on.

What is random has a seed, which is printed: a seed that finds something becomes a test of its own.
"""

import json
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from licet.protocol.errors import Refusal
from licet.protocol.message import KNOWN
from support.many import few
from support.paths import FIXTURES
from support.server.running import RunningServer
from support.server.wire import Answer, Wire

SEEDS = (20_261_124, 6749, 7009, 7662)
REQUESTS_EACH = 500
GROWTH_KIB_MAX = 16 * 1024  # a guess: far above what an allocator keeps, far below a leak of 16 KiB a request

FORM = b"application/x-www-form-urlencoded"
BASIC = b"Basic " + b64encode(b"TestClientId:password")
SEED_REQUESTS = (
    (FIXTURES / "webrequest.http").read_bytes(),
    (FIXTURES / "httpclient.http").read_bytes(),
    b"GET /Jim_Test/logoff HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer lca_AQEAAAA\r\n\r\n",
    b"GET /.well-known/oauth-authorization-server/Jim_Test HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /health/ready HTTP/1.0\r\n\r\n",
)
MORSELS = (
    *(
        b"\0",
        b"\xff",
        b"%",
        b"%00",
        b"%ff",
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b"=",
        b"&",
        b"+",
        b";",
    ),
    *(
        "é".encode(),
        "é".encode("latin-1"),
        "é".encode("utf-16"),
        b"\xed\xa0\x80",
        b"\xc0\xae",
        b"\xef\xbb\xbf",
    ),
    *(b"-1", b"0", b"99999999999999999999", b"0x10", b"1e9", b"../", b"//", b"%2f", b"x" * 9000, b"a&" * 100),
    *(
        b"HTTP/2.0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\n",
    ),
    *(b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"Authorization: Basic \r\n"),
)
PATHS = (
    b"token", b"logoff", b"revoke", b"introspect", b"verify", b"verify/%2f?a=b",
    b"nothing", b"", b"%74oken", b"token/", b"token?a=b",
)  # fmt: skip
TENANTS = (b"Jim_Test", b"Nowhere", b"", b"%00", b"Jim%5fTest", b"..", b"*", "é".encode(), b".well-known")
SCHEMES = (b"Basic ", b"basic", b"Bearer ", b"Digest ", b"", b"Basic\t")
STATUSES = {refusal.status for refusal in Refusal} - {Refusal.FAULT.status} | {431}
ERRORS = {refusal.error for refusal in Refusal}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server as it is by default: whoever fails too often is told to wait."""
    with RunningServer(tmp_path_factory.mktemp("rubbish"), manual_clock=True) as running:
        assert is_well(running)
        yield running


def is_well(server: RunningServer) -> bool:
    """Whether the server answers a client that does nothing wrong."""
    return server.ask("Jim_Test/token", grant_type="client_credentials", scope="view").status_code == 200


def memory_kib(server: RunningServer) -> int:
    """What the server holds of the machine's memory."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    [resident] = re.findall(r"VmRSS:\s+(\d+) kB", status)
    return int(resident)


def throw(server: RunningServer, *pieces: bytes) -> list[Answer]:
    """All answers to these bytes; there are no more of them, and the server knows."""
    answers = []
    with Wire(server.url) as wire:
        for piece in pieces[:-1]:
            wire.send(piece)
        wire.send(pieces[-1], is_last=True)
        while (answer := wire.answer()) is not None:
            answers.append(answer)
    return answers


def check(answer: Answer) -> None:
    """Fail unless an answer is one that a client may get."""
    if answer.status in {100, 200}:
        return
    assert answer.status in STATUSES
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    content = json.loads(answer.body)
    assert content["error"] in ERRORS
    assert content["error_description"].isascii()
    assert content["request_id"] == answer.headers["x-request-id"]


class Rubbish:
    """Makes requests that nobody should send."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)  # noqa: S311 - it is to be the same again

    def pieces(self) -> list[bytes]:
        """A request, as the network may cut it."""
        pieces = [self.request()]
        while len(pieces[-1]) > 1 and self.chance.random() < 0.3:
            last = pieces.pop()
            at = self.chance.randrange(1, len(last))
            pieces += [last[:at], last[at:]]
        return pieces

    def request(self) -> bytes:
        """Bytes of one kind or another."""
        make = self.chance.choice(
            (self.noise, self.mutated, self.mutated, self.built, self.built, self.built)
        )
        return make()

    def noise(self) -> bytes:
        """No request at all."""
        return self.chance.randbytes(self.chance.choice((0, 1, 10, 100, 3000)))

    def mutated(self) -> bytes:
        """A good request, or two, in which something is wrong."""
        data = b"".join(self.chance.choices(SEED_REQUESTS, k=self.chance.choice((1, 1, 2))))
        for _ in range(self.chance.choice((1, 1, 2, 5))):
            start = self.chance.randrange(len(data) + 1)
            end = min(len(data), start + self.chance.choice((0, 0, 1, 4, 40)))
            new = self.chance.choice((*MORSELS, b"", data[start:end] * 2, self.chance.randbytes(3)))
            data = data[:start] + new + data[end:]
        return data

    def built(self) -> bytes:
        """A request whose parts are well-formed or not, in any order."""
        method = self.chance.choice((b"POST", b"POST", b"POST", b"GET", b"PUT", b"OPTIONS", b"BREW"))
        target = b"/%s/%s" % (self.chance.choice(TENANTS), self.chance.choice(PATHS))
        body = self.body()
        lines = [
            b"Host: localhost",
            self.chance.choice((b"Content-Type: " + FORM, b"Content-Type: " + self.text())),
        ]
        if self.chance.random() < 0.6:
            lines.append(b"Authorization: " + self.chance.choice((BASIC, self.authorization())))
        if self.chance.random() < 0.2:
            lines.append(b"X-%d: %s" % (self.chance.randrange(9), self.text()))
        if self.chance.random() < 0.2:
            lines.append(b"Transfer-Encoding: chunked")
            body = self.chunked(body)
        else:
            lines.append(b"Content-Length: %d" % (len(body) + self.chance.choice((0, 0, 0, 0, 1, -1))))
        self.chance.shuffle(lines)
        return b"%s %s HTTP/1.1\r\n%s\r\n\r\n%s" % (method, target, b"\r\n".join(lines), body)

    def body(self) -> bytes:
        """A form, more or less, of any size."""
        names = [*(name.encode() for name in sorted(KNOWN)), b"unknown", self.text()]
        values = (
            b"client_credentials",
            b"refresh_token",
            b"view",
            b"lcr_AQEAAAA",
            b"password",
            b"TestClientId",
            b"",
        )
        pairs = [
            b"%s=%s" % (self.chance.choice(names), self.chance.choice((*values, *values, self.text())))
            for _ in range(self.chance.choice((0, 1, 2, 3, 4, 70)))
        ]
        return b"&".join(pairs) + self.chance.choice((b"", b"", b"", b"&", b"x" * 8192, self.text()))

    def authorization(self) -> bytes:
        """Credentials, more or less."""
        pair = self.text() + self.chance.choice((b":", b"", b"::")) + self.text()
        return self.chance.choice(SCHEMES) + self.chance.choice((b64encode(pair), pair))

    def chunked(self, body: bytes) -> bytes:
        """A body in chunks, the last of which may be missing."""
        pieces = []
        while body:
            size = self.chance.randrange(1, len(body) + 1)
            pieces.append(b"%x\r\n%s\r\n" % (size, body[:size]))
            body = body[size:]
        return b"".join(pieces) + self.chance.choice((b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"", b"zz\r\n"))

    def text(self) -> bytes:
        """A few bytes of any encoding."""
        return b"".join(self.chance.choices((*MORSELS, b"a", b"lca_", self.chance.randbytes(4)), k=2))


@pytest.mark.parametrize("seed", few(SEEDS, 2))
def test_any_bytes_get_an_answer_of_the_error_table_and_never_a_fault(
    server: RunningServer, seed: int
) -> None:
    """S08, S29; RFC 9110 15: whatever comes in, it is the client's error and told as one."""
    print(f"seed {seed}")  # noqa: T201 - to try it again
    rubbish, seen = Rubbish(seed), Counter[int]()
    for number in range(REQUESTS_EACH):
        pieces = rubbish.pieces()
        for answer in throw(server, *pieces):
            try:
                check(answer)
            except (AssertionError, ValueError, KeyError) as fault:
                pytest.fail(f"seed {seed}, request {number}, {pieces}: {answer}: {fault!r}")
            seen[answer.status] += 1
    assert seen.keys() >= {200, 400, 401, 404, 405, 413}, seen  # or the rubbish is too good, or too bad
    assert is_well(server)
    assert '"fault"' not in server.log()
    assert "Traceback" not in server.log()


@pytest.mark.wide
def test_rubbish_leaves_nothing_behind_in_memory(server: RunningServer) -> None:
    """S07, S48: whatever is kept of a request has a bound, or two thousand of them would show."""
    for seed in SEEDS:  # once, so that everything that is made on demand is there
        throw_all(server, Rubbish(seed), REQUESTS_EACH // 2)
    before = memory_kib(server)
    throw_all(server, Rubbish(2_000), 2_000)
    assert memory_kib(server) - before < GROWTH_KIB_MAX
    assert is_well(server)


def throw_all(server: RunningServer, rubbish: Rubbish, number: int) -> None:
    """Send as many requests and look at no answer."""
    for _ in range(number):
        throw(server, *rubbish.pieces())


class TestFound:
    """What is not left to chance."""

    @pytest.mark.parametrize("size", [0, 1, 8192, 8193, 65_536, 65_537, 1_000_000])
    @pytest.mark.parametrize("filler", [b"x", b"&", b"%", b"\0", b"\xff", b"x=y&", "é".encode("utf-16")])
    def test_a_body_of_any_size_is_answered(self, server: RunningServer, size: int, filler: bytes) -> None:
        """S07."""
        body = (filler * size)[:size]
        head = b"POST /Jim_Test/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n" % FORM
        request = b"%sAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s" % (head, BASIC, size, body)
        [answer] = throw(server, request)
        check(answer)
        assert answer.status == (413 if size > 8192 else 400)

    @pytest.mark.parametrize("size", [1, 100, 5000, 16_000, 20_000, 200_000])
    @pytest.mark.parametrize("place", ["target", "query", "tenant", "header", "authorization", "headers"])
    def test_a_head_of_any_size_is_answered(self, server: RunningServer, place: str, size: int) -> None:
        """S07; RFC 6585 5."""
        fill = b"x" * size
        target = {"target": fill, "query": b"Jim_Test/token?" + fill, "tenant": fill + b"/token"}
        lines = {
            "header": b"X: " + fill,
            "authorization": b"Authorization: Basic " + b64encode(fill),
            "headers": b"\r\n".join([b"X: y"] * (size // 6)),
        }
        line = lines.get(place) or b"X: y"
        request = b"POST /%s HTTP/1.1\r\nHost: localhost\r\n%s\r\nContent-Length: 0\r\n\r\n" % (
            target.get(place, b"Jim_Test/token"),
            line,
        )
        [answer] = throw(server, request)
        check(answer)
        assert answer.status in {400, 401, 404, 431}
