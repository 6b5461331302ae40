"""From what a verb raises to what its caller gets: a line on stderr and an exit code.

0 done, 1 refused or not found, 2 wrong use, 3 store unreachable.
"""

import typer

from licet.keyring import KeyringUnusable
from licet.model import InvalidValue
from licet.store.changes import SetupError
from licet.store.contract import StoreUnavailable

REFUSED, WRONG_USE, UNREACHABLE = 1, 2, 3


class Refused(Exception):
    """It cannot be done as things are; the text says what to do."""


class WrongUse(Exception):
    """The options do not go together, or one is missing; the text says which."""


def exit_code(fault: Exception) -> int | None:
    """The exit code for a fault; None for a bug."""
    from licet.settings import SettingsError  # noqa: PLC0415 - what is slow to import costs only who errs
    from licet.store.declaration import DeclarationInvalid  # noqa: PLC0415

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
    text = fault.format_message().rstrip(".").replace("Value error, ", "")  # pydantic's word for a choice
    where = f" (see: {context.command_path} --help)" if context is not None else ""
    return f"licet: {text[0].lower()}{text[1:]}{where}" if text else ""
