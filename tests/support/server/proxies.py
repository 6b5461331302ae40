"""The programs that examples and guides need, as nginx and Apache: the system's, with what is shown there.

Where one is missing its tests are skipped, and say so; with CI=true they fail. `python proxies.py` installs
them where that can be done.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from support.paths import ROOT
from support.ports import free_port
from support.server.running import PATIENCE_S

EXAMPLES = ROOT / "examples"
# It runs by itself, and is no package; `examples` is another module here.
_found = spec_from_file_location("examples_run", EXAMPLES / "run.py")
assert _found is not None
assert _found.loader is not None
example: Any = module_from_spec(_found)
_found.loader.exec_module(example)

PACKAGES = {
    "nginx": ("nginx",),
    "apache": ("apache2", "libapache2-mod-oauth2"),
    "haproxy": ("haproxy",),
    "systemd": ("systemd",),
}
_NEEDS = {
    "nginx": ("nginx",),
    "apache": ("apache2", "/usr/lib/apache2/modules/mod_oauth2.so"),
    "haproxy": ("haproxy",),
    "systemd": ("systemd-analyze",),
}


@contextmanager
def fronting(name: str, directory: Path, licet: int, api: int) -> Iterator[str]:
    """Run such a proxy in front of these two ports during a `with` block, and yield its URL."""
    must_be_there(name)
    port = free_port()
    directory.mkdir()
    ports = {example.LICET: licet, example.API: api, example.FRONT: port}
    with started(example.placed(name, directory, ports), port, directory / "log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def started(command: list[str], port: int, log: Path, **variables: str) -> Iterator[None]:
    """Run a command that listens during a `with` block."""
    with log.open("wb") as file:
        environment = {**os.environ, **example.SECRET, **variables}
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
    try:
        example.until_listening(process, port)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def must_be_there(name: str) -> None:
    """Skip the test, or fail it in CI, if the program is not installed."""
    missing = [need for need in _NEEDS[name] if shutil.which(need) is None and not Path(need).is_file()]
    if missing:
        why = f"there is no {missing[0]}: what is shown of {name} is NOT tested"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)


def install(needs: Mapping[str, tuple[str, ...]] = _NEEDS) -> None:
    """Install the packages if possible; the tests say what is missing otherwise."""
    lacking = [
        name
        for name, files in needs.items()
        if any(shutil.which(it) is None and not Path(it).is_file() for it in files)
    ]
    if not lacking:
        return
    packages = [package for name in lacking for package in PACKAGES[name]]
    if os.geteuid() != 0 or (apt_get := shutil.which("apt-get")) is None:
        _say(f"There is no {' and no '.join(lacking)}: what is shown of it is not tested.")
        return
    _say(f"Installing what examples and guides need (apt-get install {' '.join(packages)})...")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for what in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        subprocess.run([apt_get, "--quiet", *what], stdout=subprocess.DEVNULL, check=False, env=quiet)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    install()
