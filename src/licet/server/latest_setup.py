"""Reads the set-up again for requests that are about to be refused by it.

A server looks for changes of the set-up a few times a second. A client that was added a moment ago would be
unknown until then, and somebody who adds a client and tries it at once would look for a mistake of theirs.
The rules:

- A request waits for a look that begins after it has asked. All that ask meanwhile share one.
- The looks follow each other by PAUSE_S, so that a flood of wrong secrets costs the store only so many.
- A request waits WAIT_S at most. After that, or where the store does not answer, what is known counts.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from licet.lanes.in_thread import in_thread
from licet.store.errors import StoreUnavailable

PAUSE_S: Final = 0.05
"""A guess: twenty looks a second cost next to nothing, and nobody notices the wait before a refusal."""

WAIT_S: Final = 1.0
"""A guess: by then, the regular look has found what there is to find, or the store does not answer."""


class LatestSetup:
    """Waits for the set-up as it is now. `refresh` reads it, in a thread. Use it from one event loop."""

    def __init__(self, refresh: Callable[[], None]) -> None:
        self._refresh = refresh
        self._next: asyncio.Task[None] | None = None
        self._last: asyncio.Task[None] | None = None
        self._began_s = -PAUSE_S

    async def __call__(self) -> None:
        """Return when the set-up is known as it was at the call, or newer."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._look(self._last))
        await asyncio.wait([self._next], timeout=WAIT_S)

    async def close(self) -> None:
        """Return when no look is under way."""
        under_way = [it for it in (self._last, self._next) if it is not None]
        for look in under_way:
            look.cancel()
        if under_way:
            await asyncio.wait(under_way)

    async def _look(self, last: asyncio.Task[None] | None) -> None:
        if last is not None:
            await asyncio.wait([last])
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._began_s + PAUSE_S - loop.time())
        self._began_s = loop.time()
        self._last, self._next = self._next, None  # who asks from now on needs another one
        with suppress(StoreUnavailable):
            await in_thread(self._refresh)
