"""Runs `licet migrate`: brings the tables of a store to this version while servers of two versions run."""

from typing import Annotated

import typer

from licet.cli.errors import Refused, WrongUse
from licet.cli.options import Data, exclusive
from licet.cli.output import progress, say
from licet.cli.stores import opened, store_at
from licet.cli.suggested_options import of_data
from licet.store import migrate as versions
from licet.store.errors import SchemaOutdated
from licet.store.migrate import Schema, current, is_unfinished, upgrade
from licet.store.migrate import finish as finish_steps
from licet.store.nodes import store_now_ms
from licet.store.opening import StoreAt


def migrate(
    *,
    data: Data = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only report; exit code 1 if a migration is due.")
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Also remove what only older versions need.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --finish: even while a server of an older version runs.")
    ] = False,
) -> None:
    """Bring the tables of a store to this version. Servers of the previous version go on working.

    Run it before the first server of this version starts. When the last server of the older version has
    stopped, run it with --finish.

    Example: [bold]licet migrate --check[/]
    """
    exclusive(("--check", check), ("--finish", finish))
    if force and not finish:
        raise WrongUse("--force is about the last step; say --finish with it")
    at = store_at(data)
    try:
        with opened(at) as store, store.reading() as connection:
            before, is_left = current(connection), is_unfinished(connection)
    except SchemaOutdated as fault:
        if check:
            raise Refused(str(fault)) from None
        before, is_left = None, False
    last_step = _LAST_STEP.format(at=of_data(data))
    if check and is_left:
        raise Refused(f"{at.place}: {last_step}")
    if before is None or finish:
        before, after, is_left = _migrate(at, finish=finish, force=force)
        say(_result(at, before, after))
    else:
        say(f"{_capital(at.place)} is at schema {before.pre}, {_fits(before.pre)}.")
    if is_left:
        say(f"{_capital(last_step)}.")


_LAST_STEP = "the last step is due when no server of an older version runs: licet migrate --finish{at}"


def _migrate(at: StoreAt, *, finish: bool, force: bool) -> tuple[Schema | None, Schema, bool]:
    """The schema before and after, and whether a step is left to do."""
    with progress("Migrating") as report, at.migrating() as connection:
        before = current(connection)
        if finish:
            finish_steps(connection, store_now_ms(connection), report, force=force)
        else:
            upgrade(connection, report)
        after = current(connection)
        assert after is not None
        return before, after, is_unfinished(connection)


def _result(at: StoreAt, before: Schema | None, after: Schema) -> str:
    place = _capital(at.place)
    if before == after:
        return f"{place} is at schema {after.pre}; nothing is left to do."
    text = f"{place} is at schema {after.pre} now."
    if before is None:
        return text
    if before.post == after.post:
        return f"{text} Servers of the previous version go on working."
    return f"{text} Servers of versions that need a schema before {after.post} cannot work on it any more."


def _fits(schema: str) -> str:
    """How a schema relates to this version, which can work on it."""
    if schema == versions.HEAD:
        return "as this version needs it"
    return f"of a later version of Licet; this one, of schema {versions.HEAD}, can work on it"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
