"""Remembers when sessions, secrets and keys were last used, until that is written down a part at a time.

The rules:

- Whoever uses one pays for a dictionary write and for nothing else; `licet.server.housekeeping` writes it.
- A use is written `KEEP_TURNS` turns after the first one that is not written, so that what is used all the
  time is not written all the time. Many that are due together are spread over `SPREAD_TURNS` turns, so that
  no request waits while thousands are written.
- It is bounded. What is more than half of the room is written at once, and a use for which there is no room
  is forgotten.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping
from itertools import islice
from typing import Final, Generic, TypeVar

KEEP_TURNS: Final = 15  # of a second each; with those that follow, a crash loses uses of half a minute
SPREAD_TURNS: Final = 14
ROOM: Final = 50_000  # some 50 MB of sessions; half of it is more than one process is asked about in a second

Key = TypeVar("Key")
Use = TypeVar("Use")


class LastUses(Generic[Key, Use]):
    """The last use of each thing that is not written down yet. A turn is a call of `due`."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._last: OrderedDict[Key, Use] = OrderedDict()  # what was used first, first
        self._turns: deque[int] = deque()  # how many of them are of each of the last turns, the oldest first

    def note(self, key: Key, use: Use) -> None:
        """This was used."""
        last = self._last
        if key in last or len(last) < self._room:
            last[key] = use

    def due(self) -> dict[Key, Use]:
        """The part of what is due that is to be written in this turn; it is forgotten with that."""
        turns = self._turns
        turns.append(len(self._last) - sum(turns))
        due = sum(islice(turns, max(0, len(turns) - KEEP_TURNS)))
        turns_left = max(1, KEEP_TURNS + SPREAD_TURNS + 1 - len(turns))
        crowded = len(self._last) - self._room // 2
        return self._take(max(0, crowded, -(-due // turns_left)))

    def take(self) -> dict[Key, Use]:
        """All that is remembered, which is forgotten with that."""
        return self._take(len(self._last))

    def put_back(self, taken: Mapping[Key, Use]) -> None:
        """Remember again what could not be written down, as far as there is room. It is due at once."""
        last, turns = self._last, self._turns
        turns.extendleft([0] * (KEEP_TURNS + SPREAD_TURNS - len(turns)))
        for key, use in taken.items():
            if key not in last and len(last) < self._room:
                last[key] = use
                last.move_to_end(key, last=False)
                turns[0] += 1

    def _take(self, count: int) -> dict[Key, Use]:
        taken = dict(self._last.popitem(last=False) for _ in range(count))
        turns = self._turns
        while turns and turns[0] <= count:
            count -= turns.popleft()
        if turns:
            turns[0] -= count
        return taken
