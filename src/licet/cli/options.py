"""Defines the options that many verbs share, and asks questions and passwords.

A verb asks on a terminal only; elsewhere the answer has to be an option, and a password comes from standard
input.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from licet.cli import completing
from licet.cli.errors import Refused, WrongUse
from licet.cli.stores import chosen_tenant, opened
from licet.formats import NEVER, read_duration_s, read_end_ms
from licet.model import InvalidValue

_GIVEN_CHARS_MAX = 40  # of a wrong value that is repeated

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
Expires = Annotated[
    str | None, typer.Option("--expires", metavar="DATE", help="Its last day, like 2027-01-31, or never.")
]
# No variable: one that is set for other verbs must not, by accident, keep something from the other tenants.
OnlyTenant = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        metavar="NAME",
        help="Of this tenant only; else of all.",
        autocompletion=completing.tenants,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON; times in ISO 8601, UTC.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, one line.")
]


@contextmanager
def of_option(option: str, given: str = "") -> Iterator[None]:
    """Name this option in a refusal of a value within the block, and what was given, unless it says that."""
    try:
        yield
    except InvalidValue as wrong:
        repeated = f"; this is not: {given[:_GIVEN_CHARS_MAX]!r}" if given else ""
        wrong.args = (f"{option}: {wrong}{repeated}",)
        raise


def read_end(option: str, text: str | None, data: Path | None, tenant: str | None) -> int | None:
    """When something ends, in the tenant's zone where the text names none; None for never.

    Raises InvalidValue, NotFound, StoreUnavailable.
    """
    if text is None or text.strip() == NEVER:
        return None
    with opened(data) as store, of_option(option):
        return read_end_ms(text, chosen_tenant(store, tenant).zone)


def read_duration(option: str, text: str) -> int:
    """The seconds of a duration.

    Raises InvalidValue.
    """
    with of_option(option):
        return read_duration_s(text)


def given(**options: object) -> Any:
    """The options that were given."""
    return {key: value for key, value in options.items() if value is not None}


def required(changes: Changes) -> Changes:
    """These changes; at least one is required.

    Raises WrongUse.
    """
    if not changes:
        raise WrongUse("say what to change; --help lists the options")
    return changes


def exclusive(*options: tuple[str, bool]) -> None:
    """Return if at most one of these options was given; each is a name and whether it was given.

    Raises WrongUse.
    """
    found = [name for name, is_given in options if is_given]
    if len(found) > 1:
        raise WrongUse(f"{' and '.join(found)} exclude each other")


def actor() -> str:
    """Who runs the command, for the events."""
    try:
        return f"{getuser()} at the command line"
    except (OSError, KeyError):  # a user id without a name, as in a container
        return "the command line"


def confirm(question: str, *, yes: bool) -> None:
    """Return if the answer is yes.

    Raises Refused when it is no, and WrongUse without a terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise WrongUse(f"{question} Nobody can be asked here; say --yes")
    if not typer.confirm(question):
        raise Refused("nothing was changed")


def ask_password(who: str, *, from_stdin: bool, option: str = "--password-stdin") -> str:
    """A password, asked for twice on a terminal or read from standard input; never from an argument.

    Raises WrongUse where none can be read.
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
