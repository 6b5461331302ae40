"""The process that commits lives, and does not answer: what a balancer, a client and an administrator see."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from licet.store.postgres.store import PostgresStore
from support.server.callers import GRANT, TENANT, rows
from support.server.operating import VIEW, events, health, told_of_health
from support.server.running import PATIENCE_S, RunningServer, is_over, make_tenant
from support.server.served import KILLS_SOON, SILENT_S
from support.store.with_empty_store import EMPTY
from support.waiting import until

if TYPE_CHECKING:
    from support.store.postgres import Postgres

DATABASE = "hangs"
IN_USE = "SELECT sum(in_use) FROM pool"
SILENT = "The server is not ready: the committing process does not answer."

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="finds the process by way of /proc"
)


class Site(NamedTuple):
    """A server that kills what commits after a few seconds of silence, and the seats in its store."""

    server: RunningServer
    seats: Callable[[], int]


@pytest.fixture(params=["sqlite", "postgres"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """One on each kind of store."""
    (tmp_path / KILLS_SOON).touch()
    if request.param == "sqlite":
        with RunningServer(tmp_path, commit_process=True) as server:
            yield Site(server, lambda: rows(server, IN_USE)[0][0])
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    url = postgres.create_database(DATABASE, template=EMPTY)
    with closing(PostgresStore(url, answer_s=PATIENCE_S)) as store:
        make_tenant(store)
    with RunningServer(tmp_path, store=url, commit_process=True) as server:
        yield Site(server, lambda: postgres.execute(IN_USE, DATABASE)[0][0])
    postgres.drop_database(DATABASE)


def test_a_server_is_not_ready_while_it_hangs_and_kills_it_and_works_again(site: Site) -> None:
    """L2, L9: the seat of before is still taken, and nobody has one whose answer was 503."""
    server = site.server
    before = _granted(server, "TestClientId")
    hanging = server.committing()
    os.kill(hanging, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(server.ask, f"{TENANT}/token", "Client2", **GRANT)
        until(lambda: told_of_health(server) == (503, SILENT))
        assert health(server, "live") == 200
        refused = asked.result()
    assert (refused.status_code, refused.json()["error"]) == (503, "server_error")
    until(lambda: is_over(hanging))
    until(lambda: server.ask(f"{TENANT}/token", **VIEW).status_code == 200)
    until(lambda: health(server, "ready") == 200)
    assert server.committing() != hanging
    assert site.seats() == 1
    refreshed = server.ask(f"{TENANT}/token", grant_type="refresh_token", refresh_token=before)
    assert refreshed.status_code == 200
    _granted(server, "Client2")
    assert site.seats() == 2
    told = [it for it in events(server.log()) if it["event"].startswith("committing_process_")]
    assert [(it["event"], it["detail"]) for it in told] == [
        ("committing_process_killed", f"no answer for {SILENT_S:g} s"),
        ("committing_process_ended", "exit code -9"),
    ]


def test_a_server_whose_process_goes_on_in_time_is_ready_again_and_kills_nothing(tmp_path: Path) -> None:
    """As after a debugger, or a disk that was slow for once."""
    with RunningServer(tmp_path, commit_process=True) as server:
        _granted(server, "TestClientId")
        stopped = server.committing()
        os.kill(stopped, signal.SIGSTOP)
        until(lambda: told_of_health(server) == (503, SILENT))
        os.kill(stopped, signal.SIGCONT)
        until(lambda: health(server, "ready") == 200)
        _granted(server, "TestClientId")
        assert server.committing() == stopped
        assert not [it for it in events(server.log()) if it["event"].startswith("committing_process_")]


def _granted(server: RunningServer, client_id: str) -> str:
    """The refresh token of a session that begins."""
    answer = server.ask(f"{TENANT}/token", client_id, **GRANT)
    return str(answer.raise_for_status().json()["refresh_token"])
