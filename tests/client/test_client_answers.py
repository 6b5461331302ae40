"""`licet.client`: token servers that answer nonsense, and secrets that nobody gets to see."""

import logging
import pickle
import re
import socket
import threading
import traceback
from base64 import b64decode
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from licet.client import (
    LicetAuth,
    LicetError,
    NoSeatAvailable,
    ServerUnreachable,
    TokenRefused,
    UnusableAnswer,
)
from support.guard.calling import ManualTiming, Program, Threads, TokenSite, auth_for
from support.web.http_site import PATIENCE_S, Asked, Reply, Site, says

SECRET = "correct-horse"
MANY = b"x" * 100_000

NONSENSE: dict[str, tuple[Reply | bytes, type[LicetError], str]] = {
    "not JSON": (says(200, b"<html>"), UnusableAnswer, "answers without JSON"),
    "JSON, but a list": (says(200, [1]), UnusableAnswer, "answers without JSON"),
    "JSON without end": (says(200, b"[" * 50_000), UnusableAnswer, "answers without JSON"),
    "no token": (says(200, {"expires_in": 600}), UnusableAnswer, "without an access token"),
    "a token of another kind": (
        says(200, {"access_token": "abc", "token_type": "DPoP"}),
        UnusableAnswer,
        "not of type Bearer",
    ),
    "a token that is a number": (says(200, {"access_token": 7}), UnusableAnswer, "without an access token"),
    "a token that is two headers": (
        says(200, {"access_token": "abc\r\nX-Admin: 1"}),
        UnusableAnswer,
        "without an access token",
    ),
    "a page that is not there": (says(404, b"no"), UnusableAnswer, r"answers 404 and no OAuth error"),
    "an error that is no text": (says(400, {"error": {"a": 1}}), UnusableAnswer, "answers 400 and no OAuth"),
    "a bad gateway": (says(502, b"<html>"), UnusableAnswer, "answers 502 and no OAuth error"),
    "too much": (says(200, MANY), ServerUnreachable, "answers more than it may"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.9\r\n", ServerUnreachable, "does not answer: RemoteProtocolError"),
    "nothing": (b"", ServerUnreachable, "does not answer: RemoteProtocolError"),
    "half of it": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{",
        ServerUnreachable,
        "does not answer: RemoteProtocolError",
    ),
}


def refused(tokens: TokenSite, program: Program, **options: Any) -> LicetError:
    """What a program is told that gets no token; its API is never asked."""
    with Site() as api:
        options = {"secret": SECRET, **options}
        auth = auth_for(tokens.url, api.url, options.pop("timing", ManualTiming()), **options)
        with pytest.raises(LicetError) as raised:
            program.call(auth, "GET", api.url)
        assert not api.asked
    return raised.value


class TestNonsense:
    """A server that is none."""

    @pytest.mark.parametrize("name", NONSENSE)
    def test_it_is_told_in_one_line_and_no_token_is_taken_from_it(
        self, tokens: TokenSite, program: Program, name: str
    ) -> None:
        """With the URL, so that a wrong one is seen."""
        reply, kind, why = NONSENSE[name]
        tokens.grant = lambda: reply
        found = refused(tokens, program)
        assert type(found) is kind
        assert str(found).startswith(f"{tokens.url}/token ")
        assert "\n" not in str(found)
        assert re.search(why, str(found))

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_gets_no_secret(self, tokens: TokenSite, program: Program, status: int) -> None:
        """Also when the credentials are in the body, which a 307 would carry along."""
        with Site() as other:
            tokens.grant = lambda: says(status, location=f"{other.url}/Jim_Test/token")
            found = refused(tokens, program, credentials_in_body=True)
            assert not other.asked
        assert f"answers with a redirect ({status}); it is not followed" in str(found)

    @pytest.mark.parametrize("life", [-1, "soon", True, None, [600], 1e300, float("nan")])
    def test_a_life_that_makes_no_sense_is_none(self, tokens: TokenSite, program: Program, life: Any) -> None:
        """The token is used until the API refuses it."""
        tokens.grant = lambda: says(200, {"access_token": "abc", "expires_in": life})
        timing = ManualTiming()
        with Site() as api:
            auth = auth_for(tokens.url, api.url, timing)
            program.call(auth, "GET", api.url)
            timing.advance(1e6)
            program.call(auth, "GET", api.url)
            program.log_off(auth)
        assert tokens.asked.count("client_credentials") == 1

    def test_a_life_that_is_text_is_read(self, tokens: TokenSite, program: Program) -> None:
        """Some servers write numbers so."""
        tokens.grant = lambda: says(200, {"access_token": "abc", "expires_in": "600"})
        timing = ManualTiming()
        with Site() as api:
            auth = auth_for(tokens.url, api.url, timing)
            program.call(auth, "GET", api.url)
            timing.advance(601)
            program.call(auth, "GET", api.url)
            program.log_off(auth)
        assert tokens.asked.count("client_credentials") == 2

    def test_a_server_that_is_not_there_is_told(self, program: Program) -> None:
        """With what the system says of it."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/Jim_Test"
        with Site() as api, pytest.raises(ServerUnreachable, match="token does not answer: "):
            program.call(auth_for(url, api.url, ManualTiming()), "GET", api.url)

    def test_a_server_that_is_silent_is_given_up(self, program: Program) -> None:
        """It takes the connection and says nothing."""
        with socket.create_server(("127.0.0.1", 0)) as silent, Site() as api:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/Jim_Test"
            auth = auth_for(url, api.url, ManualTiming(), timeout=timedelta(milliseconds=50))
            with pytest.raises(ServerUnreachable, match="does not answer in time"):
                program.call(auth, "GET", api.url)

    def test_a_server_that_drips_is_given_up(self, program: Program) -> None:
        """Each byte comes in time, and the answer never."""
        ended = threading.Event()

        def drip(listening: socket.socket) -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n")
                while not ended.wait(0.01):
                    connection.sendall(b"x")

        with socket.create_server(("127.0.0.1", 0)) as listening, Site() as api:
            thread = threading.Thread(target=drip, args=(listening,), daemon=True)
            thread.start()
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/Jim_Test"
            auth = auth_for(url, api.url, ManualTiming(), timeout=timedelta(milliseconds=200))
            with pytest.raises(ServerUnreachable, match=r"answers too slowly|does not answer in time"):
                program.call(auth, "GET", api.url)
            ended.set()
            thread.join(PATIENCE_S)

    def test_what_a_server_says_is_cut_and_made_printable(self, tokens: TokenSite, program: Program) -> None:
        """A terminal is not to be painted by a stranger."""
        content = {"error": "invalid_scope", "error_description": "\x1b[31mred\n" + "y" * 9_000}
        tokens.grant = lambda: says(400, content)
        found = refused(tokens, program)
        assert isinstance(found, TokenRefused)
        assert found.description.isprintable()
        assert len(found.description) <= 300

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ({"Retry-After": "17"}, 17),
            ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:59:29 GMT"}, 30),
            ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 0),
            ({"Retry-After": "soon"}, None),
            ({"Retry-After": "9999999999"}, 86_400),
            ({"Retry-After": "-4"}, None),
            ({}, None),
        ],
    )
    def test_the_time_to_come_back_is_seconds_or_an_instant_of_the_servers_clock(
        self, tokens: TokenSite, header: dict[str, str], seconds: float | None
    ) -> None:
        """RFC 9110 10.2.3. A clock that differs by years changes nothing."""
        lines = [f"{name}: {value}\r\n" for name, value in header.items()]
        head = f"HTTP/1.1 503 Full\r\n{''.join(lines)}\r\n".encode()
        tokens.grant = lambda: head + b'{"error": "temporarily_unavailable"}'
        found = refused(tokens, Threads())
        assert isinstance(found, NoSeatAvailable)
        assert found.retry_after == seconds

    @pytest.mark.parametrize("field", ["seats", "in_use", "pool", "reason", "retry_after"])
    def test_fields_of_another_kind_are_none(self, tokens: TokenSite, field: str) -> None:
        """They are an extension, and may be anybody's."""
        tokens.grant = lambda: says(400, {"error": "temporarily_unavailable", field: ["x"]})
        found = refused(tokens, Threads())
        assert getattr(found, field) is None


class TestCredentials:
    """How they are sent."""

    def basic(self, asked: Asked) -> str:
        """What is in the header."""
        return b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode()

    def test_plain_ones_go_into_the_header(self, tokens: TokenSite) -> None:
        """RFC 6749 2.3.1."""
        tokens.grant = lambda: says(400, {"error": "invalid_client"})
        refused(tokens, Threads())
        (asked,) = tokens.site.asked
        assert self.basic(asked) == f"TestClientId:{SECRET}"
        assert asked.form == {"grant_type": "client_credentials"}

    @pytest.mark.parametrize("secret", ["a+b", "50%", "p:q", "é", "two words", "&=", "😀"])
    def test_others_go_into_the_body_where_all_servers_read_them_alike(
        self, tokens: TokenSite, secret: str
    ) -> None:
        """Many servers do not decode the header."""
        tokens.grant = lambda: says(400, {"error": "invalid_client"})
        refused(tokens, Threads(), secret=secret)
        (asked,) = tokens.site.asked
        assert "authorization" not in asked.headers
        assert asked.form["client_secret"] == secret

    def test_the_header_can_be_had_for_all(self, tokens: TokenSite) -> None:
        """RFC 6749 App. B: form-encoded."""
        tokens.grant = lambda: says(400, {"error": "invalid_client"})
        refused(tokens, Threads(), secret="a+b é", credentials_in_body=False)
        assert self.basic(tokens.site.asked[0]) == "TestClientId:a%2Bb+%C3%A9"


class TestArguments:
    """What can't be is told at once."""

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"tenant_url": "licence.example.com/Jim_Test"}, "tenant_url must be an http or https URL"),
            ({"tenant_url": "https://user:pw@licence.example.com/Jim_Test"}, "without a user"),
            ({"tenant_url": "https://licence.example.com/Jim_Test?x=1"}, "a query"),
            ({"tenant_url": "https://licence.example.com:99999/Jim_Test"}, "tenant_url must be"),
            ({"tenant_url": "http://licence.example.com/Jim_Test"}, "http, which others can read"),
            ({"api": "http://api.example.com"}, "api is http"),
            ({"api": []}, "names no URL"),
            ({"api": "api.example.com"}, "api must be an http or https URL"),
            ({"client_id": ""}, "must be text"),
            ({"client_secret": "\udcff"}, "must be text"),
            ({"timeout": timedelta(0)}, "timeout must be more than nothing"),
            ({"wait_for_seat": timedelta(seconds=-1)}, "wait_for_seat"),
        ],
    )
    def test_a_mistake_is_told_without_its_value(self, changes: dict[str, Any], why: str) -> None:
        """There may be a password in it."""
        arguments: dict[str, Any] = {
            "tenant_url": "https://licence.example.com/Jim_Test",
            "client_id": "TestClientId",
            "client_secret": SECRET,
            "api": "https://api.example.com",
        }
        with pytest.raises(ValueError, match=why) as raised:
            LicetAuth(**(arguments | changes))
        assert "pw" not in str(raised.value)
        assert SECRET not in shown(raised.value)

    @pytest.mark.parametrize("suffix", ["", "/", "/token"])
    def test_the_url_of_a_tenant_is_also_that_of_its_token_endpoint(self, suffix: str) -> None:
        """Both are what people have at hand."""
        url = f"https://licence.example.com/Jim_Test{suffix}"
        auth = LicetAuth(url, "TestClientId", SECRET, api="https://api.example.com")
        assert repr(auth) == "LicetAuth('https://licence.example.com/Jim_Test/', 'TestClientId', scope=None)"

    def test_http_can_be_allowed(self) -> None:
        """In a network that is one's own."""
        LicetAuth("http://licet:8080/Jim_Test", "a", SECRET, api="http://api", allow_http=True)


class TestSecrets:
    """Nothing shows one."""

    @pytest.mark.parametrize("in_body", [True, False])
    @pytest.mark.parametrize(
        "name", ["not JSON", "a token of another kind", "nothing", "half of it", "refused", "no seat"]
    )
    def test_an_error_shows_none_in_any_variable_of_its_frames(
        self, tokens: TokenSite, program: Program, name: str, *, in_body: bool
    ) -> None:
        """As traceback tools print them, with all errors that it is chained to."""
        more = {"refused": says(401, {"error": "invalid_client"}), "no seat": says(429, {"error": "x"})}
        tokens.grant = lambda: more[name] if name in more else NONSENSE[name][0]
        found = refused(tokens, program, credentials_in_body=in_body)
        assert found.__cause__ is None
        assert found.__context__ is None
        assert SECRET not in shown(found)
        assert SECRET not in repr(vars(found))

    def test_no_log_has_one(
        self, tokens: TokenSite, program: Program, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither ours nor that of the HTTP library, at any level, for a whole life."""
        timing = ManualTiming()
        with caplog.at_level(logging.DEBUG), Site() as api:
            auth = auth_for(tokens.url, api.url, timing, secret=SECRET)
            program.call(auth, "GET", api.url)
            timing.advance(601)
            program.call(auth, "GET", api.url)
            program.log_off(auth)
        assert tokens.asked == ["client_credentials", "refresh_token", "logoff"]
        assert caplog.records
        for secret in (SECRET, "access-", "refresh-", "Basic "):
            assert secret not in caplog.text

    def test_an_auth_shows_none_and_is_not_pickled(self, tokens: TokenSite, program: Program) -> None:
        """Also not in what it keeps."""
        with Site() as api:
            auth = auth_for(tokens.url, api.url, ManualTiming(), secret=SECRET)
            program.call(auth, "GET", api.url)
            kept = [auth, vars(auth), vars(auth._session)]
            assert not any(secret in repr(kept) for secret in (SECRET, "access-1", "refresh-1"))
            with pytest.raises(TypeError):
                pickle.dumps(auth)
            program.log_off(auth)


def shown(error: BaseException) -> str:
    """An error as a tool shows it that prints the variables of our frames, and of all that they call."""
    stack = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = [frame for frame in stack.stack if "/tests/" not in frame.filename]
    return "".join([*stack.format_exception_only(), *(str(frame.locals) for frame in ours)])


class TestWarnings:
    """What a token answer says of the licence."""

    def test_they_are_logged_when_they_begin_and_when_they_change(
        self, tokens: TokenSite, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Not at each renewal; a program can show the current ones."""
        timing, lines = ManualTiming(), []
        soon = {"warnings": ["licence_expires_soon"], "licence_expires_at": "2027-12-31T23:59:59Z"}
        with Site(lambda _: says(200, {})) as api, auth_for(tokens.url, api.url, timing) as auth:
            for more in ({}, soon, soon, {"warnings": ["licence_grace"]}, {}, soon):
                tokens.more = more
                Threads().call(auth, "GET", api.url)
                timing.advance(545)
                assert list(auth.warnings) == more.get("warnings", [])
            lines = [it.getMessage() for it in caplog.records if it.name == "licet.client"]
        assert [it.partition(" warns of its licence: ")[2] for it in lines] == [
            "licence_expires_soon, until 2027-12-31T23:59:59Z",
            "licence_grace",
            "licence_expires_soon, until 2027-12-31T23:59:59Z",
        ]

    @pytest.mark.parametrize("odd", ["soon", {"a": 1}, [1, None, ["x"]], ["\n" * 50] * 20])
    def test_what_is_no_list_of_words_is_none(self, tokens: TokenSite, odd: Any) -> None:
        """The token is good all the same."""
        tokens.more = {"warnings": odd, "licence_expires_at": 7}
        with Site(lambda _: says(200, {})) as api, auth_for(tokens.url, api.url, ManualTiming()) as auth:
            assert Threads().call(auth, "GET", api.url).status_code == 200
            assert auth.warnings == ()
