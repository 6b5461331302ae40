"""The version before this one, as its users have it: a wheel, built from the last commit of that version.

It is unpacked into a directory; a process that has this directory in PYTHONPATH is of that version. Where
there is no history (an archive of the sources, a shallow clone), there is no such commit; `NoHistory` says
how to get it.
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
    """The commit of the version before is not here; the text says how to get it."""


def unpack(directory: Path, repository: Path = ROOT) -> Path:
    """What stands in PYTHONPATH for a process of the version before.

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
