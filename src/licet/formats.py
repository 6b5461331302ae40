"""Reads and writes durations, instants and counts as people do: on the command line, in files, on pages.

A duration is whole seconds, `1200`, or with a unit: `1200s`, `20m`, `8h`, `31d`. When something ends is
ISO 8601:

- A date means the end of that day: `2027-01-31` is the first instant of 1 February.
- A time without a zone is in the tenant's zone, and so is a date; where the command line takes a span, in the
  zone of its machine, which is None here. A time with a zone is that instant.
- A time that occurs twice, when clocks are put back, is the later one; one that never occurs is refused.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from licet.model import InvalidValue
from licet.refusal import Code
from licet.units import HOUR_MS

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])")
_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NEAR = ((90, 1, "s"), (90 * 60, 60, "min"), (36 * 3600, 3600, "h"))  # below, unit, its name
# Also the wide forms, which a spreadsheet may take for the others.
_FORMULA = ("=", "+", "-", "@", "\t", "\n", *"\uff1d\uff0b\uff0d\uff20")
NEVER = "never"
_MINUTE_S, _HOUR_MIN, _DAY_MIN = 60, 60, 1440
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT_MS_MAX = 253_370_764_800_000  # in the year 9999, within the calendar in every time zone


def read_duration_s(text: str) -> int:
    """The seconds of a duration.

    Raises InvalidValue.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        allowed = "a duration is written 1200, 1200s, 20m, 8h or 31d"
        raise InvalidValue(f"{allowed}; this is not: {text[:40]!r}", code=Code.MALFORMED)
    return int(found[1]) * _UNITS_S[found[2]]


def duration(seconds: int) -> str:
    """A duration in its largest whole unit."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS_S[unit] == 0:
            return f"{seconds // _UNITS_S[unit]}{unit}"
    return f"{seconds}s"


def seat_hours(held_ms: int) -> str:
    """How long seats were held, in hours to a tenth; `under 0.1` is less, but not 0."""
    tenths = round(held_ms * 10 / HOUR_MS)
    return "under 0.1" if held_ms and not tenths else f"{tenths / 10:,.1f}"


def read_end_ms(text: str, zone: tzinfo) -> int | None:
    """The instant at which something ends, by the clocks of `zone`; None for `never`.

    Raises InvalidValue.
    """
    text = text.strip()
    return None if text == NEVER else end_ms(read_moment(text), zone)


def read_moment(text: str) -> date:
    """The date or datetime that is written in ISO 8601.

    Raises InvalidValue.
    """
    for read in (date.fromisoformat, datetime.fromisoformat):
        try:
            return read(text)
        except ValueError:
            continue
    raise _no_moment(text)


def begin_ms(moment: date, zone: tzinfo | None) -> int:
    """The instant of a date or datetime with which something begins: a date is the start of that day.

    Raises InvalidValue.
    """
    return _ms_of(moment, zone, lambda day: _midnight(day, zone))


def end_ms(moment: date, zone: tzinfo | None) -> int:
    """The same where something ends: a date is the end of that day.

    Raises InvalidValue.
    """
    return _ms_of(moment, zone, lambda day: _next_midnight(day, zone))


def _ms_of(moment: date, zone: tzinfo | None, of_day: Callable[[date], datetime]) -> int:
    """In whole milliseconds."""
    ms = -1
    # The end of the calendar's last day is beyond it; years ago, a system may know no zone of its own.
    with suppress(OverflowError, OSError):
        if moment.year >= _EPOCH.year - 1:
            placed = moment if isinstance(moment, datetime) else of_day(moment)
            if placed.tzinfo is None:
                placed = _placed(placed, zone)
            ms = round(placed.timestamp() * 1000)
    if not 0 <= ms < INSTANT_MS_MAX:
        text = f"a moment is in the years 1970 to 9998; this is not: {moment.isoformat()}"
        raise InvalidValue(text, code=Code.OUT_OF_RANGE)
    return ms


def end(ms: int | None, zone: tzinfo) -> str:
    """The shortest text that `read_end_ms` reads as this instant; `never` for None."""
    if ms is None:
        return NEVER
    local = moment_of(ms).astimezone(zone)
    day = (local - timedelta(days=1)).date()
    if _next_midnight(day, zone).astimezone(UTC) == moment_of(ms):
        return day.isoformat()
    precision = "milliseconds" if ms % 1000 else "seconds" if local.second else "minutes"
    naive = local.replace(tzinfo=None)
    is_plain = _is_there(naive, zone) and _placed(naive, zone).timestamp() == local.timestamp()
    return (naive if is_plain else local).isoformat(timespec=precision)


def _midnight(day: date, zone: tzinfo | None) -> datetime:
    """The start of a day; where clocks are put forward at midnight, that is the first instant after."""
    return datetime.combine(day, time(), zone)


def _next_midnight(day: date, zone: tzinfo | None) -> datetime:
    """The end of a day."""
    return _midnight(day + timedelta(days=1), zone)


def _placed(moment: datetime, zone: tzinfo | None) -> datetime:
    """The instant of a time of day without a zone.

    Raises InvalidValue.
    """
    if not _is_there(moment, zone):
        place = zone or "the zone of this machine"
        text = f"there is no {moment:%H:%M} on {moment:%Y-%m-%d} in {place}: the clocks are put forward then"
        raise InvalidValue(text, code=Code.NO_SUCH_TIME)
    return moment.replace(tzinfo=zone, fold=1)


def _is_there(moment: datetime, zone: tzinfo | None) -> bool:
    """Whether the clocks of this zone ever show this time."""
    placed = moment.replace(tzinfo=zone)
    return placed.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment


def _no_moment(text: str) -> InvalidValue:
    """The error for a text that is not a date or time."""
    day = _DAY.match(text)
    if day is not None:
        try:
            date.fromisoformat(day[0])
        except ValueError:
            return InvalidValue(f"there is no day {day[0]}", code=Code.NO_SUCH_TIME)
    allowed = "a moment is written 2027-01-31, 2027-01-31T18:00 or never"
    return InvalidValue(f"{allowed}; this is not: {text[:40]!r}", code=Code.MALFORMED)


def moment_of(ms: int) -> datetime:
    """The datetime of an instant, in UTC."""
    return _EPOCH + timedelta(milliseconds=ms)  # exact, unlike a float far from now


def instant(ms: int | None) -> str:
    """An instant in ISO 8601, UTC; `never` for None."""
    if ms is None:
        return NEVER
    precision = "milliseconds" if ms % 1000 else "seconds"
    return moment_of(ms).isoformat(timespec=precision).replace("+00:00", "Z")


def end_in_words(ms: int, zone: tzinfo) -> str:
    """When something ends, to read: `at the end of 2027-01-31`, or `on 2027-01-31 at 18:00 UTC`."""
    day, _, time_of_day = end(ms, zone).partition("T")
    if not time_of_day:
        return f"at the end of {day}"
    return f"on {day} at {time_of_day} {moment_of(ms).astimezone(zone).tzname()}"


def nearness(ms: int, now_ms: int) -> str:
    """An instant relative to now: `in 12 min`, `3 h ago`, and a date when it is far."""
    return _near(ms, now_ms) or moment_of(ms).strftime("%Y-%m-%d")


def nearness_of_end(ms: int, now_ms: int, zone: tzinfo) -> str:
    """The same for an end; when it is far, its last day: `2027-01-31` where it is the end of that day."""
    return _near(ms, now_ms) or end(ms, zone)


def _near(ms: int, now_ms: int) -> str | None:
    seconds = round((ms - now_ms) / 1000)
    if seconds == 0:
        return "now"
    for below, unit, name in _NEAR:
        if abs(seconds) < below:
            amount = f"{abs(seconds) // unit} {name}"
            return f"in {amount}" if seconds >= 0 else f"{amount} ago"
    return None


def countdown(ms: int, now_ms: int) -> str:
    """`40 s` until an instant, `19 min`, `3 h 05 min`, `12 days`: rounded up, unlike a time of day."""
    seconds = max(0, -(-(ms - now_ms) // 1000))
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    minutes = -(-seconds // _MINUTE_S)
    if minutes < _HOUR_MIN:
        return f"{minutes} min"
    if minutes < 2 * _DAY_MIN:
        return f"{minutes // _HOUR_MIN} h {minutes % _HOUR_MIN:02} min"
    return f"{minutes // _DAY_MIN} days"


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 seat`, `1,250 seats`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def sentence(text: str) -> str:
    """A text as a sentence: with a capital letter and a full stop."""
    text = text.strip()
    ending = "" if text.endswith((".", "?", "!")) else "."
    return text[:1].upper() + text[1:] + ending


def printable(text: str, instead: str | None = None, kept: str = "") -> str:
    """The text with an escape, or `instead`, for each character that cannot be seen, but `kept`.

    Control characters could take over a terminal; others turn round, or hide, what stands beside them.
    """
    return "".join(
        char if char.isprintable() or char in kept else escaped(char) if instead is None else instead
        for char in text
    )


def escaped(char: str) -> str:
    """A character as Python's escape of it."""
    code = ord(char)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


def csv_cell(value: object) -> object:
    """A value for a CSV file; a text that a spreadsheet would run as a formula has an apostrophe before it.

    People choose the names (OWASP, CSV injection). What there is none of is empty.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace(
        "\r", "\n"
    )  # csv quotes no carriage return, which begins a row
    return f"'{text}" if text.startswith(_FORMULA) else text


def without_controls(text: str) -> str:
    """The text without control characters and halves of characters, which no name has."""
    return _CONTROLS.sub("", text)
