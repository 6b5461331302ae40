"""From what a verb raises to what its caller gets: a line on stderr and an exit code.

0 done, 1 refused or not found, 2 wrong use, 3 store unreachable.
"""

import re

import typer

from licet.credentials.keyring import KeyringUnusable
from licet.model import InvalidValue
from licet.store.errors import SetupError, StoreUnavailable

REFUSED, WRONG_USE, UNREACHABLE = 1, 2, 3


class Refused(Exception):
    """It cannot be done as things are; the text says what to do."""


class WrongUse(Exception):
    """The options do not go together, or one is missing; the text says which."""


def exit_code(fault: Exception) -> int | None:
    """The exit code for a fault; None for a bug."""
    from licet.settings.load import SettingsError  # noqa: PLC0415 - what is slow to import costs only who errs
    from licet.setup.file import DeclarationInvalid  # noqa: PLC0415

    match fault:
        case typer.TyperException():
            return fault.exit_code
        case Refused() | SetupError():
            return REFUSED
        case WrongUse() | InvalidValue() | SettingsError() | DeclarationInvalid():
            return WRONG_USE
        case StoreUnavailable() | KeyringUnusable():
            return UNREACHABLE
        case _:
            return None


def told(fault: Exception) -> str:
    """The fault in words; '' when nothing is left to say."""
    if isinstance(fault, StoreUnavailable):
        first_line = str(fault).partition("\n")[0]
        return f"licet: {first_line}"  # What follows is a driver's, about its statement.
    if not isinstance(fault, typer.TyperException):
        return f"licet: {fault}"
    context = getattr(fault, "ctx", None)
    text = _plain(fault.format_message().rstrip("."))
    where = f" (see: {context.command_path} --help)" if context is not None else ""
    return f"licet: {text[0].lower()}{text[1:]}{where}" if text else ""


def _plain(text: str) -> str:
    """What a library says of an option, in words of ours."""
    if found := _SECRET_OPTION.match(text):
        return (
            f"a {found[2]} is never an argument, which others on this machine can read: it is asked for on a"
            f" terminal, or read from standard input with --{found[2]}-stdin"
        )
    text = text.replace("Value error, ", "")
    for said, told in _LIBRARY_SAYS:
        text = said.sub(told, text)
    return text


_SECRET_OPTION = re.compile(r"(?:No such option: |Option ')--(\w+-)?(password|secret)\b")
_LIBRARY_SAYS = (  # pydantic, by which typer reads values
    (re.compile(r"Input should be a valid integer.*"), "it has to be a whole number"),
    (re.compile(r"Input should be a valid number.*"), "it has to be a number"),
    (re.compile(r"Input should be "), "it has to be "),
)
