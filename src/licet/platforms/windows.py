"""Calls Windows for what Python's library has no function: access control lists, locks, pipes, processes.

An access control list is read as text (MS-DTYP 2.5.1), which has no names in the language of the machine.
Private is a file that nobody may use but its owner, the account that looks, the system, administrators, and a
service with an account of its own. What cannot be read or understood is not private.

Nothing here is loaded before it is called, so that other systems can import it.
"""

import errno
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

_TEXT = re.compile(
    r"O:(?P<owner>S-[\d-]+|[A-Z]{2})(?:G:(?:S-[\d-]+|[A-Z]{2}))?D:[A-Z]*(?P<entries>(?:\([^()]*\))+)"
)
_DENIES: Final = "D"
_TRUSTED: Final = frozenset({"SY", "BA", "LA", "OW", "CO"})  # system, administrators, the owner by its roles
_SERVICE = re.compile(r"S-1-5-80(?:-\d+){5}")  # NT SERVICE\name; not S-1-5-80-0, which is all of them
_SHORT: Final = {"S-1-5-18": "SY", "S-1-5-19": "LS", "S-1-5-20": "NS"}
_FIELDS = 6  # of an entry: type, flags, rights, two kinds of objects, whose

_OWNER, _DACL, _PROTECTED = 0x1, 0x4, 0x8000_0000
_SDDL_1 = 1
_FILE_OBJECT = 1
_TOKEN_QUERY, _TOKEN_USER = 0x8, 1
_READ_WRITE, _NEW, _NORMAL, _INVALID = 0xC000_0000, 1, 0x80, 2**64 - 1
_SYNCHRONIZE, _FOREVER = 0x10_0000, 0xFFFF_FFFF
_LOCK_TRY = 2  # LK_NBLCK
_STEP_S = 0.01


def is_open_to_others(path: Path) -> bool:
    """Whether anybody may use a file who could not take it anyway.

    Raises OSError.
    """
    return not is_private(security_of(path), own_sid())


def is_private(text: str, own: str) -> bool:
    """Whether the access control list of this text gives a file to nobody else; `own` is who looks."""
    found = _TEXT.fullmatch(text)
    if found is None:  # without a list everybody may do everything
        return False
    trusted = _TRUSTED | {found["owner"], own, _SHORT.get(own, own)}
    for entry in found["entries"][1:-1].split(")("):
        fields = entry.split(";")
        if len(fields) != _FIELDS:
            return False
        kind, _, rights, _, _, whose = fields
        if kind != _DENIES and rights and whose not in trusted and not _SERVICE.fullmatch(whose):
            return False
    return True


def how_to_close(path: Path, *, is_directory: bool) -> str:
    """The command that makes a file private: for the system, administrators, and one account."""
    rights = "(OI)(CI)F" if is_directory else "F"
    whose = " ".join(f'"{account}:{rights}"' for account in ("*S-1-5-18", "*S-1-5-32-544", "ACCOUNT"))
    return f'icacls "{path}" /inheritance:r /grant:r {whose}, where ACCOUNT runs the server'


def create_private(path: Path) -> int:
    """Make a file that is private; return its descriptor. Until it is, nobody else can open it.

    Raises OSError: FileExistsError where there is one.
    """
    create = _dll("kernel32").CreateFileW
    create.restype, create.argtypes = (
        _pointer(),
        [_text(), *[_number()] * 2, _pointer(), *[_number()] * 2, _pointer()],
    )
    handle = create(str(path), _READ_WRITE, 0, None, _NEW, _NORMAL, None)
    if handle in {None, _INVALID}:
        raise _last(path)
    try:
        if is_open_to_others(path):
            restrict(path)
        descriptor: int = _msvcrt().open_osfhandle(handle, os.O_RDWR | getattr(os, "O_NOINHERIT", 0))
    except BaseException:
        _close(handle)
        path.unlink()
        raise
    return descriptor


def make_private_directory(path: Path) -> None:
    """Make a directory that is private, and in which files are.

    Raises OSError.
    """
    path.mkdir()
    if is_open_to_others(path):
        restrict(path, inheritable=True)


def restrict(path: Path, *, inheritable: bool = False) -> None:
    """Make a file private to the system, administrators and this account, whatever its directory says.

    Raises OSError.
    """
    flags = "OICI" if inheritable else ""
    entries = "".join(f"(A;{flags};FA;;;{whose})" for whose in ("SY", "BA", own_sid()))
    advapi = _dll("advapi32")
    with _parsed(advapi, f"D:P{entries}") as descriptor:
        which = _number()(_DACL | _PROTECTED)
        if not advapi.SetFileSecurityW(_text()(str(path)), which, descriptor):
            raise _last(path)
    if is_open_to_others(path):  # its volume has no access control lists
        raise PermissionError(errno.EACCES, "this volume cannot keep a file from others", str(path))


def security_of(path: Path) -> str:
    """The owner and the access control list of a file, as text.

    Raises OSError.
    """
    advapi, descriptor = _dll("advapi32"), _pointer()()
    code = advapi.GetNamedSecurityInfoW(
        _text()(str(path)), _FILE_OBJECT, _OWNER | _DACL, None, None, None, None, _by(descriptor)
    )
    if code:
        raise _error(code, path)
    text = _text()()
    try:
        is_done = advapi.ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor, _SDDL_1, _OWNER | _DACL, _by(text), None
        )
        if not is_done:
            raise _last(path)
        return _taken(text)
    finally:
        _free(descriptor)


def own_sid() -> str:
    """The account of this process.

    Raises OSError.
    """
    import ctypes  # noqa: PLC0415 - for Windows alone

    advapi, token, size = _dll("advapi32"), _pointer()(), _number()()
    if not advapi.OpenProcessToken(_pointer()(-1), _TOKEN_QUERY, _by(token)):  # -1 is this process
        raise _last()
    try:
        advapi.GetTokenInformation(token, _TOKEN_USER, None, 0, _by(size))
        user = ctypes.create_string_buffer(size.value)
        if not advapi.GetTokenInformation(token, _TOKEN_USER, user, size, _by(size)):
            raise _last()
        sid, text = _pointer().from_buffer(user), _text()()  # TOKEN_USER begins with the address of its SID
        if not advapi.ConvertSidToStringSidW(sid, _by(text)):
            raise _last()
        return _taken(text)
    finally:
        _close(token)


def lock(descriptor: int, *, waiting: bool) -> None:
    """Lock the first byte of a file, until it is closed.

    Raises BlockingIOError when another process has it, and `waiting` is false.
    """
    while True:
        try:
            _msvcrt().locking(descriptor, _LOCK_TRY, 1)
        except OSError as fault:
            if not waiting:
                raise BlockingIOError(fault.errno, "another process has the lock") from None
            time.sleep(_STEP_S)
        else:
            return


def has_key() -> bool:
    """Whether a key was pressed that nobody has read."""
    return bool(_msvcrt().kbhit())


def read_key() -> str:
    """The key that was pressed."""
    return str(_msvcrt().getwch())


def has_bytes(descriptor: int) -> bool:
    """Whether reading a pipe would return at once, with bytes or its end."""
    waiting = _number()()
    handle = _pointer()(_msvcrt().get_osfhandle(descriptor))
    is_open = _dll("kernel32").PeekNamedPipe(handle, None, 0, None, _by(waiting), None)
    return not is_open or waiting.value > 0


def wait_for_end_of(process: int) -> None:
    """Return when another process has ended."""
    kernel = _dll("kernel32")
    kernel.OpenProcess.restype = _pointer()
    handle = kernel.OpenProcess(_SYNCHRONIZE, 0, process)
    if handle is not None:
        kernel.WaitForSingleObject(_pointer()(handle), _number()(_FOREVER))
        _close(handle)


# What ctypes is told


@contextmanager
def _parsed(advapi: Any, text: str) -> Iterator[Any]:
    descriptor = _pointer()()
    if not advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW(
        _text()(text), _SDDL_1, _by(descriptor), None
    ):
        raise _last()
    try:
        yield descriptor
    finally:
        _free(descriptor)


def _taken(text: Any) -> str:
    """The text that a function made, which is freed."""
    import ctypes  # noqa: PLC0415 - for Windows alone

    found = str(text.value)
    _free(ctypes.cast(text, ctypes.c_void_p))
    return found


def _dll(name: str) -> Any:
    """A library of Windows.

    Raises OSError on another system: what it would be asked cannot be known.
    """
    import ctypes  # noqa: PLC0415 - for Windows alone

    load: Any = getattr(ctypes, "WinDLL", None)
    if load is None:
        raise OSError(None, "this system has no access control lists")
    return load(name, use_last_error=True)


def _msvcrt() -> Any:
    return import_module("msvcrt")


def _pointer() -> Any:
    import ctypes  # noqa: PLC0415 - for Windows alone

    return ctypes.c_void_p


def _number() -> Any:
    import ctypes  # noqa: PLC0415 - for Windows alone

    return ctypes.c_uint32


def _text() -> Any:
    import ctypes  # noqa: PLC0415 - for Windows alone

    return ctypes.c_wchar_p


def _by(value: Any) -> Any:
    import ctypes  # noqa: PLC0415 - for Windows alone

    return ctypes.byref(value)


def _free(pointer: Any) -> None:
    _dll("kernel32").LocalFree(pointer)


def _close(handle: Any) -> None:
    _dll("kernel32").CloseHandle(handle if hasattr(handle, "value") else _pointer()(handle))


def _last(path: Path | None = None) -> OSError:
    import ctypes  # noqa: PLC0415 - for Windows alone

    return _error(getattr(ctypes, "get_last_error")(), path)  # noqa: B009 - not on every system


def _error(code: int, path: Path | None) -> OSError:
    import ctypes  # noqa: PLC0415 - for Windows alone

    text = getattr(ctypes, "FormatError")(code).strip()  # noqa: B009 - not on every system
    return OSError(0, text, None if path is None else str(path), code)
