"""What a part needs before it runs: into folders in here that git ignores, or a reason why it is missing."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

from interop.manifest import Command, Manifest

HERE = Path(__file__).parent
PYTHON = HERE / ".venv" / "bin" / "python"
_LOCKED = HERE / "requirements.lock"
_BUILT = HERE / ".built"  # a file for each build, with the digest of what it was made of
_MADE = {"build", "bin", "node_modules", "obj", "target", "vendor", "__pycache__"}
_PATIENCE_S = 900  # a cold build fetches what it needs
_SHOWN_CHARS = 2000
_ONE_AT_A_TIME = Lock()  # two clients of one language share what is built


class Missing(Exception):
    """A part cannot be run here; the text says for want of what."""


def filled_in(command: Command) -> Command:
    """A command with the suite's own Python in it."""
    return tuple(str(PYTHON) if word == "{python}" else word for word in command)


def installed(manifest: Manifest) -> None:
    """Have what a part needs.

    Raises Missing.
    """
    with _ONE_AT_A_TIME:
        if any("{python}" in command for command in (manifest.run, *manifest.build)):
            _make_environment()
        _have_programs(manifest)
        _build(manifest)


def _make_environment() -> None:
    commands = (
        (sys.executable, "-m", "venv", "--clear", str(HERE / ".venv")),
        (str(PYTHON), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(_LOCKED)),
    )
    _once("environment", _LOCKED.read_bytes() + sys.version.encode(), commands, HERE)


def may_be_passed_over() -> bool:
    """Whether somebody said that what cannot be run here is to be left out: `make interop PASS_OVER=1`."""
    return os.environ.get("PASS_OVER") == "1"


def _have_programs(manifest: Manifest) -> None:
    """Have its programs, and the packages that they need: Mono's compiler is no use without its libraries."""
    if not _absent(manifest) and not _absent_packages(manifest):
        return
    if manifest.install and os.geteuid() == 0 and shutil.which("apt-get"):
        for what in (("update",), ("install", "--yes", "--no-install-recommends", *manifest.install)):
            _run(("apt-get", "--quiet", *what), HERE)
    if absent := _absent(manifest):
        raise Missing(f"there is no {', no '.join(absent)}")


def _absent(manifest: Manifest) -> list[str]:
    return [program for program in manifest.needs if shutil.which(program) is None]


def _absent_packages(manifest: Manifest) -> list[str]:
    """Those of its packages that are not installed, where the system has packages of Debian."""
    if not manifest.install or shutil.which("dpkg-query") is None:
        return []
    asked = ("dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *manifest.install)
    listed = subprocess.run(asked, capture_output=True, encoding="utf-8", timeout=_PATIENCE_S, check=False)
    there = {line.split()[0] for line in listed.stdout.splitlines() if line.endswith(" installed")}
    return [package for package in manifest.install if package not in there]


def _build(manifest: Manifest) -> None:
    made_of = b"".join(_contents(manifest.folder))
    commands = tuple(filled_in(command) for command in manifest.build)
    _once(f"{manifest.folder} {manifest.build}", made_of, commands, manifest.folder)


def _contents(folder: Path) -> Iterator[bytes]:
    """Names and contents of what a build is made of; the manifests are not."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".toml" and _MADE.isdisjoint(path.relative_to(HERE).parts):
            yield str(path.relative_to(folder)).encode() + path.read_bytes()


def _once(what: str, made_of: bytes, commands: tuple[Command, ...], folder: Path) -> None:
    """Run commands unless they were run on the same."""
    if not commands:
        return
    stamp = _BUILT / hashlib.sha256(what.encode()).hexdigest()[:16]
    digest = hashlib.sha256(made_of).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return
    for command in commands:
        _run(command, folder)
    _BUILT.mkdir(exist_ok=True)
    stamp.write_text(digest, encoding="ascii")


def _run(command: Command, folder: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, encoding="utf-8", timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        said = (done.stdout + done.stderr)[-_SHOWN_CHARS:]
        raise Missing(f"{' '.join(command)} failed:\n{said}")
