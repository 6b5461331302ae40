"""Computes how many seats the denials would have needed, by a replay of them with more seats.

A denied client is assumed to want a seat from its first denial until `session_ttl` after its last one. It
gets the lowest free number of an additional seat. With k more seats, the denials of the clients with numbers
up to k would have been spared. Two clients that want a seat at the same time get two numbers. A number is
free again when its client no longer wants a seat; a client with a higher number then moves down to it with
its next denial, because it would have found that seat free. So one replay answers for every number of seats.
An example:

    A is denied from 9:00 to 9:30    number 1
    B is denied from 9:10 to 9:20    number 2: A still wants a seat
    C is denied at 12:00             number 1 again

One more seat would have spared the denials of A and C, two more those of all three.

It is an estimate. A client that gets a seat may keep it for longer than it would have retried, and then more
seats are needed; a client that is denied may give up, and how long it would have stayed is unknown.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from licet.journal.wants import CURED_BY_SEATS
from licet.reports.usage_queries import DeniedClient

# More seats would not help a suspended client, or one whose licence expired.
SPARED = CURED_BY_SEATS


def seats_needed(
    denied: Iterable[DeniedClient], session_ttl_s: int, holder: Callable[[DeniedClient], str]
) -> list[tuple[int, DeniedClient]]:
    """Each of these denials with the number of seats that it needs; they are one pool's, in their order.

    Clients with the same `holder` share a seat (L2).
    """
    needs = []
    waiting = _Waiting()
    for denial in denied:
        number = waiting.seat(holder(denial), denial.first_at_ms, denial.last_at_ms + session_ttl_s * 1000)
        needs.append((denial.seats + number, denial))
    return needs


class _Waiting:
    """The holders that want a seat, by their numbers."""

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
