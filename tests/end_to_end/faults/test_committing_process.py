"""The process that commits, beside a server that is started, stopped and killed."""

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from licet.clock import SystemClock
from licet.server.setup_follower import SetupFollower
from licet.setup.change import changing
from licet.store.opening import SQLITE_NAME
from licet.store.sqlite.store import SqliteStore
from support.cli.command_line import run
from support.many import few
from support.server.callers import GRANT, TENANT, opened, rows, with_secrets
from support.server.operating import events, has_read_what_was_sent, health, is_closed, sid_of
from support.server.running import PATIENCE_S, RunningServer, children, is_over
from support.waiting import until


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that is as it should be."""
    run("init", "--tenant", TENANT, "--seats", "5", "--data", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the process by way of /proc")
class TestCommittingProcess:
    """The process that commits: a part of the server, for who starts and stops one."""

    @pytest.mark.parametrize("number", few([signal.SIGTERM, signal.SIGINT], 1))
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
                    has_read_what_was_sent(server)
                    os.kill(committing, number)
                    server.process.send_signal(number)
                    os.kill(committing, number)
                    until(lambda: is_closed(server.url))
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
                    has_read_what_was_sent(server)
                    server.kill(waits_for_committer=False)
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
            until(lambda: health(server, "ready") == 503)
            refused = server.ask(f"{TENANT}/token", **GRANT)
            assert (refused.status_code, refused.json()["error"]) == (503, "server_error")
            assert int(refused.headers["retry-after"]) >= 1
            (tmp_path / "away").rename(tmp_path / SQLITE_NAME)
            until(lambda: health(server, "ready") == 200)
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
        with RunningServer(tmp_path, commit_process=False) as server:
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
