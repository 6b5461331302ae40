"""Folds grants, endings and denials: their entries become rows that count equal ones by minute.

A commit appends entries, and they are folded here some seconds later, so that a request has less to write
(L11). The rules:

- An entry is added to its row and removed in one transaction: it is in one of the tables at every instant,
  and a reader of them (`schema.whole_journal`) sees the same before and after.
- The oldest are folded first, so a row has the initials and the address of the last one. A denial that was
  counted at once, by a node of version 0.2.0 or where too many wait (`licet.store.unfolded`), may be newer:
  then the row keeps them, and what it says of the pool.
- At most `ENTRIES_MAX` are folded in one transaction, so that no grant waits for long.
- The process that commits in SQLite folds most itself (`licet.store.sqlite.folding`), and the rest is folded
  here.
- One node folds at a time; another one finds nothing to do. A node of a version before, which adds to the
  journal itself, may run beside it; where the two meet on a row, this one gives way and folds the next time.
"""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, func, select, text

from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.minute_rows import (
    DENIALS,
    ENTRIES_MAX,
    GRANTS_AND_ENDINGS,
    KEYS,
    Folding,
    adding_statement,
    in_sqlite,
)
from licet.units import MINUTE_MS

GIVE_WAY_MS = 100  # a tenth of what PostgreSQL waits before it looks for a deadlock

# An advisory lock of PostgreSQL, in a class of its own beside those of `licet.store.postgres.store`. Grants
# and denials, which never meet on a row, have a key each.
_LOCK = 0x6C_69_63_03


def _counted_by_window(of: Folding) -> str:
    """Counts equal entries among `taken`, with what a row has of the last, for PostgreSQL.

    There one statement adds to a row once only. A window, because a join would compare each pair of entries
    on a connection that allows only nested loops (`licet.store.postgres.store`).
    """
    return f"""
  SELECT {KEYS}, {of.latest_columns}, all_times AS times, first_at_ms, last_at_ms FROM (
    SELECT *, CAST({of.of_all} OVER alike AS bigint) AS all_times, min(at_ms) OVER alike AS first_at_ms,
      max(at_ms) OVER alike AS last_at_ms,
      row_number() OVER (PARTITION BY {KEYS} ORDER BY number DESC) AS place
    FROM (SELECT *, at_ms / {MINUTE_MS} AS minute{_and_kind(of)} FROM taken) AS entry
    WINDOW alike AS (PARTITION BY {KEYS})
  ) AS placed WHERE place = 1"""  # noqa: S608 - names of our own


def _and_kind(of: Folding) -> str:
    return "" if of.kind == "kind" else f", {of.kind} AS kind"


class _InPostgres:
    """Folds in PostgreSQL, where other transactions add entries meanwhile, also with lower numbers.

    Exactly the entries that are added to the journal are removed.
    """

    def __init__(self, of: Folding, lock_key: int) -> None:
        table = of.table
        self._give_way = text(
            f"SELECT set_config('lock_timeout', '{GIVE_WAY_MS}ms', true),"
            f" pg_try_advisory_xact_lock({_LOCK}, {lock_key})"
        )
        self.move = text(
            f"""
WITH taken AS MATERIALIZED (
  DELETE FROM {table}
  WHERE number = ANY (ARRAY(SELECT number FROM {table} ORDER BY number LIMIT :most)) RETURNING *
),
added AS ({adding_statement(of, _counted_by_window(of), order=KEYS)})
SELECT count(*) FROM taken"""  # noqa: S608
        )

    def __call__(self, connection: Connection, entries_max: int) -> int:
        [(_, is_alone)] = connection.execute(self._give_way).all()
        if not is_alone:
            return 0
        moved: int = connection.execute(self.move, {"most": entries_max}).scalar_one()
        return moved


_Fold = Callable[[Connection, int], int]


def _by_dialect(of: Folding, lock_key: int) -> Mapping[str, _Fold]:
    statements = in_sqlite(of)
    return {
        "sqlite": lambda connection, most: statements.fold(connection.exec_driver_sql, most),
        "postgresql": _InPostgres(of, lock_key),
    }


_FOLD, _FOLD_DENIALS = _by_dialect(GRANTS_AND_ENDINGS, 0), _by_dialect(DENIALS, 1)


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


def _folded(store: Store, fold: Mapping[str, _Fold], entries_max: int) -> int:
    with store.transaction(Purpose.UPKEEP) as transaction:
        connection = transaction.connection
        return fold[connection.dialect.name](connection, entries_max)


def first_minute(connection: Connection) -> int | None:
    """The minute in which the whole journal begins; None when it is empty."""
    columns = (schema.journal.c.minute, schema.entry_minute, schema.denial_minute)
    found = [connection.execute(select(func.min(column))).scalar() for column in columns]
    return min((minute for minute in found if minute is not None), default=None)
