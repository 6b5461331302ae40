"""Turns what a verb raises into a line on stderr and an exit code.

A refusal of the set-up says what is wrong. This module adds the command that helps, by the code and the
subject.

0 done, 1 refused or not found, 2 wrong use, 3 store unreachable.
"""

import errno
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import typer

from licet.cli.suggested_options import of_data, of_tenant, options_first
from licet.credentials.keyring import KeyringCode, KeyringUnusable
from licet.licences.errors import LicenceRefused
from licet.model import InvalidValue
from licet.platforms.shells import quoted
from licet.refusal import Code, Refusal, SubjectKind
from licet.store.errors import SetupError, StoreUnavailable
from licet.vendor.errors import VendorCode, VendorRefused

REFUSED, WRONG_USE, UNREACHABLE = 1, 2, 3
_GIVEN_CHARS_MAX = 40  # of a wrong value that is repeated


class Refused(Exception):
    """The command is not possible now; the text says what to do."""


class WrongUse(Exception):
    """The options conflict, or one is missing; the text says which."""


def exit_code(fault: Exception) -> int | None:
    """The exit code for a fault; None for a bug."""
    match fault:
        case typer.TyperException():
            return fault.exit_code
        case VendorRefused(code=VendorCode.BAD_ORDER | VendorCode.WEAK_PASSPHRASE):
            return WRONG_USE
        case Refused() | SetupError() | LicenceRefused() | VendorRefused():
            return REFUSED
        case WrongUse() | InvalidValue():
            return WRONG_USE
        case StoreUnavailable() | KeyringUnusable() | OSError() if _is_expected(fault):
            return UNREACHABLE
        case _:
            return WRONG_USE if any(_is(fault, *where) for where in _WRONG_USE_ELSEWHERE) else None


def _is_expected(fault: StoreUnavailable | KeyringUnusable | OSError) -> bool:
    """Whether it is no bug: of a file that cannot be written, where the disk is to blame."""
    if not isinstance(fault, OSError):
        return True
    return fault.filename is not None and fault.errno in _OF_A_DISK


_OF_A_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})

# Errors of wrong use that are defined in modules which are slow to import.
_WRONG_USE_ELSEWHERE = (
    ("licet.settings.load", "SettingsError"),
    ("licet.setup.file", "DeclarationInvalid"),
)


def _is(fault: Exception, module: str, name: str) -> bool:
    """Whether it is of this class; where the class is not imported, nobody has raised it."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(fault, getattr(loaded, name))


def text_of(fault: Exception, tenant: str | None = None, data: Path | None = None) -> str:
    """The text of a fault, for a call with these options; '' when nothing is to be printed."""
    if isinstance(fault, StoreUnavailable | OSError):
        return f"licet: {_first_line(fault)}"
    if isinstance(fault, Refusal):
        return f"licet: {fault}{advice(fault, tenant, data)}"
    if isinstance(fault, KeyringUnusable):
        return f"licet: {fault}{KEYRING_ADVICE.get(fault.code, '').format(at=of_data(data))}"
    if isinstance(fault, VendorRefused):
        where = "vendor" if fault.directory is None else quoted(str(fault.directory))
        return f"licet: {fault}{VENDOR_ADVICE.get(fault.code, '').format(directory=where)}"
    if not isinstance(fault, typer.TyperException):
        return f"licet: {fault}"
    context = getattr(fault, "ctx", None)
    text = _plain(fault.format_message().rstrip(".")) + _given(fault) + _with_dash(fault)
    where = f" (see: {context.command_path} --help)" if context is not None else ""
    return f"licet: {text[0].lower()}{text[1:]}{where}" if text else ""


def _first_line(fault: StoreUnavailable | OSError) -> str:
    """What a store or a disk says; further lines are the driver's, about its statement."""
    if isinstance(fault, OSError):
        return f"{fault.filename2 or fault.filename} cannot be written: {fault.strerror}"
    return str(fault).partition("\n")[0]


def _given(fault: typer.TyperException) -> str:
    """What was given to an option whose value cannot be read; pydantic knows it, and does not say it."""
    errors = getattr(fault.__cause__, "errors", None)
    first = errors()[0] if callable(errors) else {}
    given = first.get("input")
    return f"; this is not: {given[:_GIVEN_CHARS_MAX]!r}" if isinstance(given, str) else ""


def _with_dash(fault: typer.TyperException) -> str:
    """What to do with a name that was taken for an option, as one thumbprint in 64 is."""
    name = str(getattr(fault, "option_name", ""))
    is_short = name.startswith("-") and not name.startswith("--")
    return "; an argument that begins with a dash stands behind --" if is_short else ""


def advice(refusal: Refusal, tenant: str | None = None, data: Path | None = None) -> str:
    """What to do next, after the text of a refusal; '' where the text is enough."""
    subject = refusal.subject
    if refusal.code is Code.NOT_FOUND and refusal.others:
        return ""  # it names the existing ones
    if refusal.code is Code.NOT_TOGETHER and refusal.beside and subject and subject.kind == "pool":
        return f"; change {_as_option(refusal.field)} or {_as_option(refusal.beside)}"
    if refusal.code is Code.IN_USE and refusal.others and refusal.others[0].kind == "pool":
        return f"; see: licet pool show {quoted(refusal.others[0].name)}{of_tenant(tenant, data)}"
    template = _ADVICE.get((refusal.code, subject.kind if subject else None), "")
    names = {"to": of_tenant(tenant, data), "at": of_data(data), "client": "CLIENT_ID"}
    if subject is not None and any(name and name.startswith("-") for name in (subject.name, subject.client)):
        template = options_first(template)
    if subject is not None:
        names |= {"name": quoted(subject.name)} | (
            {"client": quoted(subject.client)} if subject.client else {}
        )
    return template.format_map(names)


def _as_option(field: str) -> str:
    """The option that sets a field."""
    return f"--{field.replace('_', '-')}"


# {to} adds the options for the same tenant and data, {at} those for the same data.
_ADVICE: Mapping[tuple[Code, SubjectKind | None], str] = MappingProxyType(
    {
        (Code.ALREADY_THERE, "tenant"): "; change it with: licet tenant set {name}{at}",
        (Code.ALREADY_THERE, "pool"): "; change it with: licet pool set {name}{to}",
        (Code.ALREADY_THERE, "scope"): "; change it with: licet scope set {name}{to}",
        (Code.ALREADY_THERE, "user"): "; change it with: licet user set {name}{to}",
        (Code.ALREADY_THERE, "client"): "; change it with: licet client set {name}{to}",
        (Code.ALREADY_THERE, "group"): "; change it with: licet group set {name}{to}",
        (Code.ALREADY_THERE, "key"): "; see: licet client key list {client}{to}",
        (Code.ALREADY_THERE, "administrator"): "; change it with: licet admin set {name}{at}",
        (Code.ALREADY_THERE, "API key"): "; choose another name, or: licet admin key remove {name}{at}",
        (Code.NOT_FOUND, "tenant"): "; add one: licet tenant add NAME --seats 5{at}",
        (Code.NOT_FOUND, "pool"): "; add one: licet pool add NAME --seats 5{to}",
        (Code.NOT_FOUND, "user"): "; add one: licet user add INITIALS{to}",
        (Code.NOT_FOUND, "client"): "; add one: licet client add CLIENT_ID --user INITIALS{to}",
        (Code.NOT_FOUND, "group"): "; add one: licet group add NAME --user INITIALS{to}",
        (Code.NOT_FOUND, "secret"): "; add one: licet client secret add {client}{to}",
        (Code.NOT_FOUND, "key"): "; add one: licet client key add {client} FILE{to}",
        (Code.NOT_FOUND, "administrator"): "; licet admin list{at} shows those there are",
        (Code.NOT_FOUND, "API key"): "; licet admin key list{at} shows those there are",
        (Code.NOT_FOUND, "webhook"): "; licet webhook list{at} shows those there are",
        (Code.IN_USE, None): ": licet licence remove LICENCE SERIAL{to}",
        (Code.IN_USE, "pool"): ": licet scope set SCOPE --pool POOL{to}",
        (Code.IN_USE, "scope"): ": licet client set CLIENT_ID --scope SCOPE{to}",
        (Code.IN_USE, "user"): ": licet client set CLIENT_ID --user INITIALS{to}",
        (Code.IS_DEFAULT, "scope"): ": licet tenant set TENANT --default-scope SCOPE{at}",
        (Code.TOO_MANY, "secret"): ": licet client secret remove {client} SECRET_ID{to}",
        (Code.TOO_MANY, "key"): ": licet client key remove {client} KID{to}",
        (Code.TOO_MANY, "administrator"): ": licet admin remove NAME{at}",
        (Code.TOO_MANY, "API key"): ": licet admin key remove NAME{at}",
        (Code.TOO_MANY, "webhook"): ": licet webhook remove WEBHOOK_ID{at}",
        (Code.LAST_OWNER, "administrator"): ": licet admin add NAME --role owner{at}",
        (Code.DISABLED, "webhook"): ": licet webhook set {name} --enable{at}",
        (Code.OLDER_NODES, None): ", or say --force",
        (Code.OLDER_NODES, "tenant"): ": licet migrate --finish{at}",
        (Code.SHARED_KEY, None): ": licet client secret add CLIENT_ID{to}",
    }
)


KEYRING_ADVICE: Mapping[KeyringCode, str] = MappingProxyType(
    {
        KeyringCode.UNREADABLE: ", or make new keys: licet key new{at}",
        KeyringCode.DAMAGED: ", or remove it and make new keys: licet key new{at}",
        KeyringCode.TOO_MANY: ": licet key prune{at}",
    }
)


VENDOR_ADVICE: Mapping[VendorCode, str] = MappingProxyType(
    {
        VendorCode.NO_VENDOR: "; make it: licet vendor key new --vendor NAME --product NAME -o {directory}",
        VendorCode.VENDOR_THERE: "; to add a key: licet vendor key add --key {directory}",
        VendorCode.NO_PRIVATE_KEY: ", or, if an HSM keeps the key, say --signer",
        VendorCode.SERIAL_TAKEN: "; see: licet vendor list --key {directory}",
    }
)


def _plain(text: str) -> str:
    """A library's text about an option, in our words."""
    if found := _SECRET_OPTION.match(text):
        return (
            f"a {found[2]} is never an argument, which others on this machine can read: it is asked for on a"
            f" terminal, or read from standard input with --{found[2]}-stdin"
        )
    text = text.replace("Value error, ", "")
    for said, ours in _LIBRARY_SAYS:
        text = said.sub(ours, text)
    return text


_SECRET_OPTION = re.compile(r"(?:No such option: |Option ')--(\w+-)?(password|passphrase|secret)\b")
_LIBRARY_SAYS = (  # pydantic, which typer reads values with
    (re.compile(r"Input should be a valid integer.*"), "it has to be a whole number"),
    (re.compile(r"Input should be a valid number.*"), "it has to be a number"),
    (re.compile(r"Input should be greater than or equal to "), "it has to be at least "),
    (re.compile(r"Input should be less than or equal to "), "it has to be at most "),
    (re.compile(r"Input should be "), "it has to be "),
)
