"""Reads for how long this machine runs, with the time that it sleeps where that is known."""

import time
from collections.abc import Callable
from functools import partial
from typing import Final


def _clock() -> Callable[[], int]:
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):  # only the first counts the time that it sleeps
        if hasattr(time, name):
            return partial(time.clock_gettime_ns, getattr(time, name))
    return time.perf_counter_ns  # Windows: QueryPerformanceCounter, which counts it as well


uptime_ns: Final[Callable[[], int]] = _clock()  # since some instant that never changes
