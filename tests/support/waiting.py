"""How a test waits for what has to come about: it looks again and again, and never waits for a time to pass.

Between two looks it leaves the processor to what it waits for.
"""

import time
from collections.abc import Callable

PATIENCE_S = 60.0  # for what must happen: a test that waits as long as this has failed
STEP_S = 0.005


def until(is_so: Callable[[], bool], *, within_s: float = PATIENCE_S) -> None:
    """Return when it is so."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, "it has not come about"
        time.sleep(STEP_S)
