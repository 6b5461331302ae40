"""Defines the memory of who holds each numbered seat, and its in-process version, `OneProcess`.

    memory = OneProcess()
    memory.take("...", "...", iat=1_795_824_000, hold_s=60)  # None: let in

A seat of a signed pool has a number, and its server gives the number to somebody else no sooner than `hold`
seconds after the last token it issued with it. A memory checks that, and believes no server. The rules:

- The same holder passes.
- Another one passes if its token was issued `hold` seconds or more after the newest one that is kept, or if
  nobody of the holder before was let in for `hold` seconds. Then it is kept in the other's place.
- The instant that is kept never falls. If it did, a server could let two holders alternate by tokens that are
  old already, each of them `hold` older than the one before.
- Silence bounds every false refusal to `hold`, after lost commits, a restored backup or a clock put right.

So a number changes hands at most twice in `hold` in the long run: once by a newer token, once by silence.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol


class Kept(NamedTuple):
    """What stands in the way of a holder: another's newest `iat`, and how long it must be silent still."""

    iat: int
    left_s: float


class SeatMemory(Protocol):
    """Who has which seat; any thread may use it.

    `seat` and `who` are texts without a meaning of their own, `iat` seconds since 1970. Whatever is raised
    means that nobody can tell: the request is answered with 503.
    """

    def recall(self, seat: str, who: str, iat: int) -> bool:
        """Whether this holder is known to have the seat, without waiting for anything; it is let in then."""

    def take(self, seat: str, who: str, iat: int, hold_s: int) -> Kept | None:
        """Let the holder in, and keep that; or what stands in its way."""

    async def atake(self, seat: str, who: str, iat: int, hold_s: int) -> Kept | None:
        """The same, for tasks."""


class Holder:
    """Who has a seat, the newest `iat` of the seat, and when the holder was let in last."""

    __slots__ = ("iat", "seen_s", "who")

    def __init__(self, who: str, iat: int, seen_s: float) -> None:
        self.who = who
        self.iat = iat
        self.seen_s = seen_s

    def in_the_way_of(self, who: str, iat: int, hold_s: int, now_s: float) -> Kept | None:
        """What this holder stands in the way with, if it does."""
        if self.who == who or iat >= self.iat + hold_s:
            return None
        left_s = self.seen_s + hold_s - now_s
        return Kept(self.iat, left_s) if left_s > 0 else None


class OneProcess:
    """A dictionary, by a clock that only goes forward: for an API that is one process.

    Each process more has another one, which lets in a holder of its own; so has each restart. It has one
    entry for a seat that a licence covers, and is asked about no other.
    """

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._holders: dict[str, Holder] = {}
        self._locks: dict[int, threading.Lock] = {}  # by the process: after a fork the old one may be held

    def __repr__(self) -> str:
        return f"OneProcess({len(self._holders)})"

    @property
    def seats(self) -> int:
        """How many seats it knows a holder of."""
        return len(self._holders)

    def recall(self, seat: str, who: str, iat: int) -> bool:
        """Whether this holder has the seat."""
        holder = self._holders.get(seat)
        if holder is None or holder.who != who or holder.iat < iat:
            return False
        # Whoever takes the seat meanwhile puts another holder into the dictionary: this one is out then.
        holder.seen_s = self._now_s()
        return True

    def take(self, seat: str, who: str, iat: int, hold_s: int) -> Kept | None:
        """Let the holder in, and keep that; or what stands in its way."""
        with self._locks.setdefault(os.getpid(), threading.Lock()):
            now_s = self._now_s()
            holder = self._holders.get(seat)
            if holder is None:
                self._holders[seat] = Holder(who, iat, now_s)
                return None
            if (kept := holder.in_the_way_of(who, iat, hold_s, now_s)) is None:
                self._holders[seat] = Holder(who, max(iat, holder.iat), now_s)
            return kept

    async def atake(self, seat: str, who: str, iat: int, hold_s: int) -> Kept | None:
        """The same, for tasks; it waits for nothing."""
        return self.take(seat, who, iat, hold_s)
