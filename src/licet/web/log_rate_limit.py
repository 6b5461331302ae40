"""Limits how often refusals are logged: a flood of refused requests must not fill the disk.

The rules:

- Of each kind (event, status, error) ten lines a second are written; the others are counted.
- At most a second later one line says how many were suppressed, also when nobody is refused any more.
- The metrics count every request, logged or not, independently of this.
- Kinds are ours and never what a client sent, and their number is bounded.

A caller asks `admits` first and makes the fields of a line only then: a refusal should cost less than a
grant.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, NamedTuple

from licet.log import Log

LINES_MAX: Final = 10
"""Lines of one kind in a second; a guess: enough to see what is the matter, and a gigabyte in some months."""

KINDS_MAX: Final = 256
"""Kinds with an allowance of their own, some 30 KB; all further ones share one. Today there are below 60."""

WINDOW_S: Final = 1.0

Later = Callable[[float, Callable[[], None]], object]


class Kind(NamedTuple):
    """A kind of refusal, and the level of its lines; `status` is 0 where the event says enough."""

    level: str
    event: str
    status: int
    error: str


_OTHERS: Final = Kind("info", "refused", 0, "")


class LogRateLimit:
    """The log of all refusals of one server. Use it from the event loop.

    `now_s` and `later` are the loop's time and its `call_later`; a test has its own.
    """

    def __init__(
        self,
        log: Log,
        *,
        lines_max: int = LINES_MAX,
        kinds_max: int = KINDS_MAX,
        now_s: Callable[[], float] = monotonic,
        later: Later | None = None,
    ) -> None:
        self._log = log
        self._lines_max = lines_max
        self._kinds_max = kinds_max
        self._now_s = now_s
        self._later = later or _later
        self._windows: dict[Kind, _Window] = {}
        self._is_report_due = False

    def admits(self, kind: Kind) -> bool:
        """Whether a line of this kind may be written now; if not, it is counted."""
        window = self._windows.get(kind) or self._new_window(kind)
        now_s = self._now_s()
        if now_s - window.began_s >= WINDOW_S:
            window.began_s, window.lines = now_s, 0
        if window.lines < self._lines_max:
            window.lines += 1
            return True
        window.suppressed += 1
        if not self._is_report_due:
            self._is_report_due = True
            self._later(WINDOW_S, self.report)
        return False

    def write(self, kind: Kind, **fields: Any) -> None:
        """Write a line that was admitted."""
        getattr(self._log, kind.level)(kind.event, **fields)

    def report(self) -> None:
        """Write how many lines of each kind were suppressed since the last report."""
        self._is_report_due = False
        for kind, window in self._windows.items():
            if window.suppressed:
                suppressed, window.suppressed = window.suppressed, 0
                what = {"status": kind.status, "error": kind.error} if kind.status else {}
                self.write(kind._replace(event="lines_suppressed"), of=kind.event, **what, lines=suppressed)

    def _new_window(self, kind: Kind) -> "_Window":
        if len(self._windows) >= self._kinds_max:
            kind = _OTHERS
        return self._windows.setdefault(kind, _Window())


class _Window:
    """How many lines of one kind were written and suppressed in the second that began at `began_s`."""

    __slots__ = ("began_s", "lines", "suppressed")

    def __init__(self) -> None:
        self.began_s = float("-inf")
        self.lines = 0
        self.suppressed = 0


def _later(seconds: float, report: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, report)
