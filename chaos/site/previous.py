"""Builds the previous version of Licet as a wheel from its last commit, for upgrades under load.

The wheel is unpacked into a directory; a process with this directory in PYTHONPATH runs that version. An
archive of the sources or a shallow clone lacks the commit; `NoHistory` says how to get it.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

VERSION = "0.2.0"
COMMIT = "a6f8933"
ROOT = Path(__file__).parents[2]
_BUILD_S = 300


class NoHistory(Exception):
    """The commit of the previous version is not here; the text says how to get it."""


def unpack(directory: Path, repository: Path = ROOT) -> Path:
    """The directory for the PYTHONPATH of a process of the previous version.

    Raises NoHistory.
    """
    sources, wheels, unpacked = (directory / name for name in ("sources", "wheels", "unpacked"))
    sources.mkdir(parents=True)
    archive = subprocess.run(
        ["git", "-C", str(repository), "archive", "--format=tar", COMMIT],
        capture_output=True,
        check=False,
    )
    if archive.returncode:
        raise NoHistory(
            f"the commit of version {VERSION}, {COMMIT}, is not in this clone: clone with its history, or"
            " git fetch --unshallow"
        )
    subprocess.run(["tar", "-x", "-C", str(sources)], input=archive.stdout, check=True)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*build, "--disable-pip-version-check", "--no-index", "--wheel-dir", str(wheels), str(sources)],
        check=True,
        timeout=_BUILD_S,
        capture_output=True,
    )
    [wheel] = wheels.glob(f"licet-{VERSION}-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(unpacked)
    return unpacked
