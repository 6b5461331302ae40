"""Causes faults of nodes with any store: a node dies, is paused, or waits for a lock."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from chaos.faults.nemesis import Broken
from chaos.site.databases import Database
from chaos.site.nodes import Node


class NodeFaults:
    """The faults of the nodes of a run."""

    def __init__(self, nodes: Sequence[Node], database: Database, seed: int) -> None:
        self._nodes = nodes
        self._database = database
        self._dice = random.Random(seed)

    def kinds(self) -> dict[str, Callable[[], Broken]]:
        """The faults by their names."""
        return {
            "kill": self.kill,
            "kill all": self.kill_all,
            "kill committer": self.kill_committer,
            "pause": self.pause,
            "pause all": self.pause_all,
            "pause committer": self.pause_committer,
            "lock": self.lock,
        }

    def mend(self) -> None:
        """Start the nodes that died, and wait until all answer."""
        for node in self._nodes:
            if not node.pids():
                node.start()
        for node in self._nodes:
            node.wait_until_ready()

    @contextmanager
    def kill(self) -> Iterator[tuple[int, ...]]:
        """A node, or only its server process, is killed."""
        node = self._dice.choice(self._nodes)
        if self._dice.random() < 0.5:
            node.kill()
        else:
            node.kill_server()
        yield (node.number,)

    @contextmanager
    def kill_all(self) -> Iterator[tuple[int, ...]]:
        """All nodes are killed at once."""
        for node in self._nodes:
            node.kill()
        yield ()

    @contextmanager
    def kill_committer(self) -> Iterator[tuple[int, ...]]:
        """The committing process of a node is killed."""
        node = self._dice.choice(self._nodes)
        node.kill_committer()
        yield (node.number,)

    @contextmanager
    def pause(self) -> Iterator[tuple[int, ...]]:
        """A node is paused for longer than some sessions live."""
        node = self._dice.choice(self._nodes)
        node.pause()
        time.sleep(2.0)
        yield (node.number,)
        node.go_on()

    @contextmanager
    def pause_all(self) -> Iterator[tuple[int, ...]]:
        """All nodes are paused."""
        for node in self._nodes:
            node.pause()
        yield ()
        for node in self._nodes:
            node.go_on()

    @contextmanager
    def pause_committer(self) -> Iterator[tuple[int, ...]]:
        """The committing process of a node is paused."""
        node = self._dice.choice(self._nodes)
        node.pause_committer()
        yield (node.number,)
        node.go_on()

    @contextmanager
    def lock(self) -> Iterator[tuple[int, ...]]:
        """Another process changes the set-up and holds the lock for long."""
        with self._database.locked():
            yield ()
