"""Splits the values for a statement into parts of few lengths, so that each statement is prepared once."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

ROWS_MAX = 64  # of one statement; more of them are several statements
# How many rows go into one statement: all, where they are few, and else a multiple of four, or of eight.
_FEW, _SOME = 16, 32
_LENGTHS = tuple(
    rows if rows <= _FEW else rows & (-4 if rows <= _SOME else -8) for rows in range(ROWS_MAX + 1)
)


_Any = TypeVar("_Any")


def parts(rows: Sequence[_Any]) -> Iterator[Sequence[_Any]]:
    """The rows in parts of one of `_LENGTHS` each, the longest first."""
    at, left = 0, len(rows)
    while left:
        length = _LENGTHS[min(left, ROWS_MAX)]
        yield rows[at : at + length]
        at, left = at + length, left - length


def by_pool(keys: Iterable[tuple[int, _Any]]) -> dict[int, list[_Any]]:
    """The holders, or numbers, of each pool."""
    found: dict[int, list[_Any]] = {}
    for pool_id, what in keys:
        found.setdefault(pool_id, []).append(what)
    return found
