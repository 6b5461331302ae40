"""Causes faults of PostgreSQL, of the network to it, and of the clocks of nodes."""

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

QUOTA_BYTES = 1 << 20  # far below the size of a WAL segment, so that the first write fails
CLOCK_S = 600.0
DELAYS_S = (0.02, 0.1, 0.4)
LOST_MAX = 5  # commits of one node


class PostgresFaults:
    """The faults of a run with PostgreSQL."""

    def __init__(self, nodes: Sequence[Node], database: PostgresDatabase, writer: Writer, seed: int) -> None:
        self._nodes = nodes
        self._database = database
        self._writer = writer
        self._dice = random.Random(seed)

    def kinds(self) -> dict[str, Callable[[], Broken]]:
        """The faults by their names."""
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
        """The connections of one node to the database go silent."""
        node = self._some_node()
        with self._mended(self._database.proxies_of([node])) as proxies:
            for proxy in proxies:
                proxy.hold()
            yield (node,)

    @contextmanager
    def cut_all(self) -> Iterator[tuple[int, ...]]:
        """The connections of all nodes go silent."""
        with self._mended(self._proxies()) as proxies:
            for proxy in proxies:
                proxy.hold()
            yield ()

    @contextmanager
    def reset(self) -> Iterator[tuple[int, ...]]:
        """The connections of one node break, and new ones are refused."""
        node = self._some_node()
        with self._mended(self._database.proxies_of([node])) as proxies:
            for proxy in proxies:
                proxy.refuse()
            yield (node,)

    @contextmanager
    def delay(self) -> Iterator[tuple[int, ...]]:
        """All traffic to the database is delayed."""
        seconds = self._dice.choice(DELAYS_S)
        with self._mended(self._proxies()) as proxies:
            for proxy in proxies:
                proxy.delay(seconds)
            yield ()

    @contextmanager
    def lose_commits(self) -> Iterator[tuple[int, ...]]:
        """Connections break between a COMMIT and its answer."""
        count = self._dice.randint(1, LOST_MAX)
        with self._mended(self._proxies()) as proxies:
            for proxy in proxies:
                proxy.lose_commits(count)
            yield ()

    @contextmanager
    def kill_database(self) -> Iterator[tuple[int, ...]]:
        """The primary is killed, and started again."""
        self._database.crash()
        yield ()

    @contextmanager
    def pause_database(self) -> Iterator[tuple[int, ...]]:
        """The primary is paused."""
        with self._database.paused(self._database.primary):
            yield ()

    @contextmanager
    def pause_standby(self) -> Iterator[tuple[int, ...]]:
        """The standby is paused, so that no commit returns meanwhile."""
        with self._database.paused(1 - self._database.primary):
            yield ()

    @contextmanager
    def fill_disk(self) -> Iterator[tuple[int, ...]]:
        """No file of the primary may grow any more: it cannot write its WAL, and crashes."""
        limit_files(self._of_primary, QUOTA_BYTES)
        yield ()
        limit_files(self._of_primary, None)

    @contextmanager
    def move_clock(self) -> Iterator[tuple[int, ...]]:
        """The wall clock of a node jumps, and jumps back while it runs."""
        node = self._dice.choice(self._nodes)
        node.clock.move(self._dice.choice((-CLOCK_S, CLOCK_S)))
        yield (node.number,)
        node.clock.move(0)

    @contextmanager
    def fail_over(self) -> Iterator[tuple[int, ...]]:
        """The primary is killed, and the standby is promoted."""
        if self._database.has_standby:
            self._database.crash()
            time.sleep(self._dice.choice((0.0, 0.5)))
            self._promote(silently=self._dice.random() < 0.5)
        yield ()

    @contextmanager
    def fail_over_by_cut(self) -> Iterator[tuple[int, ...]]:
        """The primary is cut off, and stays so; the standby is promoted meanwhile."""
        old = self._database.primary
        if self._database.has_standby:
            for proxy in self._database.proxies_of(range(-1, len(self._nodes)), old):
                proxy.hold()
            time.sleep(self._dice.choice((0.0, 1.0)))
            self._promote(silently=True)
        yield ()

    def _promote(self, *, silently: bool) -> None:
        at_us = self._database.promote(silently=silently)
        if at_us is not None:
            self._writer.write(Figure(name="promoted", at_us=at_us, seconds=0.0))

    def _of_primary(self) -> list[int]:
        return self._database.pids(self._database.primary)

    def _some_node(self) -> int:
        return self._dice.randrange(len(self._nodes))

    def _proxies(self) -> list[Proxy]:
        return self._database.proxies_of(range(len(self._nodes)))

    @contextmanager
    def _mended(self, proxies: list[Proxy]) -> Iterator[list[Proxy]]:
        try:
            yield proxies
        finally:
            for proxy in proxies:
                proxy.mend()
