"""Requests that come again byte for byte: answered as if they were read again, and nothing secret is kept."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.web.http.repeated import ENTRIES_MAX, KEPT_BYTES_MAX, REQUEST_BYTES_MAX, RepeatedRequests
from licet.web.request import Headers
from support.web.exchanges import Whole
from support.web.listening import PatientProtocol, Server, get, post
from support.web.treatments import AnsweredBefore, Application

SECRET = "c2VjcmV0"
HOST = "Host: licet.test"


@pytest.fixture(params=["in steps", "by the application"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A listener whose memory is empty, and what comes again is answered in both ways that there are."""
    with Server(PatientProtocol, is_quick=request.param == "in steps") as server:
        server.catch_up()  # with a request that no test here sends
        yield server


def repetitions(server: Server) -> int:
    """How many requests were answered without the parser."""
    assert isinstance(server.application, Application)
    return server.application.repetitions


def asked(server: Server, *requests: bytes) -> list[Any]:
    """What is answered to each of these on one connection, each sent when the one before is answered."""
    with server.connect() as client:
        answers = []
        for request in requests:
            client.send_at_once(request, server)
            answers.append(client.answer().json)
        return answers


def test_a_request_that_comes_again_is_answered_without_the_parser(server: Server) -> None:
    """On any connection, and as the first one was."""
    request = post("/token", b"a=b", f"Authorization: Basic {SECRET}")
    first, second = asked(server, request, request)
    assert repetitions(server) == 1
    assert second == first
    (third,) = asked(server, request)
    assert third == first
    assert repetitions(server) == 2


@pytest.mark.parametrize(
    "requests",
    [
        pytest.param((post("/token", b"a=b"), post("/token", b"a=c")), id="another body"),
        pytest.param((post("/token", b"", "X: 1"), post("/token", b"", "X: 2")), id="another header"),
        pytest.param((post("/token", b"", "X: 1"), post("/token", b"", "x: 1")), id="another spelling"),
        pytest.param((post("/token/a"), post("/token/b")), id="another path"),
        pytest.param((get(HOST, path="/token/a"), post("/token/a")), id="another method"),
        pytest.param((get(HOST, path="/?a=b"), get(HOST, path="/?a=b")), id="a query, which is not kept"),
    ],
)
def test_bytes_that_differ_are_parsed(server: Server, requests: tuple[bytes, ...]) -> None:
    """And a query may have a secret, in the wrong place (RFC 9700 4.3)."""
    asked(server, *requests)
    assert repetitions(server) == 0


def test_only_bytes_that_are_one_whole_request_and_no_more_are_looked_up(server: Server) -> None:
    """Two at once, a part of one, and the rest of one are the parser's."""
    request = post("/token", b"a=b")
    head, body = request[:-3], request[-3:]
    asked(server, request)
    with server.connect() as client:
        client.send_at_once(request + request, server)
        assert [client.answer().json["body"] for _ in range(2)] == ["a=b"] * 2
        # The second was held back while the first was answered, and then came alone.
        assert repetitions(server) == 1
        client.send_at_once(head, server)
        client.send_at_once(body, server)
        assert client.answer().json["body"] == "a=b"
        client.send_at_once(post("/token", b"x" * 9)[:-9], server)
        client.send_at_once(b"y" * 9, server)
        assert client.answer().json["body"] == "y" * 9
        assert repetitions(server) == 1


def test_bytes_of_a_body_that_look_like_a_request_stay_a_body(server: Server) -> None:
    """A request that is kept cannot be smuggled into another one's body."""
    kept = post("/token/kept")
    asked(server, kept)
    outer = post("/token/outer", kept)
    with server.connect() as client:
        client.send_at_once(outer[: -len(kept)], server)
        client.send_at_once(kept, server)
        answer = client.answer().json
    assert (answer["path"], answer["body"]) == ("/token/outer", kept.decode())
    assert repetitions(server) == 0


@pytest.mark.parametrize(
    "request_",
    [post("/token", b"", "Connection: close"), get(HOST, path="/token", version="1.0")],
    ids=["close", "version 1.0"],
)
def test_a_request_that_ends_its_connection_is_parsed_each_time(server: Server, request_: bytes) -> None:
    """RFC 9112 9.6: what is kept is only what leaves the connection as it was."""
    for _ in range(3):
        with server.connect() as client:
            client.send_at_once(request_, server)
            assert client.last_answer().status == 200
    assert repetitions(server) == 0


def test_a_request_that_no_longer_holds_is_parsed_anew(server: Server) -> None:
    """As when the set-up has changed; then it is kept again."""
    assert isinstance(server.application, Application)
    request = post("/token", b"a=b")
    asked(server, request, request)
    server.application.holds = False
    first, second = asked(server, request, request)
    assert (first["body"], second["body"], repetitions(server)) == ("a=b", "a=b", 1)
    server.application.holds = True
    asked(server, request)
    assert repetitions(server) == 2


def test_a_long_request_is_not_looked_up(server: Server) -> None:
    """A hash of each large body would be work for nothing."""
    request = post("/token", b"x" * REQUEST_BYTES_MAX)
    asked(server, request, request)
    assert repetitions(server) == 0


def test_a_client_that_says_no_more_after_its_request_gets_the_answer(server: Server) -> None:
    """As after one that is parsed."""
    request = post("/token", b"a=b")
    asked(server, request)
    with server.connect() as client:
        client.send_at_once(request, server)
        client.say_no_more()
        assert client.last_answer().json["body"] == "a=b"
    assert repetitions(server) == 1


def test_nothing_that_could_be_secret_is_kept() -> None:
    """Neither a header nor a body; of the headers only what says where a request comes from."""
    repeated = RepeatedRequests()
    request = post("/token", b"client_secret=shh", "Authorization: Basic shh", "Cookie: shh")
    exchange = Whole("/token", method="POST", form=b"client_secret=shh", authorization=b"Basic shh")
    exchange.headers += [(b"cookie", b"shh"), (b"x-api-key", b"shh"), (b"x-forwarded-for", b"192.0.2.1")]
    repeated.add(repeated.name(request), exchange, "127.0.0.1", AnsweredBefore(Application(), {}))
    kept = repeated.find(repeated.name(request))
    assert kept is not None
    assert kept.headers == [(b"x-forwarded-for", b"192.0.2.1")]
    assert not [it for it in _reachable(repeated) if isinstance(it, (bytes, str)) and "shh" in str(it)]


def _reachable(root: object) -> list[object]:
    """All that an object holds, but for modules, classes and functions."""
    found, todo = {id(root): root}, [root]
    while todo:
        for it in gc.get_referents(todo.pop()):
            if id(it) not in found and not callable(it) and type(it).__name__ != "module":
                found[id(it)] = it
                todo.append(it)
    return list(found.values())


def test_the_memory_is_bounded_and_the_oldest_goes_first() -> None:
    """Whoever has authenticated may send what it likes."""
    repeated = RepeatedRequests(entries_max=3)
    for number in range(5):
        before = AnsweredBefore(Application(), {})
        repeated.add(repeated.name(b"%d" % number), Whole("/"), "127.0.0.1", before)
    assert len(repeated) == 3
    assert [number for number in range(5) if repeated.find(repeated.name(b"%d" % number))] == [2, 3, 4]
    assert ENTRIES_MAX < 10**6


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/T/verify/" + "x" * KEPT_BYTES_MAX, []),
        ("/T/verify/\N{OLD PERSIAN NUMBER ONE}" + "x" * (KEPT_BYTES_MAX // 4), []),
        ("/T/verify", [(b"x-forwarded-for", b"x" * KEPT_BYTES_MAX)]),
        ("/T/verify", [(b"x-forwarded-for", b"%d" % number) for number in range(100)]),
    ],
    ids=["a long path", "wide characters", "a long header", "many headers"],
)
def test_a_request_of_which_much_would_be_kept_is_not_remembered(path: str, fields: Headers) -> None:
    """A client with a live token fills all entries; it must not decide how large they are."""
    repeated, exchange = RepeatedRequests(), Whole(path)
    exchange.headers = fields
    repeated.add(b"name", exchange, "127.0.0.1", AnsweredBefore(Application(), {}))
    assert not len(repeated)


def test_a_request_that_came_through_two_proxies_is_remembered() -> None:
    """With a path as of an API, and the headers of a trace."""
    repeated, exchange = RepeatedRequests(), Whole("/Customer/verify/" + "x" * 200)
    exchange.headers = [
        (b"x-forwarded-for", b"2001:db8::1:2:3:4, 192.0.2.10"),
        (b"x-forwarded-proto", b"https"),
        (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        (b"tracestate", b"vendor=0123456789abcdef"),
    ]
    repeated.add(b"name", exchange, "127.0.0.1", AnsweredBefore(Application(), {}))
    assert len(repeated) == 1


def test_two_servers_name_the_same_bytes_differently() -> None:
    """The key is each one's own: a name says nothing elsewhere of the secret in the bytes."""
    assert RepeatedRequests().name(b"a") != RepeatedRequests().name(b"a")


NAMES = st.sampled_from(["Host", "X-A", "x-a", "Content-Type", "Expect", "Connection", "Accept", "Upgrade"])
VALUES = st.sampled_from(["licet.test", "a", "close", "keep-alive", "100-continue", "", "h2c", "gzip, br"])
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=4)


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[Server, Server]]:
    """A listener with a memory, and one without."""

    class Forgetful(PatientProtocol):
        def keep(self, *_: object) -> None:
            """Nothing is."""

    with Server(PatientProtocol) as with_memory, Server(Forgetful) as without:
        yield with_memory, without


@given(
    requests=st.lists(
        st.tuples(
            st.sampled_from(["GET", "POST", "OPTIONS"]),
            st.sampled_from(["/token", "/token/", "/other", "//", "*"]),
            st.sampled_from(["1.1", "1.1", "1.1", "1.0"]),
            FIELDS,
            st.sampled_from([b"", b"a=b", b"\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_whatever_comes_is_answered_as_by_a_listener_without_a_memory(
    two: tuple[Server, Server], requests: list[tuple[str, str, str, list[tuple[str, str]], bytes, bool]]
) -> None:
    """All that is sent comes three times, so that what can be kept is."""
    sent = []
    for method, path, version, fields, body, is_chunked in requests:
        lines = [f"{method} {path} HTTP/{version}", "Host: licet.test", *(f"{n}: {v}" for n, v in fields)]
        if is_chunked:
            lines.append("Transfer-Encoding: chunked")
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body_sent = chunk + b"0\r\n\r\n"
        else:
            lines.append(f"Content-Length: {len(body)}")
            body_sent = body
        sent.append("\r\n".join(lines).encode() + b"\r\n\r\n" + body_sent)
    heard = [[_heard(server, sent) for _ in range(3)] for server in two]
    assert heard[0] == heard[1]


def _heard(server: Server, requests: list[bytes]) -> list[bytes]:
    """What is answered to each, and to one behind it on its connection, without what names a moment."""
    heard = []
    for request in requests:
        with server.connect() as client:
            client.send(request)
            answer = client.answer()
            if answer.headers.get("connection") != "close":
                client.send(post("/behind"))
                client.say_no_more()
            heard += [b"%d" % answer.status, *_timeless(answer.body), *_timeless(client.end())]
    return heard


def _timeless(heard: bytes) -> list[bytes]:
    lines = heard.split(b"\r\n")
    return [it for it in lines if not (it.startswith((b"date:", b"x-request-id:")) or b"request_id" in it)]
