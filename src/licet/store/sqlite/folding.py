"""Folds what a connection has appended to the journal, on that connection and between two of its batches.

The housekeeping of a server folds as well (`licet.journal.folding`), on a connection of its own. Whatever one
connection writes makes each other one read its pages anew, and wait for the lock of the file. So the process
that commits folds most itself: it has the pages in its memory, and no batch is under way.

The rules:

- Nothing is due before `ENTRIES_MAX` entries were appended here; fewer are left to the housekeeping.
- It never waits: while another connection has the lock, the entries are left to the housekeeping. So they are
  after a fault, which the housekeeping meets as well, and logs.
"""

import sqlite3

from licet.store.minute_rows import DENIALS, ENTRIES_MAX, GRANTS_AND_ENDINGS, in_sqlite

_STATEMENTS = (in_sqlite(GRANTS_AND_ENDINGS), in_sqlite(DENIALS))


class JournalFolder:
    """Folds for one connection that waits for no lock by itself (`connecting.begin_alone`)."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self._appended = [0] * len(_STATEMENTS)

    def has_appended(self, entries: int, denials: int) -> None:
        """Count what was committed."""
        self._appended[0] += entries
        self._appended[1] += denials

    @property
    def is_due(self) -> bool:
        """Whether there is enough to fold."""
        return max(self._appended) >= ENTRIES_MAX

    def fold(self) -> None:
        """Fold the oldest entries of what is due, each kind in a transaction of its own.

        Raises sqlite3.Error.
        """
        for at, statements in enumerate(_STATEMENTS):
            if self._appended[at] < ENTRIES_MAX:
                continue
            self._appended[at] -= ENTRIES_MAX
            raw = self._raw
            raw.execute("BEGIN IMMEDIATE")
            try:
                statements.fold(raw.execute, ENTRIES_MAX)
                raw.execute("COMMIT")
            finally:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")
