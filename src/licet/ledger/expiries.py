"""Knows when the first seat of a pool expires: of all of them, or of those that are counted as something.

It is made when somebody asks, from the seats that a book has by then, and hears of each that changes after.
Where a seat has another expiry by now, or is free, the old one stays until it comes up: a batch of denials
looks at each seat once.

A book may have some seats of a pool only. It has all that are counted as something if it has as many as the
count says; else the first may be another one, which expires no earlier than `others_from_ms`.
"""

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush

from licet.model import Seat
from licet.options import names_counted

EVERY = ""  # seat, whatever it is counted as


class Expiries:
    """When the seats of one pool expire. `seats` are those of its holders now, `counts` the counts of now."""

    def __init__(self, seats: Iterable[Seat], counts: Mapping[str, int], others_from_ms: int | None) -> None:
        self._seats: dict[str, Seat] = {}
        self._heaps: dict[str, list[tuple[int, str]]] = {}
        for seat in seats:
            self._seats[seat.holder] = seat
            for what in (EVERY, *names_counted(seat.counted)):
                self._heaps.setdefault(what, []).append((seat.expires_at_ms, seat.holder))
        for heap in self._heaps.values():
            heapify(heap)
        self._others_from_ms = others_from_ms
        self._is_whole = {what: count <= len(self._heaps.get(what, ())) for what, count in counts.items()}

    def put(self, seat: Seat) -> None:
        """A seat was taken, or expires at another moment now."""
        self._seats[seat.holder] = seat
        for what in (EVERY, *names_counted(seat.counted)):
            heappush(self._heaps.setdefault(what, []), (seat.expires_at_ms, seat.holder))

    def remove(self, seat: Seat) -> None:
        """A seat is free."""
        self._seats.pop(seat.holder, None)

    def first_ms(self, what: str = EVERY) -> int | None:
        """When the first seat that is counted so expires, or an earlier moment; None where there is none."""
        known_ms = self._first_known_ms(what)
        if self._others_from_ms is None or self._is_whole.get(what, False):
            return known_ms
        return self._others_from_ms if known_ms is None else min(known_ms, self._others_from_ms)

    def _first_known_ms(self, what: str) -> int | None:
        heap = self._heaps.get(what)
        while heap:
            expires_at_ms, holder = heap[0]
            seat = self._seats.get(holder)
            if (
                seat is not None
                and seat.expires_at_ms == expires_at_ms
                and (what == EVERY or what in names_counted(seat.counted))
            ):
                return expires_at_ms
            heappop(heap)
        return None
