"""Makes this Python behave as on Windows: removes what Windows lacks, and replaces what Windows has instead.

A Python that is started with this directory in PYTHONPATH imports it before everything else. The replacements
are as strict as Windows: they open no directory, select only sockets, and neither move nor remove an open
file.
"""

import asyncio
import errno
import fcntl
import importlib.abc
import importlib.machinery
import os
import select
import selectors
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

LOADED = (asyncio, selectors, ssl)  # imported first, as they need the removed names on this system

MODULES = ["uvloop", "fcntl", "pwd", "grp", "resource", "termios", "tty", "pty", "readline", "syslog"]
NAMES: dict[Any, str] = {
    os: """
        O_CLOEXEC O_DIRECTORY O_NOFOLLOW chown fchdir fchmod fchown fork forkpty getegid geteuid getgid
        getgroups getloadavg getpgid getuid killpg lchown lockf mkfifo mknod nice openpty register_at_fork
        sched_getaffinity setsid setuid statvfs sync sysconf uname
    """,
    signal: """
        SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIGWINCH
        SIG_BLOCK SIG_SETMASK SIG_UNBLOCK alarm pthread_kill pthread_sigmask setitimer sigwait
    """,
    socket: "AF_UNIX CMSG_LEN MSG_DONTWAIT MSG_NOSIGNAL SO_REUSEPORT recv_fds send_fds",
    select: "epoll poll",
    time: "CLOCK_BOOTTIME CLOCK_MONOTONIC clock_gettime clock_gettime_ns",
    asyncio: "open_unix_connection start_unix_server",
}
OWN = "S-1-5-21-1-2-3-1001"
NOT_A_SOCKET = 10038

_open, _replace, _rename, _unlink, _chmod, _kill = (
    os.open,
    os.replace,
    os.rename,
    os.unlink,
    os.chmod,
    os.kill,
)
_select, _poll, _statvfs = select.select, select.poll, os.statvfs
_locks, _reuse = fcntl, socket.SO_REUSEADDR


def main() -> None:
    """Remove and replace the names."""
    for owner, names in NAMES.items():
        for name in names.split():
            if hasattr(owner, name):
                delattr(owner, name)
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    replacements: dict[Any, Any] = {
        os: {"open": _open_no_directory, "replace": _replaced, "rename": _renamed, "link": _no_link},
        socket: {"socketpair": _pair, "SO_EXCLUSIVEADDRUSE": _reuse},
        select: {"select": _select_sockets},
        shutil: {"_use_fd_functions": False, "disk_usage": _disk_usage},
        asyncio.SelectorEventLoop: {"add_signal_handler": _not_there},
        subprocess.Popen: {"kill": lambda process: _kill(process.pid, 9)},
    }
    replacements[os] |= {"unlink": _unlinked, "remove": _unlinked}
    for owner, changed in replacements.items():
        for name, value in changed.items():
            setattr(owner, name, value)
    subprocess.Popen.__init__ = _start(subprocess.Popen.__init__)  # type: ignore[method-assign]
    runtime: Any = ModuleType("msvcrt")
    runtime.locking = _lock
    sys.modules["msvcrt"] = runtime
    sys.meta_path.insert(0, Finder())


class Finder(importlib.abc.MetaPathFinder):
    """Finds `licet.platforms.windows`, and replaces its calls of Windows with functions of this module."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        """Find the module's own file, with another loader."""
        if fullname != "licet.platforms.windows":
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        assert found is not None
        assert found.origin is not None
        found.loader = Loader(fullname, found.origin)
        return found


class Loader(importlib.machinery.SourceFileLoader):
    """Loads `licet.platforms.windows`."""

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, then replace its calls of Windows."""
        super().exec_module(module)
        windows: Any = module
        windows.own_sid = lambda: OWN
        windows.security_of = security_of
        windows.restrict = lambda path, *, inheritable=False: _chmod(path, 0o700 if inheritable else 0o600)
        windows.has_bytes = _has_bytes
        windows.create_private = lambda path: _create(windows, path)


def security_of(path: Path) -> str:
    """The access control list that corresponds to the mode of a file."""
    everybody = "(A;;0x1200a9;;;WD)" if path.stat().st_mode & 0o077 else ""
    return f"O:{OWN}D:(A;;FA;;;SY)(A;;FA;;;{OWN}){everybody}"


def _create(windows: Any, path: Path) -> int:
    descriptor = _open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    if windows.is_open_to_others(path):
        windows.restrict(path)
    return descriptor


def _disk_usage(path: Any) -> Any:
    """Replaces `shutil.disk_usage`, which asks Windows itself, without `os.statvfs`."""
    found = _statvfs(path)
    total, free = (blocks * found.f_frsize for blocks in (found.f_blocks, found.f_bavail))
    return shutil._ntuple_diskusage(total, total - free, free)


def _open_no_directory(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    if not isinstance(path, int) and Path(os.fsdecode(path)).is_dir():
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    return _open(path, flags, mode, dir_fd=dir_fd)


def _replaced(source: Any, target: Any) -> None:
    _must_be_closed(source, target)
    _replace(source, target)


def _renamed(source: Any, target: Any) -> None:
    if Path(target).exists():
        raise FileExistsError(errno.EEXIST, "File exists", str(target))
    _must_be_closed(source)
    _rename(source, target)


def _unlinked(path: Any, **options: Any) -> None:
    _must_be_closed(path)
    _unlink(path, **options)


def _must_be_closed(*paths: Any) -> None:
    """Raise PermissionError if any process here has one of these files open."""
    theirs = {str(Path(os.fsdecode(path)).resolve()) for path in paths}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            is_theirs = str(descriptor.readlink()) in theirs
        except OSError:  # the process has ended
            continue
        if is_theirs:
            raise PermissionError(errno.EACCES, "it is open in another process", str(paths[0]))


def _no_link(*_: Any, **__: Any) -> None:
    raise OSError(errno.EPERM, "there are no hard links here")


def _select_sockets(reading: Any, writing: Any, failing: Any, timeout: Any = None) -> Any:
    for each in (*reading, *writing, *failing):
        number = each if isinstance(each, int) else each.fileno()
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            raise OSError(NOT_A_SOCKET, "it is no socket")
    return _select(reading, writing, failing, timeout)


def _has_bytes(descriptor: int) -> bool:
    poll = _poll()
    poll.register(descriptor)
    return bool(poll.poll(0))


def _lock(descriptor: int, _mode: int, _bytes: int) -> None:
    try:
        _locks.flock(descriptor, _locks.LOCK_EX | _locks.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, "Permission denied") from None


def _pair(*_: Any) -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = socket.create_connection(listening.getsockname())
        return one, listening.accept()[0]


def _not_there(*_: Any) -> None:
    raise NotImplementedError


def _start(start: Any) -> Any:
    def begun(process: Any, *arguments: Any, **options: Any) -> None:
        if any(
            options.get(name) for name in ("pass_fds", "preexec_fn", "start_new_session", "umask", "user")
        ):
            raise ValueError("this is not for Windows")
        start(process, *arguments, **options)

    return begun


main()
