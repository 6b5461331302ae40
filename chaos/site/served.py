"""Runs `licet serve` with a wall clock that can be moved, or with a deliberate defect.

`python -m chaos.site.served serve ...` takes the same arguments as `licet`. `CHAOS_CLOCK` names a file with
the nanoseconds by which the wall clock is off, which is read at every reading of the clock; `CHAOS_BROKEN`
names a defect of `chaos.site.mistakes`. All else of Licet is unchanged.
"""

import os
import time
from mmap import mmap
from pathlib import Path

CLOCK, BROKEN = "CHAOS_CLOCK", "CHAOS_BROKEN"
_BYTES = 8


class WallClock:
    """The offset of a node's wall clock, in memory that the node and the harness share."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        with path.open("r+b") as file:
            file.truncate(_BYTES)
            self._memory = mmap(file.fileno(), _BYTES)

    def off_ns(self) -> int:
        """The offset in nanoseconds; ahead is positive."""
        return int.from_bytes(self._memory[:], "little", signed=True)

    def move(self, seconds: float) -> None:
        """Set the clock so far ahead of the real time, or behind."""
        self._memory[:] = round(seconds * 1e9).to_bytes(_BYTES, "little", signed=True)


def _move_wall_clock(clock: WallClock) -> None:
    real_ns = time.time_ns
    time.time_ns = lambda: real_ns() + clock.off_ns()
    time.time = lambda: (real_ns() + clock.off_ns()) / 1e9


def main() -> None:
    """Apply what the environment says, and run `licet`."""
    if path := os.environ.pop(CLOCK, ""):
        _move_wall_clock(WallClock(Path(path)))
    if name := os.environ.pop(BROKEN, ""):
        from chaos.site.mistakes import break_it  # noqa: PLC0415 - after the clock was moved

        break_it(name)
    from licet.__main__ import main as licet  # noqa: PLC0415 - the same

    licet()


if __name__ == "__main__":
    main()
