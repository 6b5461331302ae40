"""What the journal and the metrics take of a request: the same work with them and without.

Without the metrics nothing is counted or timed, though the calls that would do it stay; without the journal
no row of it is made or written, nor of the use of pools. Everything else is the same, so the difference is
what they cost: in instructions of Python, in loops of SQLite, in pages of its log, and where valgrind is
installed, in instructions of the processor, which see all of it.
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
    """A batch without a report."""

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
    """In the block these parts are not there."""
    with ExitStack() as stack:
        for part in parts:
            for name, instead in _WITHOUT[part].items():
                stack.enter_context(patch(name, instead))
        yield


def measure(kind: str, directory: Callable[[], Path]) -> dict[str, Counts]:
    """A kind of request with all, and without each part and both; `directory` gives an empty one."""
    found = {}
    for name, parts in {"all": (), **{part: (part,) for part in PARTS}, "both": PARTS}.items():
        with without(parts):
            found[name] = count(directory(), [kind])[kind]
    return found


def report(found: dict[str, Counts]) -> Iterator[str]:
    """What each part takes, in lines."""
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
