"""Reads the keys of a terminal, and notices what else happens to it: another size, Ctrl-Z, a signal to end.

The rules:

- However a `keyboard` ends, the terminal is as it was before.
- What is typed is not echoed. Ctrl-C stays an interrupt.
- Keys have names: "a" is the letter, and "up", "enter" or "escape" are what their names say. A key without a
  name is passed over.
"""

import os
import re
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from licet.platforms import module_or_none, windows

_termios: Final = module_or_none("termios")
_STEP_S = 0.02
_ESCAPE_S = 0.05  # a guess: what a key sends after its escape is here by then
_READ_BYTES = 4096

# ECMA-48: what a key sends, after the escape.
_SENT: Final = {
    "[A": "up",
    "OA": "up",
    "[B": "down",
    "OB": "down",
    "[5~": "page up",
    "[6~": "page down",
    "[H": "home",
    "OH": "home",
    "[1~": "home",
    "[F": "end",
    "OF": "end",
    "[4~": "end",
}
_CONTROLS: Final = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\x1b": "escape"}
_OF_WINDOWS: Final = {"H": "up", "P": "down", "I": "page up", "Q": "page down", "G": "home", "O": "end"}
_KEY = re.compile(r"\x1b(\[[0-9;?]*[@-~]|O[A-Z])|(.)", re.DOTALL)
_UNFINISHED = re.compile(r"\x1b(\[[0-9;?]*|O)?\Z")


def read_keys(typed: str) -> list[str]:
    """The keys of what a terminal has sent."""
    found = []
    for sent, character in _KEY.findall(typed):
        if sent:
            name = _SENT.get(sent)
        else:
            name = _CONTROLS.get(character, character if character.isprintable() else None)
        if name is not None:
            found.append(name)
    return found


class Keyboard:
    """The keys of a terminal, while it is entered. `ends` and `stops` say what a signal has asked for."""

    def __init__(self) -> None:
        self.ends = False  # SIGTERM
        self.stops = False  # Ctrl-Z

    def wait(self, seconds: float) -> list[str]:
        """The keys that were pressed, as soon as there is one; none after so many seconds, or a signal."""
        time.sleep(seconds)
        return []

    @contextmanager
    def released(self) -> Iterator[None]:
        """The terminal as it was before, within the block."""
        yield

    def stop(self) -> None:
        """Stop this process, as Ctrl-Z does, until it is continued."""


class _Windows(Keyboard):
    def wait(self, seconds: float) -> list[str]:
        until_s = time.monotonic() + seconds
        while not windows.has_key():
            if time.monotonic() >= until_s:
                return []
            time.sleep(_STEP_S)
        typed = windows.read_key()
        if typed in {"\x00", "\xe0"}:  # The code of a key without a character follows.
            name = _OF_WINDOWS.get(windows.read_key())
            return [name] if name else []
        return read_keys(typed)


class _Posix(Keyboard):
    def __init__(self) -> None:
        super().__init__()
        # Without a keyboard the signals are noticed all the same.
        self._keyboards = [sys.stdin.fileno()] if sys.stdin.isatty() else []
        self._before = [_termios.tcgetattr(keyboard) for keyboard in self._keyboards]
        self._woken, self._wakes = os.pipe()
        os.set_blocking(self._wakes, False)
        self._handlers: dict[int, Any] = {}

    def begin(self) -> None:
        for keyboard in self._keyboards:
            module_or_none("tty").setcbreak(keyboard)
        self._waked_before = signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        for number, handler in (
            (signal.SIGTERM, self._end),
            (signal.SIGTSTP, self._note_stop),
            (signal.SIGWINCH, lambda *_: None),  # It only wakes `wait`.
        ):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, handler)

    def end(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        signal.set_wakeup_fd(self._waked_before)
        for keyboard, before in zip(self._keyboards, self._before, strict=True):
            _termios.tcsetattr(keyboard, _termios.TCSADRAIN, before)

    def close(self) -> None:
        os.close(self._woken)
        os.close(self._wakes)

    def wait(self, seconds: float) -> list[str]:
        if self.ends or self.stops:
            return []
        ready, _, _ = select.select([*self._keyboards, self._woken], [], [], seconds)
        if self._woken in ready:
            os.read(self._woken, _READ_BYTES)
            ready.remove(self._woken)
        if not ready:
            return []
        typed = self._read(*ready)
        while _UNFINISHED.search(typed) and select.select(ready, [], [], _ESCAPE_S)[0] and not self.ends:
            typed += self._read(*ready)
        return read_keys(typed)

    def _read(self, keyboard: int) -> str:
        read = os.read(keyboard, _READ_BYTES)
        if not read:
            self.ends = True  # The terminal is gone.
        return read.decode(errors="replace")

    @contextmanager
    def released(self) -> Iterator[None]:
        self.end()
        try:
            yield
        finally:
            self.begin()

    def stop(self) -> None:
        self.stops = False
        os.kill(os.getpid(), signal.SIGTSTP)  # It returns when the process is continued.

    def _end(self, *_: object) -> None:
        self.ends = True

    def _note_stop(self, *_: object) -> None:
        self.stops = True


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """The keyboard of this terminal; where there is none, no key is ever pressed."""
    if _termios is None:
        yield _Windows() if sys.stdin.isatty() else Keyboard()
    else:
        made = _Posix()
        made.begin()
        try:
            yield made
        finally:
            made.end()
            made.close()
