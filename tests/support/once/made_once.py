"""Makes the directories that many tests begin with, once in a run, in the first process that needs them.

To make one takes a tenth of a second or more; another process that needs it in the meantime waits. Tests work
on copies. The process that starts a run calls `share`, which names the place for all its processes; a process
that runs tests alone has its own place.
"""

import atexit
import os
import shutil
from collections.abc import Callable
from fcntl import LOCK_EX, flock
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from licet.clock import ManualClock
from licet.store.opening import SQLITE_NAME
from licet.store.sqlite.store import SqliteStore

_SHARED = "TESTS_MADE_ONCE"  # the environment variable with the place of a run


def share() -> None:
    """Make the place of a run for this process and its child processes; it is removed at exit."""
    os.environ[_SHARED] = str(_place())


def empty_store(path: Path) -> Path:
    """Create a file with an empty store at this path."""
    return Path(shutil.copy(copied_from("empty", _make_empty) / SQLITE_NAME, path))


def directory_of_run(name: str) -> Path:
    """A directory that all processes of a run share, and may write to."""
    directory = _place() / name
    directory.mkdir(exist_ok=True)
    return directory


def copied_from(name: str, make: Callable[[Path], object]) -> Path:
    """The directory of this name, which `make` fills at the first call. It must not be changed."""
    made = _place() / name
    if made.exists():
        return made
    with made.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not made.exists():
            unfinished = made.with_suffix(".part")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(made)
    return made


def _make_empty(directory: Path) -> None:
    SqliteStore(directory / SQLITE_NAME, ManualClock(), create=True).close()


@cache
def _place() -> Path:
    if shared := os.environ.get(_SHARED):
        return Path(shared)
    made = TemporaryDirectory(prefix="licet-made-")
    atexit.register(made.cleanup)
    return Path(made.name)
