"""Builds SQL for tables that count by minute: the filter by value and time, and the merge of two rows.

A row has a `minute`, the number of `times`, and when the first and the last were, `first_at_ms` and
`last_at_ms`.
"""

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from licet.units import MINUTE_MS

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.sql.base import ReadOnlyColumnCollection

Conditions: TypeAlias = "list[ColumnElement[bool]]"

# How the row that is there, `this`, takes in another of its key. None comes in the order of time: each may be
# the first or the last.
_TIMES: Final = """
  times = this.times + excluded.times,
  first_at_ms = CASE WHEN excluded.first_at_ms < this.first_at_ms
    THEN excluded.first_at_ms ELSE this.first_at_ms END,
  last_at_ms = CASE WHEN excluded.last_at_ms > this.last_at_ms
    THEN excluded.last_at_ms ELSE this.last_at_ms END"""
TAKE_IN: Final = f"{_TIMES}, initials = excluded.initials, address = excluded.address"


# The same for denials: what is of the last one stays where the row that is there is newer.
_OF_THE_LAST = ("initials", "address", "seats", "in_use")
TAKE_IN_LATEST: Final = _TIMES + "".join(
    f", {name} = CASE WHEN excluded.last_at_ms < this.last_at_ms THEN this.{name} ELSE excluded.{name} END"
    for name in _OF_THE_LAST
)


def equal(*wanted: "tuple[ColumnElement[Any], object]") -> Conditions:
    """The conditions that columns have these values; '' and None are every value."""
    return [column == str(value) for column, value in wanted if value]


def within(
    columns: "ReadOnlyColumnCollection[str, Any]", from_ms: int | None, until_ms: int | None
) -> Conditions:
    """The conditions that something happened from an instant on and before another; None is no bound.

    The minute is for the index, and the instants are exact.
    """
    found: Conditions = []
    if from_ms is not None:
        found += [columns.minute >= from_ms // MINUTE_MS, columns.last_at_ms >= from_ms]
    if until_ms is not None:
        found += [columns.minute <= until_ms // MINUTE_MS, columns.first_at_ms < until_ms]
    return found
