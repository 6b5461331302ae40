"""How a test waits for what has to come about: it looks again and again, and never sleeps."""

import time
from collections.abc import Callable

PATIENCE_S = 20.0  # for what must happen: a test that waits as long as this has failed


def until(is_so: Callable[[], bool], *, within_s: float = PATIENCE_S) -> None:
    """Return when it is so."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, "it has not come about"
