"""Computes how many seats the denials would have needed, by a replay of them with more seats.

Who was denied a seat is taken to have wanted one from its first denial until `session_ttl` after its last,
and gets the lowest free number of the seats that were not there. The denials of who has number k are those
that k more seats would have spared. Two that want a seat at once get two numbers; a number is free again when
it is wanted no more, and then who has a higher one moves down to it with its next denial, as it would have
found that seat free. So one replay answers for every number of seats.

It is an estimate. Who gets a seat may stay for longer than it knocks, and then more seats are needed; who is
turned away may go for good, and how long it would have stayed nobody knows.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from licet.model import NoSeatReason
from licet.reports.period import DeniedClient

# A suspended client, and one whose licence expired, wants none that more seats would give.
SPARED = frozenset({NoSeatReason.ALL_IN_USE, NoSeatReason.NO_SEATS})


def seats_needed(
    denied: Iterable[DeniedClient], session_ttl_s: int, holder: Callable[[DeniedClient], str]
) -> Counter[int]:
    """How many denials fewer seats than this could not have spared; `denied` are one pool's, in their order.

    Two that have the same `holder` share a seat (L2).
    """
    needed: Counter[int] = Counter()
    waiting = _Waiting()
    for denial in denied:
        number = waiting.seat(holder(denial), denial.first_at_ms, denial.last_at_ms + session_ttl_s * 1000)
        needed[denial.seats + number] += denial.times
    return needed


class _Waiting:
    """Who wants a seat, by the number that it has."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._until_ms: dict[str, int] = {}
        self._ends: list[tuple[int, str]] = []
        self._free: list[int] = []
        self._most = 0

    def seat(self, holder: str, at_ms: int, until_ms: int) -> int:
        """The number of a holder that wants a seat from now on until then."""
        self._let_go(at_ms)
        number = self._numbers.pop(holder, None)
        if number is not None:
            heappush(self._free, number)
        elif not self._free:
            self._most += 1
            heappush(self._free, self._most)
        number = heappop(self._free)
        self._numbers[holder] = number
        self._until_ms[holder] = max(until_ms, self._until_ms.get(holder, 0))
        heappush(self._ends, (until_ms, holder))
        return number

    def _let_go(self, at_ms: int) -> None:
        while self._ends and self._ends[0][0] <= at_ms:
            _, holder = heappop(self._ends)
            if self._until_ms.get(holder, at_ms + 1) <= at_ms:
                heappush(self._free, self._numbers.pop(holder))
                del self._until_ms[holder]
