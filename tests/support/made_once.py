"""Makes what many tests begin with: once for each process, as it takes a tenth of a second."""

import atexit
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from licet.clock import ManualClock
from licet.store.opening import SQLITE_NAME
from licet.store.sqlite.store import SqliteStore


def empty_store(path: Path) -> Path:
    """A file with an empty store, at this place."""
    return Path(shutil.copy(copied_from("empty", _make_empty) / SQLITE_NAME, path))


def copied_from(name: str, make: Callable[[Path], object]) -> Path:
    """The directory of this name, which is made in this way when it is first asked for. Nobody changes it."""
    made = _place() / name
    if not made.exists():
        made.mkdir()
        make(made)
    return made


def _make_empty(directory: Path) -> None:
    SqliteStore(directory / SQLITE_NAME, ManualClock(), create=True).close()


@cache
def _place() -> Path:
    made = TemporaryDirectory(prefix="licet-made-")
    atexit.register(made.cleanup)
    return Path(made.name)
