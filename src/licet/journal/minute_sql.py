"""Builds the filter by value and time for tables that count by minute.

A row has a `minute`, the number of `times`, and when the first and the last were, `first_at_ms` and
`last_at_ms`; how two rows are merged: `licet.store.minute_rows`.
"""

from typing import TYPE_CHECKING, Any, TypeAlias

from licet.units import MINUTE_MS

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.sql.base import ReadOnlyColumnCollection

Conditions: TypeAlias = "list[ColumnElement[bool]]"


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
