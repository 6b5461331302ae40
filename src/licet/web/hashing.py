"""Where passwords are hashed: worker threads behind a bounded queue, of which no source gets more than half.

One hash takes some 15 ms of a processor. Clients and administrators are checked by the same few threads, so
that what both ask for together never takes more of the machine than the settings allow.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from licet.store.contract import QueueFull

Hashed = TypeVar("Hashed")


class Hashing:
    """The worker threads. Use it from one event loop."""

    def __init__(self, *, workers: int, queue_max: int) -> None:
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="licet-hash")
        self._queue_max = queue_max
        self._queued: Counter[str] = Counter()  # by source

    def start(self, source: str, work: Callable[[], Hashed]) -> asyncio.Future[Hashed]:
        """Have something hashed for a source, in its turn; who stops waiting shields the future.

        Raises QueueFull.
        """
        if self._queued.total() >= self._queue_max or self._queued[source] >= self._queue_max // 2:
            raise QueueFull
        future = asyncio.get_running_loop().run_in_executor(self._workers, work)
        self._queued[source] += 1
        future.add_done_callback(lambda _: self._finished(source))
        return future

    @property
    def queue_length(self) -> int:
        """How many wait for a thread, or have one."""
        return self._queued.total()

    def close(self) -> None:
        """Let the threads go; what waits is not done."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _finished(self, source: str) -> None:
        self._queued[source] -= 1
        if not self._queued[source]:
            del self._queued[source]
