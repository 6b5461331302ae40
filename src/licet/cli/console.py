"""What the verbs share: options, the store they open, what they print and what they ask.

Results go to stdout: a table on a terminal, aligned text of full values when piped, JSON with `--json`.
What is only said about a result goes to stderr where stdout carries something to keep. A verb asks on a
terminal only; elsewhere the answer has to be an option, and a password comes from standard input.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from getpass import getuser
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

from licet.cli import completing
from licet.cli.errors import Refused, WrongUse
from licet.clock import SystemClock
from licet.model import Tenant
from licet.store.changes import NotFound
from licet.store.contract import (
    SchemaOutdated,
    SchemaUnknown,
    SetupDamaged,
    Store,
    StoreUnavailable,
)
from licet.store.opening import StoreAt
from licet.store.spelling import NEVER, duration, end, instant, nearness, nearness_of_end, read_end_ms

if TYPE_CHECKING:
    from licet.settings import Settings

Changes = TypeVar("Changes", bound=Mapping[str, object])

Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", envvar="LICET_DATA", readable=False, help="The data directory: licet-data."
    ),
]
TenantName = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        metavar="NAME",
        envvar="LICET_TENANT",
        help="Which tenant; the only one needs no name.",
        autocompletion=completing.tenants,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON; times in ISO 8601, UTC.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, one line.")
]


class AnyOf(list[str]):
    """Words of which each does alone: in a row, `secret` and `key` would be one thing."""


class Instant(NamedTuple):
    """A moment to show: a near one in words on a terminal, exact elsewhere."""

    ms: int

    def told(self) -> str:
        """As a table has it."""
        return nearness(self.ms, SystemClock().now_ms()) if on_terminal() else instant(self.ms)

    def exact(self) -> str:
        """The moment itself."""
        return instant(self.ms)

    def as_json(self) -> str:
        """ISO 8601, UTC."""
        return instant(self.ms)


class End(NamedTuple):
    """When something ends, by the clocks of its tenant's zone: on a terminal, its last day."""

    ms: int
    zone: tzinfo
    word: str = ""  # of one that is over

    def told(self) -> str:
        """As a table has it."""
        now_ms = SystemClock().now_ms()
        at = nearness_of_end(self.ms, now_ms, self.zone) if on_terminal() else instant(self.ms)
        return f"{self.word} {at}" if self.word and self.ms <= now_ms else at

    def exact(self) -> str:
        """As the option that sets it takes it."""
        return end(self.ms, self.zone)

    def as_json(self) -> str:
        """ISO 8601, UTC."""
        return instant(self.ms)


class Duration(NamedTuple):
    """A length of time to show."""

    seconds: int

    def told(self) -> str:
        """In its largest whole unit."""
        return duration(self.seconds)

    def as_json(self) -> int:
        """In seconds."""
        return self.seconds


class Absent(NamedTuple):
    """What is not there, and the word for that: `never`, `every`."""

    word: str

    def told(self) -> str:
        """The word."""
        return self.word

    def as_json(self) -> None:
        """Null."""


Shown = str | int | bool | Instant | End | Duration | Absent | Sequence[str] | None
Record = Mapping[str, Shown]


def data_directory(data: Path | None) -> Path:
    """The data directory: the option's or variable's, else that of the settings.

    Raises SettingsError.
    """
    if data is not None:
        must_be_readable(data)
        return data
    from licet.settings import load_settings  # noqa: PLC0415 - a tenth of a second that --data saves

    return load_settings().data


def store_at(data: Path | None) -> StoreAt:
    """Where the store is that goes with a data directory.

    Raises SettingsError.
    """
    from licet.settings import FILE_NAME, load_settings  # noqa: PLC0415 - as above

    if data is not None:
        must_be_readable(data)
    says = (os.environ.get("LICET_STORE"), os.environ.get("LICET_CONFIG"))
    if data is not None and not any(says) and not (data / FILE_NAME).exists():
        return StoreAt(data)  # Nobody can have named another.
    return store_of(load_settings(overrides={"data": data}))


def must_be_readable(directory: Path) -> None:
    """Return unless a data directory is there and somebody else's.

    Raises WrongUse, with who may read it.
    """
    try:
        status = directory.stat()
    except OSError:  # it is not there, or nobody can tell: what opens it says more
        return
    if not S_ISDIR(status.st_mode) or os.access(directory, os.R_OK | os.X_OK):
        return
    from pwd import getpwuid  # noqa: PLC0415 - not on every system, as owners are not

    try:
        name = getpwuid(status.st_uid).pw_name
    except KeyError:  # a user id without a name
        name = f"#{status.st_uid}"
    raise WrongUse(f"{directory} can be read by {name} only; run it as its owner: sudo -u {name} licet ...")


def store_of(settings: "Settings") -> StoreAt:
    """Where the store of these settings is."""
    return StoreAt(settings.data, settings.store_url())


@contextmanager
def opened(at: StoreAt | Path | None) -> Iterator[Store]:
    """A store, or that of a data directory.

    Raises StoreUnavailable and SchemaOutdated, with what to do.
    """
    at = at if isinstance(at, StoreAt) else store_at(at)
    store = _open(at)
    try:
        yield store
    finally:
        store.close()


def _open(at: StoreAt) -> Store:
    try:
        return at.open(SystemClock())
    except SchemaOutdated as fault:
        raise SchemaOutdated(f"{fault}; run: licet migrate --data {at.data}") from None
    except SchemaUnknown as fault:
        raise SchemaUnknown(f"{at.place}: {fault}; use that one") from None
    except SetupDamaged:
        raise
    except StoreUnavailable as fault:
        if at.url is not None:  # It says where by itself.
            raise
        if isinstance(fault.__cause__, FileNotFoundError | NotADirectoryError):
            raise StoreUnavailable(
                f"there is no store in {at.data}; make one: licet init --data {at.data}"
            ) from None
        raise StoreUnavailable(f"{at.place} cannot be opened: {fault}") from None


def chosen_tenant(store: Store, name: str | None) -> Tenant:
    """The tenant of this name, or the only one.

    Raises NotFound, WrongUse.
    """
    names = sorted(tenant.name for tenant in store.tenants().values())
    if not names:
        raise NotFound("there is no tenant yet; add one: licet tenant add NAME --seats 5")
    if name is None and len(names) > 1:
        raise WrongUse(f"which tenant? Say --tenant or LICET_TENANT: {', '.join(names)}")
    tenant = store.tenant(names[0] if name is None else name)
    if tenant is None:
        raise NotFound(f"there is no tenant {name}; there is: {', '.join(names)}")
    return tenant


def read_end(data: Path | None, tenant: str | None, text: str | None) -> int | None:
    """When something ends: by the clocks of the tenant where the text names no zone; None for never.

    Raises InvalidValue, NotFound, StoreUnavailable.
    """
    if text is None or text.strip() == NEVER:
        return None
    with opened(data) as store:
        return read_end_ms(text, chosen_tenant(store, tenant).zone)


def counted(number: int, what: str) -> str:
    """`1 seat`, `2 seats`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def given(**options: object) -> Any:
    """The options that were given."""
    return {key: value for key, value in options.items() if value is not None}


def required(changes: Changes) -> Changes:
    """These changes, if there are any.

    Raises WrongUse.
    """
    if not changes:
        raise WrongUse("say what to change; --help lists the options")
    return changes


def exclusive(*options: tuple[str, bool]) -> None:
    """Return if one of these options was given at most, by name and whether it was.

    Raises WrongUse.
    """
    found = [name for name, is_given in options if is_given]
    if len(found) > 1:
        raise WrongUse(f"{' and '.join(found)} exclude each other")


def actor() -> str:
    """Who works here, for the list of events."""
    try:
        return f"{getuser()} at the command line"
    except (OSError, KeyError):  # a user id without a name, as in a container
        return "the command line"


def on_terminal() -> bool:
    """Whether a person reads what is printed."""
    return sys.stdout.isatty()


def say(text: str) -> None:
    """Tell what was done."""
    typer.echo(_printable(text))


def note(text: str) -> None:
    """Tell something beside the result."""
    typer.echo(_printable(text), err=True)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how far long work is; call what this gives with the steps done, and of how many."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def when(ms: int | None) -> Shown:
    """An instant to show, or `never`."""
    return Absent(NEVER) if ms is None else Instant(ms)


def ends(ms: int | None, zone: tzinfo, over: str = "") -> Shown:
    """An end to show, or `never`; `over` is the word of one that is over."""
    return Absent(NEVER) if ms is None else End(ms, zone, over)


def show_list(
    records: Iterable[Record], headings: Mapping[str, str], *, as_json: bool = False, empty: str
) -> None:
    """Print records as a table of these headings, by key; as JSON with all that they have.

    `empty` tells what to do when there are none.
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
    labels = {key: key.removesuffix("_s").removesuffix("_at").replace("_", " ") for key in record}
    width = max(map(len, labels.values())) + 2
    for key, value in record.items():
        shown = _cell(value)
        exact = value.exact() if isinstance(value, Instant | End) and on_terminal() else shown
        typer.echo(f"{labels[key]:{width}}{shown if exact == shown else f'{exact}  {shown}'}")


def show_json(value: object) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(_jsonable(value), indent=2, ensure_ascii=False))


def confirm(question: str, *, yes: bool) -> None:
    """Return if the answer is yes.

    Raises Refused when it is no, and WrongUse where nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise WrongUse(f"{question} Nobody can be asked here; say --yes")
    if not typer.confirm(question):
        raise Refused("nothing was changed")


def ask_password(who: str, *, from_stdin: bool, option: str = "--password-stdin") -> str:
    """A password, asked for twice on a terminal or read from standard input; never from an argument.

    Raises WrongUse where there is none to be had.
    """
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise WrongUse("there is no password on standard input")
        return password
    if not sys.stdin.isatty():
        raise WrongUse(f"a password for {who} is asked for on a terminal; elsewhere say {option}")
    password = typer.prompt(f"Password of {who}", hide_input=True, confirmation_prompt=True)
    return str(password)


def _print_table(headings: list[str], rows: list[list[str]], *, numeric: list[bool]) -> None:
    if not on_terminal():
        _print_aligned(headings, rows)
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading, right in zip(headings, numeric, strict=True):
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
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
            return value.told()
        case AnyOf():
            return " or ".join(value) or "-"
        case str() | int():
            return _printable(str(value))
        case _:
            return _printable(" ".join(value)) or "-"


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


def _printable(text: str) -> str:
    """Without control characters, which could take over a terminal; lines stay."""
    return "".join(it if it.isprintable() or it == "\n" else "\N{REPLACEMENT CHARACTER}" for it in text)
