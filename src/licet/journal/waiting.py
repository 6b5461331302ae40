"""Reads the entries that wait to be folded as the rows of the journal that they will be.

A commit only appends what happened (`licet.store.journal_rows`), and the entries are added to the rows of
their minute some seconds later (`folding.py`). A page that shows rows is the same before and after, because
it reads three kinds: rows to which nothing is added, and of both tables of entries those that will be, each
with the row that is there. A sum needs none of this: `schema.whole_journal`, `schema.whole_denials`.

The module only reads.
"""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, Subquery, Table, and_, case, func, select

from licet.store import minute_rows, schema
from licet.store.minute_rows import KEY, Folding


class Entries(NamedTuple):
    """A table of entries, its rows with the columns of the journal, and how they are folded."""

    table: Table
    rows: Select[Any]
    folding: Folding

    @property
    def latest(self) -> tuple[str, ...]:
        """The columns whose values are those of the last one, of an entry and of its row."""
        return self.folding.latest


GRANTS_AND_ENDINGS = Entries(schema.journal_entry, schema.entries, minute_rows.GRANTS_AND_ENDINGS)
DENIALS = Entries(schema.denial_entry, schema.denial_entries, minute_rows.DENIALS)


def counted(entries: Entries, *wanted: ColumnElement[bool]) -> Select[Any]:
    """Those that wait, counted by row; `number` identifies the last one.

    `wanted` may use only what all entries of a row share; the rest is filtered when they are together.
    """
    entry = entries.rows.add_columns(entries.table.c.number).where(*wanted).subquery("waiting").c
    key = [entry[name] for name in KEY]
    return select(
        *key,
        func.sum(entry.times).label("times"),
        func.min(entry.first_at_ms).label("first_at_ms"),
        func.max(entry.last_at_ms).label("last_at_ms"),
        func.max(entry.number).label("number"),
    ).group_by(*key)


def will_be(entries: Entries, *wanted: ColumnElement[bool]) -> Subquery:
    """The rows that there will be when these are folded."""
    waiting, row = counted(entries, *wanted).subquery("counted"), schema.journal
    last = entries.table.alias("last")
    first_at_ms, last_at_ms = waiting.c.first_at_ms, waiting.c.last_at_ms
    values = {
        "times": waiting.c.times + func.coalesce(row.c.times, 0),
        "first_at_ms": case((row.c.first_at_ms < first_at_ms, row.c.first_at_ms), else_=first_at_ms),
        "last_at_ms": case((row.c.last_at_ms > last_at_ms, row.c.last_at_ms), else_=last_at_ms),
        **{name: row.c[name] for name in DENIALS.latest},
        **{name: last.c[name] for name in entries.latest},
    }
    if entries is DENIALS:  # One that was counted at once may be newer.
        is_older = row.c.last_at_ms > last_at_ms
        values |= {name: case((is_older, row.c[name]), else_=last.c[name]) for name in entries.latest}
    return (
        select(*(waiting.c[it.name] if it.name in KEY else values[it.name].label(it.name) for it in row.c))
        .join_from(waiting, last, last.c.number == waiting.c.number)
        .join(row, same_row(row.c, waiting.c), isouter=True)
        .subquery("will_be")
    )


def same_row(these: Any, those: Any) -> ColumnElement[bool]:
    """The condition that columns of both are of one row of the journal."""
    return and_(*(these[name] == those[name] for name in KEY))
