"""The only reading of time.

All instants are whole milliseconds since 1970 (UTC), `..._ms`; all durations say their unit.
A clock never goes back: a seat's life is measured with it, and a wall clock that is set back
must not lengthen a life.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, never less than before."""


class SystemClock:
    """The wall clock, but for its steps back: over those it runs on with the machine's uptime.

    A step forward counts: after a pause of the machine it is the truth, and the command line beside a
    server sees the same time. CLOCK_BOOTTIME, where there is one, also counts the time that a machine sleeps.
    """

    __slots__ = ("_offset_ns", "_uptime")

    def __init__(self) -> None:
        self._uptime = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self._offset_ns = time.time_ns() - time.clock_gettime_ns(self._uptime)

    def now_ms(self) -> int:
        """Milliseconds since 1970, never less than before."""
        # The wall clock first: a pause between the two readings then makes the offset less, never more.
        wall_ns = time.time_ns()
        uptime_ns = time.clock_gettime_ns(self._uptime)
        self._offset_ns = max(self._offset_ns, wall_ns - uptime_ns)
        return (uptime_ns + self._offset_ns) // 1_000_000


class ManualClock:
    """A clock that moves only when told to, for tests."""

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
