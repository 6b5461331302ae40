"""Runs `licet apply` and `licet export`: reads and writes the set-up as a TOML file, for version control."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli.change import and_ended, endings
from licet.cli.errors import WrongUse
from licet.cli.options import AsJson, Data, TenantName, Yes, actor, confirm
from licet.cli.output import note, progress, say, show_json, show_list
from licet.cli.stores import chosen_tenant, opened
from licet.formats import counted

if TYPE_CHECKING:
    from licet.setup.plan import Applied, Step

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="The file to write; by default, and with -, standard output.",
        callback=lambda file: None if file == Path("-") else file,
    ),
]
_HEADINGS = {"sign": "", "tenant": "tenant", "target": "what", "detail": "change"}


def apply(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The set-up file; - is standard input.")],
    *,
    data: Data = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Also remove what the file does not name.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Make the store match a declarative TOML file, all of it or nothing.

    Passwords and secrets are not in the file and stay unchanged: [bold]licet check[/] lists who has none.

    Example: [bold]licet apply licet-setup.toml --dry-run[/]
    """
    from licet.setup.file import read
    from licet.setup.plan import REMOVE
    from licet.setup.plan import apply as apply_plan

    wanted = read(text_of(file), "standard input" if file == "-" else file)
    with opened(data) as store:
        with progress("rehearsing") as on_step:
            plan = apply_plan(store, wanted, actor(), prune=prune, rehearse=True, on_step=on_step)
        _show(plan, as_json=as_json)
        if plan.changes == 0 or dry_run:
            (note if as_json else say)(_end_of_rehearsal(plan))
            return
        if any(step.action == REMOVE for step in plan.steps):
            confirm(f"{endings(plan.ending)} Do this, and remove what is marked with -?".lstrip(), yes=yes)
        elif plan.ending.are_any:
            confirm(f"{endings(plan.ending)} Do this?", yes=yes)
        with progress("applying") as on_step:
            done = apply_plan(store, wanted, actor(), prune=prune, expected=plan, on_step=on_step)
    (note if as_json else say)(f"{counted(done.changes, 'change')} made{and_ended(done.ending)}.")


def export(
    *,
    tenant: TenantName = None,
    output: Output = None,
    data: Data = None,
) -> None:
    """Write the set-up as a TOML file, without passwords and secrets.

    Example: [bold]licet export -o licet-setup.toml[/]
    """
    from licet.setup.file import write

    with opened(data) as store:
        tenants = list(store.tenants().values()) if tenant is None else [chosen_tenant(store, tenant)]
    text = write(tenants)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise WrongUse(f"{output} cannot be written: {fault.strerror}") from None
    say(f"{counted(len(tenants), 'tenant')} written to {output}.")


def text_of(file: str) -> str:
    """The text of a set-up file; `-` is standard input.

    Raises WrongUse.
    """
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as fault:
        raise WrongUse(f"{file} cannot be read: {fault.strerror}") from None
    except UnicodeDecodeError:
        raise WrongUse(f"{file} is not UTF-8") from None
    return text.removeprefix("\ufeff")  # which editors of Windows put first


def _end_of_rehearsal(plan: "Applied") -> str:
    if plan.changes == 0:
        return "Nothing to change."
    ending = f", {counted(plan.sessions_ended, 'session')} to end" if plan.sessions_ended else ""
    return f"{counted(plan.changes, 'change')} to make{ending}; nothing was changed."


def _show(plan: "Applied", *, as_json: bool) -> None:
    from licet.setup.plan import ADD, KEEP, REMOVE, SET

    if as_json:
        show_json([_record(step) for step in plan.steps])
    elif plan.steps:
        signs = {ADD: "+", SET: "~", REMOVE: "-", KEEP: "="}
        show_list(
            [row for step in plan.steps for row in _rows(step, signs[step.action])], _HEADINGS, empty=""
        )
    if any(step.action == KEEP for step in plan.steps):
        note("What is marked with = is not in the file and stays; --prune removes it.")
    for text in plan.notes:
        note(f"{text[0].upper()}{text[1:]}.")


def _rows(step: "Step", sign: str) -> Iterator[dict[str, str]]:
    """A row for each line of a step; the first says of what."""
    first, *others = step.details or ("",)
    yield {"sign": sign, "tenant": step.tenant, "target": step.target, "detail": first}
    for detail in others:
        yield {"sign": "", "tenant": "", "target": "", "detail": detail}


def _record(step: "Step") -> dict[str, str]:
    return {"action": step.action, "tenant": step.tenant, "target": step.target, "detail": step.detail}
