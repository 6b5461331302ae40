"""Starts the process that commits before the server is ready for it, so that both import at the same time.

    begin -> [ imports ] -> its kind of store -> [ imports ] -> its order -> [ opens the store, commits ]

The server imports this module first, so it imports almost nothing itself. The process starts before the
settings are read; it gets the location of the store on its standard input. A process that gets no order
changes nothing, and ends by `close` or with the server.
"""

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from licet.platforms.processes import start_with_socket

if TYPE_CHECKING:
    import subprocess

COMMAND: Final = (sys.executable, "-m", "licet.lanes.process_main")
FOR_SQLITE: Final = b"s"
FOR_POSTGRES: Final = b"p"
"""The first byte that the process reads: which kind of store to import. Which one comes with the order."""


def expect(process: "subprocess.Popen[bytes]", *, for_postgres: bool) -> None:
    """Tell a process that was started early which kind of store its order will name."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has ended already: its end of the socket pair shows that
        process.stdin.write(FOR_POSTGRES if for_postgres else FOR_SQLITE)
        process.stdin.flush()


class Begun:
    """A process that was started early, and our end of the socket pair; `taken` hands both over, once."""

    def __init__(self, process: "subprocess.Popen[bytes]", ours: socket.socket) -> None:
        self._process = process
        self._ours = ours
        self._is_taken = False

    def expect(self, *, for_postgres: bool) -> None:
        """Tell it which kind of store its order will name."""
        expect(self._process, for_postgres=for_postgres)

    def taken(self) -> "tuple[subprocess.Popen[bytes], socket.socket]":
        """The process and the socket, which the caller must close."""
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
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()


@contextmanager
def beginning(command: Sequence[str] = COMMAND) -> Iterator[Begun | None]:
    """A process that will commit, until the end of the block; None where it cannot be started now."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = start_with_socket(command, theirs)
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
