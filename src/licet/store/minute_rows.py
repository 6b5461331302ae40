"""Builds SQL for rows that count equal events by minute: how a row takes in another, and entries of events.

A row has the number of `times`, and when the first and the last were, `first_at_ms` and `last_at_ms`. A
commit appends an entry of each event; folding adds it to its row, and removes it. When that is done, and what
holds meanwhile: `licet.journal.folding`. The texts need no SQLAlchemy, as a process that commits has none.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from licet.units import MINUTE_MS

# The columns that are equal in what is folded into one row of the journal.
KEY: Final = ("tenant_id", "minute", "kind", "reason", "pool", "client_id")
KEYS: Final = ", ".join(KEY)

# Commits wait meanwhile. Where many clients ask, nearly each entry is of another one, and so has a row of its
# own: in SQLite 500 of 10,000 clients take 3 ms; fewer at a time take longer for each.
ENTRIES_MAX: Final = 500

# How the row that is there, `this`, takes in another of its key. None comes in the order of time: each may be
# the first or the last.
_TIMES: Final = """
  times = this.times + excluded.times,
  first_at_ms = CASE WHEN excluded.first_at_ms < this.first_at_ms
    THEN excluded.first_at_ms ELSE this.first_at_ms END,
  last_at_ms = CASE WHEN excluded.last_at_ms > this.last_at_ms
    THEN excluded.last_at_ms ELSE this.last_at_ms END"""
TAKE_IN: Final = f"{_TIMES}, initials = excluded.initials, address = excluded.address"

_LATEST: Final = ("initials", "address")
_LATEST_OF_DENIAL: Final = (*_LATEST, "seats", "in_use")
# The same for denials: what is of the last one stays where the row that is there is newer.
_TAKE_IN_LATEST: Final = _TIMES + "".join(
    f", {name} = CASE WHEN excluded.last_at_ms < this.last_at_ms THEN this.{name} ELSE excluded.{name} END"
    for name in _LATEST_OF_DENIAL
)


class Folding(NamedTuple):
    """What is folded, and how: the parts in which the two tables of entries differ.

    `latest` are the columns that a row has of the last one.
    """

    table: str
    latest: tuple[str, ...]
    kind: str  # of an entry
    of_one: str  # how many an entry counts
    of_all: str  # how many all of a window count
    take_in: str

    @property
    def latest_columns(self) -> str:
        """The columns that a row has of the last one, as SQL."""
        return ", ".join(self.latest)


GRANTS_AND_ENDINGS: Final = Folding("journal_entry", _LATEST, "kind", "1", "count(*)", TAKE_IN)
DENIALS: Final = Folding(
    "denial_entry", _LATEST_OF_DENIAL, "'denied'", "times", "sum(times)", _TAKE_IN_LATEST
)


Execute = Callable[[str, dict[str, int]], Any]  # a statement and its parameters, and gives a cursor


class InSqlite(NamedTuple):
    """The statements that fold in SQLite, which has one writer: between them nobody adds anything.

    `last` finds the number of the last of the `:most` oldest entries; `add` and `remove` are of those up to
    `:last`.
    """

    last: str
    add: str
    remove: str

    def fold(self, execute: Execute, entries_max: int) -> int:
        """Fold the oldest entries in the transaction that has begun, at most so many; return how many."""
        last = execute(self.last, {"most": entries_max}).fetchone()[0]
        if last is None:
            return 0
        execute(self.add, {"last": last})
        removed: int = execute(self.remove, {"last": last}).rowcount
        return removed


def in_sqlite(of: Folding) -> InSqlite:
    """The statements for SQLite, by which a row takes in one entry after the other.

    Counting equal ones first would take it longer, as few of the oldest are equal where many clients ask.
    """
    rows = f"""
  SELECT tenant_id, at_ms / {MINUTE_MS} AS minute, {of.kind} AS kind, reason, pool, client_id, number,
    {of.of_one} AS times, at_ms AS first_at_ms, at_ms AS last_at_ms, {of.latest_columns}
  FROM {of.table} WHERE number <= :last"""  # noqa: S608 - names of our own
    oldest = f"SELECT number FROM {of.table} ORDER BY number LIMIT :most"  # noqa: S608
    return InSqlite(
        last=f"SELECT max(number) FROM ({oldest}) AS oldest",  # noqa: S608
        add=adding_statement(of, rows, order="number"),
        remove=f"DELETE FROM {of.table} WHERE number <= :last",  # noqa: S608
    )


def adding_statement(of: Folding, rows: str, order: str) -> str:
    """The statement that adds these rows to the journal, in this order.

    Entries of a removed tenant are dropped.
    """
    columns = f"{KEYS}, times, first_at_ms, last_at_ms, {of.latest_columns}"
    return f"""
INSERT INTO journal AS this ({columns})
SELECT {columns}
FROM ({rows}) AS entry
WHERE tenant_id IN (SELECT id FROM tenant WHERE removed_at_ms IS NULL)
ORDER BY {order}
ON CONFLICT ({KEYS}) DO UPDATE SET{of.take_in}"""  # noqa: S608 - names of our own
