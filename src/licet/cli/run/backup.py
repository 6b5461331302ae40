"""Runs `licet backup`: copies the store into a file while servers use it.

The file is there whole or not at all, and only its owner can read it.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from licet.cli.errors import Refused, WrongUse
from licet.cli.options import Data
from licet.cli.output import note, progress
from licet.cli.stores import opened, store_at
from licet.credentials.keyring import FILE_NAME as KEYRING
from licet.platforms import files

STANDARD = Path("-")


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; - is standard output.")],
    *,
    data: Data = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file, once the copy is complete.")
    ] = False,
) -> None:
    """Copy the store into a file, as it is at one instant. Servers go on working meanwhile.

    The copy is an SQLite database, or a PostgreSQL dump, which needs the program pg_dump. It does not contain
    secrets.json: keep a copy of that elsewhere, because both together give all the power of the server.

    Example: [bold]licet backup /backup/licet.db[/]
    """
    at = store_at(data)
    with opened(at):  # Its errors say what to do.
        pass
    if file == STANDARD and sys.stdout.isatty():
        raise WrongUse("a copy is not for a terminal; name a file")
    with _draft(file, overwrite=overwrite) as draft, progress("Copying"):
        at.copy_to(draft)
    where = "standard output" if file == STANDARD else str(file)
    note(f"{at.place[0].upper()}{at.place[1:]} is copied to {where}. {KEYRING} is not in it.")


@contextmanager
def _draft(file: Path, *, overwrite: bool) -> Iterator[Path]:
    """An empty file that becomes this one at the end of the block.

    Raises Refused.
    """
    if file == STANDARD:
        with TemporaryDirectory() as directory:
            draft = _new(Path(directory) / "copy")
            yield draft
            with draft.open("rb") as copy:
                shutil.copyfileobj(copy, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return
    if file.exists() and not overwrite:
        raise Refused(f"{file} exists; choose another name, or say --overwrite")
    try:
        draft = _new(file.with_name(f".{file.name}.{os.getpid()}"))
    except OSError as fault:
        raise Refused(f"{file} cannot be written: {fault.strerror}") from None
    try:
        yield draft
        _place(draft, file, overwrite=overwrite)
    finally:
        draft.unlink(missing_ok=True)


def _place(draft: Path, file: Path, *, overwrite: bool) -> None:
    """Give the copy its name, once it is on the disk; a file made meanwhile is kept."""
    files.sync(draft)
    try:
        files.place(draft, file, replacing=overwrite)
    except FileExistsError:
        raise Refused(f"{file} exists; choose another name, or say --overwrite") from None
    except OSError as fault:
        raise Refused(f"{file} cannot be written: {fault.strerror}") from None


def _new(path: Path) -> Path:
    files.create_closed(path)
    return path
