"""Limits introspection requests for unknown tokens, so that made-up ones keep no good caller out.

The rules:

- A token that was live is known until it expires; a caller with any other token is a stranger.
- At most `UNDER_WAY_MAX` introspection requests are under way in an event loop. Known callers leave some of
  these places to strangers, and strangers leave half of them to known callers: neither waits for the others
  to finish.
- A few strangers may wait; the next one is refused at once. Each token has one request at a time, so never
  more known ones wait than are remembered.
- A token is remembered by a keyed hash, until it expires.
"""

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b

from licet.guard.introspection import Live, Secret, Unusable

UNDER_WAY_MAX = 20  # a guess: more requests at once would wait for each other
KNOWN_UNDER_WAY_MAX = 15  # the rest is for strangers: every caller begins as one
STRANGERS_UNDER_WAY_MAX = 10
STRANGERS_WAITING_MAX = 64  # a guess: some 50 ms of a busy server, and less than half a second of a slow one
KNOWN_MAX = 10_000  # some 1.5 MB

_HASH_BYTES = 16


class Known:
    """Tokens that were live, each until it expires; the oldest go first. Any thread may use it."""

    def __init__(self, entries_max: int = KNOWN_MAX) -> None:
        self._entries_max = entries_max
        self._key = os.urandom(_HASH_BYTES)
        self._ends_s: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Known({len(self._ends_s)})"

    def has(self, token: Secret, now_s: float) -> bool:
        """Whether this token was live, and has not expired since."""
        return now_s < self._ends_s.get(self._hash(token), now_s)

    def learn(self, token: Secret, found: object, asked_s: float) -> None:
        """Remember a live token until it expires, and forget one that is not live."""
        hashed = self._hash(token)
        with self._lock:
            if isinstance(found, Live):
                if found.left_s is None:  # its life is unknown
                    return
                self._ends_s[hashed] = asked_s + found.left_s
                self._ends_s.move_to_end(hashed)
                while len(self._ends_s) > self._entries_max:
                    self._ends_s.popitem(last=False)
            elif not isinstance(found, Unusable):
                self._ends_s.pop(hashed, None)

    def _hash(self, token: Secret) -> bytes:
        return blake2b(token.reveal().encode(), key=self._key, digest_size=_HASH_BYTES).digest()


class TooMany(Exception):
    """Too many strangers already wait."""


class Admission:
    """The places of one event loop."""

    def __init__(self) -> None:
        self._known, self._strangers = _Line(KNOWN_UNDER_WAY_MAX), _Line(STRANGERS_UNDER_WAY_MAX)

    @property
    def is_closed_to_strangers(self) -> bool:
        """Whether so many strangers wait that the next one is refused."""
        return len(self._strangers.waiting) >= STRANGERS_WAITING_MAX

    @asynccontextmanager
    async def place(self, *, is_known: bool) -> AsyncIterator[None]:
        """Hold a place for an introspection request during the block.

        Raises TooMany.
        """
        line = self._known if is_known else self._strangers
        if not is_known and self.is_closed_to_strangers:
            raise TooMany
        await self._enter(line)
        try:
            yield
        finally:
            line.under_way -= 1
            self._admit()

    async def _enter(self, line: "_Line") -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.waiting[turn] = None
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            line.waiting.pop(turn, None)
            if not turn.cancelled():  # it got its place, and does not use it
                line.under_way -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        """Give free places to those who wait, known callers first."""
        for line in (self._known, self._strangers):
            while line.waiting and line.under_way < line.under_way_max and self._under_way < UNDER_WAY_MAX:
                turn = next(iter(line.waiting))
                del line.waiting[turn]
                if not turn.cancelled():
                    line.under_way += 1
                    turn.set_result(None)

    @property
    def _under_way(self) -> int:
        return self._known.under_way + self._strangers.under_way


class _Line:
    """Callers of one kind: how many have a place, and who waits, in order."""

    def __init__(self, under_way_max: int) -> None:
        self.under_way_max = under_way_max
        self.under_way = 0
        self.waiting: dict[asyncio.Future[None], None] = {}
