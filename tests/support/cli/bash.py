"""An interactive Bash in a terminal, with Readline and job control, where `licet` starts as a program."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.cli.screen import WAIT_S, TerminalScreen

_COMMAND = ("env", "--default-signal=HUP", "setsid", "--ctty", "bash", "--noprofile", "-i")


class Bash(TerminalScreen):
    """Bash in a pseudo-terminal; its output is read as that of any `TerminalScreen`."""

    def __init__(self, home: Path, data: Path) -> None:
        screen, other = pty.openpty()
        super().__init__(screen)
        self.resize(80, 24)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        variables = {"HOME": str(home), "LICET_DATA": str(data), "PATH": path, "TERM": "xterm", "PS1": "> "}
        self._process = subprocess.Popen(_COMMAND, env=variables, stdin=other, stdout=other, stderr=other)
        os.close(other)

    def type(self, keys: str, expected: str) -> str:
        """Type `keys`, wait for `expected` on the screen, and return the output up to there."""
        self.press(keys)
        return self.read_until(expected)

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the terminal, which signals the programs in it."""
        self.forget()
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def close(self) -> None:
        """Close the terminal, which hangs up all programs in it."""
        os.close(self.descriptor)
        self._process.wait(WAIT_S)


@contextmanager
def bash(home: Path, data: Path) -> Iterator[Bash]:
    """A Bash with this home directory and this data directory."""
    shell = Bash(home, data)
    try:
        yield shell
    finally:
        shell.close()
