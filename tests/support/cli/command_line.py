"""Runs the command line, piped or in a terminal."""

import os
import pty
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from typer.testing import CliRunner, Result

from licet.cli import app
from licet.credentials.passwords import Passwords
from support.cli.screen import WAIT_S, TerminalScreen, without_colours
from support.server.nursery import Program
from support.server.served import HASHED_WITH


def run(*arguments: str, stdin: str | None = None, exit_code: int = 0, **variables: str) -> Result:
    """Run a command whose output is not a terminal. Passwords are hashed with the low cost of tests."""
    with _cheap_passwords():
        result = CliRunner(env=variables).invoke(app, arguments, input=stdin)
    assert result.exit_code == exit_code, (result.output, result.exception)
    return result


@contextmanager
def _cheap_passwords() -> Iterator[None]:
    defaults = Passwords.__init__.__kwdefaults__
    assert defaults is not None
    usual = dict(defaults)
    defaults.update(HASHED_WITH)
    try:
        yield
    finally:
        defaults.update(usual)


class Terminal(TerminalScreen):
    """A command in a terminal of 24 lines of 80 columns. After its end, `text` is all that it wrote."""

    def __init__(self, *arguments: str) -> None:
        keyboard, screen = pty.openpty()
        super().__init__(keyboard)
        self.attributes_before = termios.tcgetattr(screen)
        self._raw: str | None = None
        self.process = Program(
            [sys.executable, "-m", "licet", *arguments],
            stdin=screen,
            stdout=screen,
            stderr=screen,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"},
        )
        os.close(screen)

    def ended(self) -> int:
        """Wait for the end, and return the exit code."""
        self._raw = self.read_all()
        return self.process.wait(WAIT_S)

    @property
    def raw(self) -> str:
        """All that it wrote, with control sequences."""
        assert self._raw is not None, "the program may write more: use read_until before its end"
        return self._raw

    @property
    def text(self) -> str:
        """All that it wrote, without colours."""
        return without_colours(self.raw)

    def close(self) -> None:
        """Kill the program, and close the terminal."""
        self.process.kill()
        self.process.wait(WAIT_S)
        os.close(self.descriptor)


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    """Run a command in a terminal."""
    terminal = Terminal(*arguments)
    try:
        yield terminal
    finally:
        terminal.close()
