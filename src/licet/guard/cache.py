"""What was said of tokens a moment ago. Bounded; keyed by a hash, so that no token is kept.

Live and dead tokens are kept apart: who sends many bad ones pushes none of the good ones out.
"""

import threading
from collections import OrderedDict
from hashlib import sha256
from typing import TypeVar

from licet.guard.caller import Identity

Kept = TypeVar("Kept")
DEAD_MAX_S = 1.0  # a token that is not live now will hardly be a second later; a guess


def key_of(token: str) -> bytes:
    """What a token is known by."""
    return sha256(token.encode()).digest()


class Cache:
    """Answers with their end, by a clock that only goes forward; any thread may use it."""

    def __init__(self, *, life_s: float, entries_max: int) -> None:
        self._life_s = life_s
        self._entries_max = entries_max
        self._live: OrderedDict[bytes, tuple[float, Identity]] = OrderedDict()
        self._dead: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def live(self, key: bytes, now_s: float) -> Identity | None:
        """Whose a token is that is known to live."""
        found = self._live.get(key)
        return found[1] if found is not None and now_s < found[0] else None

    def is_dead(self, key: bytes, now_s: float) -> bool:
        """Whether a token is known not to live."""
        return now_s < self._dead.get(key, now_s)

    def keep_live(self, key: bytes, identity: Identity, asked_s: float, left_s: float | None) -> None:
        """Remember a live token, from when it was asked about, and never beyond its own end."""
        life_s = self._life_s if left_s is None else min(self._life_s, left_s)
        if life_s > 0:
            self._keep(self._live, key, (asked_s + life_s, identity))

    def keep_dead(self, key: bytes, asked_s: float) -> None:
        """Remember a dead one, for a shorter time."""
        with self._lock:
            self._live.pop(key, None)
        if self._life_s > 0:
            self._keep(self._dead, key, asked_s + min(self._life_s, DEAD_MAX_S))

    def _keep(self, kept: "OrderedDict[bytes, Kept]", key: bytes, value: Kept) -> None:
        with self._lock:
            kept[key] = value
            kept.move_to_end(key)
            while len(kept) > self._entries_max:
                kept.popitem(last=False)
