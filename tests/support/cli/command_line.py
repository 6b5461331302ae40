"""The command line as its caller meets it: piped, and in a terminal."""

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
    """Run a verb whose output is no terminal; a password is as cheap to hash as by a server of tests."""
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
    """A verb that runs in a terminal of 24 lines of 80 columns. Once it has ended, `text` is all it wrote."""

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
        """The exit code, once it has ended."""
        self._raw = self.read_all()
        return self.process.wait(WAIT_S)

    @property
    def raw(self) -> str:
        """All that it wrote, with what moves the cursor."""
        assert self._raw is not None, "more may come; what has come is what read_until returns"
        return self._raw

    @property
    def text(self) -> str:
        """All that it wrote, without colours."""
        return without_colours(self.raw)

    def close(self) -> None:
        """Let nothing run on."""
        self.process.kill()
        self.process.wait(WAIT_S)
        os.close(self.descriptor)


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    """Run a verb in a terminal."""
    terminal = Terminal(*arguments)
    try:
        yield terminal
    finally:
        terminal.close()
