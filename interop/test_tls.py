"""What others have made against a Licet with a certificate of its own, without a proxy.

Apache's mod_auth_openidc refuses an introspection endpoint without https, and verifies the certificate.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples.run import free_port, until_listening
from interop.installing import HERE, Missing, installed, may_be_passed_over
from interop.manifest import Manifest
from licet.cli.run.demo import PASSWORD

sys.path.append(str(Path(__file__).parent.parent / "tests"))  # the tests' own server, and its certificate
from support.server.running import RunningServer
from support.web.certificates import Pair, put

CONFIGURATION = HERE / "resource_servers" / "openidc" / "apache.conf"
PATIENCE_S = 30.0
pytestmark = pytest.mark.timeout(900)  # packages are fetched
NEEDS = Manifest(
    name="openidc",
    folder=CONFIGURATION.parent,
    language="",
    library="",
    needs=("apache2",),
    install=("apache2", "libapache2-mod-auth-openidc"),
    build=(),
    run=(),
    expect={},
)


class Licet:
    """A server with a certificate, and a client that trusts just that."""

    def __init__(self, server: RunningServer, pair: Pair) -> None:
        self.server = server
        self.pair = pair
        self._http = httpx.Client(
            base_url=f"{server.url}/Jim_Test", verify=pair.context(), timeout=PATIENCE_S
        )

    def grant(self, scope: str) -> dict[str, Any]:
        """A token of the client `TestClientId`."""
        form = {"grant_type": "client_credentials", "scope": scope}
        granted: dict[str, Any] = self._http.post("/token", data=form, auth=("TestClientId", PASSWORD)).json()
        return granted

    def log_off(self, granted: dict[str, Any]) -> None:
        """End its session."""
        headers = {"Authorization": f"Bearer {granted['access_token']}"}
        assert self._http.post("/logoff", headers=headers).status_code == httpx.codes.OK

    def close(self) -> None:
        """End its connections."""
        self._http.close()


@pytest.fixture(scope="module")
def licet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Licet]:
    """One for all tests."""
    data, pair = tmp_path_factory.mktemp("data"), Pair()
    certificate, key = pair.write(data)
    with RunningServer(data, tls_certificate=str(certificate), tls_key=str(key)) as server:
        found = Licet(server, pair)
        yield found
        found.close()


@dataclass(frozen=True)
class Front:
    """Apache in front of an API, and its log."""

    url: str
    log: Path

    def calls(self, granted: dict[str, Any] | None = None) -> list[int]:
        """The answers to GET and POST."""
        headers = {} if granted is None else {"Authorization": f"Bearer {granted['access_token']}"}
        with httpx.Client(timeout=PATIENCE_S) as http:
            return [http.request(method, self.url, headers=headers).status_code for method in ("GET", "POST")]


@contextmanager
def _apache(licet: Licet, trusted: Pair) -> Iterator[Front]:
    try:
        installed(NEEDS)
    except Missing as missing:
        if may_be_passed_over():
            pytest.skip(str(missing))
        pytest.fail(f"{missing}; PASS_OVER=1 leaves out what cannot be run")
    with tempfile.TemporaryDirectory(prefix="licet-apache-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)  # Apache serves as another user
        put(folder / "trusted.pem", trusted.pem, mode=0o644)
        variables = {
            "FRONT_PORT": str(port),
            "LICET_URL": f"{licet.server.url}/Jim_Test",
            "LICET_SECRET": PASSWORD,
            "LICET_CERTIFICATE": str(folder / "trusted.pem"),
        }
        command = ["apache2", "-d", name, "-f", str(CONFIGURATION), "-D", "FOREGROUND"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, env=os.environ | variables, stdin=subprocess.DEVNULL, stderr=log
            )
        try:
            until_listening(process, port)
            yield Front(f"http://127.0.0.1:{port}/", folder / "log")
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def test_apache_introspects_by_tls(licet: Licet) -> None:
    """Without a proxy before Licet. A session that was logged off is out at once."""
    all_scopes, view = licet.grant("all"), licet.grant("view")
    with _apache(licet, licet.pair) as front:
        assert front.calls(all_scopes) == [204, 204]
        assert front.calls(view) == [204, 401]
        assert front.calls() == [401, 401]
        assert front.calls({"access_token": "made.up"}) == [401, 401]
        licet.log_off(all_scopes)
        assert front.calls(all_scopes) == [401, 401]


def test_apache_trusts_no_other_certificate(licet: Licet) -> None:
    """So it believes nobody else who answers in the place of Licet."""
    granted = licet.grant("all")
    with _apache(licet, Pair()) as front:
        assert front.calls(granted) == [401, 401]
        assert "SSL certificate problem: self-signed certificate" in front.log.read_text(encoding="utf-8")
