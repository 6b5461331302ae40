"""A disk that is full under a server, or read-only, and the commands of an administrator on it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from licet.lanes.commit import commit
from licet.store.opening import SQLITE_NAME
from licet.store.postgres.store import PostgresStore
from support.admin.dashboard import DashboardSite
from support.examples import add_tenant, grant, jim_test
from support.server.callers import GRANT, TENANT
from support.server.operating import command, environment, health
from support.server.running import RunningServer
from support.server.small_disk import SmallDisk, small_disk
from support.store.faults import unavailable, works
from support.store.postgres import Postgres
from support.store.with_empty_store import EMPTY
from support.waiting import until

GRANTS_NOTHING = "This server grants nothing at the moment"
IS_FULL = "is full; free some space; servers then go on by themselves"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as made:
        yield made


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True, check=False, timeout=120
    )


def granted(server: RunningServer, least: int = 1) -> tuple[list[str], Any]:
    """The tokens that were granted until an answer was none, at least so many; and that answer."""
    tokens: list[str] = []
    for _ in range(2000):
        answer = server.ask(f"{TENANT}/token", **GRANT)
        if answer.status_code != 200:
            assert len(tokens) >= least
            return tokens, answer
        tokens.append(answer.json()["access_token"])
    raise AssertionError("the disk is never full")


def is_active(server: RunningServer, token: str) -> bool:
    return bool(server.ask(f"{TENANT}/introspect", "Api", token=token).json()["active"])


class TestServer:
    """A server with its store and its log on the disk that is full."""

    def test_it_refuses_what_it_cannot_keep_and_goes_on_by_itself(self, disk: SmallDisk) -> None:
        """L9: what was granted is there, what was not is 503; nobody has to start anything again."""
        data = disk.path / "data"
        data.mkdir(mode=0o700)
        with DashboardSite(data) as server, server.reader("ada") as ada:
            server.ask(f"{TENANT}/token", **GRANT).raise_for_status()
            assert GRANTS_NOTHING not in ada.get("/").text
            disk.fill()
            tokens, refused = granted(server, least=0)
            assert (refused.status_code, refused.json()["error"]) == (503, "server_error")
            assert int(refused.headers["retry-after"]) >= 1
            for _ in range(50):  # also when no line of the log can be written any more
                assert server.ask(f"{TENANT}/token", **GRANT).status_code in {200, 503}
            assert server.ask(f"{TENANT}/token", "TestClientId", "wrong", **GRANT).status_code == 401
            until(lambda: health(server, "ready") == 503)
            assert health(server, "live") == 200
            assert GRANTS_NOTHING in ada.get("/").text
            checked = run("check", "--data", data)
            assert checked.returncode == 1
            assert f"wrong: {SQLITE_NAME}: the disk of {data / SQLITE_NAME} {IS_FULL}\n" in checked.stdout
            disk.free()
            until(lambda: health(server, "ready") == 200)
            assert GRANTS_NOTHING not in ada.get("/").text
            more = server.ask(f"{TENANT}/token", **GRANT)
            assert more.status_code == 200
            assert is_active(server, more.json()["access_token"])
            assert all(is_active(server, token) for token in tokens[-1:])
            assert any(IS_FULL in line for line in server.log().splitlines())
            assert "Traceback" not in server.log()

    def test_its_log_never_takes_the_space_that_the_file_needs(self, disk: SmallDisk) -> None:
        """A log that takes the last byte could never become part of the file: nobody could free the space."""
        data = disk.path / "data"
        data.mkdir(mode=0o700)
        with RunningServer(data) as server:
            for _ in range(400):
                server.ask(f"{TENANT}/token", **GRANT).raise_for_status()
            log = (data / f"{SQLITE_NAME}-wal").stat().st_size
            assert log < 4_000_000
            assert health(server, "ready") == 200


class TestPostgres:
    """A database whose disk is full."""

    def test_it_is_told_and_works_by_itself_when_there_is_space(self, stoppable: Postgres) -> None:
        """Nothing is answered that is not kept, and nobody has to start anything again."""
        with small_disk(stoppable.directory / "tight", megabytes=24) as disk:
            owner = stoppable.data.stat()
            os.chown(disk.path, owner.st_uid, owner.st_gid)
            stoppable.execute(f"CREATE TABLESPACE tight LOCATION '{disk.path}'")
            try:
                stoppable.execute(f'CREATE DATABASE tight TEMPLATE "{EMPTY}" TABLESPACE tight')
                self._fill_and_free(stoppable, disk)
            finally:
                stoppable.drop_database("tight")
                stoppable.execute("DROP TABLESPACE tight")

    @staticmethod
    def _fill_and_free(stoppable: Postgres, disk: SmallDisk) -> None:
        with closing(PostgresStore(stoppable.url("tight"))) as store:
            with store.transaction() as transaction:
                add_tenant(transaction.connection, jim_test())
            assert works(store, grant(1, 1))
            disk.fill()
            numbers = count(2)
            until(lambda: not works(store, grant(1, next(numbers))))
            with unavailable("the disk of the database is full"):
                commit(store, [grant(1, next(numbers))])
            disk.free()
            until(lambda: works(store, grant(1, next(numbers))))


class TestCommands:
    """What an administrator runs on a disk that is full, or read-only."""

    def test_a_server_does_not_start_on_a_full_disk_and_says_why(self, disk: SmallDisk) -> None:
        """SQLite says that its disk failed: it cannot make the file beside the store."""
        data = made(disk)
        disk.fill()
        served = run("serve", "--data", data, "--port", "0", "--admin-port", "0")
        place = f"the store in {data} cannot be opened"
        assert (served.returncode, served.stderr) == (
            3,
            f"licet: {place}: the disk of {data / SQLITE_NAME} {IS_FULL}\n",
        )

    @pytest.mark.wide
    def test_a_store_on_a_read_only_disk_is_named(self, disk: SmallDisk) -> None:
        """The file and the cause, and not only that a database is read-only."""
        data = made(disk)
        disk.make_read_only()
        added = run("user", "add", "XY", "--no-password", "--data", data)
        assert added.returncode == 3
        assert added.stderr.endswith(
            f"{data / SQLITE_NAME} cannot be written: its file system is mounted read-only\n"
        )

    @pytest.mark.wide
    def test_init_leaves_nothing_when_the_disk_is_full(self, disk: SmallDisk) -> None:
        """The next try would find a store there, and refuse to make one."""
        data = disk.path / "data"
        disk.fill()
        arguments = ("init", "--data", data, "--tenant", "T", "--seats", "1", "--no-admin")
        full = run(*arguments)
        assert full.returncode == 3
        assert "Traceback" not in full.stderr
        assert not data.exists() or not list(data.iterdir())
        disk.free()
        assert run(*arguments).returncode == 0

    @pytest.mark.wide
    def test_half_a_copy_is_none(self, disk: SmallDisk, tmp_path: Path) -> None:
        """The disk of the copy is full, and not that of the store."""
        data = made(disk, tmp_path / "data")
        disk.fill()
        into = disk.path / "licet.db"
        copied = run("backup", into, "--data", data)
        assert (copied.returncode, copied.stderr) == (
            3,
            f"licet: the copy cannot be written: the disk of {disk.path} is full\n",
        )
        assert [it.name for it in disk.path.iterdir()] == ["ballast"]

    @pytest.mark.wide
    def test_a_restore_for_which_there_is_no_room_changes_nothing(
        self, disk: SmallDisk, tmp_path: Path
    ) -> None:
        """It is told in one line, and the store is as it was."""
        data = made(disk)
        copy = tmp_path / "copy.db"
        assert run("backup", copy, "--data", data).returncode == 0
        before = (data / SQLITE_NAME).read_bytes()
        disk.fill()
        restored = run("restore", copy, "--yes", "--data", data)
        assert restored.returncode == 3
        assert restored.stderr.count("\n") == 1
        assert restored.stderr.endswith("cannot be written: No space left on device\n")
        assert (data / SQLITE_NAME).read_bytes() == before


def made(disk: SmallDisk, data: Path | None = None) -> Path:
    """A data directory, on the disk unless it is elsewhere."""
    data = data or disk.path / "data"
    made_by = run("init", "--data", data, "--tenant", "T", "--seats", "1", "--no-admin")
    assert made_by.returncode == 0, made_by.stderr
    return data
