"""Bounds how long a waiter waits for an answer of the store before it gets an error instead.

The store limits the time of each batch, but an item may have waited for batches before its own. An item given
up before it was sent is never done; an item given up in progress may or may not be done.
"""

import asyncio
import math
from collections import deque
from typing import Any, Final

from licet.lanes.contract import Waiter
from licet.store.errors import StoreUnavailable

LOOK_EVERY_S: Final = 0.1


class Deadlines:
    """Fails waiters that are not done within so many seconds, give or take one tick. Use it from one loop.

    There is one timer for all, and none where nothing waits: a waiter costs one entry in a queue.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, within_s: float) -> None:
        self._loop = loop
        self._within_s = within_s
        self._watched: deque[tuple[float, Waiter[Any]]] = deque()
        self._is_looking = False

    def watch(self, waiter: Waiter[Any]) -> None:
        """Fail this waiter with StoreUnavailable when its time is over."""
        if self._within_s == math.inf:
            return
        self._watched.append((self._loop.time() + self._within_s, waiter))
        if not self._is_looking:
            self._is_looking = True
            self._loop.call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        now_s = self._loop.time()
        while self._watched and (self._watched[0][1].done() or self._watched[0][0] <= now_s):
            _, waiter = self._watched.popleft()
            if not waiter.done():
                waiter.set_exception(
                    StoreUnavailable("no answer in time; it is not known what becomes of it")
                )
        self._is_looking = bool(self._watched)
        if self._is_looking:
            self._loop.call_later(LOOK_EVERY_S, self._look)
