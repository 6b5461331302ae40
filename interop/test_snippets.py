"""The programs of the pages "write a client", run as they are against a Licet and an API behind a guard.

Each is built and run as its language does it. One whose tools are missing fails, with
`PASS_OVER=1` is skipped.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread, Timer
from typing import Any, Self

import pytest

from interop.installing import Missing, filled_in, installed, may_be_passed_over
from interop.manifest import Manifest
from interop.recorder import Recorder
from licet.credentials.passwords import Passwords
from licet.guard import Guard, Refused
from licet.model import GrantType
from licet.setup.change import end_sessions

sys.path.append(str(Path(__file__).parent.parent / "tests"))  # the tests' own server, with its clock
from support.server.running import RunningServer

SNIPPETS = Path(__file__).parent / "snippets"
SECRET = "a secret"
NO_REFRESH = "may-not-refresh"
SPECIAL_ID = "+ %41&=é"
SPECIAL_SECRET = '+ %41:&=é"\\$x'
PATIENCE_S = 60.0
PROXY = "/proxy"  # behind it there is nothing
GRANTED, REFRESHED = ("client_credentials", 200), ("refresh_token", 200)
_NUMBERS = count(1)
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # in the background; what is started would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)
pytestmark = pytest.mark.timeout(900)  # a cold build fetches what it needs


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """A program of the pages, and how it is built and run where it is."""

    file: str
    needs: tuple[str, ...] = ()  # programs
    install: tuple[str, ...] = ()  # packages of Debian that have them
    build: tuple[tuple[str, ...], ...] = ()
    run: tuple[str, ...]
    logs_off_at: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)
    waits_in_vain: bool = False  # to the end of its patience, though the server said that this is no use

    @property
    def manifest(self) -> Manifest:
        """The same, for who installs it."""
        return Manifest(
            name=self.file,
            folder=(SNIPPETS / self.file).parent,
            language="",
            library="",
            needs=self.needs,
            install=self.install,
            build=self.build,
            run=self.run,
            expect={},
        )


def _csharp(name: str) -> Snippet:
    program = f"build/{name}.exe"
    references = ("-r:System.Net.Http.dll", "-r:System.Runtime.Serialization.dll", "-r:System.Web.dll")
    return Snippet(
        file=f"csharp/{name}.cs",
        needs=("mcs", "mono"),
        install=(
            "mono-mcs",
            "mono-runtime",
            "libmono-system-net-http4.0-cil",
            "libmono-system-runtime-serialization4.0-cil",
            "libmono-system-web4.0-cil",
        ),
        build=(
            ("mkdir", "-p", "build"),
            ("mcs", "-warnaserror", f"-out:{program}", *references, f"{name}.cs"),
        ),
        run=("mono", program),
        logs_off_at=(),  # Mono raises no CancelKeyPress here
    )


def _java(name: str) -> Snippet:
    lib = (
        "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies",
        "-DoutputDirectory=target/lib",
    )
    return Snippet(
        file=f"java/{name}/Jobs.java",
        needs=("javac", "java", "mvn"),
        build=(
            ("mvn", "--batch-mode", "--quiet", *lib),
            ("javac", "-Xlint:all,-serial", "-Werror", "-d", "target", "-cp", "target/lib/*", "Jobs.java"),
        ),
        run=("java", "-cp", "target:target/lib/*", "Jobs"),
    )


ALL = (
    _csharp("HttpClientExample"),
    _csharp("WebRequestExample"),
    Snippet(file="python/with_licet.py", run=(sys.executable, "with_licet.py"), waits_in_vain=True),
    Snippet(file="python/with_requests.py", run=("{python}", "with_requests.py")),
    Snippet(file="python/with_authlib.py", run=("{python}", "with_authlib.py")),
    Snippet(file="javascript/jobs.mjs", needs=("node",), run=("node", "jobs.mjs")),
    Snippet(
        file="go/main.go",
        needs=("go",),
        build=(("go", "vet", "."), ("go", "build", "-o", "build/jobs", ".")),
        run=("build/jobs",),
    ),
    _java("plain"),
    _java("spring"),
    Snippet(file="php/jobs.php", needs=("php",), install=("php-cli", "php-curl"), run=("php", "jobs.php")),
    Snippet(file="bash/jobs.sh", needs=("curl", "jq"), install=("curl", "jq"), run=("bash", "jobs.sh")),
)


class Api:
    """Jobs that may be added with a live token that may write; the tokens it was sent are kept."""

    def __init__(self) -> None:
        self.guards: dict[str, Guard] = {}
        self.tokens: list[str] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"] or 0)
                if self.path.startswith(PROXY):
                    self.rfile.read(length)
                    self.send_error(502)
                    return
                title = json.loads(self.rfile.read(length))["title"]
                status, content = api.answer(self.path.strip("/"), self.headers["Authorization"], title)
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def answer(self, tenant: str, authorization: str | None, title: str) -> tuple[int, dict[str, Any]]:
        """Add a job."""
        try:
            who = self.guards[tenant].check("POST", authorization)
        except Refused as refused:
            return refused.status, {"error": refused.error}
        self.tokens.append((authorization or "").removeprefix("Bearer "))
        return 201, {"title": title, "client": who.client, "session": who.session}

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        for guard in self.guards.values():
            guard.close()


class Site:
    """A Licet whose clock the tests move, what sees how it is asked, and the API."""

    def __init__(self, server: RunningServer, recorder: Recorder, api: Api) -> None:
        self.server = server
        self.recorder = recorder
        self.api = api
        self._hashes = {it: Passwords().hash(it) for it in (SECRET, SPECIAL_SECRET)}

    def tenant(self, status: int = 400, seats: int = 1, access_ttl_s: int = 600) -> "Tenant":
        """A tenant for one test."""
        name = f"Tenant{next(_NUMBERS)}"
        with self.server.changing() as change:
            tenant = change.add_tenant(name, seats=seats, no_seat_status=status, access_ttl_s=access_ttl_s)
            for number, client in enumerate(("jobs", "other", "api", NO_REFRESH, SPECIAL_ID)):
                hashed = self._hashes[SPECIAL_SECRET if client == SPECIAL_ID else SECRET]
                tenant.add_user(f"U{number}", password_hash=hashed)
                tenant.add_client(client, user=f"U{number}", introspects=client == "api")
            tenant.set_client(NO_REFRESH, grant_types=frozenset({GrantType.CLIENT_CREDENTIALS}))
        url = f"{self.server.url}/{name}"
        self.api.guards[name] = Guard(url, "api", SECRET, cache=timedelta(0))
        return Tenant(self, name)


class Tenant:
    """A tenant of the site."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.name = name
        self.url = f"{site.recorder.url}/{name}"
        self.api_url = f"{site.api.url}/{name}"

    def grant(self) -> dict[str, Any]:
        """Another client takes the seat."""
        answer = self.site.server.ask(f"{self.name}/token", "other", SECRET, grant_type="client_credentials")
        granted: dict[str, Any] = answer.raise_for_status().json()
        return granted

    def is_full(self) -> bool:
        """Whether the seat is taken: nobody has it in the end who asks."""
        answer = self.site.server.ask(f"{self.name}/token", "other", SECRET, grant_type="client_credentials")
        if answer.is_success:
            headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
            self.site.server.http.post(f"/{self.name}/logoff", headers=headers).raise_for_status()
        return not answer.is_success

    def end(self, session: str) -> None:
        """An administrator ends a session."""
        with self.site.server.store() as store:
            end_sessions(store, "a test", self.name, [bytes.fromhex(session)])

    def asked(self) -> list[tuple[str | None, int]]:
        """For what grants it was asked, and how it answered."""
        return [(it.grant_type, it.status) for it in self.site.recorder.since(0, f"/{self.name}/token")]


class Program:
    """A snippet that runs."""

    def __init__(self, snippet: Snippet, tenant: Tenant, client_id: str, secret: str) -> None:
        kept = {it: os.environ[it] for it in ("PATH", "HOME", "TMPDIR", "PYTHONPATH") if it in os.environ}
        variables = {"TENANT_URL": tenant.url, "API_URL": tenant.api_url, "CLIENT_ID": client_id}
        self._process = subprocess.Popen(
            filled_in(snippet.run),
            cwd=snippet.manifest.folder,
            env={**kept, "LANG": "C.UTF-8", **variables, "CLIENT_SECRET": secret},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def begin(self, title: str) -> None:
        """Have it add a job."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{title}\n")
        self._process.stdin.flush()

    def added(self) -> dict[str, Any]:
        """What the API answered it."""
        assert self._process.stdout is not None
        watch = Timer(PATIENCE_S, self._process.kill)
        watch.start()
        line = self._process.stdout.readline()
        watch.cancel()
        status, _, body = line.partition(" ")
        assert status == "201", line or self.ended()
        job: dict[str, Any] = json.loads(body)
        return job

    def add(self, title: str) -> dict[str, Any]:
        """Have it add a job, and wait for it."""
        self.begin(title)
        return self.added()

    def signal(self, number: signal.Signals) -> None:
        """What a terminal or an administrator sends: to all of its processes, as a terminal does."""
        os.killpg(self._process.pid, number)

    def ended(self) -> tuple[int, str]:
        """Its exit code, and what it said on standard error, when there are no more lines."""
        _, said = self._process.communicate(timeout=PATIENCE_S)
        # Whole, so that a crash of the runtime itself is recognized by its text (`conftest.py`).
        assert self._process.returncode != -signal.SIGABRT, said
        return self._process.returncode, said


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all."""
    data = tmp_path_factory.mktemp("licet")
    limits: dict[str, Any] = {
        "login_failures_per_client_max": 100_000,
        "login_failures_per_source_max": 100_000,
    }
    api = Api()
    with RunningServer(data, manual_clock=True, **limits) as server, Recorder() as recorder:
        recorder.serve(server.url, ("", ""))
        yield Site(server, recorder, api)
    api.close()


@pytest.fixture(scope="session", params=ALL, ids=lambda it: it.file)
def snippet(request: pytest.FixtureRequest) -> Snippet:
    """One of them, built."""
    made: Snippet = request.param
    try:
        installed(made.manifest)
    except Missing as why:
        if not may_be_passed_over():
            raise
        pytest.skip(f"{made.file}: {why}")
    return made


@contextmanager
def running(
    snippet: Snippet, tenant: Tenant, client_id: str = "jobs", secret: str = SECRET
) -> Iterator[Program]:
    """A snippet at a tenant."""
    with Program(snippet, tenant, client_id, secret) as program:
        yield program


class TestWork:
    """While all is well."""

    def test_one_session_does_all_and_its_end_frees_the_seat(self, snippet: Snippet, site: Site) -> None:
        """Rules 1 to 3: one token for all calls, one session, one logoff."""
        tenant = site.tenant()
        before = len(site.api.tokens)
        with running(snippet, tenant) as program:
            jobs = [program.add(title) for title in ("Mow the lawn", '"Äpfel" & \\', "3")]
            assert [it["title"] for it in jobs] == ["Mow the lawn", '"Äpfel" & \\', "3"]
            assert len({it["session"] for it in jobs}) == len(set(site.api.tokens[before:])) == 1
            assert tenant.asked() == [GRANTED]
            assert tenant.is_full()
            assert program.ended() == (0, "")
        assert not tenant.is_full()

    def test_id_and_secret_may_have_any_characters(self, snippet: Snippet, site: Site) -> None:
        """RFC 6749 2.3.1 and appendix B."""
        with running(snippet, site.tenant(), SPECIAL_ID, SPECIAL_SECRET) as program:
            assert program.add("one")["client"] == SPECIAL_ID
            assert program.ended() == (0, "")

    def test_a_token_that_has_expired_is_refreshed(self, snippet: Snippet, site: Site) -> None:
        """RFC 6749 6: the session, and so the seat, stays the same one."""
        tenant = site.tenant()
        with running(snippet, tenant) as program:
            first = program.add("one")["session"]
            site.server.advance(seconds=601)
            assert program.add("two")["session"] == first
            assert site.api.tokens[-1] != site.api.tokens[-2]
            assert tenant.asked() == [GRANTED, REFRESHED]
            site.server.advance(seconds=601)  # so that the access token is of no use at the logoff
            assert program.ended() == (0, "")
        assert not tenant.is_full()

    def test_a_client_that_may_not_refresh_logs_off_as_well(self, snippet: Snippet, site: Site) -> None:
        """There is no refresh token then: by the access token."""
        tenant = site.tenant()
        with running(snippet, tenant, NO_REFRESH) as program:
            program.add("one")
            assert tenant.is_full()
            assert program.ended() == (0, "")
        assert not tenant.is_full()

    def test_after_a_session_that_was_ended_another_begins(self, snippet: Snippet, site: Site) -> None:
        """`invalid_grant`: the refresh token is forgotten."""
        tenant = site.tenant()
        with running(snippet, tenant) as program:
            first = program.add("one")["session"]
            tenant.end(first)
            assert program.add("two")["session"] != first
            assert tenant.asked() == [GRANTED, ("refresh_token", 400), GRANTED]
            assert program.ended() == (0, "")
        assert not tenant.is_full()

    def test_a_token_is_renewed_before_it_expires(self, snippet: Snippet, site: Site) -> None:
        """Rule 1: by the program's own clock; the server's stands still, so that no token expires there."""
        tenant = site.tenant(access_ttl_s=1)
        with running(snippet, tenant) as program:
            sessions = {program.add("one")["session"]}
            deadline_s = time.monotonic() + PATIENCE_S
            while tenant.asked() == [GRANTED]:
                assert time.monotonic() < deadline_s
                sessions.add(program.add("another")["session"])
            assert len(sessions) == 1
            assert set(tenant.asked()[1:]) == {REFRESHED}
            assert program.ended() == (0, "")

    def test_it_logs_off_when_it_is_stopped(self, snippet: Snippet, site: Site) -> None:
        """Ctrl-C, and what systemd sends."""
        for number in snippet.logs_off_at:
            tenant = site.tenant()
            with running(snippet, tenant) as program:
                program.add("one")
                program.signal(number)
                program.ended()
            assert not tenant.is_full(), number.name


def test_curl_is_given_no_secret_as_an_argument(site: Site, tmp_path: Path, monkeypatch: Any) -> None:
    """Arguments can be seen by everybody on the machine; here by a curl that keeps them."""
    shell = next(it for it in ALL if it.file == "bash/jobs.sh")
    before, kept = shutil.which("curl"), tmp_path / "arguments"
    curl = tmp_path / "curl"
    curl.write_text(f'#!/bin/sh\necho "$@" >> {kept}\nexec {before} "$@"\n', encoding="ascii")
    curl.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with running(shell, site.tenant()) as program:
        program.add("one")
        assert program.ended() == (0, "")
    text = kept.read_text(encoding="utf-8")
    assert "/logoff" in text
    assert SECRET not in text
    assert "lca_" not in text
    assert "lcr_" not in text


class TestRefusals:
    """When there is no token."""

    @pytest.mark.parametrize("status", [400, 429, 503])
    def test_it_waits_for_a_seat_that_is_free_soon(self, snippet: Snippet, site: Site, status: int) -> None:
        """Rule 4: Retry-After is heeded, whatever the status."""
        tenant = site.tenant(status)
        tenant.grant()
        site.server.advance(seconds=1199)
        with running(snippet, tenant) as program:
            program.begin("one")
            deadline_s = time.monotonic() + PATIENCE_S
            while not tenant.asked():
                assert time.monotonic() < deadline_s
            site.server.advance(seconds=1)
            assert program.added()["title"] == "one"
            assert tenant.asked() == [("client_credentials", status), GRANTED]
            assert program.ended() == (0, "")

    @pytest.mark.parametrize("status", [400, 429, 503])
    def test_it_says_that_no_seat_is_free_for_long(self, snippet: Snippet, site: Site, status: int) -> None:
        """Twenty minutes are more than it has patience for."""
        if snippet.waits_in_vain:
            pytest.skip("it waits")
        tenant = site.tenant(status)
        tenant.grant()
        assert "all_in_use" in printed_by(snippet, tenant)

    @pytest.mark.parametrize("status", [400, 429, 503])
    def test_it_says_at_once_that_there_are_no_seats(self, snippet: Snippet, site: Site, status: int) -> None:
        """Without Retry-After there is nothing to wait for."""
        printed = printed_by(snippet, site.tenant(status, seats=0))
        assert "no_seats" in printed or "This licence has no seats." in printed, printed

    def test_it_says_that_its_secret_is_wrong(self, snippet: Snippet, site: Site) -> None:
        """And asks once only: a second try counts as another failure."""
        tenant = site.tenant()
        with running(snippet, tenant, "jobs", "another secret") as program:
            program.begin("one")
            exit_code, said = program.ended()
        assert exit_code == 1
        assert "invalid_client" in said, said
        assert "another secret" not in said
        assert tenant.asked() == [("client_credentials", 401)]

    def test_it_says_what_something_else_than_licet_answers(self, snippet: Snippet, site: Site) -> None:
        """A proxy whose Licet is away: no JSON, and no OAuth."""
        tenant = site.tenant()
        tenant.url = f"{site.api.url}{PROXY}/{tenant.name}"
        assert "502" in printed_by(snippet, tenant)


def printed_by(snippet: Snippet, tenant: Tenant) -> str:
    """What it says when it ends for want of a token; it keeps its secret to itself."""
    with running(snippet, tenant) as program:
        program.begin("one")
        exit_code, said = program.ended()
    assert exit_code == 1
    assert SECRET not in said
    return said
