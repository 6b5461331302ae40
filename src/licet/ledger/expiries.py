"""Finds when the first seat of a pool expires: of all its seats, or of those counted as something.

The rules:

- A heap is made at the first question, from the seats that the book has then; later changes are added to it.
  An entry whose seat is free or expires later by now is dropped when it is the first. So a batch of denials
  looks at each seat once.
- The first question about what seats are counted as, such as `max=user:TC`, makes a heap for that alone. The
  second makes those of everything that seats are counted as, because a batch may ask for many.
- A book may have only some seats of a pool. It has all seats that are counted as something if it has as many
  as the count says. Otherwise the first may be a seat that it does not have, which expires at
  `others_from_ms` at the earliest.
"""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from itertools import compress, repeat
from operator import le
from types import MappingProxyType
from typing import Final

from licet.model import Seat
from licet.options import names_counted

EVERY = ""  # means every seat, whatever it is counted as
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
        """When the first seat that is counted so expires, or an earlier moment; None if there is none.

        `counts` are the book's present counts.
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
        # What is whole stays whole: a seat that is taken or freed changes the count and the heap alike.
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
