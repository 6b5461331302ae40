"""Reads the output of a program in a terminal, which arrives in pieces.

While the program runs, a test cannot read the whole screen: it waits for an expected text, and gets the
output up to there. The rest may not have arrived yet; what was returned once is not found again.
"""

import os
import re
import select
import time
from collections.abc import Callable
from typing import Final

WAIT_S: Final = 100.0  # how long to wait for what must happen; less than the time limit of a test
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*(?:[A-Za-z]|$)|$)")  # also an incomplete one at the end


class TerminalScreen:
    """The user's side of a pseudo-terminal."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._written = b""
        self._seen = 0  # characters

    def press(self, keys: str) -> None:
        """Send these keys."""
        os.write(self.descriptor, keys.encode())

    def read_until(self, expected: str | Callable[[str], bool]) -> str:
        """Wait for `expected`, and return the output since the last call up to its end, without colours.

        If `expected` is a condition, return all output since the last call as soon as it meets the condition.
        """
        deadline = time.monotonic() + WAIT_S
        while (found := _end_of(expected, self._unseen())) is None:
            assert self._read_more(deadline), self._unseen()
        self._seen += found
        return self._text()[self._seen - found : self._seen]

    def read_all(self) -> str:
        """Wait until the other side is closed, and return all output with control sequences."""
        deadline = time.monotonic() + WAIT_S
        while self._read_more(deadline):
            pass
        assert time.monotonic() < deadline, self._unseen()
        return self._written.decode(errors="replace")

    def forget(self) -> None:
        """Skip the output so far."""
        self._seen = len(self._text())

    def _text(self) -> str:
        return without_colours(self._written.decode(errors="replace"))

    def _unseen(self) -> str:
        return self._text()[self._seen :]

    def _read_more(self, deadline: float) -> bool:
        """Read a piece; False if the other side is closed or the deadline has passed."""
        if not select.select([self.descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        try:
            read = os.read(self.descriptor, 65_536)
        except OSError:  # Linux says so when nobody has the other side open.
            return False
        self._written += read
        return bool(read)


def without_colours(written: str) -> str:
    """The text of the output, without control sequences."""
    return _ESCAPES.sub("", written)


def _end_of(expected: str | Callable[[str], bool], text: str) -> int | None:
    """Where `expected` ends in this text; None if it is not there."""
    if isinstance(expected, str):
        at = text.find(expected)
        return None if at < 0 else at + len(expected)
    return len(text) if expected(text) else None
