"""Folds what a connection has appended to the journal, on that connection and between two of its batches.

The housekeeping of a server folds as well (`licet.journal.folding`), on a connection of its own. Whatever one
connection writes makes each other one read its pages anew, and wait for the lock of the file. So the process
that commits folds most itself: it has the pages in its memory, and no batch is under way.

The rules:

- Nothing is due before `DUE` entries were appended here; fewer are left to the housekeeping. Then all of them
  are folded, at most `ENTRIES_MAX` at a time: no batch waits for more, and large ones leave nothing behind.
- It never waits: while another connection has the lock, the entries are left to the housekeeping. So they are
  after a fault, which the housekeeping meets as well, and logs.
- Folding is not synced: it changes a hundred pages, and would take half as long again if it waited for the
  disk. A loss of power may undo it, as a whole, and then the entries are there again. Every other commit of
  the connection is synced (L9), with all that was written before it: none begins unless that is set.
"""

import sqlite3
from typing import Final

from licet.store.minute_rows import DENIALS, ENTRIES_MAX, GRANTS_AND_ENDINGS, in_sqlite
from licet.store.sqlite.connecting import SYNCED, UNSYNCED, is_synced

DUE: Final = 125  # a millisecond, where nearly each is of another client; fewer take longer for each

_STATEMENTS = (in_sqlite(GRANTS_AND_ENDINGS), in_sqlite(DENIALS))


class JournalFolder:
    """Folds for one connection that waits for no lock by itself (`connecting.begin_alone`)."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self._is_synced = True
        self._appended = [0] * len(_STATEMENTS)

    def has_appended(self, entries: int, denials: int) -> None:
        """Count what was committed."""
        self._appended[0] += entries
        self._appended[1] += denials

    @property
    def is_due(self) -> bool:
        """Whether there is enough to fold."""
        return max(self._appended) >= DUE

    def fold(self) -> None:
        """Fold the oldest entries of what is due, each kind in a transaction of its own.

        Raises sqlite3.Error.
        """
        raw, self._is_synced = self._raw, False
        raw.execute(UNSYNCED)
        try:
            for at, statements in enumerate(_STATEMENTS):
                if self._appended[at] < DUE:
                    continue
                entries = min(self._appended[at], ENTRIES_MAX)
                self._appended[at] -= entries
                raw.execute("BEGIN IMMEDIATE")
                statements.fold(raw.execute, entries)
                raw.execute("COMMIT")
        finally:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            self.sync()

    def sync(self) -> None:
        """Have commits of the connection synced, as all but those of folding are.

        Raises sqlite3.Error.
        """
        if self._is_synced:
            return
        self._raw.execute(SYNCED)
        if not is_synced(self._raw):
            raise sqlite3.OperationalError("commits would not be synced")
        self._is_synced = True
