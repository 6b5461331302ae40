"""Writes files whole or not at all, and never over another file unless asked to.

The content goes to a draft in the same directory, is synced, and takes its place in one step: a process that
is killed leaves the old file or the new one, and perhaps a draft that nobody reads.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from licet.vendor.errors import VendorCode, VendorRefused

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644  # less what the umask takes away


def read_bounded(path: Path, bytes_max: int) -> bytes:
    """The content of a file, or its first `bytes_max` + 1 bytes if it has more.

    Raises VendorRefused.
    """
    try:
        with path.open("rb") as file:
            return file.read(bytes_max + 1)
    except OSError as fault:
        raise VendorRefused(VendorCode.UNREADABLE, f"{path} cannot be read: {fault.strerror}") from None


def write_file(path: Path, content: bytes, *, mode: int, replacing: bool = False) -> None:
    """Write a file.

    Raises VendorRefused; its code is ALREADY_THERE if the file exists and `replacing` is false.
    """
    draft = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _place(draft, path, replacing=replacing)
        _sync_directory(path.parent)
    except FileExistsError:
        raise VendorRefused(VendorCode.ALREADY_THERE, f"{path} is there already") from None
    except OSError as fault:
        raise VendorRefused(VendorCode.UNWRITABLE, f"{path} cannot be written: {fault.strerror}") from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def make_directory(path: Path) -> None:
    """A directory that nobody else may look into; one that is there stays as it is.

    Raises VendorRefused.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise VendorRefused(VendorCode.UNWRITABLE, f"{path} cannot be made: {fault.strerror}") from None


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Wait until no other process is within this block for the same directory.

    Raises VendorRefused.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError as fault:
        raise VendorRefused(VendorCode.UNWRITABLE, f"{directory} cannot be read: {fault.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which ends the lock


def _place(draft: Path, path: Path, *, replacing: bool) -> None:
    if replacing:
        draft.replace(path)
        return
    try:
        path.hardlink_to(draft)  # which never takes the place of a file; a rename would
    except FileExistsError:
        raise
    except OSError:  # there are no hard links, as on a memory stick
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, draft.stat().st_mode & 0o777))
        draft.replace(path)


def _sync_directory(directory: Path) -> None:
    """A file that was renamed survives a loss of power once its directory is written."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
