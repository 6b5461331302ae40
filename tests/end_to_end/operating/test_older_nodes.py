"""The last step of an upgrade is refused while a server of the older version runs, and names that server."""

import subprocess
from importlib.metadata import version as version_of
from pathlib import Path

import pytest

from support.server.callers import rows
from support.server.operating import environment
from support.server.running import PATIENCE_S, RunningServer
from support.store.next_version import NEXT, NextVersion
from support.waiting import until


def finish(version: NextVersion, data: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """What `licet migrate --finish` of the next version says, in a process of its own."""
    command = version.command("migrate", "--finish", *options, "--data", str(data))
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE_S * 6, env=environment()
    )


@pytest.mark.wide
def test_the_last_step_is_refused_while_an_older_server_runs_and_done_when_it_has_stopped(
    tmp_path: Path,
) -> None:
    """Code `older_nodes`: which server it is, and what does it all the same; nothing is taken away before."""
    version = NextVersion(tmp_path / "next")
    with RunningServer(tmp_path, is_executed=True) as server:
        until(lambda: bool(rows(server, "SELECT 1 FROM node")))
        name = server.url.removeprefix("http://")
        refused = finish(version, server.data)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith("licet: servers of an older version still run: ")
        assert name.rpartition(":")[2] in refused.stderr
        assert refused.stderr.endswith(f"({version_of('licet')}); stop them first, or say --force\n")
        assert server.ask("Jim_Test/token", grant_type="client_credentials").status_code == 200
        server.terminate()
        done = finish(version, server.data)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"is at schema {NEXT} now" in done.stdout


@pytest.mark.wide
def test_the_last_step_is_done_under_an_older_server_where_that_is_said(tmp_path: Path) -> None:
    """`--force`, as the refusal says: for a node that is known to be gone."""
    version = NextVersion(tmp_path / "next")
    with RunningServer(tmp_path, is_executed=True) as server:
        until(lambda: bool(rows(server, "SELECT 1 FROM node")))
        assert finish(version, server.data).returncode == 1
        assert finish(version, server.data, "--force").returncode == 0
