"""Reads rows that count by minute as ranges: consecutive minutes of the same key are one range.

It also finds who is in them most often. The rules:

- Newest first, by the minute in which a range ends; then by the key.
- A range is never cut by a page, except one of more than `ROWS_MAX` minutes.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import CompoundSelect, Connection, Row, Select, func, select

from licet.model import Value
from licet.store.paging import bounded, write_cursor

ROWS_FIRST = 1000  # of the table; enough for most pages
ROWS_MAX = 20_000  # of the table that one page reads: two weeks of a client that never stops

MOST_MAX = 10


class Most(Value, frozen=True, kw_only=True):
    """How often somebody is in a list, in all ranges together; `user_name` is '' where there is none."""

    name: str
    initials: str
    user_name: str
    times: int
    last_at_ms: int


Rows = Select[Any] | CompoundSelect[Any]

# The key of rows that belong to one range: numbers and texts, in one order in all rows.
Key = tuple[Any, ...]
_Place = tuple[Any, ...]


class Range:
    """A range, read from its end to its begin. `last` is the row of its last minute."""

    def __init__(self, row: Row[Any], key: Key) -> None:
        self.key = key
        self.until = self.minute = row.minute
        self.last, self.first_at_ms = row, row.first_at_ms
        self.times = int(row.times)

    def add(self, row: Row[Any]) -> None:
        """Add the row of the minute before."""
        self.minute, self.first_at_ms = row.minute, row.first_at_ms
        self.times += int(row.times)

    @property
    def place(self) -> _Place:
        """Its place in the order: from the latest minute down, then by the key."""
        return (-self.until, *self.key)


class RangePage:
    """Ranges of rows, which have a minute, `first_at_ms`, `last_at_ms` and `times`, newest first.

    `rows_until` is a query for those up to a minute, None for all. `key_of` gives the key of a row. `after`
    is the cursor of the page before, from which `place_of` makes the minute, the key, and whether the range
    was cut. Raises InvalidCursor.
    """

    def __init__(
        self,
        connection: Connection,
        rows_until: Callable[[int | None], Rows],
        key_of: Callable[[Row[Any]], Key],
        place_of: Callable[[str], tuple[Any, ...]],
        *,
        after: str | None,
        limit: int,
    ) -> None:
        limit = bounded(limit)
        place: _Place | None = None
        until_minute: int | None = None
        if after is not None:
            minute, *key, is_cut = place_of(after)
            place = None if is_cut else (minute, *key)
            # One minute more: what continues from there belongs to a range of the page before.
            until_minute = -minute + (not is_cut)
        query = rows_until(until_minute)

        def read_rows(rows_max: int) -> _Read:
            rows = connection.execute(query.limit(rows_max)).all()
            return _Read(rows, key_of, place, limit + 1, is_cut=len(rows) == rows_max)

        read = read_rows(ROWS_FIRST)
        if not read.is_whole:
            read = read_rows(ROWS_MAX)
        self.ranges = tuple(read.ranges[:limit])
        self.next = read.cursor(limit)


def most_of(connection: Connection, query: Rows, *, name: str, user_name: str) -> tuple[Most, ...]:
    """Who is most often in the newest `ROWS_MAX` rows of a query, at most `MOST_MAX`.

    `name` and `user_name` are the columns of the query.
    """
    newest = query.limit(ROWS_MAX).subquery("newest").c
    times = func.sum(newest.times).label("times")
    rows = connection.execute(
        select(
            newest[name].label("name"),
            func.max(newest.initials).label("initials"),
            func.max(newest[user_name]).label("user_name"),
            times,
            func.max(newest.last_at_ms).label("last_at_ms"),
        )
        .group_by(newest.tenant_id, newest[name])
        .order_by(times.desc(), newest[name])
        .limit(MOST_MAX)
    )
    return tuple(
        Most(
            name=row.name,
            initials=row.initials,
            user_name=row.user_name,
            times=int(row.times),
            last_at_ms=row.last_at_ms,
        )
        for row in rows
    )


class _Read:
    """The first ranges after a place, at most so many, as far as these rows show them."""

    def __init__(
        self,
        rows: Sequence[Row[Any]],
        key_of: Callable[[Row[Any]], Key],
        place: _Place | None,
        count: int,
        *,
        is_cut: bool,
    ) -> None:
        self._cut: int | None = None
        self._blank: Key = ()
        if is_cut:  # The last minute may have more rows.
            self._cut = rows[-1].minute
            self._blank = tuple(type(part)() for part in key_of(rows[-1]))
            rows = [row for row in rows if row.minute != self._cut]
        self.ranges, is_done = _folded(rows, key_of, place, count)
        self.is_whole = is_done or self._cut is None

    def cursor(self, limit: int) -> str | None:
        """Where the next page begins."""
        if len(self.ranges) > limit:
            return write_cursor(*self.ranges[limit - 1].place, False)
        return None if self._cut is None else write_cursor(-self._cut, *self._blank, True)


def _folded(
    rows: Iterable[Row[Any]], key_of: Callable[[Row[Any]], Key], place: _Place | None, count: int
) -> tuple[list[Range], bool]:
    """The ranges of these rows, newest first, and whether no later row adds to them."""
    found: list[Range] = []
    last: dict[Key, Range] = {}
    for row in rows:
        key = key_of(row)
        known = last.get(key)
        if known is not None and known.minute == row.minute + 1:
            known.add(row)
            continue
        if len(found) == count:
            if all(later.minute > row.minute + 1 for later in found):
                return found, True
            continue
        begun = last[key] = Range(row, key)
        if place is None or begun.place > place:
            found.append(begun)
    return found, False
