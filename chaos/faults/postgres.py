"""The faults of PostgreSQL, of the network to it, and of the nodes that wait for it."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from chaos.faults.nemesis import Broken
from chaos.history import Figure, Writer
from chaos.site.network import Proxy
from chaos.site.nodes import Node
from chaos.site.postgres import PostgresDatabase
from chaos.site.processes import limit_files

QUOTA_BYTES = 1 << 20  # far below a segment of its log, which is full at once
CLOCK_S = 600.0
DELAYS_S = (0.02, 0.1, 0.4)
LOST_MAX = 5  # commits of one node


class PostgresFaults:
    """The kinds, by `kinds`."""

    def __init__(self, nodes: Sequence[Node], database: PostgresDatabase, writer: Writer, seed: int) -> None:
        self._nodes = nodes
        self._database = database
        self._writer = writer
        self._dice = random.Random(seed)

    def kinds(self) -> dict[str, Callable[[], Broken]]:
        """By their names."""
        return {
            "cut": self.cut,
            "cut all": self.cut_all,
            "reset": self.reset,
            "delay": self.delay,
            "lost commits": self.lose_commits,
            "database killed": self.kill_database,
            "database paused": self.pause_database,
            "standby gone": self.pause_standby,
            "quota": self.fill_disk,
            "clock": self.move_clock,
            "failover": self.fail_over,
            "failover by cut": self.fail_over_by_cut,
        }

    @contextmanager
    def cut(self) -> Iterator[tuple[int, ...]]:
        """Drop everything between one node and the database, silently."""
        node = self._some_node()
        with self._mended(self._database.ways_of([node])) as ways:
            for way in ways:
                way.hold()
            yield (node,)

    @contextmanager
    def cut_all(self) -> Iterator[tuple[int, ...]]:
        """Nothing goes through from any node."""
        with self._mended(self._ways()) as ways:
            for way in ways:
                way.hold()
            yield ()

    @contextmanager
    def reset(self) -> Iterator[tuple[int, ...]]:
        """Connections of one node break, and new ones are refused."""
        node = self._some_node()
        with self._mended(self._database.ways_of([node])) as ways:
            for way in ways:
                way.refuse()
            yield (node,)

    @contextmanager
    def delay(self) -> Iterator[tuple[int, ...]]:
        """Everything takes longer."""
        seconds = self._dice.choice(DELAYS_S)
        with self._mended(self._ways()) as ways:
            for way in ways:
                way.delay(seconds)
            yield ()

    @contextmanager
    def lose_commits(self) -> Iterator[tuple[int, ...]]:
        """Connections break between a COMMIT and its answer."""
        count = self._dice.randint(1, LOST_MAX)
        with self._mended(self._ways()) as ways:
            for way in ways:
                way.lose_commits(count)
            yield ()

    @contextmanager
    def kill_database(self) -> Iterator[tuple[int, ...]]:
        """The primary dies, and is started again."""
        self._database.crash()
        yield ()

    @contextmanager
    def pause_database(self) -> Iterator[tuple[int, ...]]:
        """The primary stands still."""
        with self._database.paused(self._database.primary):
            yield ()

    @contextmanager
    def pause_standby(self) -> Iterator[tuple[int, ...]]:
        """The standby stands still: no commit is certain meanwhile."""
        with self._database.paused(1 - self._database.primary):
            yield ()

    @contextmanager
    def fill_disk(self) -> Iterator[tuple[int, ...]]:
        """No file of the primary may grow any more: its log is full at once, and it crashes."""
        limit_files(self._database.pids(self._database.primary), QUOTA_BYTES)
        yield ()
        limit_files(self._database.pids(self._database.primary), None)

    @contextmanager
    def move_clock(self) -> Iterator[tuple[int, ...]]:
        """The wall clock of a node jumps, and jumps back while it runs."""
        node = self._dice.choice(self._nodes)
        node.clock.move(self._dice.choice((-CLOCK_S, CLOCK_S)))
        yield (node.number,)
        node.clock.move(0)

    @contextmanager
    def fail_over(self) -> Iterator[tuple[int, ...]]:
        """The primary dies for good, and the standby takes its place."""
        if self._database.has_standby:
            self._database.crash()
            time.sleep(self._dice.choice((0.0, 0.5)))
            self._promote(silently=self._dice.random() < 0.5)
        yield ()

    @contextmanager
    def fail_over_by_cut(self) -> Iterator[tuple[int, ...]]:
        """The primary is cut off and lives on; the standby takes its place, and the old one is shut out."""
        old = self._database.primary
        if self._database.has_standby:
            for way in self._database.ways_of(range(-1, len(self._nodes)), old):
                way.hold()
            time.sleep(self._dice.choice((0.0, 1.0)))
            self._promote(silently=True)
        yield ()

    def _promote(self, *, silently: bool) -> None:
        at_us = self._database.promote(silently=silently)
        if at_us is not None:
            self._writer.write(Figure(name="promoted", at_us=at_us, seconds=0.0))

    def _some_node(self) -> int:
        return self._dice.randrange(len(self._nodes))

    def _ways(self) -> list[Proxy]:
        return self._database.ways_of(range(len(self._nodes)))

    @contextmanager
    def _mended(self, ways: list[Proxy]) -> Iterator[list[Proxy]]:
        try:
            yield ways
        finally:
            for way in ways:
                way.mend()
