"""Causes faults, one at a time or two at once, chosen by a seed; as in Jepsen, this is the nemesis.

Each kind of fault is a context manager: the fault lasts for the `with` block. It yields the nodes that it
affects; an empty tuple means all of them. `history.Fault` records its time.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import zip_longest

from chaos.history import FOREVER, Fault, Writer, now_us

MIXED = 0.35  # share of the turns with two faults at once

Broken = AbstractContextManager[tuple[int, ...]]
Kinds = Mapping[str, Callable[[], Broken]]


class Nemesis:
    """Causes faults of these `kinds`; `mend` repairs what a fault leaves broken."""

    def __init__(self, kinds: Kinds, mend: Callable[[], None], writer: Writer, seed: int) -> None:
        self.count: Counter[str] = Counter()
        self.under_way: tuple[str, ...] = ()
        self._kinds = kinds
        self._mend = mend
        self._writer = writer
        self._dice = random.Random(seed)
        self._bag: list[str] = []

    def turn(self) -> None:
        """Cause a random fault for some seconds, repair it, and pause."""
        count = 2 if self._dice.random() < MIXED and len(self._kinds) > 1 else 1
        names = [self._draw()]
        while len(names) < count:
            name = self._draw()
            if name not in names:
                names.append(name)
        self.break_for(names, self._dice.choice((0.5, 1.0, 2.0, 4.0, 7.0)))
        time.sleep(self._dice.choice((0.5, 1.5, 3.0)))

    def break_for(self, names: Sequence[str], seconds: float) -> None:
        """Cause these faults together."""
        begun_us = now_us()
        touched: list[tuple[int, ...]] = []
        self.under_way = tuple(names)
        ended_us = FOREVER  # recorded if the repair fails
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
        """The next kind: each kind comes once, in random order, before any comes again."""
        if not self._bag:
            self._bag = list(self._kinds)
            self._dice.shuffle(self._bag)
        return self._bag.pop()
