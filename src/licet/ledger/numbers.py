"""Keeps the free seat numbers of a signed pool that a batch needs, and when each may be given (L13).

The rules:

- A new seat gets the lowest number that is free, and keeps it until it comes back.
- A free number may be given from `from_ms` on: not before the hold since its last token is over, also where
  its seat ended sooner because the licence gave fewer seats for a while.
- Behind the highest number that was ever used, the next one is free.
- From `Numbers.from_ms` on numbers may be given at all: a restored store may have forgotten who has one.
"""

from collections.abc import Iterable


class Numbers:
    """The numbers of one pool. `free` says of each when it may be given; `used` is the highest ever used.

    Of the free ones it needs the lowest that may be given now, as many as seats are asked for, and the next
    one that may be given later.
    """

    def __init__(self, *, used: int = 0, from_ms: int = 0, free: Iterable[tuple[int, int]] = ()) -> None:
        self.used = used
        self.from_ms = from_ms
        self.free = dict(free)

    def lowest(self, now_ms: int) -> int | None:
        """The lowest number that may be given now; None where none may be."""
        if now_ms < self.from_ms:
            return None
        if not self.free:
            return self.used + 1
        free = (number for number, from_ms in self.free.items() if from_ms <= now_ms)
        return min(free, default=self.used + 1)

    def next_at_ms(self, now_ms: int) -> int | None:
        """When the next number may be given that may not be now; None where there is no such number."""
        if now_ms < self.from_ms:
            return self.from_ms
        return min((from_ms for from_ms in self.free.values() if from_ms > now_ms), default=None)

    def take(self, number: int) -> None:
        """Note that somebody has this number."""
        if number > self.used:  # so it was never free
            self.used = number
        else:
            self.free.pop(number, None)

    def give_back(self, number: int, from_ms: int) -> None:
        """Note that nobody has this number, which may be given from `from_ms` on."""
        self.free[number] = from_ms
