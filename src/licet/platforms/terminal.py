"""Reads single keys of a terminal."""

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from licet.platforms import module_or_none, windows

_termios: Final = module_or_none("termios")
_STEP_S = 0.02


@contextmanager
def keys() -> Iterator[Callable[[float], bytes]]:
    """A function that waits for a key, at most so many seconds; empty for none."""
    if not sys.stdin.isatty():  # There is no keyboard; Ctrl-C still works.
        yield _no_key
    elif _termios is None:
        yield _key_of_windows
    else:
        keyboard = sys.stdin.fileno()
        before = _termios.tcgetattr(keyboard)
        try:
            module_or_none("tty").setcbreak(keyboard)
            yield (
                lambda seconds: os.read(keyboard, 1) if select.select([keyboard], [], [], seconds)[0] else b""
            )
        finally:
            _termios.tcsetattr(keyboard, _termios.TCSADRAIN, before)


def _no_key(seconds: float) -> bytes:
    time.sleep(seconds)
    return b""


def _key_of_windows(seconds: float) -> bytes:
    until_s = time.monotonic() + seconds
    while not windows.has_key():
        if time.monotonic() >= until_s:
            return b""
        time.sleep(_STEP_S)
    return windows.read_key().encode(errors="replace")
