"""Reads the time; no other module does.

All instants are whole milliseconds since 1970 (UTC), `..._ms`; all durations say their unit. A clock never
goes back: the life of a seat is measured with it, and setting the wall clock back must not lengthen it.
"""

import time
from typing import Protocol

from licet.platforms.uptime import uptime_ns


class Clock(Protocol):
    """A source of the time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, never less than before."""


class SystemClock:
    """The wall clock, except for its steps back: over those it continues by the machine's uptime.

    A step forward is followed: after a pause of the machine it is right, and the command line beside a server
    sees the same time.
    """

    __slots__ = ("_offset_ns",)

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - uptime_ns()

    def now_ms(self) -> int:
        """Milliseconds since 1970, never less than before."""
        # The wall clock first: a pause between the two readings then makes the offset less, never more.
        wall_ns = time.time_ns()
        running_ns = uptime_ns()
        self._offset_ns = max(self._offset_ns, wall_ns - running_ns)
        return (running_ns + self._offset_ns) // 1_000_000


class FollowingClock:
    """The clock of another machine: its last reading, and this machine's uptime since.

    So a jump of the wall clock here changes nothing, and all followers of a clock agree except for the time
    that a reading takes to arrive. Any thread may use it.
    """

    __slots__ = ("_heard_ms", "_last_ms", "_offset_ms")

    def __init__(self) -> None:
        self._offset_ms = self._heard_ms = self._last_ms = 0

    @property
    def heard_ms(self) -> int:
        """The latest reading; 0 is none yet."""
        return self._heard_ms

    def hear(self, at_ms: int) -> None:
        """Note a reading of the other clock, made just now."""
        self._offset_ms = at_ms - self._uptime_ms()
        self._heard_ms = max(self._heard_ms, at_ms)

    def now_ms(self) -> int:
        """Milliseconds since 1970, never less than before."""
        self._last_ms = max(self._last_ms, self._heard_ms, self._uptime_ms() + self._offset_ms)
        return self._last_ms

    def _uptime_ms(self) -> int:
        return uptime_ns() // 1_000_000


def wall_ms() -> int:
    """The wall clock of this machine, with its steps: for comparisons, not for the life of a seat."""
    return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that moves only by `advance`, for tests."""

    __slots__ = ("_now_ms",)

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return self._now_ms

    def advance(self, *, seconds: float) -> None:
        """Move forward; a clock never goes back."""
        if seconds < 0:
            raise ValueError("a clock never goes back")
        self._now_ms += round(seconds * 1000)
