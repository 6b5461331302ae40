"""Decides how many commands are sent to the committing process at once: half of those that wait together.

With 32 connections, 32 commands wait at most. If 16 are sent together, they are committed while the loop
answers and reads the other 16, and the two halves take turns. Smaller portions make smaller batches; larger
ones leave the process idle while the loop reads the rest. docs/explanation/performance.md has figures.
"""

from typing import Final

LEAST: Final = 8
MOST: Final = 32
_FORGOTTEN: Final = 1 / 16  # of what was more, with each batch: so a peak counts for some dozens


class Portion:
    """`size` is how many commands are worth sending before the end of a turn of the loop."""

    def __init__(self) -> None:
        self.size = LEAST
        self._together = 0.0

    def saw(self, waiting: int) -> None:
        """A batch was answered while so many commands waited, with its own."""
        self._together = max(waiting, self._together - (self._together - waiting) * _FORGOTTEN)
        self.size = max(LEAST, min(MOST, round(self._together / 2)))
