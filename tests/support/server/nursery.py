"""Forks the servers and programs of tests from a process that has imported their modules.

A server that starts as a program takes a second of the processor until it listens, and a verb of the command
line half of one, most of it for imports. There is one nursery for each process of tests, made when it is
first needed; it ends with that. What it forks becomes the child of the process of tests, which adopts orphans
(prctl(2), PR_SET_CHILD_SUBREAPER).

    with Program([sys.executable, "-m", "licet", "pool", "list"], stdout=subprocess.PIPE) as process: ...
"""

import atexit
import ctypes
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from types import ModuleType, SimpleNamespace
from typing import IO, Any

import msgspec
import pytest

from support.server import nursing
from support.server.forked import ForkedProcess

_PR_SET_CHILD_SUBREAPER = 36
_ANSWER_WITHIN_S = 110.0  # its first answer comes after all of its imports; less than a test may take
_PID_BYTES = 32


class Nursery:
    """One process that forks others."""

    _current: "Nursery | None" = None

    def __init__(self) -> None:
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "orphans cannot be adopted")
        self._lock = Lock()
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.settimeout(_ANSWER_WITHIN_S)
        with theirs:
            self._process = subprocess.Popen(
                [*nursing.COMMAND, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self.close)

    @classmethod
    def current(cls) -> "Nursery":
        """The nursery of this process."""
        if cls._current is None:
            cls._current = cls()
        return cls._current

    def fork(self, environment: Mapping[str, str], log: IO[bytes]) -> ForkedProcess:
        """A new server with this environment, which logs there; its standard output is to be read."""
        reading, writing = os.pipe()
        with os.fdopen(writing, "wb"):
            order = nursing.Order(
                environment=dict(environment), directory=str(Path.cwd()), numbers=[1, 2], arguments=[]
            )
            pid = self.have(order, [writing, log.fileno()])
        return ForkedProcess(pid, os.fdopen(reading, "rb"))

    def have(self, order: nursing.Order, descriptors: Sequence[int]) -> int:
        """Fork a process with these descriptors; returns its id."""
        with self._lock:
            socket.send_fds(self._orders, [msgspec.msgpack.encode(order)], descriptors)
            return int(self._orders.recv(_PID_BYTES))

    def close(self) -> None:
        """End it; the processes that it forked continue."""
        self._orders.close()
        self._process.wait(_ANSWER_WITHIN_S)


class Program(subprocess.Popen[Any]):
    """Like `subprocess.Popen` of this interpreter, but forked, so that all of Licet is imported already.

    Where the start of a program is what a test is about, it is not for that.
    """

    def _execute_child(
        self, args: Sequence[Any], _: Any, __: Any, ___: Any, pass_fds: Any, cwd: Any, env: Any, *more: Any
    ) -> None:
        """As Popen does it. `more` has the ends of the pipes, for the child and for us."""
        ends, has_session = more[3:9], more[-2]
        descriptors = [number if end == -1 else end for number, end in enumerate((ends[0], ends[3], ends[5]))]
        passed = sorted(pass_fds)
        order = nursing.Order(
            environment=_environment(os.environ if env is None else env),
            directory=os.fspath(cwd or Path.cwd()),
            numbers=[0, 1, 2, *passed],
            arguments=_arguments(args),
            has_session=has_session,
        )
        self.pid = Nursery.current().have(order, [*descriptors, *passed])
        self._child_created = True
        self._close_pipe_fds(*ends)  # type: ignore[attr-defined]


def ran(command: Sequence[str], timeout_s: float, **options: Any) -> "subprocess.CompletedProcess[str]":
    """The output of a forked program that has ended, as text."""
    pipe = subprocess.PIPE
    with Program(command, stdout=pipe, stderr=pipe, text=True, **options) as process:
        stdout, stderr = process.communicate(timeout=timeout_s)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def has_forked(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    """Let these modules fork the programs that they start."""
    forking = SimpleNamespace(**vars(subprocess) | {"Popen": Program})
    for module in modules:
        monkeypatch.setattr(module, "subprocess", forking)


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    assert nursing.can_have(variables), "this is for a program that is executed"
    return dict(variables)


def _arguments(command: Sequence[Any]) -> list[str]:
    """The arguments for an interpreter, without the options that a forked one has anyway."""
    executable, *arguments = map(os.fsdecode, command)
    assert executable == sys.executable
    while arguments[0] in {"-P", "-W"}:
        arguments = arguments[2:] if arguments[0] == "-W" else arguments[1:]
    return arguments
