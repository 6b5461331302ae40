"""What the guides have an administrator put on a machine: nginx, the service, and a filter of the log."""

import json
import os
import re
import shlex
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from support.admin.dashboard import DashboardSite
from support.cli.command_line import run
from support.paths import DOCS, ROOT
from support.ports import free_port
from support.server.proxies import must_be_there, started
from support.server.running import PATIENCE_S, RunningServer
from support.waiting import until

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


def certified(directory: Path) -> tuple[Path, Path]:
    """A certificate of its own for localhost, and its key."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *options.split(), *files], check=True, capture_output=True)
    return certificate, key


@contextmanager
def fronted(directory: Path, guide: str) -> Iterator[str]:
    """The URL of nginx with what a guide shows, at another port and with a certificate of its own."""
    must_be_there("nginx")
    directory.mkdir()
    (certificate, key), port = certified(directory), free_port()
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
    assert "rate=200r/s" in guide
    guide = guide.replace("rate=200r/s", "rate=1r/s")  # which a flood on a busy machine is faster than
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


UNITS = sorted((ROOT / "deploy" / "systemd").iterdir())
SHOWN = {
    "systemd/licet.service": ("how-to/install-on-a-server.md", "ini", "[Service]"),
    "nginx/licet.conf": ("how-to/install-on-a-server.md", "nginx", "upstream licet"),
    "nginx/licet-admin.conf": ("how-to/behind-a-proxy.md", "nginx", "licence-admin"),
    "haproxy/haproxy.cfg": ("how-to/behind-a-proxy.md", "haproxy", "frontend licet"),
    "fail2ban/filter.d/licet.conf": ("reference/logs.md", "ini", "failregex"),
    "fail2ban/jail.d/licet.conf": ("reference/logs.md", "ini", "maxretry"),
}


@pytest.mark.parametrize("file", SHOWN)
def test_what_a_guide_shows_is_what_is_ready_to_install(file: str) -> None:
    """Whoever copies the file gets what the page explains."""
    assert (ROOT / "deploy" / file).read_text(encoding="utf-8") == block(*SHOWN[file])


def placed(unit: Path, directory: Path) -> Path:
    """A unit whose programs are there."""
    text = re.sub(r"/opt/licet/.venv/bin/licet", "/bin/true", unit.read_text(encoding="utf-8"))
    here = directory / unit.name
    here.write_text(text, encoding="utf-8")
    return here


def test_systemd_knows_every_line_of_the_units(tmp_path: Path) -> None:
    """A word that it does not know would only be in its log."""
    must_be_there("systemd")
    units = [str(placed(unit, tmp_path)) for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", *units],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )
    assert [line for line in done.stderr.splitlines() if re.search(r"licet[\w.-]*:", line)] == []


@pytest.mark.parametrize("unit", [it for it in UNITS if it.suffix == ".service"], ids=lambda it: it.name)
def test_a_service_is_exposed_to_little(unit: Path) -> None:
    """By systemd's own scale, from 0 to 10, it is below 2."""
    must_be_there("systemd")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=19", "--no-pager", str(unit)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_timer_starts_a_service_that_there_is() -> None:
    """It starts the one of its own name."""
    names = {unit.name for unit in UNITS}
    timers = {unit.stem for unit in UNITS if unit.suffix == ".timer"}
    assert timers == {"licet-check", "licet-backup"}
    assert {f"{timer}.service" for timer in timers} <= names


def test_the_backup_of_the_unit_writes_a_copy_for_the_day_and_removes_old_ones(tmp_path: Path) -> None:
    """The commands of the unit, as the shell and `find` read them."""
    backups, data = tmp_path / "backups", tmp_path / "data"
    backups.mkdir()
    old = backups / "licet-2026-01-31.backup"
    old.touch()
    os.utime(old, (0, 0))
    run("init", "--tenant", "Jim_Test", "--seats", "1", LICET_DATA=str(data))
    text = (ROOT / "deploy" / "systemd" / "licet-backup.service").read_text(encoding="utf-8")
    for line in re.findall(r"^ExecStart(?:Post)?=(.*)$", text, re.MULTILINE):
        here = line.replace("/opt/licet/.venv/bin", f"{sys.prefix}/bin")
        here = here.replace("/var/backups/licet", str(backups)).replace("%%", "%")
        environment = {**os.environ, "LICET_DATA": str(data)}
        subprocess.run(shlex.split(here), check=True, env=environment, capture_output=True)
    [copy] = backups.iterdir()
    assert re.fullmatch(r"licet-\d{4}-\d\d-\d\d\.backup", copy.name)


def test_haproxy_passes_requests_as_the_guide_shows(tmp_path: Path) -> None:
    """With the client's address and the name that TLS came by; a flood from one address is bounded."""
    must_be_there("haproxy")
    port = free_port()
    with RunningServer(tmp_path, trusted_proxies="127.0.0.1", logs_all=True) as server:
        text = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text(encoding="utf-8")
        pem = tmp_path / "licet.pem"
        certificate, key = certified(tmp_path)
        pem.write_bytes(certificate.read_bytes() + key.read_bytes())
        text = text.replace("bind :443", f"bind 127.0.0.1:{port}").replace(
            "/etc/ssl/licet/licet.pem", str(pem)
        )
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{httpx.URL(server.url).port}")
        text = text.replace("gt 2000", "gt 20")
        configuration = tmp_path / "haproxy.cfg"
        configuration.write_text(text, encoding="utf-8")
        log = tmp_path / "haproxy.log"
        with (
            started(["haproxy", "-f", str(configuration)], port, log),
            httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=False) as http,  # noqa: S501 - it is its own
        ):
            until(lambda: http.get("/health/live").status_code == 200)
            forged = {"X-Forwarded-For": "192.0.2.7"}
            answer = http.post(
                "/Jim_Test/token?secret=lcs_1", data=GRANT, auth=("Nobody", "lcs_0"), headers=forged
            )
            answers = [http.get("/health/live") for _ in range(30)]
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert answer.headers["www-authenticate"].startswith("Basic ")
        [refused] = [json.loads(it) for it in server.log().splitlines() if '"refused"' in it]
        assert refused["address"] == "127.0.0.1"  # not what the client says of itself
        last = answers[-1]
        assert (last.status_code, last.headers["retry-after"]) == (429, "1")
        assert last.json()["error"] == "temporarily_unavailable"
        assert "lcs_1" not in log.read_text(encoding="utf-8")
