"""Defines the spans of reports: the usual ones, and which of them a report has where none is asked for.

The rules, for the command line, the admin API and the dashboard:

- What is looked at to see how things go, peaks and replays of another set-up, is of the last 7 days; what is
  added up or handed on, true-up, idle seats, costs, exports and a first usage statement, of the last 30.
- Today is the last of these days; where only an end is asked for, the day of that end is. A day begins at
  midnight by the clocks of the reader, or of the tenant.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from licet.units import HOUR_MS


class Reach(StrEnum):
    """The usual spans of a report: they end now."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"
    QUARTER = "90d"
    YEAR = "12m"

    def from_ms(self, now_ms: int, zone: tzinfo | None = UTC) -> int:
        """Where it begins: 24 hours ago, or at a midnight by the clocks of `zone`."""
        return now_ms - 24 * HOUR_MS if self is Reach.DAY else first_ms(self.days, now_ms, zone)

    @property
    def days(self) -> int:
        """How many days it touches, if it begins at midnight."""
        return _DAYS[self]


_DAYS = {Reach.DAY: 1, Reach.WEEK: 7, Reach.MONTH: 30, Reach.QUARTER: 90, Reach.YEAR: 365}

USUAL_OF_PEAKS = USUAL_OF_WHAT_IF = Reach.WEEK
USUAL_OF_SUMS = Reach.MONTH


def first_ms(days: int, now_ms: int, zone: tzinfo | None) -> int:
    """When the first of so many days began, of which today is the last; None is the zone of this machine."""
    today = datetime.fromtimestamp(now_ms // 1000, zone).replace(hour=0, minute=0, second=0, tzinfo=None)
    return round((today - timedelta(days=days - 1)).replace(tzinfo=zone).timestamp()) * 1000
