"""What the guides have an administrator put on a machine: nginx, the service, and a filter of the log."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from support.dashboard import DashboardSite
from support.paths import DOCS
from support.proxies import must_be_there, started
from support.running import PATIENCE_S, RunningServer

GRANT = {"grant_type": "client_credentials"}
HTTP = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {guide}
}}
"""


def block(page: str, language: str, begin: str) -> str:
    """The block of a page in this language that has this in it."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (found,) = (
        it for it in re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) if begin in it
    )
    return str(found)


def free_port() -> int:
    """Where nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def fronted(directory: Path, guide: str) -> Iterator[str]:
    """The URL of nginx with what a guide shows, at another port and with a certificate of its own."""
    must_be_there("nginx")
    directory.mkdir()
    key, certificate, port = directory / "key.pem", directory / "certificate.pem", free_port()
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *options.split(), *files], check=True, capture_output=True)
    guide = re.sub(r"listen \[::\][^;]*;", "", guide)
    placed = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "listen 80": f"listen 127.0.0.1:{free_port()}",
        "/etc/ssl/licet/fullchain.pem": str(certificate),
        "/etc/ssl/licet/privkey.pem": str(key),
        "/var/log/nginx/licet.log": str(directory / "access.log"),
    }
    for there, here in placed.items():
        guide = guide.replace(there, here)
    configuration = directory / "nginx.conf"
    configuration.write_text(HTTP.format(directory=directory, guide=guide), encoding="utf-8")
    with started(["nginx", "-p", str(directory), "-c", str(configuration)], port, directory / "log"):
        yield f"https://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, str]]:
    """Licet behind nginx as the guide to installation has it."""
    base = tmp_path_factory.mktemp("public")
    guide = block("how-to/install-on-a-server.md", "nginx", "upstream licet")
    with ExitStack() as stack:
        server = stack.enter_context(RunningServer(base, trusted_proxies="127.0.0.1"))
        port = httpx.URL(server.url).port
        url = stack.enter_context(
            fronted(base / "nginx", guide.replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
        )
        yield server, url


def test_the_proxy_of_the_guide_passes_requests_and_has_browsers_come_by_https(
    public: tuple[RunningServer, str],
) -> None:
    """RFC 6797; the answer is Licet's, with what it says to clients."""
    _, url = public
    with httpx.Client(base_url=url, verify=False) as http:  # noqa: S501 - it is its own
        answer = http.post("/Jim_Test/token", data=GRANT, auth=("Nobody", "lcs_0"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert answer.headers["www-authenticate"].startswith("Basic ")


def test_the_proxy_of_the_guide_bounds_what_one_address_may_take(public: tuple[RunningServer, str]) -> None:
    """Most of a flood never gets to Licet; what is refused is JSON that clients understand."""
    _, url = public
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    parsed = httpx.URL(url)
    flood = b"GET /health/live HTTP/1.1\r\nhost: licence.example.com\r\n\r\n" * 900
    with (
        socket.create_connection((parsed.host, parsed.port or 0), PATIENCE_S) as plain,
        context.wrap_socket(plain) as wire,
    ):
        wire.sendall(flood)
        answers = b""
        while answers.count(b"HTTP/1.1 ") < 900:
            more = wire.recv(65_536)
            assert more
            answers += more
    refused = answers.split(b"HTTP/1.1 429 ")[1:]
    assert refused
    assert b"retry-after: 1" in refused[0].lower()
    assert b'"error":"temporarily_unavailable"' in refused[0]


def test_the_proxy_of_the_guide_shows_the_dashboard(tmp_path: Path) -> None:
    """With its name, and the cookie of a sign-in bound to TLS, though the proxy is not trusted."""
    guide = block("how-to/behind-a-proxy.md", "nginx", "licence-admin")
    guide = guide.replace("allow 10.0.0.0/8;", "allow 127.0.0.1;")
    port = free_port()
    (tmp_path / "licet").mkdir()
    settings = {"admin_port": port, "admin_url": "https://licence-admin.example.com"}
    with (
        DashboardSite(tmp_path / "licet", **settings) as site,
        fronted(tmp_path / "nginx", guide.replace(":8081", f":{port}")) as url,
        httpx.Client(
            base_url=url,
            verify=False,  # noqa: S501 - it is its own
            headers={"host": "licence-admin.example.com"},
            timeout=PATIENCE_S,
        ) as http,
    ):
        assert site.is_running
        answer = http.post("/sign-in", data={"name": "ada", "password": "correct horse battery"})
    assert answer.status_code == 303
    assert answer.headers["set-cookie"].startswith("__Host-licet=")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_the_filter_finds_the_address_of_every_failed_authentication(tmp_path: Path) -> None:
    """As fail2ban reads it: <HOST> is an address, and each line of the option is a pattern."""
    option = block("reference/logs.md", "ini", "failregex").partition("failregex =")[2]
    patterns = [
        re.compile(line.strip().replace("<HOST>", r"(?P<host>[\d.]+|[0-9a-f:]+)"))
        for line in option.splitlines()
        if line.strip()
    ]
    with DashboardSite(tmp_path) as site, site.reader(None) as reader:
        site.ask("Jim_Test/token", "Nobody", "lcs_0", **GRANT)
        reader.sign_in("ada", "wrong")
        reader.get("/api/v1/me", authorization="Bearer lck_0")
        lines = [line for line in site.log().splitlines() if line.startswith("{")]
    matched = {
        json.loads(line)["event"]: match["host"]
        for line in lines
        for pattern in patterns
        if (match := pattern.search(line))
    }
    assert matched == {
        "refused": "127.0.0.1", "sign_in_refused": "127.0.0.1", "api_key_refused": "127.0.0.1",
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_the_service_of_the_guide(tmp_path: Path) -> None:
    """Every line of it is one that it knows."""
    unit = tmp_path / "licet.service"
    text = block("how-to/install-on-a-server.md", "ini", "[Service]")
    unit.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )
    complaints = [line for line in done.stderr.splitlines() if "licet.service:" in line]
    assert complaints == []
