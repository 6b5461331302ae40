"""Prints tables and single records, for people, for pipes and as JSON.

Results go to stdout: a table on a terminal, aligned text of full values when piped, JSON with `--json`.
Messages go to stderr where stdout has a result.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from typing import NamedTuple

import typer

from licet.clock import SystemClock
from licet.formats import NEVER, duration, end, instant, nearness, nearness_of_end, printable

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class AnyOf(list[str]):
    """Alternatives, joined by "or": `secret or key`."""


class Instant(NamedTuple):
    """An instant to show: on a terminal relative to now when it is near, elsewhere exact."""

    ms: int

    def text(self) -> str:
        """As in a table."""
        return nearness(self.ms, SystemClock().now_ms()) if on_terminal() else instant(self.ms)

    def exact(self) -> str:
        """The exact instant."""
        return instant(self.ms)

    def as_json(self) -> str:
        """ISO 8601, UTC."""
        return instant(self.ms)


class End(NamedTuple):
    """When something ends, in its tenant's zone: on a terminal, its last day."""

    ms: int
    zone: tzinfo
    word: str = ""  # the word once it is over

    def text(self) -> str:
        """As in a table."""
        now_ms = SystemClock().now_ms()
        at = nearness_of_end(self.ms, now_ms, self.zone) if on_terminal() else instant(self.ms)
        return f"{self.word} {at}" if self.word and self.ms <= now_ms else at

    def exact(self) -> str:
        """As the option that sets it accepts it."""
        return end(self.ms, self.zone)

    def as_json(self) -> str:
        """ISO 8601, UTC."""
        return instant(self.ms)


class Duration(NamedTuple):
    """A duration to show."""

    seconds: int

    def text(self) -> str:
        """In its largest whole unit."""
        return duration(self.seconds)

    def as_json(self) -> int:
        """In seconds."""
        return self.seconds


class Absent(NamedTuple):
    """A missing value, and the word for it: `never`, `every`."""

    word: str

    def text(self) -> str:
        """The word."""
        return self.word

    def as_json(self) -> None:
        """Null."""


Shown = str | int | bool | Instant | End | Duration | Absent | Sequence[str] | None
Record = Mapping[str, Shown]


def on_terminal() -> bool:
    """Whether a person reads what is printed."""
    return sys.stdout.isatty()


def say(text: str) -> None:
    """Print what was done."""
    typer.echo(printable(text, kept="\n"))


def note(text: str) -> None:
    """Print a message beside the result."""
    typer.echo(printable(text, kept="\n"), err=True)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress on a terminal; the function that it yields takes the steps done, and of how many."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def when(ms: int | None) -> Shown:
    """An instant to show, or `never`."""
    return Absent(NEVER) if ms is None else Instant(ms)


def ends(ms: int | None, zone: tzinfo, over: str = "") -> Shown:
    """An end to show, or `never`; `over` is the word once it is over."""
    return Absent(NEVER) if ms is None else End(ms, zone, over)


def show_list(
    records: Iterable[Record], headings: Mapping[str, str], *, as_json: bool = False, empty: str
) -> None:
    """Print records as a table with these headings, by key; as JSON with all fields.

    `empty` is printed when there are none.
    """
    found = list(records)
    if as_json:
        show_json(found)
    elif not found:
        note(empty)
    else:
        rows = [[_cell(record[key]) for key in headings] for record in found]
        _print_table(list(headings.values()), rows, numeric=_numeric(found, headings))


def show_one(record: Record, *, as_json: bool) -> None:
    """Print one record, a line for each of its values."""
    if as_json:
        show_json(record)
        return
    labels = {key: label(key) for key in record}
    width = max(map(len, labels.values())) + 2
    for key, value in record.items():
        shown = _cell(value)
        exact = value.exact() if isinstance(value, Instant | End) and on_terminal() else shown
        typer.echo(f"{labels[key]:{width}}{shown if exact == shown else f'{exact}  {shown}'}")


def show_secret(secret: str, record: Record, said: str, *, as_json: bool) -> None:
    """Print a secret alone on standard output, with a word about it on a terminal; as JSON, its record."""
    if as_json:
        show_json(record)
        return
    if on_terminal():
        note(said)
    typer.echo(secret)


def label(key: str) -> str:
    """How a key of a record is called, where it has no heading of its own."""
    return key.removesuffix("_s").removesuffix("_at").replace("_", " ")


def show_json(value: object) -> None:
    """Print a value as JSON."""
    text = json.dumps(_jsonable(value), indent=2, ensure_ascii=False)
    # What cannot be seen stands in a string, where JSON has an escape for it.
    typer.echo(
        "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
    )


def _print_table(headings: list[str], rows: list[list[str]], *, numeric: list[bool]) -> None:
    if not on_terminal():
        _print_aligned(headings, rows)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for at, (heading, right) in enumerate(zip(headings, numeric, strict=True)):
        # On a narrow terminal texts are folded, and no number, nor its heading, nor a day.
        is_whole = right or any(_DAY.fullmatch(row[at]) for row in rows)
        table.add_column(heading, justify="right" if right else "left", overflow="fold", no_wrap=is_whole)
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)


def _print_aligned(headings: list[str], rows: list[list[str]]) -> None:
    lines = [headings, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(headings))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _numeric(records: list[Record], headings: Mapping[str, str]) -> list[bool]:
    return [all(type(record[key]) is int for record in records) for key in headings]


def _cell(value: Shown) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case Instant() | End() | Duration() | Absent():
            return value.text()
        case AnyOf():
            return " or ".join(value) or "-"
        case str() | int():
            return printable(str(value), kept="\n")
        case _:
            return printable(" ".join(value), kept="\n") or "-"


def _jsonable(value: object) -> object:
    match value:
        case Instant() | End() | Duration() | Absent():
            return value.as_json()
        case Mapping():
            return {key: _jsonable(part) for key, part in value.items()}
        case list() | tuple():
            return [_jsonable(part) for part in value]
        case _:
            return value
