"""Counts what the journal and the metrics cost a request: the same work with and without them.

Without the metrics the calls that count and time remain, and do nothing; without the journal no row of it is
made or written, nor of the usage of pools. All else is the same, so the difference is their cost: in
instructions of Python, in loops of SQLite, in pages of its WAL, and, with valgrind, in instructions of the
processor, which include all work.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.counted.counting import Counts, count

PARTS = ("metrics", "journal")
LOSS_MAX = 0.05  # of a grant, both together


class _NotFolded:
    """The journal rows of a batch, which are none."""

    def __init__(self, book: object) -> None:
        del book

    def __getattr__(self, name: str) -> dict[Any, Any]:
        return {}


def _nothing(*_: object) -> None:
    pass


_WITHOUT: dict[str, dict[str, Any]] = {
    "metrics": {
        "licet.telemetry.measures.Measures.answered": _nothing,
        "licet.telemetry.measures.Measures.committed": _nothing,
        "licet.store.sqlite.store.count": _nothing,
    },
    "journal": {"licet.store.rows.Folded": _NotFolded},
}


@contextmanager
def without(parts: Sequence[str]) -> Iterator[None]:
    """Switch these parts off during a `with` block."""
    with ExitStack() as stack:
        for part in parts:
            for name, instead in _WITHOUT[part].items():
                stack.enter_context(patch(name, instead))
        yield


def measure(kind: str, directory: Callable[[], Path]) -> dict[str, Counts]:
    """The counts with all, without each part, and without both; `directory` makes an empty directory."""
    found = {}
    for name, parts in {"all": (), **{part: (part,) for part in PARTS}, "both": PARTS}.items():
        with without(parts):
            found[name] = count(directory(), [kind])[kind]
    return found


def report(found: dict[str, Counts]) -> Iterator[str]:
    """The cost of each part, in lines."""
    whole = found["all"]
    yield f"{'':12}{'instructions':>24}{'SQLite loops':>24}{'pages written':>24}"
    yield f"{'with all':12}" + "".join(f"{getattr(whole, name):24,.1f}" for name in _COUNTED)
    for part in (*PARTS, "both"):
        taken = (
            (getattr(whole, figure) - getattr(found[part], figure), getattr(whole, figure))
            for figure in _COUNTED
        )
        yield f"{part:12}" + "".join(f"{more:14,.1f} ({more / (of or 1):6.1%})" for more, of in taken)


_COUNTED = ("instructions", "sqlite_loops", "wal_pages")
