"""What was said of tokens a moment ago. Bounded; keyed by a hash, so that no token is kept.

Live and dead tokens are kept apart: who sends many bad ones pushes none of the good ones out.
"""

import threading
from collections import OrderedDict
from hashlib import sha256
from typing import TypeVar

from licet.guard.introspection import Dead, Live, Unusable

Kept = TypeVar("Kept")
DEAD = Dead()
DEAD_MAX_S = 1.0  # a token that is not live now will hardly be a second later; a guess


def key_of(token: str) -> bytes:
    """What a token is known by."""
    return sha256(token.encode()).digest()


class Cache:
    """Answers with their end, by a clock that only goes forward; any thread may use it."""

    def __init__(self, *, life_s: float, entries_max: int) -> None:
        self._life_s = life_s
        self._entries_max = entries_max
        self._live: OrderedDict[bytes, tuple[float, Live]] = OrderedDict()
        self._dead: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, key: bytes, now_s: float) -> Live | Dead | None:
        """What is known of a token."""
        found = self._live.get(key)
        if found is not None and now_s < found[0]:
            return found[1]
        return DEAD if now_s < self._dead.get(key, now_s) else None

    def keep(self, key: bytes, found: Live | Dead | Unusable, asked_s: float) -> None:
        """Remember what was said, from when it was asked; of a live token never beyond its own end."""
        match found:
            case Live(left_s=left_s):
                life_s = self._life_s if left_s is None else min(self._life_s, left_s)
                self._keep(self._live, key, (asked_s + life_s, found), life_s)
            case Dead():
                with self._lock:
                    self._live.pop(key, None)
                life_s = min(self._life_s, DEAD_MAX_S)
                self._keep(self._dead, key, asked_s + life_s, life_s)
            case Unusable():  # what was known before goes on to count
                pass

    def _keep(self, kept: "OrderedDict[bytes, Kept]", key: bytes, value: Kept, life_s: float) -> None:
        if life_s <= 0:
            return
        with self._lock:
            kept[key] = value
            kept.move_to_end(key)
            while len(kept) > self._entries_max:
                kept.popitem(last=False)
