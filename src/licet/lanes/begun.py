"""Starts the process that commits before the server is ready for it, so that both import at the same time.

    begin -> [ imports ] ... `taken` -> its order -> [ opens the store, commits ]

This is imported first of all, and so needs next to nothing. A process that gets no order has touched nothing,
and ends: by `close`, or with the server.
"""

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from licet.platforms.processes import start_with_socket

if TYPE_CHECKING:
    import subprocess

COMMAND: Final = (sys.executable, "-m", "licet.lanes.process_main")
FOR_POSTGRES: Final = "postgres"
"""The argument that says which kind of store to import; the store itself comes with the order."""


class Begun:
    """Such a process, and our end of the socket pair; `taken` hands both over, once."""

    def __init__(self, process: "subprocess.Popen[bytes]", ours: socket.socket) -> None:
        self._process = process
        self._ours = ours
        self._is_taken = False

    def taken(self) -> "tuple[subprocess.Popen[bytes], socket.socket]":
        """Both, which are their taker's to close."""
        assert not self._is_taken, "it is given an order once"
        self._is_taken = True
        return self._process, self._ours

    def close(self) -> None:
        """End the process, if nobody has taken it."""
        if self._is_taken:
            return
        self._ours.close()
        self._process.kill()  # it has no store yet
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


@contextmanager
def beginning(*, for_postgres: bool, command: Sequence[str] = COMMAND) -> Iterator[Begun | None]:
    """A process that will commit, until the end of the block; None where it cannot be started now."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = start_with_socket([*command, *([FOR_POSTGRES] if for_postgres else [])], theirs)
        except OSError:  # no memory or no process is left: the server will say so when it needs one
            ours.close()
            process = None
    if process is None:
        yield None
        return
    begun = Begun(process, ours)
    try:
        yield begun
    finally:
        begun.close()
