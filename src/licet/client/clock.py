"""Gives a client its time, pauses and random numbers, so that a test can give it others."""

import asyncio
import random
import threading
import time


class Timing:
    """As the system has them. The clock is monotonic: a wall clock that is set changes nothing."""

    def now_s(self) -> float:
        """Seconds, from any beginning."""
        return time.monotonic()

    def wall_s(self) -> float:
        """Seconds since 1970, as other machines count them: for what is signed."""
        return time.time()

    def pause(self, seconds: float, closed: threading.Event) -> None:
        """Wait, but not after it is closed."""
        closed.wait(seconds)

    async def apause(self, seconds: float) -> None:
        """Wait, while other tasks run."""
        await asyncio.sleep(seconds)

    def jitter_s(self, up_to_s: float) -> float:
        """A length of time between none and this, by chance: so those who wait do not come back together."""
        return random.uniform(0, up_to_s)  # noqa: S311 - guards nothing
