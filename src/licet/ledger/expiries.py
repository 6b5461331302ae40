"""Knows when the first seat of a pool expires: of all of them, or of those that are counted as something.

It is made when somebody asks, from the seats that a book has by then, and hears of each that changes after.
Where a seat has another expiry by now, or is free, the old one stays until it comes up: a batch of denials
looks at each seat once. So do those that ask by one of what seats are counted as; by the second, all are told
apart at once, as a batch may ask by many.

A book may have some seats of a pool only. It has all that are counted as something if it has as many as the
count says; else the first may be another one, which expires no earlier than `others_from_ms`.
"""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from itertools import compress, repeat
from operator import le
from types import MappingProxyType
from typing import Final

from licet.model import Seat
from licet.options import names_counted

EVERY = ""  # seat, whatever it is counted as
NO_COUNTS: Final[Mapping[str, int]] = MappingProxyType({})


class Expiries:
    """When the seats of one pool expire. `seats` are those of now, by holder."""

    def __init__(self, seats: dict[str, Seat], others_from_ms: int | None) -> None:
        self._seats = seats
        self._others_from_ms = others_from_ms
        self._every: list[tuple[int, str]] | None = None
        self._counted: dict[str, list[tuple[int, str]]] = {}
        self._are_all_counted = False  # else only what was asked for first
        self._whole: set[str] = set()

    def put(self, seat: Seat) -> None:
        """A seat was taken, or expires at another moment now."""
        self._seats[seat.holder] = seat
        if self._every is not None:
            heappush(self._every, (seat.expires_at_ms, seat.holder))
        if self._counted:
            for what in names_counted(seat.counted):
                if self._are_all_counted or what in self._counted:
                    heappush(self._counted.setdefault(what, []), (seat.expires_at_ms, seat.holder))

    def remove(self, seat: Seat) -> None:
        """A seat is free."""
        self._seats.pop(seat.holder, None)

    def first_ms(self, what: str = EVERY, counts: Mapping[str, int] = NO_COUNTS) -> int | None:
        """When the first seat that is counted so expires, or an earlier moment; None where there is none.

        `counts` are those of the book by now.
        """
        if what == EVERY:
            known_ms = self._first_known_ms(self._of_every(), what)
        else:
            known_ms = self._first_known_ms(self._of_counted(what, counts), what)
        if self._others_from_ms is None or what in self._whole:
            return known_ms
        return self._others_from_ms if known_ms is None else min(known_ms, self._others_from_ms)

    @property
    def first_holder(self) -> str | None:
        """Whose seat expires first, of those that are known; call `first_ms` before."""
        return self._every[0][1] if self._every else None

    def _of_every(self) -> list[tuple[int, str]]:
        if self._every is None:
            self._every = [(seat.expires_at_ms, holder) for holder, seat in self._seats.items()]
            heapify(self._every)
        return self._every

    def _of_counted(self, what: str, counts: Mapping[str, int]) -> list[tuple[int, str]]:
        if what in self._counted or self._are_all_counted:
            return self._counted.get(what, [])
        found: dict[str, list[tuple[int, str]]] = {what: []}
        seats = self._seats.items()
        if not self._counted:
            found[what] = [(it.expires_at_ms, by) for by, it in seats if what in names_counted(it.counted)]
            counts = {what: counts[what]} if what in counts else {}
        else:
            self._are_all_counted = True
            for holder, seat in seats:
                for name in names_counted(seat.counted):
                    found.setdefault(name, []).append((seat.expires_at_ms, holder))
        for heap in found.values():
            heapify(heap)
        # As a seat is taken or freed, both become one more or one less: it stays so.
        known = map(len, map(found.get, counts, repeat(())))
        self._whole.update(compress(counts, map(le, counts.values(), known)))
        self._counted |= found
        return found[what]

    def _first_known_ms(self, heap: list[tuple[int, str]] | None, what: str) -> int | None:
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
