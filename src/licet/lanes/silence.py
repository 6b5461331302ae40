"""Notices that a process does not answer: soon, so that others are asked, and later, so that it is ended.

The rules:

- It counts looks, and not seconds: between two looks the loop reads what has arrived. So a server that was
  itself stopped for a minute does not take its process for one that hangs.
- Silence is that nothing arrives while something is asked; each batch that is answered ends it. Who asks
  nothing notices nothing: the server that clears away expired sessions asks each second.
- A process that is slow must not be ended for it. Each wait for a lock or a database has a bound, and the one
  here is well beyond those. A disk has none: where it takes longer, the next process gets twice the time.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from licet.store.contract import BUSY_S

LOOK_EVERY_S: Final = 0.5
TELL_AFTER_S: Final = BUSY_S + 1.0
"""A batch may wait for the lock of another process for `BUSY_S`: that is no fault yet."""
KILL_AFTER_S: Final = 30.0
"""A batch on SQLite waits for 5.5 s at most, then for the disk; one on PostgreSQL takes 2.5 s with its
ROLLBACK, four times if it collides. Who asked was told long before, after the store's time for an answer. The
rest is a guess: what the slowest disk takes, and the slowest start, of a machine that is of use."""
TIMES_MAX: Final = 8  # as long, for a process after others that were all killed


class Silence:
    """Looks at a process while `is_asked`; `kill` is called with the seconds of silence that were too many.

    `is_long` from `tell_after_s` on, until it answers, or the process after it. Use it from one loop. There
    is one timer, and none while nothing is asked: a batch costs a call, and what is asked nothing.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        is_asked: Callable[[], bool],
        kill: Callable[[float], None],
        *,
        tell_after_s: float = TELL_AFTER_S,
        kill_after_s: float = KILL_AFTER_S,
    ) -> None:
        self._loop = loop
        self._is_asked = is_asked
        self._kill = kill
        self._tell_after_s = tell_after_s
        self._kill_after_s = kill_after_s
        self._times = 1
        self._looks = 0
        self._timer: asyncio.TimerHandle | None = None
        self.is_long = False

    def watch(self) -> None:
        """Something is asked: look from now on, until nothing is."""
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)

    def end(self) -> None:
        """It answered."""
        self._looks = 0
        self.is_long = False
        self._times = 1

    def begin_anew(self) -> None:
        """The process is gone, and the next one has all its time; whether it answers is to be seen."""
        self._looks = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if not self._is_asked():
            return
        self._looks += 1
        # What was asked just before the first look was silent for one look less.
        silent_s = (self._looks - 1) * LOOK_EVERY_S
        self.is_long = self.is_long or silent_s >= self._tell_after_s
        if silent_s >= self._times * self._kill_after_s:
            self._times = min(2 * self._times, TIMES_MAX)
            self._kill(silent_s)
        else:
            self.watch()
