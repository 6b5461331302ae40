"""Clients of the load that leave while their request waits in line for a seat (L19).

Some leave at any moment, others just when a client gives a seat back, so that the server may be giving it to
them. Half of them close the connection, and do not learn what was decided. The others close only their side
of it, and still receive the answer: so of each of those it is known whether it was given a seat.
"""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from chaos.load.wire import Connection

WAIT_S = 20  # for how long a client that means to leave would have waited
LEAVES = 0.15  # of the requests that wait, how many mean to leave
STAYS_S = 6.0  # for how long these stay at most
FIRST = 2  # of those who wait, how many may be given what somebody gives back
LEAVES_IT = 0.15  # of those, how many leave at that moment
MOMENT_S = 0.03
HEARS, HEARS_THEN = 0.5, 0.8  # of those who leave, how many hear the answer; of those who leave just then
# After how long they come back at most: half of them soon, half perhaps after their place is gone.
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
        """A request waits for this long at most; it is left where it would wait for as long as leavers do."""
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
        """A client gives a seat back just now."""
        for connection in islice(self._waiting, FIRST):
            if self._dice.random() < LEAVES_IT:
                self._leave_in(self._dice.random() * MOMENT_S, connection, HEARS_THEN)

    def _leave_in(self, seconds: float, connection: Connection, hears: float) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        return loop.call_later(seconds, self._leave, connection, self._dice.random() < hears)

    def _leave(self, connection: Connection, hears: bool) -> None:
        if connection in self._waiting:
            connection.leave(hears=hears)
