"""A server in the hands of who runs it: starting, stopping, health, logs, changes while it runs, and growth.

Every server is a real process on a real store. Nothing here sleeps: what takes time is asked for again and
again, until it is so or `PATIENCE_S` is over.
"""

import asyncio
import base64
import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import quote_plus, urlsplit

import httpx
import pytest

from licet.cli.run.demo import PASSWORD
from licet.clock import SystemClock
from licet.credentials.keyring import FILE_NAME, KEY_BYTES, Keyring, TokenKey, read_keyring
from licet.credentials.tokens import Tokens
from licet.server.upkeep import SetupFollower
from licet.setup.change import changing
from licet.store.opening import SQLITE_NAME
from licet.store.sqlite.store import SqliteStore
from support.callers import GRANT, TENANT, Caller, in_use, opened, rows, with_secrets
from support.command_line import run
from support.examples import jim_test
from support.journals import WHOLE_JOURNAL
from support.running import PATIENCE_S, RunningServer, children, is_over

WITHIN_S = 5.0  # what has to happen within a second; noise must not fail a test
READ = "SELECT count(*) FROM session WHERE tenant_id = 1"


def until(condition: Callable[[], bool], *, within_s: float = PATIENCE_S) -> None:
    """Look again and again, until it is so."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it has not come about"


def unhurried(data: Path) -> RunningServer:
    """A server that lets everybody fail as often as they like, and logs all that it can."""
    often = 1_000_000
    return RunningServer(
        data, log_level="debug", login_failures_per_client_max=often, login_failures_per_source_max=often
    )


def events(log: str) -> list[dict[str, Any]]:
    """The lines of a log; each is JSON."""
    return [json.loads(line) for line in log.splitlines()]


def sid_of(server: RunningServer, access_token: str) -> bytes:
    """The session of a token."""
    access = Tokens(read_keyring(server.data / FILE_NAME)).read_access(access_token, jim_test())
    assert access is not None
    return access.sid


class TestStopping:
    """SIGTERM and SIGINT: an orderly end."""

    def test_an_idle_server_stops_with_exit_code_0_and_says_so(self, tmp_path: Path) -> None:
        """Open connections that ask for nothing do not keep it; Ctrl-C is as good as SIGTERM."""
        with RunningServer(tmp_path, is_executed=True) as server:
            assert server.ask(f"{TENANT}/token", **GRANT).status_code == 200
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(PATIENCE_S) == 0
            told = [event["event"] for event in events(server.log())]
            assert told == ["started", "stopped"]

    @pytest.mark.anyio
    async def test_a_grant_under_way_is_answered_and_durable(self, tmp_path: Path) -> None:
        """L9: the last batch is committed, though another process held the store when the signal came."""
        with RunningServer(tmp_path, is_executed=True) as server:
            clients = list(with_secrets(server, [f"Machine{n}" for n in range(5)]).values())
            with closing(sqlite3.connect(server.data / SQLITE_NAME)) as other:
                other.execute("BEGIN IMMEDIATE")
                async with opened([server.url] * len(clients)) as callers:
                    for caller, client in zip(callers, clients, strict=True):
                        caller.say(f"{TENANT}/token", client, **GRANT)
                    _has_read_what_was_sent(server)
                    server.process.terminate()
                    until(lambda: _is_closed(server.url))
                    other.rollback()
                    answers = await asyncio.gather(*(caller.hear() for caller in callers))
            assert server.process.wait(PATIENCE_S) == 0
            assert [answer.told for answer in answers] == ["granted"] * len(clients)
            sids = {sid_of(server, answer.content["access_token"]) for answer in answers}
            assert {row[0] for row in rows(server, "SELECT sid FROM session WHERE tenant_id = 1")} == sids
            assert events(server.log())[-1]["event"] == "stopped"

    def test_a_request_whose_body_is_still_to_come_is_answered(self, tmp_path: Path) -> None:
        """Its head is here, so that it is under way."""
        body = b"grant_type=client_credentials&client_id=TestClientId&client_secret=password"
        head = (
            f"POST /{TENANT}/token HTTP/1.1\r\nhost: licet.test\r\nexpect: 100-continue\r\n"
            f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        with RunningServer(tmp_path, is_executed=True) as server:
            parts = urlsplit(server.url)
            with (
                socket.create_connection((parts.hostname, parts.port), PATIENCE_S) as connection,
                connection.makefile("rb") as answer,
            ):
                connection.sendall(head.encode())
                assert answer.readline() == b"HTTP/1.1 100 Continue\r\n"
                server.process.terminate()
                until(lambda: _is_closed(server.url))
                connection.sendall(body)
                answered = answer.read().lower()  # to the end of the connection
            assert answered.removeprefix(b"\r\n").startswith(b"http/1.1 200 ok\r\n")
            assert b"\r\nconnection: close\r\n" in answered
            assert b'"access_token":"lca_' in answered
            assert server.process.wait(PATIENCE_S) == 0

    @pytest.mark.anyio
    async def test_under_load_exactly_what_was_answered_is_kept(self, tmp_path: Path) -> None:
        """L9: whoever got no answer has no session, and nobody was answered in vain."""
        with RunningServer(tmp_path, is_executed=True) as server:
            with server.changing() as change:
                change.tenant(TENANT).set_pool("full", seats=100)
            clients = with_secrets(server, [f"Machine{n}" for n in range(32)], sessions_max=10_000)
            answered: list[str] = []
            enough = asyncio.Event()

            async def ask_for_ever(caller: Caller, client: str) -> None:
                with suppress(OSError, EOFError):
                    while True:
                        answer = await caller.ask(f"{TENANT}/token", client, **GRANT)
                        answered.append(answer.content["access_token"])
                        if len(answered) >= 500:
                            enough.set()

            async with opened([server.url] * len(clients)) as callers, asyncio.timeout(PATIENCE_S):
                asking = [
                    asyncio.create_task(ask_for_ever(caller, client))
                    for caller, client in zip(callers, clients.values(), strict=True)
                ]
                await enough.wait()
                server.process.terminate()
                await asyncio.gather(*asking)
            assert server.process.wait(PATIENCE_S) == 0
            kept = {row[0] for row in rows(server, "SELECT sid FROM session WHERE tenant_id = 1")}
            assert kept == {sid_of(server, token) for token in answered}
            assert in_use(server) == len(clients)
            assert [event["event"] for event in events(server.log())] == ["started", "stopped"]
            server.kill()  # what is left of it
            server.start()
            asked = server.ask(f"{TENANT}/introspect", "Api", token=answered[-1])
            assert asked.json()["active"]


def _has_read_what_was_sent(server: RunningServer) -> None:
    """A later question was answered, so that the earlier ones have been read."""
    for _ in range(2):
        assert server.http.get("/health/live").status_code == 200


def _is_closed(url: str) -> bool:
    """Whether nobody listens there."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), PATIENCE_S).close()
    except ConnectionError:
        return True
    return False


def _command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "licet", *map(str, arguments)]


def _environment(**variables: str) -> dict[str, str]:
    others = {key: value for key, value in os.environ.items() if not key.startswith("LICET_")}
    return others | {"LICET_ADMIN_PORT": "0"} | variables


def _serve(data: Path, *options: str) -> tuple[int, str]:
    """A server that cannot start: its exit code, and what it says."""
    ended = subprocess.run(
        _command("serve", "--data", data, *(options or ("--port", "0"))),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env=_environment(),
    )
    assert not ended.stdout
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr


def _told(data: Path, exit_code: int) -> str:
    """What a server says that does not come as far as to its listener, so that it needs no process."""
    result = run("serve", "--port", "0", "--data", str(data), exit_code=exit_code)
    assert not result.stdout
    return result.stderr


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that is as it should be."""
    run("init", "--tenant", TENANT, "--seats", "5", "--data", str(tmp_path / "data"))
    return tmp_path / "data"


class TestStarting:
    """A server that cannot start says why and what to do, in one exit code a kind."""

    def test_all_mistakes_of_the_settings_are_told_together(
        self, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Exit code 2."""
        (data / "licet.toml").write_text('log_level = "loud"\nprot = 80\n', encoding="utf-8")
        monkeypatch.setenv("LICET_HASH_WORKERS", "none")
        monkeypatch.setenv("LICET_SHUTDOWN_GRACE", "1")
        told = _told(data, exit_code=2)
        for mistake in ("4 mistakes", "log_level", "prot", "LICET_HASH_WORKERS", "LICET_SHUTDOWN_GRACE"):
            assert mistake in told

    def test_a_store_that_is_not_there(self, tmp_path: Path) -> None:
        """Exit code 3; and nothing is made."""
        told = _told(tmp_path / "nowhere", exit_code=3)
        assert f"licet init --data {tmp_path / 'nowhere'}" in told
        assert not (tmp_path / "nowhere").exists()

    def test_a_store_that_is_no_database(self, data: Path) -> None:
        """Exit code 3."""
        for leftover in data.glob(f"{SQLITE_NAME}-*"):
            leftover.unlink()
        (data / SQLITE_NAME).write_bytes(b"not a database, but long enough to be taken for one" * 100)
        code, told = _serve(data)
        assert code == 3
        assert "cannot be opened: " in told
        assert "not a database" in told

    def test_a_store_that_was_cut_off(self, data: Path) -> None:
        """Exit code 3: as a disk that was full leaves it, or a copy that was not finished."""
        content = (data / SQLITE_NAME).read_bytes()
        (data / SQLITE_NAME).write_bytes(content[: len(content) // 2])
        assert "cannot be opened: " in _told(data, exit_code=3)

    def test_a_store_that_is_empty(self, data: Path) -> None:
        """Exit code 3."""
        (data / SQLITE_NAME).write_bytes(b"")
        assert "no tables" in _told(data, exit_code=3)

    def test_a_store_of_another_version(self, data: Path) -> None:
        """Exit code 3, and the verb that mends it."""
        with closing(sqlite3.connect(data / SQLITE_NAME)) as connection:
            connection.execute("UPDATE schema_version SET version_num = '0000'")
            connection.commit()
        assert f"licet migrate --data {data}" in _told(data, exit_code=3)

    @pytest.mark.parametrize(
        ("mode", "content", "advice"),
        [(0o640, None, "chmod 600"), (0o600, b"{}", "damaged"), (None, None, "licet key new")],
    )
    def test_secrets_that_cannot_be_used(
        self, data: Path, mode: int | None, content: bytes | None, advice: str
    ) -> None:
        """Exit code 3: open to others, damaged or missing; what was in them is never shown."""
        file = data / FILE_NAME
        secret = json.loads(file.read_bytes())["pepper"]
        if content is not None:
            file.write_bytes(content)
        if mode is None:
            file.unlink()
        else:
            file.chmod(mode)
        code, told = _serve(data)
        assert code == 3
        assert FILE_NAME in told
        assert advice in told
        assert secret not in told

    def test_a_port_that_somebody_else_has(self, data: Path) -> None:
        """Exit code 2: a second server on the same port as well."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            code, told = _serve(data, "--port", str(port))
        assert code == 2
        assert f"port {port}" in told
        assert "--port" in told

    def test_of_two_servers_that_start_at_once_on_one_port_one_is_refused_clearly(self, data: Path) -> None:
        """Exit code 2: whoever is a moment later."""
        for _ in range(2):
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            rivals = [
                subprocess.Popen(
                    _command("serve", "--data", data, "--port", str(port)),
                    stderr=subprocess.PIPE,
                    text=True,
                    env=_environment(),
                )
                for _ in range(2)
            ]
            try:
                told = [rival.stderr.readline() for rival in rivals if rival.stderr]
                assert sum('"started"' in line for line in told) == 1, told
                winner, loser = sorted(rivals, key=lambda rival: '"started"' not in told[rivals.index(rival)])
                assert loser.wait(PATIENCE_S) == 2
                assert f"port {port}" in told[rivals.index(loser)]
                winner.terminate()
                assert winner.wait(PATIENCE_S) == 0
            finally:
                for rival in rivals:
                    rival.kill()
                    rival.communicate()


class TestDemo:
    """`licet demo` leaves nothing behind."""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_demo_that_is_stopped_leaves_no_directory_behind(
        self, tmp_path: Path, number: signal.Signals
    ) -> None:
        """Whoever ends it."""
        with _demo(tmp_path) as demo:
            assert demo.stdout is not None
            until(partial(_has_welcomed, demo.stdout))
            assert list(tmp_path.iterdir())
            demo.send_signal(number)
            assert demo.wait(PATIENCE_S) == 0
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_demo_that_is_stopped_while_it_starts_leaves_no_directory_behind(
        self, tmp_path: Path, number: signal.Signals
    ) -> None:
        """It hashes passwords then."""
        with _demo(tmp_path) as demo:
            until(lambda: bool(list(tmp_path.glob("*/*"))))
            demo.send_signal(number)
            demo.wait(PATIENCE_S)
        assert not list(tmp_path.iterdir())

    def test_a_second_demo_in_the_same_directory_is_refused_and_leaves_the_first_alone(
        self, tmp_path: Path
    ) -> None:
        """The first one's data is in use; the second one has to have a place of its own."""
        with _demo(tmp_path) as first:
            assert first.stdout is not None
            until(partial(_has_welcomed, first.stdout))
            second = _run_in(tmp_path, "demo", "--port", "0", "--admin-port", "0")
            assert second.returncode == 1
            assert "already; give this one another with --data" in second.stderr
            assert (tmp_path / "licet-demo" / SQLITE_NAME).exists()
            first.terminate()
            assert first.wait(PATIENCE_S) == 0

    def test_what_a_killed_demo_left_is_cleared_away(self, tmp_path: Path) -> None:
        """Its seats and sessions are not those of the next one."""
        with _demo(tmp_path) as killed:
            assert killed.stdout is not None
            until(partial(_has_welcomed, killed.stdout))
            killed.kill()
        left = tmp_path / "licet-demo" / "left"
        left.touch()
        with _demo(tmp_path) as demo:
            assert demo.stdout is not None
            until(partial(_has_welcomed, demo.stdout))
            assert not left.exists()
            demo.terminate()
            assert demo.wait(PATIENCE_S) == 0
        assert not list(tmp_path.iterdir())

    def test_a_directory_that_no_demo_made_is_left_alone(self, tmp_path: Path) -> None:
        """It may be anybody's, whatever its name."""
        kept = tmp_path / "licet-demo" / "letter.txt"
        kept.parent.mkdir()
        kept.write_text("Dear Ann", encoding="utf-8")
        refused = _run_in(tmp_path, "demo", "--port", "0", "--admin-port", "0")
        assert refused.returncode == 1
        assert "no demo made it" in refused.stderr
        assert kept.read_text(encoding="utf-8") == "Dear Ann"


def _run_in(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        _command(*arguments),
        cwd=directory,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def _has_welcomed(stdout: IO[str]) -> bool:
    return "Ctrl-C ends it" in stdout.readline()


def _demo(directory: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        _command("demo", "--port", "0", "--admin-port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=directory,
        env=_environment(PYTHONUNBUFFERED="1"),
    )


def _looks_in_vain(server: RunningServer) -> list[str]:
    """What the log has of looks at the set-up that found no store."""
    return [it["detail"] for it in events(server.log()) if it.get("what") == "look"]


class TestHealth:
    """What a load balancer asks."""

    def test_a_server_is_ready_while_its_store_is_where_it_was(self, tmp_path: Path) -> None:
        """Product 3: 503 without it, and never `invalid_client`; a copy of a store is not the store."""
        with RunningServer(tmp_path) as server:
            file, away = tmp_path / SQLITE_NAME, tmp_path / "away"
            assert (_health(server, "live"), _health(server, "ready")) == (200, 200)
            file.rename(away)
            self._must_be_unavailable(server)
            until(lambda: _health(server, "ready") == 503)
            until(lambda: bool(_looks_in_vain(server)))
            assert _health(server, "live") == 200
            shutil.copy(away, file)
            self._must_be_unavailable(server)
            assert _health(server, "ready") == 503
            away.rename(file)
            until(lambda: _health(server, "ready") == 200)
            assert server.ask(f"{TENANT}/token", **GRANT).status_code == 200
            told = _looks_in_vain(server)
            assert len(told) == len(set(told)) > 0  # once each, not four times a second

    def test_a_server_is_not_ready_while_its_store_takes_nothing_in(self, tmp_path: Path) -> None:
        """A disk that is full: who asks is answered, who commits is not, and a balancer has to know."""
        with RunningServer(tmp_path) as server:
            server.ask(f"{TENANT}/token", **GRANT).raise_for_status()
            # The log may not grow, but a store that only reads needs nothing of it.
            limited = [server.process.pid, *children(server.process.pid)]
            before = [resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, -1)) for pid in limited]
            self._must_be_unavailable(server)
            assert _health(server, "ready") == 503
            assert _health(server, "live") == 200
            for pid, limit in zip(limited, before, strict=True):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
            until(lambda: _health(server, "ready") == 200)
            assert server.ask(f"{TENANT}/token", **GRANT).status_code == 200

    @staticmethod
    def _must_be_unavailable(server: RunningServer) -> None:
        refused = server.ask(f"{TENANT}/token", **GRANT)
        assert (refused.status_code, refused.json()["error"]) == (503, "server_error")
        assert int(refused.headers["retry-after"]) >= 1


def _health(server: RunningServer, which: str) -> int:
    return server.http.get(f"/health/{which}").status_code


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the process by way of /proc")
class TestCommittingProcess:
    """The process that commits: a part of the server, for who starts and stops one."""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    @pytest.mark.anyio
    async def test_a_signal_to_all_processes_of_a_server_lets_nobody_down(
        self, tmp_path: Path, number: signal.Signals
    ) -> None:
        """L9: as a service manager stops it, and Ctrl-C; the process ends last, when all is answered."""
        with RunningServer(tmp_path, is_executed=True, commit_process=True) as server:
            clients = list(with_secrets(server, [f"Machine{n}" for n in range(5)]).values())
            committing = server.committing()
            with closing(sqlite3.connect(server.data / SQLITE_NAME)) as other:
                other.execute("BEGIN IMMEDIATE")
                async with opened([server.url] * len(clients)) as callers:
                    for caller, client in zip(callers, clients, strict=True):
                        caller.say(f"{TENANT}/token", client, **GRANT)
                    _has_read_what_was_sent(server)
                    os.kill(committing, number)
                    server.process.send_signal(number)
                    os.kill(committing, number)
                    until(lambda: _is_closed(server.url))
                    other.rollback()
                    answers = await asyncio.gather(*(caller.hear() for caller in callers))
            assert server.process.wait(PATIENCE_S) == 0
            assert [answer.told for answer in answers] == ["granted"] * len(clients)
            sids = {sid_of(server, answer.content["access_token"]) for answer in answers}
            assert {row[0] for row in rows(server, "SELECT sid FROM session WHERE tenant_id = 1")} == sids
            assert is_over(committing)
            assert [event["event"] for event in events(server.log())] == ["started", "stopped"]

    @pytest.mark.anyio
    async def test_a_server_that_is_killed_leaves_nobody_behind(self, tmp_path: Path) -> None:
        """Neither when nothing is to do nor in the middle of a batch, and the next server has the store."""
        with RunningServer(tmp_path, is_executed=True, commit_process=True) as server:
            (client,) = with_secrets(server, ["Machine"]).values()
            committing = server.committing()
            server.kill()
            until(lambda: is_over(committing))
            server.start()
            assert server.ask(f"{TENANT}/token", **GRANT).status_code == 200
            committing = server.committing()
            with closing(sqlite3.connect(server.data / SQLITE_NAME)) as other:
                other.execute("BEGIN IMMEDIATE")
                async with opened([server.url]) as (caller,):
                    caller.say(f"{TENANT}/token", client, **GRANT)
                    _has_read_what_was_sent(server)
                    server.kill()
                other.rollback()
                until(lambda: is_over(committing))
            server.start()
            assert server.ask(f"{TENANT}/token", **GRANT).status_code == 200

    def test_a_server_whose_process_dies_is_ready_again_by_itself_as_soon_as_its_store_is(
        self, tmp_path: Path
    ) -> None:
        """Product 3: 503 meanwhile. The store went away as well, so that the new process finds none."""
        with RunningServer(tmp_path, is_executed=True, commit_process=True) as server:
            committing = server.committing()
            (tmp_path / SQLITE_NAME).rename(tmp_path / "away")
            os.kill(committing, signal.SIGKILL)
            until(lambda: server.committing() != committing)
            until(lambda: _health(server, "ready") == 503)
            refused = server.ask(f"{TENANT}/token", **GRANT)
            assert (refused.status_code, refused.json()["error"]) == (503, "server_error")
            assert int(refused.headers["retry-after"]) >= 1
            (tmp_path / "away").rename(tmp_path / SQLITE_NAME)
            until(lambda: _health(server, "ready") == 200)
            assert server.ask(f"{TENANT}/token", **GRANT).status_code == 200
            told = [it["detail"] for it in events(server.log()) if it["event"] == "committing_process_ended"]
            assert told == ["exit code -9"]

    def test_it_has_nothing_of_the_servers_but_its_end_and_the_log(self, tmp_path: Path) -> None:
        """A listening socket would be taken for a server's, and a pipe that stays open for one that runs."""
        with RunningServer(tmp_path, is_executed=True, commit_process=True) as server:
            assert server.ask(f"{TENANT}/token", **GRANT).status_code == 200
            committing = server.committing()
            mine, theirs = _opened_by(committing), _opened_by(server.process.pid)
            assert {it for it in mine & theirs if it.startswith(("socket:", "pipe:"))} == set()
            assert len([it for it in mine if it.startswith("socket:")]) == 1
            assert Path(f"/proc/{committing}/fd/1").readlink() == Path(os.devnull)
            assert os.getsid(committing) == committing  # Ctrl-C at a terminal is for the server alone

    def test_a_server_that_commits_in_a_thread_starts_no_process(self, tmp_path: Path) -> None:
        """`commit_process = false`."""
        with RunningServer(tmp_path, is_executed=True, commit_process=False) as server:
            assert server.ask(f"{TENANT}/token", **GRANT).status_code == 200
            assert children(server.process.pid) == []

    @pytest.mark.anyio
    async def test_who_proves_a_client_looks_again_when_the_process_decides_on_a_later_set_up(
        self, data: Path
    ) -> None:
        """A change counts for both at once, and is looked for once."""
        with (
            closing(SqliteStore(data / SQLITE_NAME, SystemClock())) as store,
            closing(SqliteStore(data / SQLITE_NAME, SystemClock())) as other,
        ):
            follower, before = SetupFollower(store), store.setup_version
            with changing(other, "a test") as change:
                change.tenant(TENANT).add_user("N1")
            other.refresh_tenants()
            looks = []
            for version in (before, other.setup_version, other.setup_version):
                follower.follow(version)
                looks.append(follower.refreshing)
            assert looks[0] is None
            assert looks[1] is looks[2]
            assert looks[2] is not None
            await looks[2]
            assert store.setup_version == other.setup_version > before


def _opened_by(pid: int) -> set[str]:
    """What a process has open."""
    return {str(it.readlink()) for it in Path(f"/proc/{pid}/fd").iterdir()}


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


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that the tests of the command line share; each brings its own clients."""
    with unhurried(tmp_path_factory.mktemp("operated")) as running:
        yield running


class Desk:
    """The command line at work on the data of a server that runs."""

    def __init__(self, server: RunningServer) -> None:
        self._data = str(server.data)

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a verb about the tenant; what it prints."""
        return run(*arguments, "--tenant", TENANT, "--data", self._data, stdin=stdin).stdout

    def run_on_keys(self, *arguments: str) -> str:
        """Run a verb about the keys; what it prints."""
        return run("key", *arguments, "--data", self._data).stdout


@pytest.fixture
def desk(operated: RunningServer) -> Desk:
    """The command line."""
    return Desk(operated)


class TestChangesWhileItRuns:
    """What the command line changes counts for a server that runs, within a second."""

    def test_a_new_client_is_let_in(self, operated: RunningServer, desk: Desk) -> None:
        """Its user and its secret are new as well."""
        desk.run("user", "add", "N1", "--password-stdin", stdin="a-new-password\n")
        desk.run("client", "add", "Newcomer", "--user", "N1")
        secret = desk.run("client", "secret", "add", "Newcomer").strip()
        for proof in (secret, "a-new-password"):
            until(partial(_is_let_in, operated, "Newcomer", proof), within_s=WITHIN_S)

    def test_a_changed_password_replaces_the_old_one(self, operated: RunningServer, desk: Desk) -> None:
        """Also where the old one is remembered; sessions go on."""
        assert _is_let_in(operated, "Client1", PASSWORD)
        before = operated.ask(f"{TENANT}/token", "Client1", PASSWORD, **GRANT, scope="view").json()
        desk.run("user", "password", "C1", "--password-stdin", stdin="another-password\n")
        until(lambda: _introspects(operated, "Client1", PASSWORD) == 401, within_s=WITHIN_S)
        assert _is_let_in(operated, "Client1", "another-password")
        assert _is_active(operated, before["access_token"])

    def test_a_client_that_is_disabled_is_shut_out_and_its_tokens_end_at_once(
        self, operated: RunningServer, desk: Desk
    ) -> None:
        """L4: not within a second, but when the command has done its work."""
        (client,) = with_secrets(operated, ["Disabled"]).values()
        header = {"Authorization": client}
        granted = operated.http.post(f"/{TENANT}/token", data=GRANT, headers=header).json()
        assert in_use(operated) == 1
        desk.run("client", "disable", "Disabled", "--yes")
        assert not _is_active(operated, granted["access_token"])
        assert in_use(operated) == 0
        refused = operated.http.post(f"/{TENANT}/token", data=GRANT, headers=header)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        desk.run("client", "enable", "Disabled")
        until(
            lambda: operated.http.post(f"/{TENANT}/token", data=VIEW, headers=header).status_code == 200,
            within_s=WITHIN_S,
        )
        assert not _is_active(operated, granted["access_token"])

    def test_a_session_that_is_ended_is_over_at_once(self, operated: RunningServer, desk: Desk) -> None:
        """L4."""
        granted = operated.ask(f"{TENANT}/token", "Client2", PASSWORD, **VIEW).json()
        desk.run("session", "end", "--client", "Client2", "--yes")
        assert not _is_active(operated, granted["access_token"])

    def test_seats_that_are_lowered_or_raised_count_for_the_next_grant(
        self, operated: RunningServer, desk: Desk
    ) -> None:
        """L6: sessions stay, no new seat is given until it fits, and the overuse is shown."""
        clients = with_secrets(operated, [f"Seated{n}" for n in range(4)])
        grants = [partial(_grant_of, operated, client) for client in clients.values()]
        try:
            tokens = [grant().json() for grant in grants[:3]]
            desk.run("pool", "set", "full", "--seats", "2")
            assert all(_is_active(operated, token["access_token"]) for token in tokens)
            refused = grants[3]().json()
            assert (refused["reason"], refused["seats"], refused["in_use"]) == ("all_in_use", 2, 3)
            shown = json.loads(desk.run("seats", "--json"))
            assert (shown["pools"][0]["in_use"], shown["pools"][0]["overuse"]) == (3, 1)
            desk.run("pool", "set", "full", "--seats", "4")
            assert grants[3]().status_code == 200
        finally:
            desk.run("session", "end", "--all", "--yes")
            desk.run("pool", "set", "full", "--seats", "5")

    def test_a_new_key_signs_and_an_old_one_is_accepted_until_it_is_pruned(
        self, operated: RunningServer, desk: Desk
    ) -> None:
        """3.4: sign with the newest, accept the older."""
        old = operated.ask(f"{TENANT}/token", "Client3", PASSWORD, **VIEW).json()
        desk.run_on_keys("rotate")
        newest = _of_the_newest(operated)
        until(
            lambda: newest.read_access(_view(operated)["access_token"], jim_test()) is not None,
            within_s=WITHIN_S,
        )
        assert newest.read_access(old["access_token"], jim_test()) is None
        assert _is_active(operated, old["access_token"])
        renewed = operated.ask(f"{TENANT}/token", "Client3", PASSWORD, **_refresh(old)).json()
        assert newest.read_refresh(renewed["refresh_token"], 1) is not None
        desk.run_on_keys("prune", "--yes")
        until(lambda: not _is_active(operated, old["access_token"]), within_s=WITHIN_S)
        refused = operated.ask(f"{TENANT}/token", "Client3", PASSWORD, **_refresh(old)).json()
        assert refused["error"] == "invalid_grant"
        logoff = operated.http.post(
            f"/{TENANT}/logoff", headers={"Authorization": f"Bearer {old['access_token']}"}
        )
        assert (logoff.status_code, logoff.json()["error"]) == (401, "invalid_token")
        # The session is the same and lives on: only what the old key signed is worth nothing.
        assert _is_active(operated, renewed["access_token"])
        assert operated.ask(f"{TENANT}/token", "Client3", PASSWORD, **_refresh(renewed)).status_code == 200

    def test_keys_that_are_damaged_while_it_runs_change_nothing_until_they_are_mended(
        self, operated: RunningServer, desk: Desk
    ) -> None:
        """A fault is logged once, and the server goes on."""
        file = operated.data / FILE_NAME
        kept = file.read_bytes()
        before = _view(operated)
        faults = operated.log().count("is damaged")
        file.write_bytes(b"{")
        until(lambda: operated.log().count("is damaged") > faults, within_s=WITHIN_S)
        assert _is_active(operated, before["access_token"])
        assert _is_active(operated, _view(operated)["access_token"])
        file.write_bytes(kept)
        desk.run_on_keys("rotate")
        newest = _of_the_newest(operated)
        until(
            lambda: newest.read_access(_view(operated)["access_token"], jim_test()) is not None,
            within_s=WITHIN_S,
        )
        assert operated.log().count("is damaged") == faults + 1


VIEW = {**GRANT, "scope": "view"}


def _view(server: RunningServer) -> dict[str, Any]:
    granted: dict[str, Any] = server.ask(f"{TENANT}/token", "Client4", PASSWORD, **VIEW).json()
    return granted


def _grant_of(server: RunningServer, authorization: str) -> httpx.Response:
    return server.http.post(f"/{TENANT}/token", data=GRANT, headers={"Authorization": authorization})


def _refresh(granted: dict[str, Any]) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]}


def _is_let_in(server: RunningServer, client_id: str, secret: str) -> bool:
    return server.ask(f"{TENANT}/token", client_id, secret, **VIEW).status_code == 200


def _introspects(server: RunningServer, client_id: str, secret: str) -> int:
    """400 for one that may not, 401 for one that cannot authenticate; it makes the server commit nothing."""
    return server.ask(f"{TENANT}/introspect", client_id, secret, token="lca_0").status_code


def _is_active(server: RunningServer, token: str) -> bool:
    return bool(server.ask(f"{TENANT}/introspect", "Api", token=token).json()["active"])


def _of_the_newest(server: RunningServer) -> Tokens:
    """What reads only tokens that the newest key signed."""
    newest: TokenKey = read_keyring(server.data / FILE_NAME).newest
    return Tokens(Keyring(token_keys=(newest,), pepper=bytes(KEY_BYTES)))


class TestGrowth:
    """The tables follow what is alive, never the number of tokens issued."""

    @pytest.mark.wide
    def test_what_has_expired_is_swept_off_the_tables(self, tmp_path: Path) -> None:
        """L4: nobody waits for it, but it happens."""
        with RunningServer(tmp_path, manual_clock=True) as server:
            for client_id in ("TestClientId", "Client1", "Client2"):
                assert server.ask(f"{TENANT}/token", client_id, PASSWORD, **GRANT).status_code == 200
            assert server.ask(f"{TENANT}/token", "Client3", PASSWORD, **VIEW).status_code == 200
            assert rows(server, READ) == [(4,)]
            server.advance(seconds=1200)
            until(lambda: server.http.get("/health/live").is_success and rows(server, READ) == [(0,)])
            assert in_use(server) == 0
            expired = f"SELECT sum(times) FROM {WHOLE_JOURNAL} WHERE reason = 'expired'"  # noqa: S608
            assert rows(server, expired) == [(4,)]

    @pytest.mark.anyio
    @pytest.mark.wide
    async def test_ten_thousand_grants_leave_as_few_rows_as_a_handful(self, tmp_path: Path) -> None:
        """L8, L11: the sessions are bounded by clients, the journal by clients and minutes."""
        began = time.time()
        with RunningServer(tmp_path) as server:
            clients = list(with_secrets(server, [f"Machine{n}" for n in range(4)], sessions_max=5).values())
            async with opened([server.url] * 20) as callers:
                told = await asyncio.gather(
                    *(_grant_often(caller, clients[n % 4]) for n, caller in enumerate(callers))
                )
            assert sum(told, Counter()) == {"granted": 10_000}
            assert rows(server, READ) == [(4 * 5,)]
            assert in_use(server) == 4
            until(lambda: rows(server, "SELECT count(*) FROM journal_entry") == [(0,)])
            counts = rows(
                server, "SELECT count(*), kind, sum(times) FROM journal WHERE tenant_id = 1 GROUP BY kind"
            )
            assert {kind: times for _, kind, times in counts} == {"granted": 10_000, "ended": 10_000 - 20}
            uses = rows(server, "SELECT count(*) FROM usage_minute WHERE tenant_id = 1")
            minutes = int(time.time() // 60 - began // 60) + 1
            assert sum(count for count, _, _ in counts) <= minutes * 4 * 2
            assert uses[0][0] <= minutes

    @pytest.mark.anyio
    async def test_a_client_in_a_retry_loop_is_one_row_a_minute(self, tmp_path: Path) -> None:
        """L11: denials are folded."""
        with RunningServer(tmp_path) as server:
            with server.changing() as change:
                change.tenant(TENANT).set_pool("full", seats=1)
            holder, other = with_secrets(server, ["Holder", "Retrying"]).values()
            began = time.time()
            async with opened([server.url] * 4) as callers:
                assert (await callers[0].ask(f"{TENANT}/token", holder, **GRANT)).told == "granted"
                told = await asyncio.gather(*(_grant_often(caller, other) for caller in callers))
            minutes = int(time.time() // 60 - began // 60) + 1
            assert sum(told, Counter()) == {"all_in_use": 2000}
            denied = rows(server, "SELECT count(*), sum(times) FROM journal WHERE kind = 'denied'")
            assert denied[0][0] <= minutes
            assert denied[0][1] == 2000


async def _grant_often(caller: Caller, client: str) -> "Counter[str]":
    """Five hundred grants, fifty of them under way at a time."""
    told: Counter[str] = Counter()
    for _ in range(10):
        for _ in range(50):
            caller.say(f"{TENANT}/token", client, **GRANT)
        for _ in range(50):
            told[(await caller.hear()).told] += 1
    return told
