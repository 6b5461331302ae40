"""What a server logs, and what it never does: a secret, whatever is sent to it and wherever."""

import base64
import socket
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote_plus, urlsplit

import httpx
import pytest

from licet.cli.run.demo import PASSWORD
from licet.store.opening import SQLITE_NAME
from support.cli.command_line import run
from support.server.callers import GRANT, TENANT
from support.server.operating import events, unhurried
from support.server.running import PATIENCE_S, RunningServer
from support.waiting import until


class TestLogs:
    """What is found in a log, and what never is."""

    def test_an_error_has_one_request_id_in_header_body_and_log(self, tmp_path: Path) -> None:
        """Product 3.2."""
        with RunningServer(tmp_path) as server:
            with server.changing() as change:
                change.tenant(TENANT).set_pool("full", seats=0)
            refused = [
                server.ask(f"{TENANT}/token", **GRANT),
                server.ask(f"{TENANT}/token", "TestClientId", "wrong", **GRANT),
                server.ask(f"{TENANT}/token", grant_type="password"),
                server.ask(f"{TENANT}/token", grant_type="refresh_token", refresh_token="lcr_0"),
                server.ask("Nobody/token", **GRANT),
                server.http.get(f"/{TENANT}/token"),
                server.http.get("/"),
                server.http.get(f"/{TENANT}/logoff", headers={"Authorization": "Bearer lca_0"}),
                server.http.post(f"/{TENANT}/introspect", content=b"x" * 10_000),
                server.http.get("/", headers={"padding": "x" * 20_000}),
            ]
            logged = {it["request_id"]: it for it in events(server.log()) if it["event"] == "refused"}
            assert len(logged) == len(refused)
            for answer in refused:
                content = answer.json()
                line = logged[content["request_id"]]
                assert answer.headers["x-request-id"] == content["request_id"]
                assert (line["status"], line["error"]) == (answer.status_code, content["error"])

    def test_a_fault_is_found_in_the_log_by_its_request_id(self, fault: "Fault") -> None:
        """Product 3.2: the client is told nothing else of it."""
        (line,) = (it for it in events(fault.log) if it["event"] == "fault")
        content = fault.answer.json()
        assert content.keys() == {"error", "error_description", "request_id"}
        assert content["error"] == "server_error"
        assert line["request_id"] == content["request_id"] == fault.answer.headers["x-request-id"]
        assert "exception" in line

    def test_no_log_of_a_fault_holds_a_secret(self, fault: "Fault") -> None:
        """A traceback must not show the values of variables: they are the request."""
        assert '"fault"' in fault.log
        assert [name for name, secret in fault.secrets.items() if secret in fault.log] == []

    def test_no_secret_is_ever_logged_whatever_goes_wrong(self, tmp_path: Path) -> None:
        """At the level debug, over all endpoints, with secrets wherever one could be put by mistake."""
        with unhurried(tmp_path) as server:
            secrets = _tour(server)
            server.terminate()  # when it says what it suppressed
            log = server.log()
            suppressed = (it for it in events(log) if it["event"] == "lines_suppressed")
            assert log.count('"refused"') + sum(it["lines"] for it in suppressed) > 50
            for name, secret in secrets.items():
                written = {
                    secret,
                    secret.upper(),
                    quote_plus(secret),
                    base64.b64encode(secret.encode()).decode(),
                }
                assert not [it for it in written if it in log], name
            server.terminate()
            assert PASSWORD not in server.log()


class Fault(NamedTuple):
    """What became of a request that met a bug of ours, and the secrets that were in its way."""

    answer: httpx.Response
    log: str
    secrets: dict[str, str]


@pytest.fixture(scope="module")
def fault(tmp_path_factory: pytest.TempPathFactory) -> Fault:
    """A logoff, after somebody counted the seats in use down to none."""
    with RunningServer(tmp_path_factory.mktemp("faulty"), log_level="debug") as server:
        token = server.ask(f"{TENANT}/token", **GRANT).json()["refresh_token"]
        with closing(sqlite3.connect(server.data / SQLITE_NAME)) as connection:
            connection.execute("UPDATE pool SET in_use = 0")
            connection.commit()
        answer = server.ask(f"{TENANT}/logoff", refresh_token=token)
        assert answer.status_code == 500
        secrets = {
            "password": f"'{PASSWORD}'",
            "header": base64.b64encode(f"TestClientId:{PASSWORD}".encode()).decode(),
            "refresh token": token,
            "password hash": "$argon2id$",
        }
        return Fault(answer, server.log(), secrets)


def _tour(server: RunningServer) -> dict[str, str]:
    """All that can be asked, right and wrong; the secrets that were in it."""
    right, wrong, stray = "right-password-of-P1", "wrong-password-of-P1", "stray-secret-0123456789"
    site = ("--tenant", TENANT, "--data", str(server.data))
    run("user", "add", "P1", "--password-stdin", *site, stdin=f"{right}\n")
    run("client", "add", "Person", "--user", "P1", "--introspects", *site)
    generated = run("client", "secret", "add", "Person", *site).stdout.strip()
    until(
        lambda: all(
            server.ask(f"{TENANT}/token", "Person", it, **GRANT).is_success for it in (right, generated)
        )
    )
    granted = server.ask(f"{TENANT}/token", "Person", generated, **GRANT).json()
    access, refresh = granted["access_token"], granted["refresh_token"]
    for client_id, secret in (("Person", wrong), (stray, right), (stray, stray), ("Person", generated + "x")):
        for path in ("token", "introspect", "revoke", "logoff"):
            server.ask(f"{TENANT}/{path}", client_id, secret, token=access, **GRANT)
    for form in (
        {"grant_type": "refresh_token", "refresh_token": refresh},
        {"grant_type": "refresh_token", "refresh_token": stray},
        {"grant_type": "refresh_token", "refresh_token": refresh, "scope": stray},
        {"grant_type": stray},
        {"grant_type": "client_credentials", "scope": stray},
        {"token": access},
        {"token": stray},
        {stray: stray},
    ):
        for path in ("token", "introspect", "revoke"):
            server.ask(f"{TENANT}/{path}", "Person", right, **form)
    _ask_in_odd_places(server, stray)
    _send_what_is_not_http(server, stray)
    headers = {"Authorization": f"Bearer {access}"}
    server.http.post(f"/{TENANT}/logoff", headers=headers)
    server.http.get(f"/{TENANT}/logoff", headers=headers)
    signature = access[-40:]  # what makes it worth something
    return {
        "right password": right,
        "wrong password": wrong,
        "stray secret": stray,
        "generated secret": generated,
        "access token": access,
        "signature": signature,
        "refresh token": refresh,
    }


def _ask_in_odd_places(server: RunningServer, secret: str) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    ask = server.http.request
    for path in (f"{secret}/token", f"{TENANT}/{secret}", secret, f"{TENANT}/token/{secret}"):
        ask("POST", f"/{path}", data=GRANT, auth=("Person", secret))
        ask("GET", f"/{path}", headers={"Authorization": f"Bearer {secret}"})
    for query in ("client_secret", "access_token", "refresh_token", "token", secret):
        ask("POST", f"/{TENANT}/token?{query}={secret}", data=GRANT, auth=("Person", secret))
    ask("GET", f"/.well-known/oauth-authorization-server/{secret}")
    ask("GET", f"/{secret}/.well-known/oauth-authorization-server")
    for authorization in (secret, f"Basic {secret}", f"Bearer {secret}", f"Digest {secret}", f"{secret} x"):
        for path in ("token", "logoff", "revoke", "introspect"):
            ask("POST", f"/{TENANT}/{path}", data=GRANT, headers={"Authorization": authorization})
    for body in (
        f"client_id={secret}&client_secret={secret}",
        f"client_id=Person&client_secret={secret}%",
        f"client_id=Person&client_secret={secret}%00",
        f"client_secret={secret}&client_secret={secret}",
        f"client_id=Person&client_secret={secret}&" + secret * 1000,
        f'{{"client_secret": "{secret}"}}',
        f"client_secret={secret}\xff",
    ):
        ask("POST", f"/{TENANT}/token", content=body.encode("latin-1"), headers=form)
    for name in ("content-type", "cookie", "x-api-key", "user-agent", "x-forwarded-for", "x-request-id"):
        ask("POST", f"/{TENANT}/token", content=secret, headers={**form, name: secret})


def _send_what_is_not_http(server: RunningServer, secret: str) -> None:
    parts = urlsplit(server.url)
    for sent in (
        f"{secret}\r\n\r\n",
        f"GET /{secret} HTTP/9.9\r\nhost: a\r\n\r\n",
        f"GET /{secret} HTTP/1.1\r\n\r\n",
        f"GET / HTTP/1.1\r\nhost: {secret} {secret}\r\n\r\n",
        f"GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: {secret}\r\n\r\n",
        f"GET / HTTP/1.1\r\nhost: a\r\nx: {secret * 1000}\r\n\r\n",
        f"{secret.upper()} / HTTP/1.1\r\nhost: a\r\n\r\n",
        f"POST /{TENANT}/token HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{secret}\r\n",
        f"GET /{secret} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    ):
        with socket.create_connection((parts.hostname, parts.port), PATIENCE_S) as connection:
            connection.sendall(sent.encode())
            connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while connection.recv(65_536):
                    pass
