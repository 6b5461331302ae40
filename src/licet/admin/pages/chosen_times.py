"""Reads the times between which a list or a report is looked at, from the pickers of its form.

A form has two fields `datetime-local`, filled in and read by the clocks of the reader's zone. What it
sends is answered with a redirection to an address that has instants instead: so a link means the same for
a reader in another zone. It needs no script.

The rules:

- A field that is sent as it was filled in stands for the instant that it was made of, to the millisecond.
- Times that are typed count before a span that is chosen from a list; a span that is chosen while the times
  stay as they were takes their place.
- A date alone means its beginning, or where something ends, its end.
- A time that occurs twice, when clocks are put back, begins with the first and ends with the second, so that
  all of it is between them. One that never occurs is the moment at which the clocks are put forward. A notice
  says so.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import Response

from licet.admin.pages.filters import CHOSEN, INSTANT_MS_MAX, WITHIN, instant_of
from licet.admin.pages.frame import see
from licet.admin.pages.reader_zone import zone_of
from licet.formats import moment_of
from licet.zones import find_zone

_FIELDS = ("from_at", "until_at", "zone")
_DAY_CHARS = len("2026-11-28")


class ChosenTimes(NamedTuple):
    """What the pickers of a form show; the texts are empty where no time is chosen."""

    from_text: str
    until_text: str
    from_ms: int | None
    until_ms: int | None
    zone: str


class _Unclear(Exception):
    """A text that is no time; its argument says so to the reader."""


def chosen_times(request: Request, from_ms: int | None, until_ms: int | None) -> ChosenTimes:
    """What the pickers show for these instants, by the reader's clocks."""
    zone = zone_of(request)
    return ChosenTimes(_text(from_ms, zone), _text(until_ms, zone), from_ms, until_ms, zone)


def settle_times(request: Request, path: str, now_ms: int) -> Response | None:
    """The answer to a form with times that was sent: to the address with instants. None for anything else."""
    query = request.query_params
    if not any(name in query for name in _FIELDS):
        return None
    zone = find_zone(query.get("zone", "")) or ZoneInfo(zone_of(request))
    kept = {
        name: text
        for name, text in query.items()
        if text and name not in {*_FIELDS, "from", "until", "after"}
    }
    before = [instant_of(query.get(name, "")) for name in ("from", "until")]
    texts = [query.get(name, "").strip() for name in ("from_at", "until_at")]
    is_as_it_was = texts == [_text(at_ms, zone.key) for at_ms in before]
    if is_as_it_was and query.get("within", CHOSEN) in WITHIN:
        return see(request, _address(path, kept))
    notices: list[str] = []
    times: list[int | None] = []
    try:
        for text, at_ms, is_end in zip(texts, before, (False, True), strict=True):
            unchanged = text == _text(at_ms, zone.key)
            times.append(at_ms if unchanged else _instant(text, zone, notices, is_end=is_end))
        _check(times, now_ms)
    except _Unclear as unclear:
        return see(request, _address(path, kept), str(unclear))
    if times != [None, None]:
        kept.pop("within", None)
    chosen = {
        name: str(at_ms) for name, at_ms in zip(("from", "until"), times, strict=True) if at_ms is not None
    }
    return see(request, _address(path, kept | chosen), " ".join(notices))


def _address(path: str, query: dict[str, str]) -> str:
    kept = {name: text for name, text in query.items() if (name, text) != ("within", CHOSEN)}
    return f"{path}?{urlencode(kept)}" if kept else path


def _check(times: list[int | None], now_ms: int) -> None:
    from_ms, until_ms = times
    if from_ms is not None and from_ms >= now_ms:
        raise _Unclear("The time to begin with is in the future.")
    if from_ms is not None and until_ms is not None and from_ms >= until_ms:
        raise _Unclear("The time to end with is not after the time to begin with.")


def _text(at_ms: int | None, zone: str) -> str:
    """An instant as a picker of a browser has it, to the minute."""
    return "" if at_ms is None else f"{moment_of(at_ms).astimezone(ZoneInfo(zone)):%Y-%m-%dT%H:%M}"


def _instant(text: str, zone: ZoneInfo, notices: list[str], *, is_end: bool) -> int | None:
    """The instant of a typed time; None where none is typed.

    Raises _Unclear.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if len(text) == _DAY_CHARS and is_end:
            moment += timedelta(days=1)
        if moment.tzinfo is None:
            moment, said = _placed(moment, zone, is_end=is_end)
            notices.extend(said)
        at_ms = round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        at_ms = -1
    if not 0 <= at_ms < INSTANT_MS_MAX:
        raise _Unclear(f"This is no time: {text[:40]}. It is written 2026-11-28 10:30.")
    return at_ms


def _placed(moment: datetime, zone: ZoneInfo, *, is_end: bool) -> tuple[datetime, Iterator[str]]:
    """The moment of a time of day in this zone, with a sentence where the clocks are changed then."""
    first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    when = f"{moment:%H:%M} on {moment.day} {moment:%b %Y}"
    if first.utcoffset() == second.utcoffset():
        return first, iter(())
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment:
        chosen = second if is_end else first
        which = "second" if is_end else "first"
        return chosen, iter((f"{when} occurs twice in {zone.key}: the {which} of the two counts.",))
    change = _change(second.astimezone(UTC), first.astimezone(UTC), zone)
    said = f"There is no {when} in {zone.key}, as the clocks are put forward: {change:%H:%M} counts."
    return change, iter((said,))


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The moment, to the second, at which the clocks of a zone are changed between these two."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.astimezone(zone)
