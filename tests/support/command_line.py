"""The command line as its caller meets it: piped, and in a terminal."""

import os
import pty
import re
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from typer.testing import CliRunner, Result

from licet.cli import app
from support.nursery import Program

WAIT_S = 30  # for another process: far more than it needs

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run(*arguments: str, stdin: str | None = None, exit_code: int = 0, **variables: str) -> Result:
    """Run a verb whose output is no terminal."""
    result = CliRunner(env=variables).invoke(app, arguments, input=stdin)
    assert result.exit_code == exit_code, (result.output, result.exception)
    return result


class Terminal:
    """A verb that runs in a terminal of 24 lines of 80 columns."""

    def __init__(self, *arguments: str) -> None:
        self.text = ""
        self.raw = ""  # with all that moves the cursor
        self.keyboard, screen = pty.openpty()
        self.process = Program(
            [sys.executable, "-m", "licet", *arguments],
            stdin=screen,
            stdout=screen,
            stderr=screen,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"},
        )
        os.close(screen)

    def press(self, keys: str) -> None:
        """Press these keys."""
        os.write(self.keyboard, keys.encode())

    def read_until(self, expected: str) -> None:
        """Look at the screen until this is on it."""
        deadline = time.monotonic() + WAIT_S
        while expected not in self.text:
            assert self._read_more(deadline), self.text

    def ended(self) -> int:
        """The exit code, once it has ended."""
        deadline = time.monotonic() + WAIT_S
        while self._read_more(deadline):
            pass
        return self.process.wait(WAIT_S)

    def close(self) -> None:
        """Let nothing run on."""
        self.process.kill()
        self.process.wait(WAIT_S)
        os.close(self.keyboard)

    def _read_more(self, deadline: float) -> bool:
        if not select.select([self.keyboard], [], [], max(0, deadline - time.monotonic()))[0]:
            return False
        try:
            read = os.read(self.keyboard, 65_536)
        except OSError:  # Linux says so when nobody has the other side open.
            return False
        self.raw += read.decode(errors="replace")
        self.text += _ESCAPES.sub("", read.decode(errors="replace"))
        return bool(read)


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    """Run a verb in a terminal."""
    terminal = Terminal(*arguments)
    try:
        yield terminal
    finally:
        terminal.close()
