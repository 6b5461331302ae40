"""Makes empty environments and installs into them what a user of the release would get.

The rules:

- Every package has the version and the hash of the lock file, the wheel that of the file that was built.
- pip's own check says whether all that is needed is there.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

from release.refused import Refused

ROOT = Path(__file__).parent.parent
EXTRAS = "server,postgres,charts,otel"
_PATIENCE_S = 900


def with_wheel(wheel: Path, place: Path, extras: str = EXTRAS) -> Path:
    """The directory of programs of a new environment at `place`, with the wheel and what these extras need.

    Raises Refused.
    """
    _begin(place)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    wanted = place / "wanted.txt"
    name = f"licet[{extras}]" if extras else "licet"
    wanted.write_text(f"{name} @ {wheel.absolute().as_uri()} --hash=sha256:{digest}\n", encoding="utf-8")
    _install(place, "--requirements", str(wanted), "--constraints", str(ROOT / "requirements.lock"))
    run([_uv(), "pip", "check", "--quiet", "--python", str(place)])
    return place / "bin"


def with_tools(place: Path) -> Path:
    """The directory of programs of a new environment at `place`, with the tools that a release needs.

    Raises Refused.
    """
    _begin(place)
    _install(place, "--requirements", str(ROOT / "release" / "requirements.lock"))
    return place / "bin"


def run(command: list[str], directory: Path | None = None) -> str:
    """What a program prints.

    Raises Refused if it fails, or takes longer than a quarter of an hour.
    """
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, encoding="utf-8", timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise Refused(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _begin(place: Path) -> None:
    run([sys.executable, "-m", "venv", "--without-pip", str(place)])


def _install(place: Path, *what: str) -> None:
    run([_uv(), "pip", "install", "--quiet", "--python", str(place), "--require-hashes", *what])


def _uv() -> str:
    return str(Path(sys.executable).with_name("uv"))
