"""Formats times, users and bars for the terminal, and turns a report into JSON.

Times are those of this machine's clock and zone, for people; JSON has them in ISO 8601, UTC.
"""

import sys
from collections.abc import Mapping
from datetime import datetime
from io import TextIOWrapper
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from licet.cli.output import Instant, on_terminal
from licet.formats import printable
from licet.model import Value

if TYPE_CHECKING:
    from rich.console import Console

# All other `..._ms` are instants.
DURATIONS = frozenset({"held_ms", "idle_ms", "wait_median_ms", "wait_longest_ms", "overdraft_ms"})
_RENAMED = {"initials": "user"}  # as in other verbs
PIPED_COLUMNS = 120  # where the width is unknown
NEARLY_FULL = 0.8


def plain(value: object) -> object:
    """A report for JSON: instants are `..._at`, durations `..._s`."""
    match value:
        case Value():
            return dict(_entry(key, part) for key, part in asdict(value).items())
        case Mapping():
            return {key: plain(part) for key, part in value.items()}
        case tuple() | list():
            return [plain(part) for part in value]
        case _:
            return value


def _entry(key: str, value: object) -> tuple[str, object]:
    if not key.endswith("_ms"):
        return _RENAMED.get(key, key), plain(value)
    name = key.removesuffix("_ms")
    assert value is None or isinstance(value, int)
    if key in DURATIONS:
        return f"{name}_s", None if value is None else value / 1000
    return name, None if value is None else Instant(value)


def page() -> "Console":
    """The console that prints a report. It interprets no markup, whatever names contain."""
    from rich.console import Console

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # A character that the terminal cannot show must not raise.
    width = None if on_terminal() else PIPED_COLUMNS
    return Console(markup=False, highlight=False, emoji=False, width=width)


def local(ms: int) -> datetime:
    """An instant by this machine's clock."""
    return datetime.fromtimestamp(ms / 1000).astimezone()


def clock_time(ms: int, now_ms: int) -> str:
    """`08:12`, with the day where it is not today."""
    moment = local(ms)
    is_today = moment.date() == local(now_ms).date()
    return moment.strftime("%H:%M" if is_today else "%d %b %H:%M")


def whose(initials: str, name: str) -> str:
    """A user: `TC Tom Clark`."""
    return printable(f"{initials} {name}".rstrip())


def style_of(in_use: int, seats: int) -> str:
    """How full a pool is, as a colour; the numbers beside it show it too."""
    if in_use >= seats:
        return "red"
    return "yellow" if in_use >= seats * NEARLY_FULL else "green"
