"""Bounds how many denials wait to be folded into the journal.

A commit appends denials (`denial_entry`), and every node folds them a few seconds later
(`licet.journal.folding`). If too many wait, because clients ask thousands of times a second or no node folds,
a commit counts its denials in the journal itself, which costs it more: one row for each client, pool and
reason in a minute, however often the client is denied.

The rules:

- With `UNFOLDED_MAX` entries or more, none is appended until some are folded. No denial is dropped.
- A process counts the entries after every `LOOK_AFTER` entries of its own, and at each commit while there are
  too many. So the maximum can be exceeded by what all processes append between two counts.
"""

from collections.abc import Sequence
from typing import Final

from licet.store.rows import Row, Saving

UNFOLDED_MAX: Final = 50_000  # some 4 MB; those of ten seconds in which 5,000 are denied each second
LOOK_AFTER: Final = 1000

# By numbers, as rows are counted one by one; there may be gaps in them.
COUNT_UNFOLDED: Final = "SELECT coalesce(max(number) - min(number) + 1, 0) FROM denial_entry"


class Unfolded:
    """What one process knows of the entries of denials that wait."""

    def __init__(self) -> None:
        self._left = 0

    @property
    def must_look(self) -> bool:
        """Whether `found` is to be called before the next entries are appended."""
        return self._left <= 0

    def found(self, waiting: int) -> None:
        """So many wait just now."""
        self._left = min(LOOK_AFTER, UNFOLDED_MAX - waiting)

    def bounded(self, saving: Saving[Sequence[Row]]) -> Saving[Sequence[Row]]:
        """What is saved, with the denials appended, or counted where too many wait."""
        if not saving.denials:
            return saving
        if self._left <= 0:
            return saving._replace(denials=(), denials_counted=saving.denials)
        self._left -= len(saving.denials)
        return saving
