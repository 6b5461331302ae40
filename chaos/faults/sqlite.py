"""Causes the fault of the embedded store: a full disk."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from chaos.faults.nemesis import Broken
from chaos.site.nodes import Node

QUOTA_BYTES = 64 * 1024  # little more than the first size of SQLite's WAL


class SqliteFaults:
    """The faults of a SQLite store that these nodes share."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes

    def kinds(self) -> dict[str, Callable[[], Broken]]:
        """The faults by their names."""
        return {"quota": self.fill_disk}

    @contextmanager
    def fill_disk(self) -> Iterator[tuple[int, ...]]:
        """No file of a node may grow any more: soon it cannot write SQLite's WAL."""
        for node in self._nodes:
            node.limit_files(QUOTA_BYTES)
        yield ()
        for node in self._nodes:
            node.limit_files(None)
