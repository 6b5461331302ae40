"""Waits for a condition by polling it; no test waits for a fixed time.

Between two polls it sleeps, which leaves the processor to others.
"""

import time
from collections.abc import Callable

PATIENCE_S = 60.0  # for what must happen: a test that waits as long as this has failed
STEP_S = 0.005


def until(holds: Callable[[], bool], *, within_s: float = PATIENCE_S) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it has not come about"
        time.sleep(STEP_S)
