"""Remembers how many seats of a pool its options count, so that a batch need not read that.

The owner calls `learn` after each COMMIT with the committed counts and a `mark`, which stands for the last
writer: after another writer there is another mark, and the counts are not found. The tables add to their own
counts and check them, whatever is remembered here.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from operator import add
from typing import Final

from licet.ledger.book import Book

COUNTS_MAX: Final = 100_000  # of all pools together; some 15 MB


class KnownCounts:
    """The counts of one open store, or of one connection. Use them from one thread."""

    def __init__(self, most: int = COUNTS_MAX) -> None:
        self._most = most
        self._size = 0
        self._of: dict[int, tuple[object, dict[str, int]]] = {}  # by pool, as in `Book`

    def forget(self) -> None:
        """Forget everything."""
        self._of.clear()
        self._size = 0

    def find(self, pool_id: int, names: AbstractSet[str], mark: object) -> dict[str, int] | None:
        """How many seats of a pool are counted, by name; None where one of these names is not known.

        It may have more names. It must not be changed, and holds until the next `learn`.
        """
        kept = self._of.get(pool_id)
        if kept is None or kept[0] != mark or not names <= kept[1].keys():
            return None
        return kept[1]

    def learn(self, book: Book, mark_of: Callable[[int], object | None]) -> None:
        """Remember the counts of a book, of the pools that have a mark now."""
        for pool_id, before in book.counts_before.items():
            known = self._kept(pool_id, mark_of(pool_id))
            if known is None or before is known:
                continue
            self._size -= len(known)
            known.update(before)
            self._size += len(known)
        for pool_id, moved in book.counts_moved.items():
            if known := self._kept(pool_id, mark_of(pool_id)):
                # Where a count is not known, the book knows only by how much it has changed.
                names = moved if moved.keys() <= known.keys() else moved.keys() & known.keys()
                now = map(add, map(known.__getitem__, names), map(moved.__getitem__, names))
                known.update(zip(names, now, strict=True))
        if self._size > self._most:
            self.forget()

    def _kept(self, pool_id: int, mark: object | None) -> dict[str, int] | None:
        """What is known of a pool under this mark, to be changed; nothing at first."""
        if mark is None:
            return None
        kept = self._of.get(pool_id)
        if kept is not None:
            if kept[0] == mark:
                return kept[1]
            self._size -= len(kept[1])
        known: dict[str, int] = {}
        self._of[pool_id] = (mark, known)
        return known
