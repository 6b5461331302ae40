"""The example behind a real nginx: who gets to the API, and what the API is told."""

import hashlib
import re
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer, ThreadingMixIn
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from support.ports import free_port
from support.server.proxies import EXAMPLES, example, fronting, started
from support.server.running import PATIENCE_S, RunningServer

UPLOAD_BYTES = 20_000_000
METHODS_SPELT = ("X-Original-Method", "X-Forwarded-Method", "X-HTTP-Method-Override")


class Echo(BaseRequestHandler):
    """An API that tells what got to it: the head, and the body's length and hash; or an open WebSocket."""

    def handle(self) -> None:
        """One connection, with one request."""
        file = self.request.makefile("rb")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (line := file.readline()):
                return
            head += line
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        if fields.get(b"upgrade") == b"websocket":
            self.request.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            )
            self.request.sendall(file.readline().upper())
            return
        body = file.read(int(fields.get(b"content-length", 0)))
        told = head + f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()
        self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told))


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True


class Site(NamedTuple):
    """Licet, and nginx before the jobs API and before one that tells what got to it."""

    licet: RunningServer
    jobs: httpx.Client
    echo: httpx.Client

    def token(self, client_id: str = "TestClientId", scope: str = "all") -> dict[str, Any]:
        """What a grant of this client gives."""
        answer = self.licet.ask("Jim_Test/token", client_id, grant_type="client_credentials", scope=scope)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def bearer(self, client_id: str = "TestClientId", scope: str = "all") -> dict[str, str]:
        """The header of a request with a new token."""
        return bearer(self.token(client_id, scope)["access_token"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests of this file, which leave it as they found it."""
    base = tmp_path_factory.mktemp("site")
    (base / "licet").mkdir()
    licet, api = free_port(), free_port()
    with (
        RunningServer(base / "licet", port=licet) as running,
        started([sys.executable, str(EXAMPLES / "jobs_api" / "jobs.py"), str(api)], api, base / "api"),
        _Server(("127.0.0.1", 0), Echo) as echo,
        fronting("nginx", base / "jobs", licet, api) as jobs_url,
        fronting("nginx", base / "echo", licet, echo.server_address[1]) as echo_url,
        httpx.Client(base_url=jobs_url, timeout=PATIENCE_S) as jobs,
        httpx.Client(base_url=echo_url, timeout=PATIENCE_S) as told,
    ):
        threading.Thread(target=echo.serve_forever, daemon=True).start()
        yield Site(running, jobs, told)
        echo.shutdown()


def test_nobody_gets_in_without_a_token(site: Site) -> None:
    """RFC 6750 3: with the challenge of Licet, once."""
    for method in ("GET", "POST"):
        answer = site.jobs.request(method, "/jobs")
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
        assert answer.headers.get_list("www-authenticate") == ['Bearer realm="licet"']


def test_a_token_that_is_none_is_refused(site: Site) -> None:
    """RFC 6750 3.1."""
    answer = site.jobs.get("/jobs", headers=bearer("lca_no"))
    assert answer.status_code == 401
    assert answer.headers.get_list("www-authenticate") == ['Bearer realm="licet", error="invalid_token"']


def test_a_token_of_all_reads_and_writes_and_the_api_hears_whose_it_is(site: Site) -> None:
    """What a seat is paid for."""
    who = site.bearer("Client1")
    added = site.jobs.post("/jobs", headers=who, json={"title": "Mow"})
    assert (added.status_code, added.json()) == (201, {"title": "Mow", "added by": "C1"})
    assert {"title": "Mow", "added by": "C1"} in site.jobs.get("/jobs", headers=who).json()


def test_a_view_token_reads_and_does_not_write(site: Site) -> None:
    """RFC 6750 3.1: 403, with a challenge that names the scope."""
    who = site.bearer(scope="view")
    assert site.jobs.get("/jobs", headers=who).status_code == 200
    assert site.jobs.head("/jobs", headers=who).status_code == 200
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = site.jobs.request(method, "/jobs", headers=who, json={"title": "no"})
        assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
        assert answer.headers.get_list("www-authenticate") == [
            'Bearer realm="licet", error="insufficient_scope", scope="all"'
        ]


@pytest.mark.parametrize("name", METHODS_SPELT)
def test_a_view_token_does_not_write_by_the_name_of_another_method(site: Site, name: str) -> None:
    """What the client says of its method gains it nothing."""
    who = site.bearer(scope="view")
    assert site.jobs.post("/jobs", headers={**who, name: "GET"}, json={"title": "no"}).status_code == 403
    told = site.echo.get("/jobs", headers={**who, name: "POST"}).text.lower()
    assert "override" not in told


def test_the_api_hears_who_calls_from_nginx_alone(site: Site) -> None:
    """Whatever a client sends under these names is gone, in each spelling."""
    token = site.token("Client2")
    names = (
        "X-Licet-User",
        "X-Licet-Client",
        "X-Licet-Scope",
        "X-Licet-Session",
        "X_Licet_User",
        "x-licet-user",
    )
    forged = [(name, "forged") for name in names]
    told = site.echo.get("/", headers=[*bearer(token["access_token"]).items(), *forged]).text
    heard = dict(line.split(": ", 1) for line in told.splitlines() if line.lower().startswith("x"))
    assert "forged" not in told
    assert heard.pop("X-Licet-Session")
    assert heard == {"X-Licet-User": "C2", "X-Licet-Client": "Client2", "X-Licet-Scope": "all"}


def test_a_logoff_counts_from_the_next_request_on(site: Site) -> None:
    """Nothing is remembered on the way."""
    who = bearer(site.token()["access_token"])
    assert site.jobs.get("/jobs", headers=who).status_code == 200
    site.licet.http.post("/Jim_Test/logoff", headers=who).raise_for_status()
    assert site.jobs.get("/jobs", headers=who).status_code == 401


def test_who_gets_no_seat_may_still_look(site: Site) -> None:
    """L1: a full pool leaves view alone."""
    held = [
        site.token(client_id) for client_id in ("TestClientId", "Client1", "Client2", "Client3", "Client4")
    ]
    denied = site.licet.ask("Jim_Test/token", "Client5", grant_type="client_credentials")
    assert denied.json()["reason"] == "all_in_use"
    assert site.jobs.get("/jobs", headers=site.bearer("Client5", "view")).status_code == 200
    for token in held:
        who = bearer(token["access_token"])
        assert site.jobs.get("/jobs", headers=who).status_code == 200
        site.licet.http.post("/Jim_Test/logoff", headers=who)


def test_while_licet_is_down_nobody_gets_in_and_then_everybody_again(site: Site) -> None:
    """It fails closed, and says 503 and when to try again."""
    who = site.bearer()
    site.licet.kill()
    answer = site.jobs.get("/jobs", headers=who)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["retry-after"] == "2"
    site.licet.start()
    assert site.jobs.get("/jobs", headers=who).status_code == 200


def test_a_big_upload_arrives_whole(site: Site) -> None:
    """It is asked before the body is taken, and Licet never sees it."""
    body = bytes(range(256)) * (UPLOAD_BYTES // 256)
    told = site.echo.post("/upload", headers=site.bearer(), content=body).text
    assert told.splitlines()[-1] == f"{len(body)} {hashlib.sha256(body).hexdigest()}"


def test_path_and_query_arrive_as_they_were(site: Site) -> None:
    """What of them looks like OAuth is the API's."""
    told = site.echo.get("/jobs/%41?client_id=5&scope=x", headers=site.bearer()).text
    assert told.startswith("GET /jobs/%41?client_id=5&scope=x HTTP/1.1")


def test_a_websocket_opens_for_a_token_that_may_write_and_for_no_other(site: Site) -> None:
    """RFC 6455 4.1: a GET by name, and a way to send anything."""
    assert handshake(site, site.bearer()) == (b"101", b"HELLO\n")
    assert handshake(site, site.bearer(scope="view"))[0] == b"403"
    assert handshake(site, {})[0] == b"401"


@pytest.mark.parametrize("upgrade", ["websocket", "websocket x", "x websocket"])
def test_what_licet_does_not_take_for_a_websocket_does_not_open_one(site: Site, upgrade: str) -> None:
    """RFC 6455 4.1: without its key an API may open it all the same."""
    assert handshake(site, site.bearer(scope="view"), upgrade, key="")[0] == b"200"


def test_no_other_protocol_gets_past_nginx(site: Site) -> None:
    """RFC 7540 3.2: a tunnel of HTTP/2 would carry requests that nobody asks about."""
    told = site.echo.get(
        "/", headers={**site.bearer(), "Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c"}
    ).text
    assert "upgrade" not in told.lower()


def handshake(
    site: Site, headers: dict[str, str], upgrade: str = "websocket", key: str = "dGhlIHNhbXBsZSBub25jZQ=="
) -> tuple[bytes, bytes]:
    """The status of an answer to a WebSocket's opening, and what comes back through it."""
    url = urlsplit(str(site.echo.base_url))
    lines = {
        **headers,
        "Host": "api",
        "Connection": "Upgrade",
        "Upgrade": upgrade,
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=PATIENCE_S) as opened:
        opened.sendall(f"GET /live HTTP/1.1\r\n{head}\r\n".encode())
        file = opened.makefile("rb")
        status = file.readline().split()[1]
        while file.readline().strip():
            pass
        if status != b"101":
            return status, b""
        opened.sendall(b"hello\n")
        return status, file.readline()


def test_the_how_to_shows_what_the_example_has() -> None:
    """Each line of its blocks."""
    page = (EXAMPLES.parent / "docs" / "how-to" / "protect-an-api-with-nginx.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```nginx\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    text = example.CONFIGURATIONS["nginx"].read_text(encoding="utf-8")
    written = {line.strip() for line in re.sub(r"(?<=;)  #.*", "", text).splitlines()}
    assert len(blocks) == 3
    assert {line.strip() for line in "".join(blocks).splitlines()} <= written


@pytest.mark.wide
def test_the_one_line_of_the_readme_runs_it(tmp_path: Path) -> None:
    """examples/README.md."""
    port = free_port()
    command = [sys.executable, str(EXAMPLES / "run.py"), "nginx", "--port", str(port)]
    with started(command, port, tmp_path / "log", TMPDIR=str(tmp_path)):
        assert httpx.get(f"http://127.0.0.1:{port}/jobs", timeout=PATIENCE_S).status_code == 401
    assert [it.name for it in tmp_path.iterdir()] == ["log"]  # all that it started has ended
