"""Shares numbers in memory between a test and its server, and makes switches of them.

A number is a file of eight bytes that both processes map; a new value is visible at once, without a lock.
Each number has one writer: the server writes its counters, the test all others.
"""

import threading
from contextlib import suppress
from mmap import mmap
from pathlib import Path
from typing import Final

from licet.platforms.files import create_closed

UNTIL_RELEASED_MS: Final = 2**62  # a pause that ends when the test says so

_BYTES = 8


class SharedNumber:
    """A whole number, at first 0. One process writes it, from any of its threads."""

    def __init__(self, path: Path) -> None:
        with suppress(FileExistsError):
            create_closed(path)
        with path.open("r+b") as file:
            file.truncate(_BYTES)
            self._memory = mmap(file.fileno(), _BYTES)
        self._lock = threading.Lock()

    def get(self) -> int:
        """Its value."""
        return int.from_bytes(self._memory[:], "big")

    def set(self, number: int) -> None:
        """Set its value."""
        self._memory[:] = number.to_bytes(_BYTES, "big")

    def add(self, number: int = 1) -> None:
        """Increase its value."""
        with self._lock:
            self.set(self.get() + number)


class SharedClock:
    """A clock that stands still until it is moved; it never goes back."""

    def __init__(self, path: Path) -> None:
        self._now = SharedNumber(path)

    @property
    def is_set(self) -> bool:
        """Whether this clock is in use: it was set once."""
        return self._now.get() != 0

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return self._now.get()

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Move it forward.

        Raises ValueError for backward.
        """
        by_ms = round((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000)
        if by_ms < 0:
            raise ValueError("a clock never goes back")
        self._now.add(by_ms)

    def move_to(self, at_ms: int) -> None:
        """Move it forward to this instant, if that is later."""
        self._now.set(max(self._now.get(), at_ms))


class Switches:
    """The numbers of one data directory.

    `changes` counts the changes of the set-up, and `seen` those that the server has read: it reads them
    before it answers. Answers wait for `pause_ms`, and `waited` counts those that waited.
    """

    def __init__(self, data: Path) -> None:
        self.clock = SharedClock(data / "clock")
        self.changes = SharedNumber(data / "changes")
        self.seen = SharedNumber(data / "seen")
        self.pause_ms = SharedNumber(data / "pause")
        self.waited = SharedNumber(data / "waited")
