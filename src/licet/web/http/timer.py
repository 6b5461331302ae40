"""Keeps the one timer of a connection: to move its deadline costs an assignment, and no new timer.

A request moves the deadline several times. The timer is not moved; it checks the deadline when it fires.
"""

import asyncio
import math
from abc import abstractmethod
from typing import Final

NEVER: Final = math.inf


class OneTimer:
    """A base of a connection. `_deadline` may be set directly to NEVER or a later time."""

    loop: asyncio.AbstractEventLoop
    _deadline: float = NEVER
    _alarm: asyncio.TimerHandle | None = None
    _alarm_at: float = NEVER

    @abstractmethod
    def _on_deadline(self) -> None:
        """The time is over."""

    def _must_end_by(self, seconds: float) -> None:
        """Set the deadline of what the connection waits for now."""
        self._deadline = self.loop.time() + seconds
        if self._deadline < self._alarm_at:
            self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = self._deadline
        self._alarm = self.loop.call_at(self._deadline, self._on_alarm)

    def _cancel_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _on_alarm(self) -> None:
        """Check whether the deadline has moved since the alarm was set."""
        self._alarm = None
        self._alarm_at = NEVER
        if self._deadline <= self.loop.time():
            self._on_deadline()
        elif self._deadline < NEVER:
            self._set_alarm()
