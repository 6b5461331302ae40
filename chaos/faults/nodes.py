"""The faults of nodes with any store: they die, stand still, or wait for a lock."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from chaos.faults.nemesis import Broken
from chaos.site.databases import Database
from chaos.site.nodes import Node


class NodeFaults:
    """Those of all nodes of a run. A node that is not running is left alone."""

    def __init__(self, nodes: Sequence[Node], database: Database, seed: int) -> None:
        self._nodes = nodes
        self._database = database
        self._dice = random.Random(seed)

    def kinds(self) -> dict[str, Callable[[], Broken]]:
        """By their names."""
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
        """Start the nodes that died, and return when all answer."""
        for node in self._nodes:
            if not node.pids():
                node.start()
        for node in self._nodes:
            node.wait_until_ready()

    @contextmanager
    def kill(self) -> Iterator[tuple[int, ...]]:
        """A node dies, or only its server, and is started again."""
        node = self._dice.choice(self._nodes)
        if self._dice.random() < 0.5:
            node.kill()
        else:
            node.kill_server()
        yield (node.number,)

    @contextmanager
    def kill_all(self) -> Iterator[tuple[int, ...]]:
        """All nodes die at once."""
        for node in self._nodes:
            node.kill()
        yield ()

    @contextmanager
    def kill_committer(self) -> Iterator[tuple[int, ...]]:
        """The process dies that commits for a node."""
        node = self._dice.choice(self._nodes)
        node.kill_committer()
        yield (node.number,)

    @contextmanager
    def pause(self) -> Iterator[tuple[int, ...]]:
        """A node stands still, for longer than some sessions live."""
        node = self._dice.choice(self._nodes)
        node.pause()
        time.sleep(2.0)
        yield (node.number,)
        node.go_on()

    @contextmanager
    def pause_all(self) -> Iterator[tuple[int, ...]]:
        """All of them do."""
        for node in self._nodes:
            node.pause()
        yield ()
        for node in self._nodes:
            node.go_on()

    @contextmanager
    def pause_committer(self) -> Iterator[tuple[int, ...]]:
        """The process stands still that commits for a node."""
        node = self._dice.choice(self._nodes)
        node.pause_committer()
        yield (node.number,)
        node.go_on()

    @contextmanager
    def lock(self) -> Iterator[tuple[int, ...]]:
        """Somebody else changes the set-up, and takes long."""
        with self._database.locked():
            yield ()
