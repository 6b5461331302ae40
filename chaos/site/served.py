"""`licet serve` with something of its interpreter changed: the wall clock moved, or the ledger broken.

`python -m chaos.site.served serve ...` takes the same arguments as `licet`. `CHAOS_CLOCK` names a file with
the nanoseconds by which the wall clock is off, read again at each look at it; `CHAOS_BROKEN` names a mistake
of `chaos.site.mistakes`. Nothing of Licet itself is another.
"""

import os
import time
from mmap import mmap
from pathlib import Path

CLOCK, BROKEN = "CHAOS_CLOCK", "CHAOS_BROKEN"
_BYTES = 8


class WallClock:
    """By how much the wall clock of a node is off: memory that the node and who moves it share."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        with path.open("r+b") as file:
            file.truncate(_BYTES)
            self._memory = mmap(file.fileno(), _BYTES)

    def off_ns(self) -> int:
        """Nanoseconds; ahead is positive."""
        return int.from_bytes(self._memory[:], "little", signed=True)

    def move(self, seconds: float) -> None:
        """Put it so far ahead of the true time, or behind."""
        self._memory[:] = round(seconds * 1e9).to_bytes(_BYTES, "little", signed=True)


def _move_wall_clock(clock: WallClock) -> None:
    true_ns = time.time_ns
    time.time_ns = lambda: true_ns() + clock.off_ns()
    time.time = lambda: (true_ns() + clock.off_ns()) / 1e9


def main() -> None:
    """Change what the environment says, and be `licet`."""
    if path := os.environ.pop(CLOCK, ""):
        _move_wall_clock(WallClock(Path(path)))
    if name := os.environ.pop(BROKEN, ""):
        from chaos.site.mistakes import break_it  # noqa: PLC0415 - after the clock was moved

        break_it(name)
    from licet.__main__ import main as licet  # noqa: PLC0415 - the same

    licet()


if __name__ == "__main__":
    main()
