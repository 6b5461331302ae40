"""The admin listener of a running server: where it is, when it starts, and how it ends."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from licet.accounts import administrators
from licet.admin.http import CONNECTIONS_MAX
from licet.credentials.generated import ApiKeys
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.model import Role
from licet.server.upkeep import LOOK_EVERY_S
from licet.store.opening import SQLITE_NAME
from support.cli.command_line import run
from support.server.running import PATIENCE_S, RunningServer
from support.server.wire import Wire

API = "/api/v1"


def key_of(server: RunningServer, role: Role = Role.OWNER) -> dict[str, str]:
    """The header of a new API key."""
    made = ApiKeys(read_keyring(server.data / FILE_NAME).pepper).generate()
    with server.store() as store, administrators.changing(store, "a test") as change:
        change.add_api_key(f"{role}-key", made, role=role)
    return {"authorization": f"Bearer {made.key}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with an admin listener, which believes a proxy on this machine."""
    with RunningServer(tmp_path_factory.mktemp("admin"), admin=True, trusted_proxies="127.0.0.1") as running:
        yield running


def test_it_is_on_a_port_of_its_own(server: RunningServer) -> None:
    """Nothing of it is on the public one, and nothing of that on this."""
    assert httpx.get(f"{server.admin_url}{API}/me", timeout=PATIENCE_S).status_code == 401
    assert server.http.get(f"{API}/me").status_code == 404
    assert server.http.get("/metrics").status_code == 404
    form = {"grant_type": "client_credentials"}
    response = httpx.post(f"{server.admin_url}/Jim_Test/token", data=form, timeout=PATIENCE_S)
    assert response.status_code in {404, 405}


def test_a_grant_and_its_end_are_seen_by_both(server: RunningServer) -> None:
    """An operator ends a session that the public listener began: its token is worth nothing at once."""
    headers = key_of(server)
    granted = server.ask("Jim_Test/token", grant_type="client_credentials").json()
    with httpx.Client(base_url=f"{server.admin_url}{API}", headers=headers, timeout=PATIENCE_S) as api:
        (session,) = api.get("/tenants/Jim_Test/sessions").json()["items"]
        assert session["client_id"] == "TestClientId"
        body = {"sids": [session["sid"]], "reason": "It hangs"}
        assert api.post("/tenants/Jim_Test/sessions/end", json=body).json()["sessions"] == 1
        told = server.ask("Jim_Test/introspect", "Api", token=granted["access_token"])
        assert told.json() == {"active": False}
        made = api.post(
            "/tenants/Jim_Test/clients",
            json={"client_id": "Made", "user": "TC", "generate_secret": True},
        ).json()
    secret = made["secret"]["secret"]
    attempts = range(round(PATIENCE_S / LOOK_EVERY_S) * 100)
    answers = (
        server.ask("Jim_Test/token", "Made", secret, grant_type="client_credentials") for _ in attempts
    )
    assert any(answer.status_code == 200 for answer in answers)


def test_a_proxy_says_where_a_request_comes_from(server: RunningServer) -> None:
    """The address of the log, and whether it came by TLS."""
    headers = {"x-forwarded-for": "198.51.100.7", "x-forwarded-proto": "https"}
    httpx.get(f"{server.admin_url}{API}/me", headers=headers, timeout=PATIENCE_S)
    assert '"address": "198.51.100.7"' in server.log()


def test_the_dashboard_is_loaded_for_the_first_request_and_not_for_a_connection(tmp_path: Path) -> None:
    """A server at which no administrator looks does without it; a probe of the port asks for nothing."""
    with RunningServer(tmp_path, admin=True) as server:
        with Wire(server.admin_url) as wire:
            wire.send(b"nonsense\r\n\r\n")
            assert wire.answer() is not None  # so the listener has started
        assert '"admin_loaded"' not in server.log()
        for _ in range(2):
            assert httpx.get(f"{server.admin_url}/sign-in", timeout=PATIENCE_S).status_code == 200
        assert server.log().count('"admin_loaded"') == 1


def test_no_more_connections_than_it_may_have(server: RunningServer) -> None:
    """One more is closed, and those of the public listener are none of them."""
    parts = httpx.URL(server.admin_url)
    assert parts.port is not None
    wires = [
        socket.create_connection((parts.host, parts.port), timeout=PATIENCE_S) for _ in range(CONNECTIONS_MAX)
    ]
    try:
        wires[-1].sendall(b"GET /api/v1/me HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert wires[-1].recv(12) == b"HTTP/1.1 401"  # So all of them are there.
        with closing(socket.create_connection((parts.host, parts.port), timeout=PATIENCE_S)) as one_more:
            assert _is_closed(one_more)
        assert server.http.get("/health/live").status_code == 200
    finally:
        for wire in wires:
            wire.close()


def _is_closed(wire: socket.socket) -> bool:
    try:
        return wire.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_head_has_a_largest_size(server: RunningServer) -> None:
    """As on the public listener; the connection is closed."""
    with Wire(server.admin_url) as wire:
        wire.send(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 100_000 + b"\r\n\r\n")
        answer = wire.answer()
        assert answer is None or answer.status in {400, 431}


def test_it_ends_with_the_server_also_while_a_stream_is_open(tmp_path: Path) -> None:
    """And the port is free for the next one."""
    with RunningServer(tmp_path, admin=True) as server:
        headers = key_of(server)
        url = httpx.URL(server.admin_url)
        assert url.port is not None
        with Wire(server.admin_url) as wire:
            head = (f"GET {API}/me HTTP/1.1", "host: localhost", f"authorization: {headers['authorization']}")
            wire.send("\r\n".join([*head, "", ""]).encode())
            answer = wire.answer()
            assert answer is not None
            assert answer.status == 200
            assert server.terminate() in {0, -15}
            assert wire.answer() is None
        assert '"stopped"' in server.log()
        assert "exception" not in server.log()
        with closing(socket.create_server((url.host, url.port))):
            pass


def test_a_server_that_is_stopped_before_it_starts_ends_as_well(tmp_path: Path) -> None:
    """It starts behind the public listener, and nobody has to wait for it."""
    with RunningServer(tmp_path, admin=True) as server:
        assert server.terminate() in {0, -15}
        assert '"stopped"' in server.log()
        assert "admin_listener_failed" not in server.log()


def test_a_store_that_was_moved_away_is_told(tmp_path: Path) -> None:
    """The listener answers on, with the request id."""
    with RunningServer(tmp_path, admin=True) as server:
        headers = key_of(server)
        url = f"{server.admin_url}{API}/tenants"
        assert httpx.get(url, headers=headers, timeout=PATIENCE_S).status_code == 200
        (server.data / SQLITE_NAME).rename(server.data / "away.db")
        refused = httpx.get(url, headers=headers, timeout=PATIENCE_S)
        assert refused.status_code == 503
        assert refused.json()["request_id"] == refused.headers["x-request-id"]
        page = httpx.get(f"{server.admin_url}/", cookies={"licet": "x" * 43}, timeout=PATIENCE_S)
        assert page.status_code == 503
        assert page.headers["x-request-id"] in page.text


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    """`admin = false`."""
    with RunningServer(tmp_path, admin=False) as server:
        assert server.admin_url == ""
        assert server.http.get("/health/live").status_code == 200
        assert "fastapi" not in _modules(server)


def _modules(server: RunningServer) -> str:
    """The files that a process has mapped or opened; those of an extension module are among them."""
    return Path(f"/proc/{server.process.pid}/maps").read_text(encoding="utf-8")


def test_a_port_that_somebody_has_is_told_before_anything_is_served(tmp_path: Path) -> None:
    """Exit code 2: what to do is said."""
    data = tmp_path / "data"
    run("init", "--tenant", "Jim_Test", "--seats", "5", "--data", str(data))
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        told = run("serve", "--port", "0", "--admin-port", str(port), "--data", str(data), exit_code=2).stderr
    assert f"cannot listen on 127.0.0.1 port {port}" in told
    assert "--admin-port" in told
    assert "admin = false" in told


def test_nothing_of_it_is_imported_before_the_public_listener_answers() -> None:
    """A start takes no longer for it: neither FastAPI nor templates."""
    program = "import sys, licet.cli.run.serving; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    loaded = {name.partition(".")[0] for name in found.stdout.split()}
    assert not loaded & {"fastapi", "starlette", "jinja2", "prometheus_client", "matplotlib"}
