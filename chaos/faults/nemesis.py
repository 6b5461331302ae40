"""The nemesis: it breaks one thing at a time, or two at once, chosen by a seed.

Each kind of fault is a context manager: something is broken inside of the block, and whole again after it. It
yields the nodes that it touches; an empty tuple means all of them. `history.Fault` records when.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import zip_longest

from chaos.history import FOREVER, Fault, Writer, now_us

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
        ended_us = FOREVER  # what is recorded if it cannot be made whole
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
