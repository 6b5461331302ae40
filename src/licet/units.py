"""Defines constants for spans of time in milliseconds: minute, quarter of an hour, hour and day."""

from typing import Final

MINUTE_MS: Final = 60_000
QUARTER_MS: Final = 15 * MINUTE_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
