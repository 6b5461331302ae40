"""`licet token`: what it asks a server, what it prints, and how it ends."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from typer.testing import Result

from licet.cli.look.token import ServerUnreachable, _Credentials, _refuse, _tenant_url
from support.cli.command_line import run, terminal
from support.cli.screen import WAIT_S
from support.server.nursery import Program
from support.server.served_tenant import ServedTenant
from support.waiting import until


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the tenant of a demo server."""
    with Program(
        [sys.executable, "-m", "licet", "demo", "--port", "0", "--admin-port", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path_factory.mktemp("demo"),
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        found = (re.search(r"http://127\.0\.0\.1:\d+/Jim_Test", line) for line in process.stdout)
        yield next(url for url in found if url)[0]
        process.terminate()
        process.stdout.read()
        process.wait(WAIT_S)


def ask(url: str, client_id: str, *options: str, secret: str = "password", exit_code: int = 0) -> Result:
    """Ask for a token, the secret on standard input."""
    arguments = ("token", url, "--client-id", client_id, "--secret-stdin", *options)
    return run(*arguments, stdin=f"{secret}\n", exit_code=exit_code)


class TestQueue:
    """`--queue` and `--wait`: in line for a seat (L19)."""

    @pytest.fixture
    def full(self, tenant: ServedTenant) -> ServedTenant:
        """A tenant with one seat, which Client2 has, and a queue."""
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_pool("full", seats=1, queue=5)
        return tenant

    @pytest.mark.parametrize("how", [("--queue",), ("--wait", "1")])
    def test_who_gets_no_seat_is_told_its_place(self, full: ServedTenant, how: tuple[str, ...]) -> None:
        """At once, or when the time is over."""
        full.grant("Client2")
        url = f"{full.server.url}/{full.name}"
        result = ask(url, "TestClientId", *how, exit_code=1)
        assert "this client is number 1 in the line for pool full, try again in 5 s" in result.stderr

    def test_who_waits_gets_the_seat_that_is_given_back(self, full: ServedTenant) -> None:
        """As soon as it is."""
        held = full.grant("Client2")
        url = f"{full.server.url}/{full.name}"
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(ask, url, "TestClientId", "--wait", "60", "--logoff")
            until(lambda: full.places() == ["client:TestClientId"])
            full.post("logoff", authorization=f"Bearer {held['access_token']}")
            assert "Logged off; its seat is free." in asked.result().stdout

    def test_a_wait_is_a_minute_at_most(self, full: ServedTenant) -> None:
        """As the server's."""
        ask(f"{full.server.url}/{full.name}", "TestClientId", "--wait", "61", exit_code=2)


class TestToken:
    """`licet token`, against a server."""

    @pytest.mark.parametrize("way", [(), ("--body-credentials",)])
    def test_a_token_is_shown_and_logged_off(self, demo: str, way: tuple[str, ...]) -> None:
        """Both ways to send credentials (RFC 6749 2.3.1)."""
        text = ask(demo, "TestClientId", "--logoff", *way).stdout
        assert re.search(r"^access token +lca_", text, re.MULTILINE)
        assert re.search(r"^expires in +10m$", text, re.MULTILINE)
        assert re.search(r"^scope +all$", text, re.MULTILINE)
        assert text.endswith("\nLogged off; its seat is free.\n")

    def test_json_is_the_answer_of_the_server_and_more(self, demo: str) -> None:
        """`jq -r .access_token` works."""
        found = json.loads(ask(demo, "Api", "--scope", "view", "--introspect", "--logoff", "--json").stdout)
        assert found["access_token"].startswith("lca_")
        assert (found["token_type"], found["expires_in"], found["scope"]) == ("Bearer", 600, "view")
        assert (found["introspection"]["active"], found["introspection"]["client_id"]) == (True, "Api")
        assert found["logoff"] == {"logged_off": True, "seat_released": False}

    def test_introspection_is_shown_beside(self, demo: str) -> None:
        """RFC 7662."""
        text = ask(demo, "Api", "--introspect", "--logoff").stdout
        assert re.search(r"^introspection\nactive +yes$", text, re.MULTILINE)
        assert re.search(r"^exp +2\S+Z$", text, re.MULTILINE)

    def test_a_refused_question_still_logs_off(self, demo: str) -> None:
        """Or the seat would be held for 20 minutes."""
        for number in range(1, 7):
            result = ask(demo, f"Client{number}", "--introspect", "--logoff", exit_code=1)
            assert "unauthorized_client" in result.stderr
        ask(demo, "TestClientId", "--logoff")

    def test_a_wrong_secret_is_exit_code_1(self, demo: str) -> None:
        """And the secret is not repeated."""
        result = ask(demo, "TestClientId", secret="hunter22", exit_code=1)
        assert result.stderr.startswith("licet: invalid_client: ")
        assert "hunter22" not in result.output

    def test_a_full_pool_says_when_to_try_again(self, demo: str) -> None:
        """As it is for a client."""
        held = [json.loads(ask(demo, f"Client{number}", "--json").stdout) for number in range(1, 6)]
        result = ask(demo, "Client6", exit_code=1)
        assert re.fullmatch(
            r"licet: all 5 seats of pool full are in use, try again in 1[12]\d\d s\n", result.stderr
        )
        for number in range(1, 6):
            ask(demo, f"Client{number}", "--logoff")
        assert len(held) == 5

    def test_another_address_of_the_server_is_exit_code_1(self, demo: str) -> None:
        """There is nothing."""
        assert "invalid_request" in ask(f"{demo}/x", "Client1", exit_code=1).stderr

    def test_a_server_that_does_not_answer_is_exit_code_3(self) -> None:
        """Nobody listens on port 1."""
        result = ask("http://127.0.0.1:1/Jim_Test", "Client1", exit_code=3)
        assert "does not answer" in result.stderr

    @pytest.mark.parametrize(
        "where",
        [
            "ftp://a/b",
            "http://",
            "http://a:b/c",
            "http://[::1/c",
            "http://u:p@a/b",
            "http://a/b?c",
            "http://a:0/b",
        ],
    )
    def test_what_is_no_url_is_wrong_use(self, where: str) -> None:
        """Exit code 2, before the secret is read."""
        assert "a tenant is written" in ask(where, "Client1", exit_code=2).stderr

    def test_the_secret_is_asked_for_on_a_terminal_only(self) -> None:
        """Elsewhere --secret-stdin has to be said, and a line to be there."""
        assert "--secret-stdin" in run("token", "Jim_Test", "--client-id", "a", exit_code=2).stderr
        assert "no secret" in ask("Jim_Test", "a", secret="", exit_code=2).stderr

    def test_a_terminal_is_asked_without_an_echo(self, demo: str) -> None:
        """And told that the session lives on."""
        with terminal("token", demo, "--client-id", "TestClientId", "--scope", "view") as screen:
            screen.read_until("Secret of TestClientId: ")
            screen.press("password\n")
            screen.read_until("--logoff would have ended it")
            assert screen.ended() == 0
        assert "password" not in screen.text


class TestWhatAServerSays:
    """From an answer to a sentence and an exit code."""

    @pytest.mark.parametrize(
        ("where", "url"),
        [
            ("Jim_Test", "http://127.0.0.1:8080/Jim_Test/"),
            ("a/b?", "http://127.0.0.1:8080/a%2Fb%3F/"),
            ("https://licence.example.com/Jim_Test", "https://licence.example.com/Jim_Test/"),
            ("https://licence.example.com/auth/Jim_Test/token", "https://licence.example.com/auth/Jim_Test/"),
        ],
    )
    def test_a_tenant_is_a_name_or_a_url(self, where: str, url: str) -> None:
        """Of the token endpoint too."""
        assert _tenant_url(where) == url

    def test_plain_http_over_a_network_is_warned_of(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The secret can be read on the way."""
        _tenant_url("http://licence.example.com/Jim_Test")
        assert "https://" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("content", "text"),
        [
            ({"reason": "all_in_use", "pool": "full", "seats": 5, "in_use": 5, "retry_after": 312},
             "all 5 seats of pool full are in use, try again in 312 s"),
            ({"reason": "all_in_use", "pool": "full", "seats": 3, "in_use": 5},
             "5 of 3 seats of pool full are in use"),
            ({"reason": "all_in_use", "pool": "full", "seats": 1, "in_use": 1},
             "the only seat of pool full is in use"),
            ({"reason": "no_seats", "pool": "full"}, "pool full has no seats"),
            ({"reason": "licence_expired", "pool": "full"},
             "the licence of pool full has expired; a scope that needs no seat still works"),
            ({"reason": "licence_missing", "pool": "full"},
             "no licence that counts now gives a seat of pool full for this scope"),
            ({"error": "temporarily_unavailable", "reason": "rate_limited", "retry_after": 3,
              "error_description": "Too many failed attempts; wait before the next one."},
             "temporarily_unavailable: Too many failed attempts; wait before the next one, try again in 3 s"),
            ({"error": "invalid_scope", "error_description": "No such scope.", "request_id": "r1"},
             "invalid_scope: No such scope (request r1)"),
            ({"error": "\x1b[2J"}, "\\x1b[2J"),
            ({}, "refused without a reason"),
        ],
    )  # fmt: skip
    def test_a_refusal_is_told_in_words(self, content: dict[str, Any], text: str) -> None:
        """With what can be done."""
        with pytest.raises(Exception, match=f"^{re.escape(text)}$"):
            _refuse(400, content)

    def test_a_server_that_cannot_work_counts_as_unreachable(self) -> None:
        """Exit code 3: it is not the client's fault."""
        with pytest.raises(ServerUnreachable):
            _refuse(503, {"error": "server_error"})

    def test_credentials_never_show_the_secret(self) -> None:
        """Not even to a debugger's reader."""
        credentials = _Credentials(client_id="a", secret="hunter22", in_body=False)
        assert "hunter22" not in repr(credentials)

    def test_credentials_are_form_encoded_in_the_header(self) -> None:
        """RFC 6749 2.3.1."""
        credentials = _Credentials(client_id="a:b", secret="c d", in_body=False)
        assert credentials.headers() == {"Authorization": "Basic YSUzQWI6Yytk"}
        assert credentials.form() == {}
