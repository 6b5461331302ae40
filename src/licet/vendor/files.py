"""Writes files whole or not at all, and never over another file unless asked to.

The content goes to a draft in the same directory, is synced, and takes its place in one step: a process that
is killed leaves the old file or the new one, and perhaps a draft that nobody reads.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from licet.platforms import files
from licet.vendor.errors import VendorCode, VendorRefused

PRIVATE: Final = files.PRIVATE
PUBLIC: Final = files.PUBLIC


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
    try:
        files.write(path, content, mode=mode, replacing=replacing)
    except FileExistsError:
        raise VendorRefused(VendorCode.ALREADY_THERE, f"{path} is there already") from None
    except OSError as fault:
        raise VendorRefused(VendorCode.UNWRITABLE, f"{path} cannot be written: {fault.strerror}") from None


def make_directory(path: Path) -> None:
    """A directory that nobody else may look into; one that is there stays as it is.

    Raises VendorRefused.
    """
    try:
        files.make_directory(path)
    except OSError as fault:
        raise VendorRefused(VendorCode.UNWRITABLE, f"{path} cannot be made: {fault.strerror}") from None


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Wait until no other process is within this block for the same directory.

    Raises VendorRefused.
    """
    with ExitStack() as held:
        try:
            held.enter_context(files.locked(directory, waiting=True))
        except OSError as fault:
            problem = f"{directory} cannot be read: {fault.strerror}"
            raise VendorRefused(VendorCode.UNWRITABLE, problem) from None
        yield
