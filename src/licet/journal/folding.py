"""Folds grants, endings and denials: their entries become rows that count equal ones by minute.

A commit appends entries, and they are folded here some seconds later, so that a request has less to write
(L11). The rules:

- An entry is added to its row and removed in one transaction: it is in one of the tables at every instant,
  and a reader of them (`schema.whole_journal`) sees the same before and after.
- The oldest are folded first, so a row has the initials and the address of the last one. A denial that was
  counted at once, by a node of version 0.2.0 or where too many wait (`licet.store.unfolded`), may be newer:
  then the row keeps them, and what it says of the pool.
- At most `ENTRIES_MAX` are folded in one transaction, so that no grant waits for long.
- One node folds at a time; another one finds nothing to do. A node of a version before, which adds to the
  journal itself, may run beside it; where the two meet on a row, this one gives way and folds the next time.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, func, select, text

from licet.journal.minute_sql import TAKE_IN, TAKE_IN_LATEST
from licet.journal.waiting import DENIALS, GRANTS_AND_ENDINGS, KEY, Entries
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.units import MINUTE_MS

# Commits wait meanwhile. Where many clients ask, nearly each entry is of another one, and so has a row of its
# own: in SQLite 500 of 10,000 clients take 3 ms; fewer at a time take longer for each.
ENTRIES_MAX = 500
GIVE_WAY_MS = 100  # a tenth of what PostgreSQL waits before it looks for a deadlock

# An advisory lock of PostgreSQL, in a class of its own beside those of `licet.store.postgres.store`. Grants
# and denials, which never meet on a row, have a key each.
_LOCK = 0x6C_69_63_03
_KEY = ", ".join(KEY)


class _Folding(NamedTuple):
    """What is folded, and how: SQL of the parts in which the two tables of entries differ."""

    entries: Entries
    lock_key: int
    kind: str  # of an entry
    of_one: str  # how many an entry counts
    of_all: str  # how many all of a window count
    take_in: str

    @property
    def latest(self) -> str:
        """The columns that a row has of the last one."""
        return ", ".join(self.entries.latest)


_GRANTS_AND_ENDINGS = _Folding(GRANTS_AND_ENDINGS, 0, "kind", "1", "count(*)", TAKE_IN)
_DENIALS = _Folding(DENIALS, 1, "'denied'", "times", "sum(times)", TAKE_IN_LATEST)


def _one_by_one(of: _Folding) -> str:
    """The oldest entries as rows, each alone, for SQLite: a row takes them in one after the other.

    Counting equal ones first would take it longer, as few of the oldest are equal where many clients ask.
    """
    return f"""
  SELECT tenant_id, at_ms / {MINUTE_MS} AS minute, {of.kind} AS kind, reason, pool, client_id, number,
    {of.of_one} AS times, at_ms AS first_at_ms, at_ms AS last_at_ms, {of.latest}
  FROM {of.entries.table.name} WHERE number <= :last"""  # noqa: S608 - names of our own


def _counted_by_window(of: _Folding) -> str:
    """Counts equal entries among `taken`, with what a row has of the last, for PostgreSQL.

    There one statement adds to a row once only. A window, because a join would compare each pair of entries
    on a connection that allows only nested loops (`licet.store.postgres.store`).
    """
    return f"""
  SELECT {_KEY}, {of.latest}, all_times AS times, first_at_ms, last_at_ms FROM (
    SELECT *, CAST({of.of_all} OVER alike AS bigint) AS all_times, min(at_ms) OVER alike AS first_at_ms,
      max(at_ms) OVER alike AS last_at_ms,
      row_number() OVER (PARTITION BY {_KEY} ORDER BY number DESC) AS place
    FROM (SELECT *, at_ms / {MINUTE_MS} AS minute{_and_kind(of)} FROM taken) AS entry
    WINDOW alike AS (PARTITION BY {_KEY})
  ) AS placed WHERE place = 1"""  # noqa: S608 - names of our own


def _and_kind(of: _Folding) -> str:
    return "" if "kind" in of.entries.table.c else f", {of.kind} AS kind"


def _add(of: _Folding, rows: str, order: str) -> str:
    """The statement that adds these rows to the journal, in this order.

    Entries of a removed tenant are dropped.
    """
    columns = f"{_KEY}, times, first_at_ms, last_at_ms, {of.latest}"
    return f"""
INSERT INTO journal AS this ({columns})
SELECT {columns}
FROM ({rows}) AS entry
WHERE tenant_id IN (SELECT id FROM tenant WHERE removed_at_ms IS NULL)
ORDER BY {order}
ON CONFLICT ({_KEY}) DO UPDATE SET{of.take_in}"""  # noqa: S608 - names of our own


class _InSqlite:
    """Folds in SQLite, which has one writer: between the statements nobody adds anything."""

    def __init__(self, of: _Folding) -> None:
        table = of.entries.table.name
        oldest = f"SELECT number FROM {table} ORDER BY number LIMIT :most"  # noqa: S608
        self._last = text(f"SELECT max(number) FROM ({oldest}) AS oldest")  # noqa: S608
        self._fold = text(_add(of, _one_by_one(of), order="number"))
        self._remove = text(f"DELETE FROM {table} WHERE number <= :last")  # noqa: S608

    def __call__(self, connection: Connection, entries_max: int) -> int:
        last = connection.execute(self._last, {"most": entries_max}).scalar()
        if last is None:
            return 0
        connection.execute(self._fold, {"last": last})
        return connection.execute(self._remove, {"last": last}).rowcount


class _InPostgres:
    """Folds in PostgreSQL, where other transactions add entries meanwhile, also with lower numbers.

    Exactly the entries that are added to the journal are removed.
    """

    def __init__(self, of: _Folding) -> None:
        table = of.entries.table.name
        self._give_way = text(
            f"SELECT set_config('lock_timeout', '{GIVE_WAY_MS}ms', true),"
            f" pg_try_advisory_xact_lock({_LOCK}, {of.lock_key})"
        )
        self.move = text(
            f"""
WITH taken AS MATERIALIZED (
  DELETE FROM {table}
  WHERE number = ANY (ARRAY(SELECT number FROM {table} ORDER BY number LIMIT :most)) RETURNING *
),
added AS ({_add(of, _counted_by_window(of), order=_KEY)})
SELECT count(*) FROM taken"""  # noqa: S608
        )

    def __call__(self, connection: Connection, entries_max: int) -> int:
        [(_, is_alone)] = connection.execute(self._give_way).all()
        if not is_alone:
            return 0
        moved: int = connection.execute(self.move, {"most": entries_max}).scalar_one()
        return moved


_Fold = Mapping[str, Callable[[Connection, int], int]]


def _fold(of: _Folding) -> _Fold:
    return {"sqlite": _InSqlite(of), "postgresql": _InPostgres(of)}


_FOLD, _FOLD_DENIALS = _fold(_GRANTS_AND_ENDINGS), _fold(_DENIALS)


def fold_journal(store: Store, entries_max: int = ENTRIES_MAX) -> int:
    """Fold the oldest grants and endings, at most so many entries; return how many.

    Raises StoreUnavailable.
    """
    return _folded(store, _FOLD, entries_max)


def fold_denials(store: Store, entries_max: int = ENTRIES_MAX) -> int:
    """Fold the oldest denials, at most so many entries; return how many.

    Raises StoreUnavailable.
    """
    return _folded(store, _FOLD_DENIALS, entries_max)


def _folded(store: Store, fold: _Fold, entries_max: int) -> int:
    with store.transaction(Purpose.UPKEEP) as transaction:
        connection = transaction.connection
        return fold[connection.dialect.name](connection, entries_max)


def first_minute(connection: Connection) -> int | None:
    """The minute in which the whole journal begins; None when it is empty."""
    columns = (schema.journal.c.minute, schema.entry_minute, schema.denial_minute)
    found = [connection.execute(select(func.min(column))).scalar() for column in columns]
    return min((minute for minute in found if minute is not None), default=None)
