"""Builds the sdist and the wheel of a commit, twice, and compares the bytes.

The rules:

- What is built is the commit, not the files that happen to lie in the directory.
- The wheel is built from the sdist, so whoever has the sdist can build the same wheel.
- The second build has another directory, time zone, umask and locale, and its files are of another moment.
  Each that reached the packages would change their bytes (https://reproducible-builds.org/docs/).
"""

import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from release.refused import Refused

_PATIENCE_S = 300
_USUAL_UMASK, _OTHER_UMASK = 0o022, 0o077
_OTHERWISE = {"TZ": "Pacific/Auckland", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1"}


@dataclass(frozen=True, slots=True)
class Packages:
    """The two files of a release."""

    sdist: Path
    wheel: Path


def build_twice(repository: Path, commit: str, work: Path) -> Packages:
    """Build the packages of a commit below `work`, which is empty, and build them again.

    Raises Refused if the second build differs.
    """
    archive = BytesIO(_output(["git", "archive", "--format=tar", commit], repository))
    epoch = _output(["git", "show", "--no-patch", "--format=%ct", commit], repository).decode().strip()
    dated = {"SOURCE_DATE_EPOCH": epoch}
    first = _build(archive, work / "first", dated, _USUAL_UMASK)
    archive.seek(0)
    second = _build(archive, work / "second" / "time", dated | _OTHERWISE, _OTHER_UMASK)
    for one, other in ((first.sdist, second.sdist), (first.wheel, second.wheel)):
        if one.name != other.name or one.read_bytes() != other.read_bytes():
            raise Refused(f"two builds of {one.name} differ: compare {one} with {other}")
    return first


def _build(archive: BytesIO, place: Path, variables: Mapping[str, str], umask: int) -> Packages:
    place.mkdir(parents=True)
    environment = os.environ | variables
    with tarfile.open(fileobj=archive) as tar:
        tar.extractall(place / "commit", filter="data")
    sdist = _hatch("sdist", place / "commit", place, environment, umask)
    with tarfile.open(sdist) as tar:
        tar.extractall(place / "sdist", filter="data")
    (unpacked,) = (place / "sdist").iterdir()
    return Packages(sdist, _hatch("wheel", unpacked, place, environment, umask))


def _hatch(kind: str, source: Path, into: Path, environment: Mapping[str, str], umask: int) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(into)]
    _output(command, source, environment, umask)
    (made,) = into.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return made


def _output(
    command: list[str], directory: Path, environment: Mapping[str, str] | None = None, umask: int = -1
) -> bytes:
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        umask=umask,
        capture_output=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    if done.returncode:
        raise Refused(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr).decode()}")
    return done.stdout
