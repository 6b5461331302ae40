"""Has the generator in an environment of its own, by the hashes of the lock file."""

import hashlib
import subprocess
import sys
from pathlib import Path

from website.refused import Refused

HERE = Path(__file__).parent
_PLACE = HERE / ".venv"
_LOCKED = HERE / "requirements.lock"
_STAMP = _PLACE / "locked"  # the digest of what is installed
_PATIENCE_S = 600


def generator() -> Path:
    """The program that builds the site, installed first where it is missing or another is locked.

    Raises Refused.
    """
    program = _PLACE / "bin" / "zensical"
    digest = hashlib.sha256(_LOCKED.read_bytes() + sys.version.encode()).hexdigest()
    if not program.exists() or not _STAMP.exists() or _STAMP.read_text(encoding="utf-8") != digest:
        print("Installing what builds the site: once, 110 MB.", flush=True)
        _run(sys.executable, "-m", "venv", "--clear", "--without-pip", str(_PLACE))
        uv = str(Path(sys.executable).with_name("uv"))
        _run(uv, "pip", "install", "--quiet", "--python", str(_PLACE), "--require-hashes", "-r", str(_LOCKED))
        _STAMP.write_text(digest, encoding="utf-8")
    return program


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=_PATIENCE_S, check=False)
    if done.returncode:
        raise Refused(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
