"""Caches the result of introspection for a short time.

It is bounded. Live and dead tokens are kept apart, so that many bad ones cannot push out the good ones.

Every request looks into it, so its key is the header as it was sent: a hash would take 3 microseconds more,
of some 20 that a small API takes in total. Expired entries are removed with the next answer, and nothing here
shows a token.
"""

import threading
from collections import OrderedDict
from typing import TypeVar

from licet.guard.introspection import Dead, Live, Secret, Unusable

Entry = TypeVar("Entry", bound="tuple[float, Live | Dead]")
DEAD = Dead()
DEAD_MAX_S = 1.0  # a guess: a token that is not live now will hardly be live a second later


def header_of(token: Secret) -> bytes:
    """The header of a request with a token, in its usual spelling (RFC 6750 2.1)."""
    return b"Bearer " + token.reveal().encode()


class _Kept(OrderedDict[bytes, Entry]):
    """Answers with their end, by the header; the oldest first."""

    def __repr__(self) -> str:
        return f"_Kept({len(self)})"


class Cache:
    """Answers with their end, by a clock that only goes forward; any thread may use it."""

    def __init__(self, *, life_s: float, entries_max: int) -> None:
        self._life_s = life_s
        self._entries_max = entries_max
        self._live: _Kept[tuple[float, Live]] = _Kept()
        self._dead: _Kept[tuple[float, Dead]] = _Kept()
        self._lock = threading.Lock()

    def recall(self, header: bytes, now_s: float) -> Live | Dead | None:
        """The cached result for the token in a header."""
        live = self._live.get(header)
        if live is not None and now_s < live[0]:
            return live[1]
        dead = self._dead.get(header)
        return dead[1] if dead is not None and now_s < dead[0] else None

    def keep(self, token: Secret, found: Live | Dead | Unusable, asked_s: float) -> None:
        """Cache a result, counted from when it was asked; a live token for as long as the server allows."""
        match found:
            case Live(believed_s=believed_s):
                life_s = min(self._life_s, believed_s)
                self._keep(self._live, token, (asked_s + life_s, found), asked_s)
            case Dead():
                with self._lock:
                    self._live.pop(header_of(token), None)
                life_s = min(self._life_s, DEAD_MAX_S)
                self._keep(self._dead, token, (asked_s + life_s, DEAD), asked_s)
            case Unusable():  # what was known before stays valid
                pass

    def _keep(self, kept: _Kept[Entry], token: Secret, entry: Entry, asked_s: float) -> None:
        if entry[0] <= asked_s:
            return
        with self._lock:
            kept[header_of(token)] = entry
            kept.move_to_end(header_of(token))
            while len(kept) > self._entries_max or next(iter(kept.values()))[0] <= asked_s:
                kept.popitem(last=False)
