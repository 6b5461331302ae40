"""Tries the packages of a release as a user would: in environments in which nothing else is installed."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from release.environment import run, with_wheel
from release.packages import Packages
from release.refused import Refused

_START_S = 60
_STOP_S = 20
_BASE = "import licet.client, licet.guard"


def try_base(packages: Packages, place: Path) -> None:
    """Import what a program or an API needs, where only the base of the wheel is installed.

    Raises Refused.
    """
    programs = with_wheel(packages.wheel, place, extras="")
    run([str(programs / "python"), "-c", _BASE])


def try_server(programs: Path, version: str) -> None:
    """Run the demo of an installed wheel: a grant, and the dashboard, which shows who has the seat.

    Raises Refused.
    """
    said = run([str(programs / "licet"), "--version"]).strip()
    if said != f"licet {version}":
        raise Refused(f"licet --version prints {said!r} instead of the version {version}")
    with _demo(programs) as (url, admin_url), httpx.Client(timeout=_START_S, follow_redirects=True) as http:
        answer = http.post(
            f"{url}/Jim_Test/token",
            data={"grant_type": "client_credentials"},
            auth=("TestClientId", "password"),
        )
        if answer.status_code != httpx.codes.OK or "access_token" not in answer.json():
            raise Refused(f"the demo of the wheel answers a grant with {answer.status_code}: {answer.text}")
        form = {"name": "admin", "password": "password", "then": "/seats"}
        page = http.post(f"{admin_url}/sign-in", data=form, headers={"Origin": admin_url})
        if page.status_code != httpx.codes.OK or "TestClientId" not in page.text:
            raise Refused(f"the dashboard of the wheel does not show the seat: {page.status_code} {page.url}")


def try_without_installing(packages: Packages, tools: Path, version: str, uvx: Path) -> None:
    """Run the wheel by `uvx` and by `pipx`, as the README says.

    Raises Refused.
    """
    wheel = f"{packages.wheel}[server]"
    asked = ["licet", "--version"]
    for command in (
        [str(uvx), "--isolated", "--from", wheel, *asked],
        [str(tools / "pipx"), "run", "--no-cache", "--spec", wheel, *asked],
    ):
        if run(command).strip() != f"licet {version}":
            raise Refused(f"{' '.join(command)} does not print the version {version}")


@contextmanager
def _demo(programs: Path) -> Iterator[tuple[str, str]]:
    """A demo at free ports: the URLs of its public listener and of its dashboard."""
    ports = [str(_free_port()) for _ in range(2)]
    command = [str(programs / "licet"), "demo", "--port", ports[0], "--admin-port", ports[1]]
    with TemporaryDirectory() as directory, (Path(directory) / "log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=directory, stdout=subprocess.PIPE, stderr=log, encoding="utf-8"
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if "Ctrl-C" in line:
                    break
            else:
                log.seek(0)
                raise Refused(f"{' '.join(command)} ended:\n{log.read()}")
            yield f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=_STOP_S)
            if left := [it.name for it in Path(directory).iterdir() if it.name != "log"]:
                raise Refused(f"the demo left {', '.join(left)} behind")
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
