"""The nemesis: what is broken, one thing at a time or two mixed, chosen by a seed.

Each kind is a context in which something is broken and after which it is whole again. It yields the nodes
that it touches; none is all of them. `history.Fault` keeps when.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import zip_longest

from chaos.history import FOREVER, Fault, Writer, now_us
from chaos.site.databases import Database
from chaos.site.nodes import Node

QUOTA_BYTES = 64 * 1024  # little more than a log of SQLite begins with
MIXED = 0.35  # of all turns, how many break two things at once

Broken = AbstractContextManager[tuple[int, ...]]
Kinds = Mapping[str, Callable[[], Broken]]


class Nemesis:
    """Breaks things. `kinds` are what it may break, `mend` makes all whole that is left broken."""

    def __init__(self, kinds: Kinds, mend: Callable[[], None], writer: Writer, seed: int) -> None:
        self.count: Counter[str] = Counter()
        self.under_way: tuple[str, ...] = ()
        self._kinds = kinds
        self._mend = mend
        self._writer = writer
        self._dice = random.Random(seed)
        self._bag: list[str] = []

    def turn(self) -> None:
        """Break something for some seconds, make it whole, and leave it so for a while."""
        count = 2 if self._dice.random() < MIXED and len(self._kinds) > 1 else 1
        names = [self._draw()]
        while len(names) < count:
            name = self._draw()
            if name not in names:
                names.append(name)
        self.break_for(names, self._dice.choice((0.5, 1.0, 2.0, 4.0, 7.0)))
        time.sleep(self._dice.choice((0.5, 1.5, 3.0)))

    def break_for(self, names: Sequence[str], seconds: float) -> None:
        """Break these things together."""
        begun_us = now_us()
        touched: list[tuple[int, ...]] = []
        self.under_way = tuple(names)
        ended_us = FOREVER  # as far as anybody knows who is not answered
        try:
            with ExitStack() as broken:
                touched += [broken.enter_context(self._kinds[name]()) for name in names]
                time.sleep(seconds)
            self._mend()
            ended_us = now_us()
        finally:
            self.under_way = ()
            for name, nodes in zip_longest(names, touched, fillvalue=()):
                self.count[str(name)] += 1
                self._writer.write(Fault(kind=str(name), begun_us=begun_us, ended_us=ended_us, nodes=nodes))

    def _draw(self) -> str:
        """Every kind comes as often as the others, in another order each time."""
        if not self._bag:
            self._bag = list(self._kinds)
            self._dice.shuffle(self._bag)
        return self._bag.pop()


class NodeFaults:
    """What can be done to nodes, whatever their store is. A node that is not running is left alone."""

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


class SqliteFaults:
    """What can be done to the embedded store."""

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
