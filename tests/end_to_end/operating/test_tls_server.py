"""A server with a certificate: both listeners speak TLS, and everything that names it says https."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from licet.cli.run.demo import PASSWORD
from licet.model import Role
from support.admin.dashboard import PASSWORD as ADMIN_PASSWORD
from support.admin.dashboard import add_admin
from support.cli.command_line import run
from support.server.polling import Line
from support.server.running import PATIENCE_S, RunningServer
from support.web.certificates import Pair, put


class SecureServer(RunningServer):
    """A server with a certificate of its own."""

    def __init__(self, data: Path) -> None:
        self.pair = Pair()
        certificate, key = self.pair.write(data)
        tls: Any = {"tls_certificate": str(certificate), "tls_key": str(key)}
        super().__init__(data, admin=True, metrics_public=True, **tls)

    def notice(self) -> None:
        """Return when it has seen the set-up as it is now."""
        self.switches.changes.add()
        with self.client(self.url) as http:
            http.get("/health/live")

    def client(self, url: str, pair: Pair | None = None) -> httpx.Client:
        """A client that trusts this certificate alone."""
        return httpx.Client(base_url=url, verify=(pair or self.pair).context(), timeout=PATIENCE_S)

    def grant(self, pair: Pair | None = None) -> httpx.Response:
        """The answer to a grant, over a connection of its own."""
        with self.client(self.url, pair) as http:
            form = {"grant_type": "client_credentials", "scope": "view"}
            return http.post("/Jim_Test/token", data=form, auth=("TestClientId", PASSWORD))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureServer]:
    """One for all tests."""
    with SecureServer(tmp_path_factory.mktemp("data")) as running:
        yield running


def test_a_grant_is_made_by_tls(server: SecureServer) -> None:
    """And its issuer is the https URL, without a public_url."""
    assert server.url.startswith("https://127.0.0.1:")
    assert server.grant().json()["scope"] == "view"
    with server.client(server.url) as http:
        metadata = http.get("/Jim_Test/.well-known/oauth-authorization-server").json()
    assert metadata["issuer"] == f"{server.url}/Jim_Test"
    assert metadata["token_endpoint"].startswith(server.url)


@pytest.mark.anyio
@pytest.mark.parametrize("leaves", ["leave", "reset"])
async def test_who_waits_for_a_seat_by_tls_and_goes_takes_none(server: SecureServer, leaves: str) -> None:
    """L19: in whichever way it ends the connection; and who stays gets the seat."""
    line = Line(server, f"Line_{leaves}", tls=server.pair.context())
    token = await line.take("c0")
    gone, stays = await line.wait("c1"), await line.wait("c2", seconds=60)
    await gone.leave() if leaves == "leave" else gone.reset()
    await line.until_waiting(1)
    with server.changing() as change:
        change.tenant(line.name).set_pool("full", seats=3)  # one for who is gone as well
    assert (await stays.answer()).status == 200
    assert line.seats_in_use() == 2
    await line.log_off(token)
    await line.close()


def test_administrators_are_kept_to_tls(server: SecureServer) -> None:
    """RFC 6797; and the cookie of a sign-in is Secure, and bound to the host."""
    with server.store() as store:
        add_admin(store, "ada", Role.OWNER)
    with server.client(server.admin_url) as http:
        page = http.get("/sign-in")
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        signed_in = http.post("/sign-in", data={"name": "ada", "password": ADMIN_PASSWORD})
        cookie = signed_in.headers["set-cookie"]
        assert cookie.startswith("__Host-")
        assert "; Secure" in cookie
        assert http.get("/").status_code == 200


def test_nobody_is_answered_in_clear(server: SecureServer) -> None:
    """On neither listener."""
    for url in (server.url, server.admin_url):
        with pytest.raises(httpx.TransportError):
            httpx.get(url.replace("https://", "http://") + "/health/live", timeout=PATIENCE_S)


def test_a_renewed_certificate_is_used_without_a_restart(server: SecureServer) -> None:
    """One that is broken is logged, and the one from before stays in use."""
    old, new = server.pair, Pair()
    put(server.data / "certificate.pem", new.pem)
    assert server.grant(old).status_code == 200
    put(server.data / "key.pem", new.key_pem())
    server.pair = new
    assert server.grant().status_code == 200
    with pytest.raises(httpx.ConnectError):
        server.grant(old)
    with server.client(server.admin_url) as http:
        assert http.get("/sign-in").status_code == 200
    lines = [json.loads(line) for line in server.log().splitlines() if "certificate_" in line]
    assert [line["event"] for line in lines] == ["certificate_unusable", "certificate_renewed"]
    assert "is not the key of" in lines[0]["detail"]


@pytest.mark.parametrize(("days", "said"), [(-1, "it expired 20"), (13, "it expires 20"), (15, None)])
def test_the_check_finds_a_certificate_that_should_be_renewed(
    tmp_path: Path, days: int, said: str | None
) -> None:
    """Two weeks before: whatever renews it should have done so by then."""
    run("init", "--data", str(tmp_path), "--tenant", "T", "--seats", "1")
    certificate, key = Pair(days=days).write(tmp_path)
    settings = f'tls_certificate = "{certificate.name}"\ntls_key = "{key.name}"\n'
    (tmp_path / "licet.toml").write_text(settings, "utf-8")
    found = json.loads(
        run("check", "--data", str(tmp_path), "--json", exit_code=int(said is not None)).stdout
    )
    findings = {it["code"]: it["problem"] for it in found["findings"]}
    assert findings.get("certificate_expires", "")[: len(said or "-")] == (said or "")
    put(key, Pair().key_pem())
    found = json.loads(run("check", "--data", str(tmp_path), "--json", exit_code=1).stdout)
    assert "certificate_unusable" in [it["code"] for it in found["findings"]]


def test_a_certificate_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    """With what to do, and before anything is served."""
    certificate, key = Pair().write(tmp_path)
    put(key, Pair().key_pem())
    run("init", "--data", str(tmp_path / "data"))
    serve = ("serve", "--data", str(tmp_path / "data"), "--port", "0", "--admin-port", "0")
    files = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    assert run(*serve, *files, exit_code=2).stderr == f"licet: {key} is not the key of {certificate}\n"
    alone = run(*serve, *files[:2], exit_code=2).stderr
    assert alone.endswith("  --tls-certificate: tls_certificate needs tls_key\n")


def test_a_relative_path_starts_at_the_file_of_settings(tmp_path: Path) -> None:
    """As that of the data directory does."""
    certificate, key = Pair().write(tmp_path)
    put(key, b"none")
    run("init", "--data", str(tmp_path / "data"))
    file = tmp_path / "licet.toml"
    file.write_text('data = "data"\ntls_certificate = "certificate.pem"\ntls_key = "key.pem"\n', "utf-8")
    said = run("serve", "--config", str(file), "--port", "0", "--admin-port", "0", exit_code=2).stderr
    assert said == f"licet: {certificate} and {key} are not a certificate and a key in PEM\n"
