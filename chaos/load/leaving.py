"""Lets clients of the load leave while their request waits in line for a seat (L19).

Some leave at any moment, others just when another client gives a seat back, which the server may be giving to
them. Half of them close the connection, and do not learn the decision. The others close only their sending
half, and still receive the answer: so for each of those it is known whether it got a seat.
"""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from chaos.load.wire import Connection

WAIT_S = 20  # the `wait` of a request whose client will leave
LEAVES = 0.15  # share of the waiting requests whose clients will leave
STAYS_S = 6.0  # for how long these stay at most
FIRST = 2  # how many of the first waiting clients may get a seat that is given back
LEAVES_IT = 0.15  # share of those that leave at that moment
MOMENT_S = 0.03
HEARS, HEARS_THEN = (
    0.5,
    0.8,
)  # share of the leavers that receive the answer; of those that leave at that moment
# How long they stay away at most: half of them briefly, half perhaps until their place has expired.
BACK_S = (0.5, 12.0)


class Leavers:
    """The requests of one tenant that wait, in the order in which they were sent."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._waiting: dict[Connection, None] = {}

    def means_to_leave(self) -> bool:
        """Whether a client that is about to wait will leave, if it has to wait."""
        return self._dice.random() < LEAVES

    def away_s(self) -> float:
        """For how long a client that has left is away."""
        return self._dice.random() * self._dice.choice(BACK_S)

    @contextmanager
    def wait(self, connection: Connection, wait_s: int) -> Iterator[None]:
        """Keep a waiting request in order; if its `wait_s` is that of leavers, let it be left."""
        self._waiting[connection] = None
        leaving = None
        if wait_s == WAIT_S:
            leaving = self._leave_in(self._dice.random() * STAYS_S, connection, HEARS)
        try:
            yield
        finally:
            if leaving is not None:
                leaving.cancel()
            del self._waiting[connection]

    def seat_comes_back(self) -> None:
        """Note that a client is giving a seat back; some of the first waiting clients leave then."""
        for connection in islice(self._waiting, FIRST):
            if self._dice.random() < LEAVES_IT:
                self._leave_in(self._dice.random() * MOMENT_S, connection, HEARS_THEN)

    def _leave_in(self, seconds: float, connection: Connection, hears: float) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        return loop.call_later(seconds, self._leave, connection, self._dice.random() < hears)

    def _leave(self, connection: Connection, hears: bool) -> None:
        if connection in self._waiting:
            connection.leave(hears=hears)
