"""Licet runs where everything is missing that Windows lacks: real processes, from which it was taken away.

`support/elsewhere/sitecustomize.py` does that, and is as strict as Windows with files that are open.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.paths import ROOT
from support.server.running import PATIENCE_S

_ELSEWHERE = ROOT / "tests" / "support" / "elsewhere"
_LICET = (sys.executable, "-m", "licet")
_NEEDS = """
import importlib, os, signal, socket, sys
assert "licet" not in sys.modules
for name in ("uvloop", "fcntl", "pwd", "grp", "resource", "termios", "tty", "pty"):
    try:
        importlib.import_module(name)
    except ImportError:
        continue
    raise SystemExit(name)
gone = [hasattr(os, "fork"), hasattr(os, "geteuid"), hasattr(signal, "SIGKILL"), hasattr(socket, "AF_UNIX")]
assert not any(gone)
from licet.client import LicetAuth
import httpx, licet.guard, licet.testing
url = sys.argv[1]
auth = LicetAuth(url, "Client3", "password", api=url, allow_http=True)
with auth, httpx.Client(auth=auth) as client:
    print(client.get(url + "/nothing").status_code)
"""


@pytest.mark.wide
def test_a_demo_gives_seats_shows_them_and_ends_without_any_of_it(tmp_path: Path) -> None:
    """By asyncio's event loop, with commits in a thread, and with every file closed before it is removed."""
    with _started(tmp_path, "demo", "--port", "0", "--admin-port", "0") as process:
        url, dashboard = _welcomed(process)
        _gives_renews_and_frees_a_seat(url)
        _shows_who_has_a_seat(url, dashboard)
        data = tmp_path / "licet-demo"
        assert '"tenant": "Jim_Test"' in _ran("seats", "--json", "--data", str(data))
        copy = tmp_path / "copy.db"
        _ran("backup", str(copy), "--data", str(data))
        assert copy.read_bytes().startswith(b"SQLite format 3")
        assert not copy.stat().st_mode & 0o077
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
    assert list(tmp_path.iterdir()) == [copy]


def _welcomed(demo: "subprocess.Popen[str]") -> tuple[str, str]:
    """The URLs of its tenant and its dashboard."""
    assert demo.stdout is not None
    told = ""
    while "Ctrl-C ends it" not in told:
        line = demo.stdout.readline()
        assert line, told
        told += line
    [dashboard] = re.findall(r"The dashboard is at (\S+)", told)
    [url] = re.findall(r"URL=(\S+)", told)
    return url, dashboard


def _gives_renews_and_frees_a_seat(url: str) -> None:
    with httpx.Client(auth=("Client1", "password"), timeout=PATIENCE_S) as client:
        granted = client.post(f"{url}/token", data={"grant_type": "client_credentials"}).json()
        again = {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]}
        token = client.post(f"{url}/token", data=again).json()["access_token"]
        asked = client.post(f"{url}/introspect", data={"token": token}, auth=("Api", "password")).json()
        assert asked["client_id"] == "Client1"
    bearer = {"Authorization": f"Bearer {token}"}
    left = httpx.post(f"{url}/logoff", headers=bearer, timeout=PATIENCE_S)
    assert left.json() == {"logged_off": True, "seat_released": True}


def _shows_who_has_a_seat(url: str, dashboard: str) -> None:
    data = {"grant_type": "client_credentials"}
    assert httpx.post(f"{url}/token", data=data, auth=("Client2", "password"), timeout=PATIENCE_S).is_success
    with httpx.Client(base_url=dashboard, timeout=PATIENCE_S, follow_redirects=True) as browser:
        form = {"name": "admin", "password": "password"}
        assert browser.post("/sign-in", data=form, headers={"Origin": dashboard}).is_success
        assert "Client2" in browser.get("/seats").text


@pytest.mark.wide
def test_a_program_and_an_api_do_without_it_too(tmp_path: Path) -> None:
    """`licet.client`, `licet.guard` and `licet.testing` are imported, and a token is got and given back."""
    with _started(tmp_path, "demo", "--port", "0", "--admin-port", "0") as process:
        url, _ = _welcomed(process)
        command = (sys.executable, "-c", _NEEDS, url)
        ended = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout.strip()) == (0, "404"), ended.stderr


@pytest.mark.wide
def test_a_store_is_made_served_copied_and_put_back(tmp_path: Path) -> None:
    """And a server that runs keeps its store."""
    data, copy = tmp_path / "data", tmp_path / "copy.db"
    _ran("init", "--tenant", "Jim_Test", "--seats", "2", "--no-admin", "--data", str(data))
    user = ("user", "add", "TC", "--name", "Test", "--password-stdin")
    _ran(*user, "--data", str(data), given="a long password 7")
    _ran("client", "add", "TestClientId", "--user", "TC", "--data", str(data))
    _ran("backup", str(copy), "--data", str(data))
    with _started(tmp_path, "serve", "--port", "0", "--admin-port", "0", "--data", str(data)) as server:
        assert server.stderr is not None
        [url] = re.findall(r'"url": "(\S+)", "event": "started"', server.stderr.readline())
        auth = ("TestClientId", "a long password 7")
        asked: dict[str, Any] = {"auth": auth, "timeout": PATIENCE_S}
        granted = httpx.post(f"{url}/Jim_Test/token", data={"grant_type": "client_credentials"}, **asked)
        assert granted.is_success
        refused = _ran("restore", str(copy), "--yes", "--data", str(data), exit_code=1)
        assert "a server uses the store" in refused
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE_S) == 0
    assert "is restored" in _ran("restore", str(copy), "--yes", "--data", str(data))
    assert len(list(data.glob("licet.db.before-*"))) == 1
    assert "wrong:" not in _ran("check", "--data", str(data))


@contextmanager
def _started(directory: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*_LICET, *arguments], env=_environment(), cwd=directory, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def _ran(*arguments: str, given: str = "", exit_code: int = 0) -> str:
    ended = subprocess.run(
        [*_LICET, *arguments], env=_environment(), input=given, capture_output=True, text=True, check=False
    )
    assert ended.returncode == exit_code, ended.stderr
    return ended.stdout + ended.stderr


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    return {**kept, "PYTHONPATH": str(_ELSEWHERE), "USERNAME": "ada", "PYTHONUTF8": "1"}
