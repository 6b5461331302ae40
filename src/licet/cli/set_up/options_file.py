"""Runs `licet import-options`: takes over an options file of FlexNet or RLM into a set-up file.

The rules:

- A line that is not written as its format demands, or contradicts another, refuses the file.
- So does a line without counterpart, unless the administrator leaves it out by its word. What is left out is
  told, and stands in the set-up file as a comment.
- The set-up file is written whole, and only when `licet apply` would take it.
"""

import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from licet.cli.errors import Refused, WrongUse
from licet.cli.options import AsJson, Data, TenantName
from licet.cli.output import note, say, show_json
from licet.cli.set_up.setup_file import Output, text_of
from licet.cli.stores import chosen_tenant, opened
from licet.cli.suggested_options import of_data
from licet.formats import counted
from licet.platforms.shells import quoted

if TYPE_CHECKING:
    from licet.model import Tenant
    from licet.options_files.outcomes import Outcome
    from licet.options_files.statements import Reading

_ALL: Final = "all"
_NAMES_BYTES_MAX: Final = 1_048_576
_WHERE_MAX: Final = 10  # lines that are named together
_LINE_CHARS_MAX: Final = 200  # of a line that is told: a group may have hundreds of names


class Format(StrEnum):
    """Whose options file it is."""

    FLEXNET = "flexnet"
    RLM = "rlm"


OptionsFile = Annotated[str, typer.Argument(metavar="FILE", help="The options file; - is standard input.")]
WhoseFile = Annotated[
    Format | None,
    typer.Option("--format", help="The licence server it is for, if the file does not show that."),
]
Into = Annotated[
    str | None,
    typer.Option("--into", metavar="FILE", help="The set-up file to add to; by default the present set-up."),
]
Pools = Annotated[
    list[str] | None,
    typer.Option(
        "--pool", metavar="FEATURE=POOL", help="The pool of a feature, if its name differs; repeatable."
    ),
]
OneUser = Annotated[
    list[str] | None,
    typer.Option("--user", metavar="NAME=INITIALS", help="The user of a login name; repeatable."),
]
AllUsers = Annotated[
    str | None,
    typer.Option("--users", metavar="FILE", help="A file with a line NAME=INITIALS for each user."),
]
LeaveOut = Annotated[
    list[str] | None,
    typer.Option(
        "--leave-out",
        metavar="WORD",
        help="Leave out lines of this keyword without a counterpart, like REPORTLOG; or all; repeatable.",
    ),
]


def import_options(
    file: OptionsFile,
    *,
    file_format: WhoseFile = None,
    into: Into = None,
    output: Output = None,
    tenant: TenantName = None,
    pool: Pools = None,
    user: OneUser = None,
    users: AllUsers = None,
    leave_out: LeaveOut = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Convert an options file of FlexNet or RLM into a set-up file, for [bold]licet apply[/].

    Lists the lines that have no counterpart, with the reasons, and then writes nothing unless --leave-out
    permits it. With --json it lists every line, and writes the set-up only to -o.

    Example: [bold]licet import-options sales.opt --user anne=AN -o licet-setup.toml[/]
    """
    from licet.options_files.names import Names
    from licet.options_files.translation import translate
    from licet.options_files.writing import written
    from licet.setup.options.contradictions import disagreements

    name = "standard input" if file == "-" else Path(file).name
    if [file, into, users].count("-") > 1:
        raise WrongUse("only one file can be standard input")
    reading = _reading(file, file_format)
    base, chosen = _set_up(into, tenant, data)
    names = Names(
        users=_pairs(_lines_of(users), "--users", "anne=AN") | _pairs(user, "--user", "anne=AN"),
        pools=_pools(pool, chosen),
    )
    done = translate(reading, chosen, names, disagreements)
    _tell(name, done.outcomes, as_json=as_json)
    left_out = _left_out(name, done.outcomes, leave_out or ())
    text = written(base, chosen.name, done.changes, left_out, name)
    _must_be_applicable(text, f"the set-up with {name}", chosen.name)
    for more in done.notes:
        note(more)
    if output is not None:
        _write(output, text)
    elif not as_json:
        typer.echo(text, nl=False)
    kept = sum(it.fate == "kept" for it in done.outcomes)
    more = f", {len(left_out)} left out" if left_out else ""
    where = "" if output is None else f", written to {output}"
    (note if output is None or as_json else say)(
        f"{name} ({reading.format}): {counted(kept, 'option')} kept{more}{where}."
    )
    if output is not None:
        note(f"To see what it changes: licet apply {quoted(str(output))}{of_data(data)} --dry-run")


def _reading(file: str, file_format: Format | None) -> "Reading":
    from licet.options_files import flexnet, rlm
    from licet.options_files.lines import FILE_BYTES_MAX, FileUnreadable
    from licet.options_files.recognition import FormatUnclear, recognised

    content = _bytes_of(file, FILE_BYTES_MAX)
    try:
        match file_format:
            case Format.FLEXNET:
                return flexnet.read(content)
            case Format.RLM:
                return rlm.read(content)
            case None:
                return recognised(content)
    except FileUnreadable as fault:
        raise WrongUse(f"{file}: {fault}") from None
    except FormatUnclear as fault:
        raise WrongUse(f"{file}: {fault}; say --format flexnet or --format rlm") from None


def _bytes_of(file: str, bytes_max: int) -> bytes:
    """The content of a file, or its first `bytes_max` + 1 bytes if it has more."""
    try:
        if file == "-":
            return sys.stdin.buffer.read(bytes_max + 1)
        with Path(file).open("rb") as opened_file:
            return opened_file.read(bytes_max + 1)
    except OSError as fault:
        raise WrongUse(f"{file} cannot be read: {fault.strerror}") from None


def _set_up(into: str | None, name: str | None, data: Path | None) -> "tuple[str, Tenant]":
    """A set-up file, and its tenant that the options are for."""
    from licet.setup.file import read, write

    if into is None:
        with opened(data) as store:
            chosen = chosen_tenant(store, name)
        base = write([chosen])
        return base, read(base, "the set-up")[0]
    base = text_of(into)
    found = {tenant.name: tenant for tenant in read(base, "standard input" if into == "-" else into)}
    if name is None and len(found) != 1:
        raise WrongUse(f"{into} has {counted(len(found), 'tenant')}; say --tenant NAME")
    if name is not None and name not in found:
        raise WrongUse(f"{into} has no tenant {name}")
    return base, found[name or next(iter(found))]


def _lines_of(users: str | None) -> list[str]:
    if users is None:
        return []
    content = _bytes_of(users, _NAMES_BYTES_MAX)
    if len(content) > _NAMES_BYTES_MAX:
        raise WrongUse(f"{users} has more than {_NAMES_BYTES_MAX} bytes")
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise WrongUse(f"{users} is not UTF-8") from None
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _pairs(given: Sequence[str] | None, option: str, example: str) -> dict[str, str]:
    """What names mean, of texts like `anne=AN`; the last = counts, as a name may have one."""
    found: dict[str, str] = {}
    for text in given or ():
        name, is_there, meaning = (part.strip() for part in text.rpartition("="))
        if not (is_there and name and meaning):
            raise WrongUse(
                f"{option}: a name and what it means are written {example}; this is not: {text[:40]!r}"
            )
        if found.setdefault(name, meaning) != meaning:
            raise WrongUse(f"{option}: {name[:40]!r} is to be {found[name]} and {meaning}")
    return found


def _pools(given: Sequence[str] | None, tenant: "Tenant") -> dict[str, str]:
    found = _pairs(given, "--pool", "compile=full")
    known = {pool.name for pool in tenant.pools.values()}
    if unknown := sorted(set(found.values()) - known):
        raise WrongUse(f"--pool: tenant {tenant.name} has no pool {unknown[0]}")
    return found


def _tell(name: str, outcomes: Iterable["Outcome"], *, as_json: bool) -> None:
    """List the lines: those that are not kept, for people, and all of them, for programs."""
    if as_json:
        show_json(
            [
                {
                    "first": it.line.first,
                    "last": it.line.last,
                    "text": it.line.text,
                    "fate": it.fate,
                    "why": it.why,
                }
                for it in outcomes
            ]
        )
        return
    for it in outcomes:
        if it.fate in {"left out", "wrong"}:
            more = " ..." if len(it.line.text) > _LINE_CHARS_MAX else ""
            note(f"{name}, {it.line.where}: {it.line.text[:_LINE_CHARS_MAX]}{more}\n    {it.why}")


def _left_out(name: str, outcomes: Sequence["Outcome"], words: Iterable[str]) -> list["Outcome"]:
    """The lines that may be left out.

    Raises Refused, WrongUse.
    """
    wrong = [it for it in outcomes if it.fate == "wrong"]
    if wrong:
        which = "a mistake, or contradicts another" if len(wrong) == 1 else "mistakes, or contradict others"
        have = "has" if len(wrong) == 1 else "have"
        why = f"{counted(len(wrong), 'line')} of {name} {have} {which}; nothing was written"
        raise WrongUse(f"{why}. Correct {_where(wrong)}, as told above")
    found = [it for it in outcomes if it.fate == "left out"]
    allowed = {word.upper() for word in words}
    lost = [it for it in found if it.option not in allowed]
    if lost and _ALL.upper() not in allowed:
        options = " ".join(f"--leave-out {option}" for option in dict.fromkeys(it.option for it in lost))
        have = "has" if len(lost) == 1 else "have"
        why = f"{counted(len(lost), 'line')} of {name} {have} no counterpart; nothing was written"
        raise Refused(f"{why}. Correct that, or do without: {options}")
    return found


def _where(outcomes: Sequence["Outcome"]) -> str:
    """`line 3, lines 5 to 7 and 4 more`: among many lines that are told, these are to be found."""
    named = [it.line.where for it in outcomes[:_WHERE_MAX]]
    if (more := len(outcomes) - _WHERE_MAX) > 0:
        named.append(f"{more} more")
    return " and ".join([*filter(None, [", ".join(named[:-1])]), named[-1]])


def _must_be_applicable(text: str, source: str, tenant: str) -> None:
    """Return if `licet apply` takes this set-up file, as far as can be told without its store.

    Raises DeclarationInvalid, InvalidValue.
    """
    from licet.setup.file import read
    from licet.setup.options.contradictions import disagreements

    chosen = next(it for it in read(text, source) if it.name == tenant)
    for pool in chosen.pools.values():
        for found in disagreements(pool, pool.seats):
            raise found.refusal(pool.name, tenant)


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all; what is no file, like /dev/null, stays what it is."""
    from licet.platforms import files

    try:
        place = path.resolve()
        if place.exists() and not place.is_file():
            place.write_text(text, encoding="utf-8")
            return
        files.write(place, text.encode(), mode=files.mode_of(place, new=files.PUBLIC), replacing=True)
    except OSError as fault:
        raise WrongUse(f"{path} cannot be written: {fault.strerror}") from None
