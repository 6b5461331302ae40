"""Reads what a program writes to a terminal, which arrives bit by bit.

So there is no text of a screen to look at while the program runs: a test waits for something, and is given
what has come up to there. What follows may not have come yet; what came before is not found again.
"""

import os
import re
import select
import time
from collections.abc import Callable
from typing import Final

WAIT_S: Final = 100.0  # for what must happen: far more than it needs, and less than a test may take
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*(?:[A-Za-z]|$)|$)")  # also one whose end has not come


class TerminalScreen:
    """The side of a pseudo-terminal on which a person sits."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._written = b""
        self._seen = 0  # characters

    def press(self, keys: str) -> None:
        """Press these keys."""
        os.write(self.descriptor, keys.encode())

    def read_until(self, expected: str | Callable[[str], bool]) -> str:
        """What has come since the last call, without colours, up to and with this.

        Where this is a condition: all that has come, once it is true of that.
        """
        deadline = time.monotonic() + WAIT_S
        while (found := _end_of(expected, self._unseen())) is None:
            assert self._read_more(deadline), self._unseen()
        self._seen += found
        return self._text()[self._seen - found : self._seen]

    def read_all(self) -> str:
        """All that was ever written, with what moves the cursor, once nobody writes any more."""
        deadline = time.monotonic() + WAIT_S
        while self._read_more(deadline):
            pass
        assert time.monotonic() < deadline, self._unseen()
        return self._written.decode(errors="replace")

    def forget(self) -> None:
        """Look for nothing of what has come until now."""
        self._seen = len(self._text())

    def _text(self) -> str:
        return without_colours(self._written.decode(errors="replace"))

    def _unseen(self) -> str:
        return self._text()[self._seen :]

    def _read_more(self, deadline: float) -> bool:
        """Whether there was something; not so when nothing comes any more."""
        if not select.select([self.descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        try:
            read = os.read(self.descriptor, 65_536)
        except OSError:  # Linux says so when nobody has the other side open.
            return False
        self._written += read
        return bool(read)


def without_colours(written: str) -> str:
    """The text alone of what was written to a terminal."""
    return _ESCAPES.sub("", written)


def _end_of(expected: str | Callable[[str], bool], text: str) -> int | None:
    """Where it ends, in this text; None where it is not there."""
    if isinstance(expected, str):
        at = text.find(expected)
        return None if at < 0 else at + len(expected)
    return len(text) if expected(text) else None
