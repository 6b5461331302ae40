"""Makes files that nobody else can read, tells which ones others can, and gives them their names in one step.

The rules:

- A private file never exists, even empty, with a content that others could have opened before.
- Where the system has no file modes, its access control list is read; where that cannot be done, the file
  counts as readable by others.
- A name is taken in one step, and survives a loss of power once `place` has returned.
"""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from licet.platforms import module_or_none, windows

_fcntl: Final = module_or_none("fcntl")
HAS_MODES: Final = hasattr(os, "geteuid")  # file modes say something only where files have owners
# A file that is open keeps its name on Windows: renaming it, or another file over it, is refused.
MOVES_OPEN_FILES: Final = HAS_MODES
PRIVATE: Final = 0o600
PUBLIC: Final = 0o644  # less what the umask takes away

_DIRECTORY = 0o700
_LOCK = ".lock"
_OTHERS = 0o077
_EVERYBODY = 0o007
_TRY_FOR_S: Final = 2.0  # whoever reads a file of ours closes it within milliseconds
_TRY_EACH_S: Final = 0.01


def create(path: Path, mode: int = PRIVATE) -> int:
    """Make a file, for its owner only unless `mode` is PUBLIC; return its descriptor, to read and write.

    Raises OSError: FileExistsError where there is one.
    """
    if HAS_MODES or mode != PRIVATE:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    return windows.create_private(path)


def create_closed(path: Path) -> None:
    """Make an empty file for its owner only.

    Raises OSError: FileExistsError where there is one.
    """
    os.close(create(path))


def make_directory(path: Path) -> None:
    """Make a directory that nobody else may look into, with those above it; one that is there stays as it is.

    Raises OSError.
    """
    if HAS_MODES:
        path.mkdir(mode=_DIRECTORY, parents=True, exist_ok=True)
    elif not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        windows.make_private_directory(path)


def close_directory(path: Path) -> None:
    """Take from others what they may do with a directory that is there.

    Raises OSError.
    """
    if HAS_MODES:
        path.chmod(_DIRECTORY)
    else:
        windows.restrict(path, inheritable=True)


def is_open_to_others(path: Path, opened: IO[Any] | None = None, *, group: bool = False) -> bool:
    """Whether anybody but its owner may use a file: of the file that is `opened`, if it is.

    With `group`, those of its group may, where there are groups. Raises OSError.
    """
    if HAS_MODES:
        status = path.stat() if opened is None else os.fstat(opened.fileno())
        return bool(stat.S_IMODE(status.st_mode) & (_EVERYBODY if group else _OTHERS))
    return windows.is_open_to_others(path)


def how_to_close(path: Path, *, is_directory: bool = False, group: bool = False) -> str:
    """The command that makes a file private."""
    if not HAS_MODES:
        return windows.how_to_close(path, is_directory=is_directory)
    if group:
        return f"chmod o= {path}"
    return f"chmod {'700' if is_directory else '600'} {path}"


def give_to_owner_of(path: Path, like: Path) -> None:
    """Give a file that root has made to the owner of another; others cannot, and need not.

    Raises OSError.
    """
    if HAS_MODES and os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def owner_name(path: Path) -> str:
    """Who owns a file; '' where nobody can tell.

    Raises OSError.
    """
    pwd = module_or_none("pwd")
    if pwd is None:
        return ""
    owner = path.stat().st_uid
    try:
        return str(pwd.getpwuid(owner).pw_name)
    except KeyError:  # a user id without a name
        return f"#{owner}"


def free_bytes(directory: Path) -> int:
    """How many bytes this account may still write on the disk of a directory.

    Raises OSError.
    """
    if hasattr(os, "statvfs"):
        found = os.statvfs(directory)
        return found.f_bavail * found.f_frsize
    import shutil  # noqa: PLC0415 - it imports what unpacks archives

    return shutil.disk_usage(directory).free


def is_mounted_read_only(path: Path) -> bool:
    """Whether the file system of a file is mounted read-only, where the system says so.

    Raises OSError.
    """
    return hasattr(os, "statvfs") and bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def try_to_make_one_in(directory: Path) -> None:
    """Make a file in a directory that has no name, or none for long: a failing disk may refuse only that.

    Raises OSError.
    """
    draft = directory / f".try.{os.urandom(8).hex()}"
    create_closed(draft)
    draft.unlink()


def write(path: Path, content: bytes, *, mode: int = PRIVATE, replacing: bool = False) -> None:
    """Write a file, whole or not at all.

    Raises OSError: FileExistsError where there is one, unless it is to be replaced.
    """
    draft = path.with_name(f".{path.name[:100]}.{os.urandom(8).hex()}")
    try:
        with os.fdopen(create(draft, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        place(draft, path, replacing=replacing)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def mode_of(path: Path, new: int = PRIVATE) -> int:
    """Who may read and write a file that is there; what a new one is to have, where it is not."""
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else new


def sync(path: Path) -> None:
    """Return when the content of a file is on the disk.

    Raises OSError.
    """
    descriptor = os.open(path, os.O_RDWR)  # Windows syncs only what may be written
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def place(draft: Path, path: Path, *, replacing: bool = False) -> None:
    """Give a file that is on the disk its name in this directory.

    Raises OSError: FileExistsError where the name is taken, unless that file is to be replaced.
    """
    if replacing:
        _while_in_use(lambda: draft.replace(path))
    elif MOVES_OPEN_FILES:
        _link(draft, path)
    else:
        draft.rename(path)  # which Windows refuses where the name is taken
    sync_directory(path.parent)


def rename(path: Path, to: Path) -> None:
    """Give a file another name.

    Raises OSError: PermissionError on Windows where somebody has it open.
    """
    path.rename(to)


def keep_also_as(path: Path, aside: Path) -> None:
    """Give a file a second name, under which it is kept when another takes the first.

    Raises OSError.
    """
    os.link(path, aside)


def sync_directory(directory: Path) -> None:
    """Sync a directory: only then does a file that was renamed survive a loss of power.

    Raises OSError.
    """
    if not HAS_MODES:
        return  # Windows opens no directory for that
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, *, waiting: bool) -> Iterator[None]:
    """Hold the lock of a file or directory during the block; it ends with the process at the latest.

    Raises BlockingIOError when another process has it, and `waiting` is false; OSError.
    """
    if _fcntl is None:  # Windows, which opens no directory for that
        path = path / _LOCK if path.is_dir() else path
        descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if path.name == _LOCK else 0))
    else:
        descriptor = os.open(path, os.O_RDONLY)
    try:
        if _fcntl is None:
            windows.lock(descriptor, waiting=waiting)
        else:
            _fcntl.flock(descriptor, _fcntl.LOCK_EX | (0 if waiting else _fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)  # which ends the lock


def _link(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)  # which never takes the place of a file; a rename would
    except FileExistsError:
        raise
    except OSError:  # there are no hard links, as on a memory stick
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, draft.stat().st_mode & 0o777))
        draft.replace(path)


def _while_in_use(step: Any) -> None:
    """Do a step again while Windows refuses it because somebody has the file open."""
    until_s = time.monotonic() + _TRY_FOR_S
    while True:
        try:
            step()
        except PermissionError:
            if MOVES_OPEN_FILES or time.monotonic() > until_s:
                raise
            time.sleep(_TRY_EACH_S)
        else:
            return
