"""A server that cannot start says why and what to do, and a demo leaves nothing behind."""

import json
import shutil
import signal
import socket
import sqlite3
import subprocess
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO

import pytest

from licet.credentials.keyring import FILE_NAME
from licet.store.opening import SQLITE_NAME
from support.cli.command_line import run
from support.many import few
from support.once.made_once import copied_from
from support.ports import free_port
from support.server.callers import TENANT
from support.server.nursery import Program, ran
from support.server.operating import command, environment
from support.server.running import PATIENCE_S
from support.waiting import until


def _serve(data: Path, *options: str) -> tuple[int, str]:
    """A server that cannot start: its exit code, and what it says."""
    serve = command("serve", "--data", data, *(options or ("--port", "0")))
    ended = ran(serve, PATIENCE_S, env=environment())
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
    return Path(shutil.copytree(copied_from("begun", _begin) / "data", tmp_path / "data"))


def _begin(directory: Path) -> None:
    run("init", "--tenant", TENANT, "--seats", "5", "--data", str(directory / "data"))


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
            port = free_port()
            rivals = [
                Program(
                    command("serve", "--data", data, "--port", str(port)),
                    stderr=subprocess.PIPE,
                    text=True,
                    env=environment(),
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


def test_a_server_that_is_to_commit_by_itself_has_no_process_beside_it(data: Path) -> None:
    """The one that had begun before the settings were read is gone when the server listens."""
    serving = Program(
        command("serve", "--data", data, "--port", "0", "--admin-port", "0"),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(LICET_COMMIT_PROCESS="false"),
    )
    try:
        assert serving.stderr is not None
        assert '"started"' in serving.stderr.readline()
        children = Path(f"/proc/{serving.pid}/task/{serving.pid}/children").read_text(encoding="ascii")
        assert not children
        serving.terminate()
        assert serving.wait(PATIENCE_S) == 0
    finally:
        serving.kill()
        serving.communicate()


class TestDemo:
    """`licet demo` leaves nothing behind."""

    @pytest.mark.parametrize("number", few([signal.SIGTERM, signal.SIGINT], 1))
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
            until(lambda: bool(list(tmp_path.glob(f"*/{FILE_NAME}"))))
            demo.send_signal(number)
            demo.wait(PATIENCE_S)
        assert not list(tmp_path.iterdir())

    @pytest.mark.wide
    def test_a_demo_with_history_says_which_pools_it_has(self, tmp_path: Path) -> None:
        """The lines to paste are of the same clients."""
        with _demo(tmp_path, "--with-history") as demo:
            assert demo.stdout is not None
            told = ""
            while "Ctrl-C ends it" not in (line := demo.stdout.readline()):
                assert line, told
                told += line
            assert told.startswith("Writing 8 days of history")
            assert '"full" of 8 seats, "stock" of 4 and "reports" of 2' in told
            demo.terminate()
            assert demo.wait(PATIENCE_S) == 0
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

    @pytest.mark.wide
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
    return ran(command(*arguments), PATIENCE_S, cwd=directory, env=environment())


def _has_welcomed(stdout: IO[str]) -> bool:
    return "Ctrl-C ends it" in stdout.readline()


def _demo(directory: Path, *options: str) -> Program:
    return Program(
        command("demo", "--port", "0", "--admin-port", "0", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=directory,
        env=environment(PYTHONUNBUFFERED="1"),
    )
