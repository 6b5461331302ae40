"""Reads time zones by their names in the IANA database: `Australia/Sydney`.

The machine's own database is used first, then the package `tzdata`, which has every name that a browser may
send (some systems lack older ones, such as `Asia/Katmandu`).
"""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NAME_CHARS_MAX = 64  # the longest existing name has 32


def find_zone(name: str) -> ZoneInfo | None:
    """The zone of this name; None where there is none, whatever the text is."""
    if not 0 < len(name) <= NAME_CHARS_MAX or not name.isascii():
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown, outside the database, or a folder
        return None
