"""An interactive Bash in a terminal, with Readline and job control: `licet` starts there as a program."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

WAIT_S: Final = 60.0  # for what must happen: far more than it needs
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_COMMAND = ("env", "--default-signal=HUP", "setsid", "--ctty", "bash", "--noprofile", "-i")


class Bash:
    """What is on its screen since something was last typed is `text`, without colours."""

    def __init__(self, home: Path, data: Path) -> None:
        self.text = ""
        self.screen, other = pty.openpty()
        self.resize(80, 24)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        variables = {"HOME": str(home), "LICET_DATA": str(data), "PATH": path, "TERM": "xterm", "PS1": "> "}
        self._process = subprocess.Popen(_COMMAND, env=variables, stdin=other, stdout=other, stderr=other)
        os.close(other)

    def type(self, keys: str, expected: str) -> None:
        """Type, and look until this is on the screen."""
        self.text = ""
        os.write(self.screen, keys.encode())
        self.read_until(expected)

    def read_until(self, expected: str | Callable[[str], bool]) -> None:
        """Look until this is on the screen, or is true of its text, after what was typed last."""
        until_s = time.monotonic() + WAIT_S
        while not (expected in self.text if isinstance(expected, str) else expected(self.text)):
            assert select.select([self.screen], [], [], max(0.0, until_s - time.monotonic()))[0], self.text
            self.text += _ESCAPES.sub("", os.read(self.screen, 65_536).decode(errors="replace"))

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size; what runs in it is signalled."""
        self.text = ""
        fcntl.ioctl(self.screen, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def close(self) -> None:
        """Close the terminal: all that runs in it hears of that."""
        os.close(self.screen)
        self._process.wait(WAIT_S)


@contextmanager
def bash(home: Path, data: Path) -> Iterator[Bash]:
    """A Bash whose home is a directory of the test, and whose store is there."""
    shell = Bash(home, data)
    try:
        yield shell
    finally:
        shell.close()
