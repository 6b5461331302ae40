"""Checks that the claims of a usage statement have their form: whoever has a key may sign anything.

The rules:

- A statement has a number from 1 on, whole days of UTC, and was made after them.
- Each pool is there once, with every day of the span, one after the other: a day that is left out is a story
  that is not told, and a day that is there twice is one that is told twice.
- A pool that was added within the span, or after it, may say when: the days before have no figures.
- All numbers are whole, and none is below 0. Names have no control characters.
- Claims that are not known here are left to other versions.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

DAYS_MAX: Final = 400  # as long as the journal is kept, by default
SECONDS_MAX: Final = 253_402_300_799  # the last second of the year 9999
DAY_S: Final = 86_400
NAME_CHARS_MAX: Final = 100

_FIGURES: Final = ("seats", "peak", "overdraft", "overdraft_s", "true_denials")


def problem_of(claims: Mapping[str, Any]) -> str:
    """What is wrong with the claims of a statement; '' where nothing is."""
    return next(_problems(claims), "")


def _problems(claims: Mapping[str, Any]) -> Iterator[str]:
    """The first problem; behind it nothing may be read."""
    if not _is_name(claims.get("tenant")):
        yield "it lacks the name of its tenant"
    if not _is_count(claims.get("seq")) or claims["seq"] == 0:
        yield "it lacks its number"
    times: list[Any] = [claims.get(name) for name in ("iat", "from", "until")]
    if not all(_is_count(at, SECONDS_MAX) for at in times):
        yield "it lacks a time"
    made, begins, ends = times
    if begins % DAY_S or ends % DAY_S or not begins < ends <= min(made, begins + DAYS_MAX * DAY_S):
        yield f"its span is not 1 to {DAYS_MAX} whole days of UTC before it was made"
    if not isinstance(claims.get("restored"), list) or not isinstance(claims.get("pools"), list):
        yield "it lacks a list"
    names: set[str] = set()
    for pool in claims["pools"]:
        if not isinstance(pool, dict) or not _is_name(pool.get("pool")) or pool["pool"] in names:
            yield "a pool has no name, or is there twice"
        names.add(pool["pool"])
        yield from (f"pool {pool['pool']}: {it}" for it in _problems_of_pool(pool, begins, ends))


def _problems_of_pool(pool: Mapping[str, Any], begins: int, ends: int) -> Iterator[str]:
    days: Any = pool.get("days")
    added = pool.get("added", 0)
    if not isinstance(days, list) or not all(isinstance(day, dict) for day in days):
        yield "it has no days"
    if [(day.get("from"), day.get("until")) for day in days] != [
        (at, at + DAY_S) for at in range(begins, ends, DAY_S)
    ]:
        yield "its days are not those of the statement"
    if any(not _is_count(day.get(figure)) for day in days for figure in _FIGURES):
        yield "a figure of a day is no whole number"
    if not _is_count(added, SECONDS_MAX):
        yield "when it was added is no time"
    if any(day["until"] <= added and any(day[figure] for figure in _FIGURES) for day in days):
        yield "a day before it was added has figures"


def _is_name(found: Any) -> bool:
    return isinstance(found, str) and 1 <= len(found) <= NAME_CHARS_MAX and found.isprintable()


def _is_count(found: Any, most: int | None = None) -> bool:
    return type(found) is int and found >= 0 and (most is None or found <= most)
