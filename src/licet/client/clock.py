"""Gives a client its time, pauses and random numbers; a test can replace them."""

import asyncio
import random
import threading
import time


class Timing:
    """Those of the system. The clock is monotonic: setting the wall clock changes nothing."""

    def now_s(self) -> float:
        """Seconds since some fixed instant."""
        return time.monotonic()

    def wall_s(self) -> float:
        """Seconds since 1970, by the wall clock: for assertions."""
        return time.time()

    def pause(self, seconds: float, closed: threading.Event) -> None:
        """Wait, but no longer than until it is closed."""
        closed.wait(seconds)

    async def apause(self, seconds: float) -> None:
        """Wait, while other tasks run."""
        await asyncio.sleep(seconds)

    def jitter_s(self, up_to_s: float) -> float:
        """A random time from 0 to this, so that clients that wait do not come back together."""
        return random.uniform(0, up_to_s)  # noqa: S311 - guards nothing
