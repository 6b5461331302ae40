"""Fills an empty store with the rows that an earlier test made in the same way in the same process.

    keys = filled(store, clock.now_ms(), "keys", lambda: make_keys(store))  # once for each kind and time

The changes with which a test begins take as long as most tests: they are checked, and read and write in many
steps. The rows that they leave are the same each time, so they are kept, with what `make` returned, and
inserted by the next test that begins in the same way.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Insert, insert, select, text, update

from licet.store import schema
from licet.store.contract import Store

Made = TypeVar("Made")

_TABLES = tuple(table for table in schema.metadata.sorted_tables if table is not schema.setup)
_VERSION = select(schema.setup.c.version)
_UNCHANGED = 1  # the version of a set-up that nobody has changed yet
_NUMBERS = text(
    "SELECT quote_ident(sequencename), last_value FROM pg_sequences"
    " WHERE schemaname = 'public' AND last_value IS NOT NULL"
)
_kept: dict[Hashable, tuple["_Content", Any]] = {}


def filled(store: Store, now_ms: int, key: Hashable, make: Callable[[], Made]) -> Made:
    """What `make` returned when it filled an empty store; this one is filled as well.

    `now_ms` is the time of the test's clock; that of a database goes on. `key` stands for all else that
    makes a difference, besides the kind of the store.
    """
    whole_key = (type(store), now_ms, key)
    if whole_key in _kept:
        content, kept = _kept[whole_key]
        with store.transaction() as transaction:
            if content.is_written(transaction.connection):
                made: Made = kept
                return made
        return make()
    with store.reading() as connection:
        is_empty = not any(connection.execute(select(table).limit(1)).all() for table in _TABLES)
    made = make()
    if is_empty:
        with store.reading() as connection:
            _kept[whole_key] = _Content(connection), made
    return made


class _Content:
    """The rows of all tables. Who wrote them last is for the store to say, which writes them again."""

    def __init__(self, connection: Connection) -> None:
        self._version = connection.execute(_VERSION).scalar_one()
        self._rows: list[tuple[Insert, Sequence[dict[str, Any]]]] = []
        for table in _TABLES:
            if rows := [dict(row) for row in connection.execute(select(table)).mappings()]:
                self._rows.append((insert(table), rows))
        self._numbers: dict[str, int] = {}
        if connection.dialect.name == "postgresql":
            self._numbers = {row[0]: row[1] for row in connection.execute(_NUMBERS)}

    def is_written(self, connection: Connection) -> bool:
        """Write them, unless the set-up is changed already: then nothing is written."""
        if connection.execute(_VERSION).scalar_one() != _UNCHANGED:
            return False
        for statement, rows in self._rows:
            connection.execute(statement, rows)
        if self._numbers:
            steps = ", ".join(f"setval('{name}', {last})" for name, last in self._numbers.items())
            connection.execute(text(f"SELECT {steps}"))
        connection.execute(update(schema.setup).values(version=self._version))
        return True
