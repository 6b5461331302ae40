"""The fault of the embedded store: the disk is full."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from chaos.faults.nemesis import Broken
from chaos.site.nodes import Node

QUOTA_BYTES = 64 * 1024  # little more than a log of SQLite begins with


class SqliteFaults:
    """Those of a store of SQLite that these nodes share."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes

    def kinds(self) -> dict[str, Callable[[], Broken]]:
        """By their names."""
        return {"quota": self.fill_disk}

    @contextmanager
    def fill_disk(self) -> Iterator[tuple[int, ...]]:
        """No file of a node may grow any more: the log of the store is full soon."""
        for node in self._nodes:
            node.limit_files(QUOTA_BYTES)
        yield ()
        for node in self._nodes:
            node.limit_files(None)
