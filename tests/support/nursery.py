"""Where servers of tests come from: a process that has imported all that a server needs, and forks servers.

A server that starts as a program takes a second of the processor until it listens, most of it for imports.
There is one nursery for each process of tests, made when it is first needed; it ends with that. What it forks
becomes the child of the process of tests, which adopts orphans (prctl(2), PR_SET_CHILD_SUBREAPER).
"""

import atexit
import ctypes
import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import msgspec

from support import served
from support.forked import ForkedProcess

_PR_SET_CHILD_SUBREAPER = 36
_ANSWER_WITHIN_S = 60.0
_PID_BYTES = 32


class Nursery:
    """One process that forks servers."""

    _current: "Nursery | None" = None

    def __init__(self) -> None:
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "orphans cannot be adopted")
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.settimeout(_ANSWER_WITHIN_S)
        with theirs:
            self._process = subprocess.Popen(
                [*served.COMMAND, "nursery", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self.close)

    @classmethod
    def current(cls) -> "Nursery":
        """That of this process."""
        if cls._current is None:
            cls._current = cls()
        return cls._current

    def fork(self, environment: Mapping[str, str], log: IO[bytes]) -> ForkedProcess:
        """A new server with this environment, which logs there; its standard output is to be read."""
        reading, writing = os.pipe()
        order = served.Order(dict(environment), str(Path.cwd()))
        with os.fdopen(writing, "wb"):
            socket.send_fds(self._orders, [msgspec.msgpack.encode(order)], [writing, log.fileno()])
            pid = int(self._orders.recv(_PID_BYTES))
        return ForkedProcess(pid, os.fdopen(reading, "rb"))

    def close(self) -> None:
        """End it; servers that it forked run on."""
        self._orders.close()
        self._process.wait(_ANSWER_WITHIN_S)
