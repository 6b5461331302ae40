"""Starts a process beside a socket, says which signals stop one, reads pipes, and takes a port.

Where a socket cannot be handed to another process, `HANDS_OVER_SOCKETS` says so, and nobody tries.
"""

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, Final

from licet.platforms import module_or_none, windows

HANDS_OVER_SOCKETS: Final = hasattr(signal, "pthread_sigmask")
# Ctrl-C and a service manager; on Windows Ctrl-Break, the end of a terminal, and that of a session as well.
STOP_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)
)

_NOW: Final = getattr(socket, "MSG_DONTWAIT", 0)
_STEP_S: Final = 0.01
_LOOK_FOR_PARENT_S: Final = 0.5


def processors() -> int:
    """How many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


def open_files_max(wanted: int) -> int:
    """Allow this process as many open files, as far as it may by itself; return how many it may have now."""
    resource = module_or_none("resource")
    if resource is None:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= wanted:
        return wanted
    allowed = wanted if hard == unlimited else min(wanted, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        return int(allowed)
    return int(soft)


def start_with_socket(command: Sequence[str], handed: socket.socket) -> "subprocess.Popen[bytes]":
    """Start a process that gets a socket, its number as the last argument, and has a pipe as standard input.

    It has a session of its own, so Ctrl-C is not for it. It begins with the signals that stop a process
    blocked, until it calls `ignore_stop_signals`. Raises OSError.
    """
    held = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        return subprocess.Popen(  # noqa: S603 - the command is its caller's own
            [*command, str(handed.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[handed.fileno()],
            start_new_session=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def ignore_stop_signals() -> None:
    """Go on after a signal that stops a process: a service manager signals all processes of a service."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def receive_now(connection: socket.socket, bytes_max: int) -> bytes:
    """What has arrived, without waiting.

    Raises BlockingIOError when nothing has; OSError.
    """
    return connection.recv(bytes_max, _NOW)


def parent() -> int:
    """The process that started this one."""
    return os.getppid()


def end_with(process: int) -> None:
    """Return never: kill this process when the one that started it is gone, even if that one was killed."""
    if hasattr(signal, "SIGKILL"):
        while os.getppid() == process:
            time.sleep(_LOOK_FOR_PARENT_S)
        os.kill(os.getpid(), signal.SIGKILL)
    windows.wait_for_end_of(process)
    os._exit(1)


def read_pipe(pipe: IO[Any], bytes_max: int, within_s: float) -> bytes | None:
    """What a pipe has to read, b"" at its end; None if nothing comes within this time."""
    descriptor = pipe.fileno()
    if hasattr(select, "poll"):
        is_ready = bool(select.select([descriptor], [], [], max(0.0, within_s))[0])
    else:  # there select is for sockets only
        is_ready, until_s = windows.has_bytes(descriptor), time.monotonic() + within_s
        while not is_ready and time.monotonic() < until_s:
            time.sleep(_STEP_S)
            is_ready = windows.has_bytes(descriptor)
    return os.read(descriptor, bytes_max) if is_ready else None


def take_port_alone(listening: socket.socket) -> None:
    """Let no other process listen on the port of this socket, but a next one as soon as it is closed.

    On Windows SO_REUSEADDR would let another process take requests that are meant for this one.
    """
    alone = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR if alone is None else alone, 1)
