"""Folds grants and endings: their entries become rows that count equal ones by minute.

A commit appends entries, and they are folded here some seconds later, so that a grant has less to write
(L11). The rules:

- An entry is added to its row and removed in one transaction: it is in one of the two tables at every
  instant, and a reader of both (`schema.whole_journal`) sees the same before and after.
- The oldest are folded first, so a row has the initials and the address of the last one.
- At most `ENTRIES_MAX` are folded in one transaction, so that no grant waits for long.
- One node folds at a time; another one finds nothing to do. A node of the previous version, which adds to the
  journal itself, may run beside it; where the two meet on a row, this one gives way and folds the next time.
"""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, func, select, text

from licet.journal.minute_sql import TAKE_IN
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.units import MINUTE_MS

ENTRIES_MAX = 1000  # a few milliseconds of writing
GIVE_WAY_MS = 100  # a tenth of what PostgreSQL waits before it looks for a deadlock

# An advisory lock of PostgreSQL, in a class of its own beside those of `licet.store.postgres.store`.
_LOCK = 0x6C_69_63_03

_KEY = ("tenant_id", "minute", "kind", "reason", "pool", "client_id")


# Counts equal entries among `taken`, with the initials and the address of the last of each. In SQLite a join
# is quicker than a window; PostgreSQL, on a connection that allows only nested loops
# (`licet.store.postgres.store`), would compare each pair of entries.
_COUNTED_BY_JOIN = f"""
  SELECT counted.*, latest.initials, latest.address
  FROM (
    SELECT tenant_id, at_ms / {MINUTE_MS} AS minute, kind, reason, pool, client_id, count(*) AS times,
      min(at_ms) AS first_at_ms, max(at_ms) AS last_at_ms, max(number) AS number
    FROM taken GROUP BY 1, 2, 3, 4, 5, 6
  ) AS counted
  JOIN taken AS latest ON latest.number = counted.number"""  # noqa: S608 - a number of our own
_COUNTED_BY_WINDOW = f"""
  SELECT * FROM (
    SELECT *, count(*) OVER alike AS times, min(at_ms) OVER alike AS first_at_ms,
      max(at_ms) OVER alike AS last_at_ms,
      row_number() OVER (PARTITION BY {", ".join(_KEY)} ORDER BY number DESC) AS place
    FROM (SELECT *, at_ms / {MINUTE_MS} AS minute FROM taken) AS entry
    WINDOW alike AS (PARTITION BY {", ".join(_KEY)})
  ) AS placed WHERE place = 1"""  # noqa: S608 - names of our own


def _add(counted: str) -> str:
    """The statement that adds these entries to the journal, in the order of its key.

    Entries of a removed tenant are dropped.
    """
    key = ", ".join(_KEY)
    return f"""
INSERT INTO journal AS this ({key}, initials, times, first_at_ms, last_at_ms, address)
SELECT {key}, initials, times, first_at_ms, last_at_ms, address
FROM ({counted}) AS counted
WHERE tenant_id IN (SELECT id FROM tenant WHERE removed_at_ms IS NULL)
ORDER BY {key}
ON CONFLICT ({key}) DO UPDATE SET{TAKE_IN}"""  # noqa: S608 - names of our own


# SQLite has one writer: between these two statements nobody adds anything.
_LAST = text(
    "SELECT max(number) FROM (SELECT number FROM journal_entry ORDER BY number LIMIT :most) AS oldest"
)
_ADD = text(
    f"WITH taken AS (SELECT * FROM journal_entry WHERE number <= :last) {_add(_COUNTED_BY_JOIN)}"  # noqa: S608
)
_REMOVE = text("DELETE FROM journal_entry WHERE number <= :last")

# In PostgreSQL other transactions add entries meanwhile, also with lower numbers than existing ones. Exactly
# the entries that are added to the journal are removed.
_GIVE_WAY = text(
    f"SELECT set_config('lock_timeout', '{GIVE_WAY_MS}ms', true), pg_try_advisory_xact_lock({_LOCK}, 0)"
)
_MOVE = text(
    f"""
WITH taken AS MATERIALIZED (
  DELETE FROM journal_entry
  WHERE number = ANY (ARRAY(SELECT number FROM journal_entry ORDER BY number LIMIT :most)) RETURNING *
),
added AS ({_add(_COUNTED_BY_WINDOW)})
SELECT count(*) FROM taken"""  # noqa: S608
)


def fold_journal(store: Store, entries_max: int = ENTRIES_MAX) -> int:
    """Fold the oldest entries, at most so many; return how many.

    Raises StoreUnavailable.
    """
    with store.transaction(Purpose.UPKEEP) as transaction:
        connection = transaction.connection
        return _FOLD[connection.dialect.name](connection, entries_max)


def first_minute(connection: Connection) -> int | None:
    """The minute in which the whole journal begins; None when it is empty."""
    columns = (schema.journal.c.minute, schema.entry_minute)
    found = [connection.execute(select(func.min(column))).scalar() for column in columns]
    return min((minute for minute in found if minute is not None), default=None)


def _fold_in_sqlite(connection: Connection, entries_max: int) -> int:
    last = connection.execute(_LAST, {"most": entries_max}).scalar()
    if last is None:
        return 0
    connection.execute(_ADD, {"last": last})
    return connection.execute(_REMOVE, {"last": last}).rowcount


def _fold_in_postgres(connection: Connection, entries_max: int) -> int:
    [(_, is_alone)] = connection.execute(_GIVE_WAY).all()
    if not is_alone:
        return 0
    moved: int = connection.execute(_MOVE, {"most": entries_max}).scalar_one()
    return moved


_FOLD: Mapping[str, Callable[[Connection, int], int]] = {
    "sqlite": _fold_in_sqlite,
    "postgresql": _fold_in_postgres,
}
