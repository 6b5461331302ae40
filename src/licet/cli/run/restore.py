"""Runs `licet restore`: puts a copy in the place of the store, and ends what began before it.

The rules:

- No server runs meanwhile: SQLite's file is locked, and on PostgreSQL the servers have to be silent.
- A copy is examined, brought to this version, and everything in it is ended, before it counts. With SQLite it
  is not in its place until then; with PostgreSQL no server may start before the verb has ended.
- The store that is replaced is kept as a file (SQLite); PostgreSQL has it no more.
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
from licet.cli.look.after_restore import assertions_refused, end_everything, what_ends
from licet.cli.options import Data, Yes, confirm
from licet.cli.output import progress, say
from licet.cli.run.backup import STANDARD
from licet.cli.run.came_back import Credentials, back_again, credentials_at, credentials_in
from licet.cli.stores import opened, store_at
from licet.cli.suggested_options import of_data
from licet.clock import SystemClock
from licet.formats import instant
from licet.platforms import files
from licet.platforms.services import how_to_stop
from licet.store.contract import Store
from licet.store.errors import SchemaUnknown, StoreUnavailable
from licet.store.migrate import current, upgrade
from licet.store.nodes import is_silent, read_nodes, store_now_ms
from licet.store.opening import SQLITE_NAME, StoreAt

_ASK = "It replaces {place}{kept}. {ending} All sign-ins at the dashboard end. Restore it?"


def restore(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The copy made by `licet backup`; - is standard input.")
    ],
    *,
    data: Data = None,
    yes: Yes = False,
) -> None:
    """Replace the store with a copy. Stop every server before, and start them afterwards.

    Every session and sign-in of the copy ends, and assertions that may have been used since are refused. It
    lists accounts and secrets that had been removed since and are valid again. Keep secrets.json as it is.

    Example: [bold]licet restore /backup/licet.db[/]
    """
    at = store_at(data)
    with _at_hand(file, yes=yes) as copy:
        before = credentials_at(at)
        lines = (
            _into_sqlite(at, copy, before, yes=yes)
            if at.url is None
            else _into_postgres(at, copy, before, yes=yes)
        )
    say("\n".join([*lines, f"Look over the set-up, then start the server: licet check{of_data(data)}"]))


def _into_sqlite(at: StoreAt, copy: Path, before: Credentials | None, *, yes: bool) -> list[str]:
    from licet.store.sqlite.backup import StoreInUse, must_be_sound, replaced

    try:
        must_be_sound(copy)
    except StoreUnavailable as fault:
        raise Refused(f"this is no copy of a store: {fault}") from None
    path = at.data / SQLITE_NAME
    now = instant(SystemClock().now_ms()).replace("-", "").replace(":", "")
    aside = path.with_name(f"{SQLITE_NAME}.before-{now}")
    files.make_directory(at.data)
    with TemporaryDirectory(dir=at.data, prefix=".restoring-") as directory:
        draft = StoreAt(Path(directory))
        _copy(copy, draft.data / SQLITE_NAME, like=at.data)
        _bring_up(draft)
        try:
            # Once the copy is closed, all of it is in its file, which then takes the place of the store.
            with replaced(path, draft.data / SQLITE_NAME, aside), opened(draft) as store:
                kept = f", which is kept as {aside.name}" if path.exists() else ""
                confirm(_question(at, kept, store), yes=yes)
                lines = _settled(store, before)
        except StoreInUse:
            raise Refused(f"a server uses {at.place}; stop it first: {how_to_stop()}") from None
    kept = (
        f" What it replaced is kept as {aside}; remove it when you do not need it." if aside.exists() else ""
    )
    return [f"{at.place[0].upper()}{at.place[1:]} is restored.{kept}", *lines]


def _into_postgres(at: StoreAt, copy: Path, before: Credentials | None, *, yes: bool) -> list[str]:
    from licet.store.postgres.backup import load_store, tables_left, tables_of

    assert at.url is not None
    if "setup" not in tables_of(copy):
        raise Refused("this is no copy of a store: the dump has none of its tables")
    with at.migrating() as connection:
        if current(connection) is not None:
            if left := tables_left(connection, copy):
                raise Refused(
                    f"{at.place} has tables that the dump does not know: {', '.join(sorted(left))};"
                    " restore it into a new database"
                )
            now_ms = store_now_ms(connection)
            if running := [node.name for node in read_nodes(connection) if not is_silent(node, now_ms)]:
                raise Refused(
                    f"servers use {at.place}: {', '.join(running)}; stop them first; after a kill, wait"
                    " 15 seconds"
                )
    confirm(
        _ASK.format(place=at.place, kept=", of which nothing is kept", ending="All sessions end."), yes=yes
    )
    with progress("Restoring"):
        load_store(at.url, copy)
    _bring_up(at)
    with opened(at) as store:
        return [f"{at.place} is restored.", *_settled(store, before)]


def _question(at: StoreAt, kept: str, store: Store) -> str:
    return _ASK.format(place=at.place, kept=kept, ending=what_ends(store) or "No session ends.")


def _settled(store: Store, before: Credentials | None) -> list[str]:
    """End everything in a restored store, and say what to look over."""
    return [
        *end_everything(store),
        *back_again(before, credentials_in(store)),
        *assertions_refused(store),
    ]


def _bring_up(at: StoreAt) -> None:
    """Bring a copy to the schema of this version.

    Raises Refused.
    """
    try:
        with progress("Migrating") as report, at.migrating() as connection:
            if current(connection) is None:
                raise Refused("this is no copy of a store: it has none of its tables")
            upgrade(connection, report)
    except SchemaUnknown as fault:
        raise Refused(f"the copy is of a later version of Licet: {fault}; use that one") from None


@contextmanager
def _at_hand(file: Path, *, yes: bool) -> Iterator[Path]:
    """The copy as a file.

    Raises Refused, WrongUse.
    """
    if file != STANDARD:
        if not os.access(file, os.R_OK) or file.is_dir():
            raise Refused(f"{file} is not there, or cannot be read by who runs this")
        yield file
        return
    if not yes:
        raise WrongUse("where the copy comes from standard input, nobody can be asked; say --yes")
    with TemporaryDirectory() as directory:
        copy = Path(directory) / "copy"
        files.create_closed(copy)
        with copy.open("wb") as into:
            shutil.copyfileobj(sys.stdin.buffer, into)
        yield copy


def _copy(file: Path, into: Path, *, like: Path) -> None:
    """Copy it, readable by the owner of this directory only: root may restore the store of another user."""
    files.create_closed(into)
    shutil.copyfile(file, into)
    files.give_to_owner_of(into, like)
