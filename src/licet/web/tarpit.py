"""Delays answers to a source that has failed too often, so that its flood is slow and cheap for the others.

A client that sends its next request after each answer then sends four a second on each connection, instead of
a thousand. The rules:

- Only a refusal with 429 is delayed: a client that is accepted never waits here.
- How many answers wait is bounded, for one source and for all; one more is answered at once. Behind a proxy,
  each keeps one of its connections busy.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

DELAY_S: Final = 0.25
"""A guess: a flood on all connections of one source is some 300 requests a second, and a person waits no
longer for a refusal than for a page."""


class Tarpit:
    """The answers that wait. Use it from one event loop; `sleep` is that of asyncio, except in a test."""

    def __init__(
        self,
        *,
        per_source_max: int,
        waiting_max: int,
        delay_s: float = DELAY_S,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._per_source_max = per_source_max
        self._waiting_max = waiting_max
        self._delay_s = delay_s
        self._sleep = sleep
        self._waiting: Counter[str] = Counter()
        self._waiting_of_all = 0

    async def hold(self, source: str) -> None:
        """Return when an answer to this source may be sent."""
        if self._waiting[source] >= self._per_source_max or self._waiting_of_all >= self._waiting_max:
            return
        self._waiting[source] += 1
        self._waiting_of_all += 1
        try:
            await self._sleep(self._delay_s)
        finally:
            self._waiting_of_all -= 1
            self._waiting[source] -= 1
            if not self._waiting[source]:
                del self._waiting[source]
