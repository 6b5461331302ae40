"""The example call of the Jim2 Web API's token endpoint, byte for byte as its two spellings send it.

The bytes were captured from the running clients: `System.Net.WebRequest`, which asks with
`Expect: 100-continue` and waits before it sends the body, and `System.Net.Http.HttpClient`.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from support.paths import DOCS, FIXTURES
from support.server.running import RunningServer
from support.server.wire import Answer, Wire

PAGE = DOCS / "how-to" / "move-from-jim2s-own-endpoint.md"
WEB_REQUEST = (FIXTURES / "webrequest.http").read_bytes()
HTTP_CLIENT = (FIXTURES / "httpclient.http").read_bytes()
BLANK_LINE = b"\r\n\r\n"
HEAD, BODY = (WEB_REQUEST.partition(BLANK_LINE)[at] for at in (0, 2))
HEAD += BLANK_LINE


@pytest.fixture
def wire(server: RunningServer) -> Iterator[Wire]:
    with Wire(server.url) as made:
        yield made


def received(wire: Wire) -> Answer:
    answer = wire.answer()
    assert answer is not None
    return answer


def tokens(answer: Answer) -> dict[str, Any]:
    """What a grant of `view` answers."""
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    content: dict[str, Any] = json.loads(answer.body)
    return content


def check_view(content: dict[str, Any]) -> None:
    assert content["access_token"].startswith("lca_")
    assert content["refresh_token"].startswith("lcr_")
    assert (content["token_type"], content["expires_in"], content["scope"]) == ("Bearer", 600, "view")


class TestWebRequest:
    """Basic credentials, and a body that waits for its permission."""

    def test_the_captured_bytes_are_what_the_tests_are_about(self) -> None:
        """A fixture that was edited would prove nothing."""
        assert HEAD.startswith(b"POST /Jim_Test/token HTTP/1.1\r\n")
        assert b"\r\nExpect: 100-continue\r\n" in HEAD
        assert BODY == b"grant_type=client_credentials&scope=view"

    def test_the_body_is_asked_for_before_it_is_sent(self, wire: Wire) -> None:
        """RFC 9110 10.1.1: the caller waits for `100 Continue`, and only then sends the body."""
        wire.send(HEAD)
        interim = received(wire)
        assert (interim.status, len(interim.headers), interim.body) == (100, 0, b"")
        wire.send(BODY)
        check_view(tokens(received(wire)))

    def test_a_caller_that_does_not_wait_is_answered_as_well(self, wire: Wire) -> None:
        """RFC 9110 10.1.1: the body may come at any time, and then needs no permission."""
        wire.send(WEB_REQUEST)
        answer = received(wire)
        check_view(tokens(received(wire) if answer.status == 100 else answer))

    def test_a_body_that_comes_byte_by_byte_is_awaited(self, wire: Wire) -> None:
        """However the network cuts it."""
        for at in range(len(HEAD)):
            wire.send(HEAD[at : at + 1])
        assert received(wire).status == 100
        for at in range(len(BODY)):
            wire.send(BODY[at : at + 1])
        check_view(tokens(received(wire)))

    def test_the_connection_is_kept_for_the_next_call(self, wire: Wire) -> None:
        """`Connection: keep-alive`: the caller sends the next request on it."""
        for _ in range(3):
            wire.send(HEAD)
            assert received(wire).status == 100
            wire.send(BODY)
            answer = received(wire)
            assert answer.headers["connection"] != "close"
            check_view(tokens(answer))

    def test_without_a_scope_the_same_call_takes_a_seat(self, wire: Wire) -> None:
        """No scope means `all`, which needs a full licence."""
        body = b"grant_type=client_credentials"
        wire.send(HEAD.replace(b"Content-Length: 40", b"Content-Length: %d" % len(body)))
        assert received(wire).status == 100
        wire.send(body)
        content = tokens(received(wire))
        assert (content["scope"], content["refresh_expires_in"]) == ("all", 1200)
        bearer = content["access_token"].encode()
        wire.send(
            b"POST /Jim_Test/logoff HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
            b"Authorization: Bearer " + bearer + BLANK_LINE
        )
        assert json.loads(received(wire).body) == {"logged_off": True, "seat_released": True}

    @pytest.mark.parametrize(
        ("old", "new", "status", "error"),
        [
            (b"/Jim_Test/token", b"/Jim_Test/tokens", 404, "invalid_request"),
            (b"POST", b"GET", 405, "invalid_request"),
            (b"POST", b"PUT", 405, "invalid_request"),
            (b"application/x-www-form-urlencoded", b"application/json", 400, "invalid_request"),
            (b"Content-Length: 40", b"Content-Length: 8193", 413, "invalid_request"),
            (b"Content-Length: 40", b"Content-Length: 99999999", 413, "invalid_request"),
            (b"VGVzdENsaWVudElkOnBhc3N3b3Jk", b"!!!!", 400, "invalid_request"),
            (b"VGVzdENsaWVudElkOnBhc3N3b3Jk", b"VGVzdENsaWVudElk", 400, "invalid_request"),
            (b"Basic", b"Bearer", 401, "invalid_client"),
            (b"/token ", b"/token?client_secret=password ", 400, "invalid_request"),
            (b"Host: localhost:8133", b"Host: a\r\nHost: b", 400, "invalid_request"),
            (b"Host: localhost:8133\r\n", b"", 400, "invalid_request"),
        ],
    )
    def test_what_the_head_alone_refuses_is_answered_without_the_body(
        self, wire: Wire, old: bytes, new: bytes, status: int, error: str
    ) -> None:
        """RFC 9110 10.1.1: a final answer instead of `100 Continue`, and nobody waits for anything."""
        assert old in HEAD
        wire.send(HEAD.replace(old, new))
        answer = received(wire)
        assert (answer.status, json.loads(answer.body)["error"]) == (status, error)
        # Whether the body follows is the caller's choice, so that the next request could begin anywhere.
        assert answer.headers["connection"] == "close"
        assert wire.answer() is None

    def test_wrong_credentials_are_answered_after_the_body(self, wire: Wire) -> None:
        """They may be in the body as well, which would be two ways of authentication."""
        wire.send(HEAD.replace(b"VGVzdENsaWVudElkOnBhc3N3b3Jk", b"VGVzdENsaWVudElkOndyb25nd29yZA=="))
        assert received(wire).status == 100
        wire.send(BODY)
        answer = received(wire)
        assert (answer.status, json.loads(answer.body)["error"]) == (401, "invalid_client")


class TestHttpClient:
    """The variant in its comment: the credentials stand in the body, in the order of the caller."""

    def test_the_captured_bytes_are_answered_at_once(self, wire: Wire) -> None:
        """No expectation, no interim answer."""
        wire.send(HTTP_CLIENT)
        check_view(tokens(received(wire)))

    def test_the_order_of_the_fields_is_the_callers(self, wire: Wire) -> None:
        """A dictionary has none."""
        head, blank, body = HTTP_CLIENT.partition(BLANK_LINE)
        wire.send(head + blank + b"&".join(reversed(body.split(b"&"))))
        check_view(tokens(received(wire)))

    def test_both_spellings_are_the_same_client(self, server: RunningServer, wire: Wire) -> None:
        """The seat is counted for the client, however it authenticates."""
        subjects = set()
        for request in (WEB_REQUEST.replace(b"Expect: 100-continue\r\n", b""), HTTP_CLIENT):
            wire.send(request)
            access = tokens(received(wire))["access_token"]
            subjects.add(server.ask("Jim_Test/introspect", "Api", token=access).json()["sub"])
        assert subjects == {"client:TestClientId"}


def test_the_page_about_moving_shows_what_was_captured() -> None:
    """docs/how-to/move-from-jim2s-own-endpoint.md: those lines, and so those that are run above."""
    page = PAGE.read_text(encoding="utf-8")
    shown = re.findall(r"^```http\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL)
    assert shown == [it.decode().replace("\r\n", "\n") for it in (WEB_REQUEST, HTTP_CLIENT)]
