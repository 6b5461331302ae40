"""Runs the `licet` command; `python -m licet` is the same."""

import errno
import gc
import sys
from typing import Final

# Collections while modules are imported, and the one at exit, find nothing and take a third of the time of a
# short verb. `licet serve` has a threshold of its own.
_COLLECTS_AFTER = 200_000  # allocations; the worst case is some 40 MB of garbage
_FULL: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
)  # what a file of `> FILE` may meet


def main() -> None:
    """Run the command line, or say which extra is missing."""
    gc.set_threshold(_COLLECTS_AFTER)
    try:
        from licet.cli import app  # noqa: PLC0415 - the base install has no command line
    except ModuleNotFoundError as missing:
        from licet.extras import how_to_install  # noqa: PLC0415 - only when something is missing

        sys.exit(f"licet needs its server extra ({missing.name} is missing): {how_to_install('server')}")
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal cannot show must not raise.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        app()
    except OSError as fault:
        if fault.errno not in _FULL or fault.filename is not None:
            raise
        print(f"licet: the output cannot be written: {fault.strerror}", file=sys.stderr)  # noqa: T201 - no typer here
        sys.exit(2)
    finally:
        gc.freeze()  # The interpreter ends next, and has nothing left to scan.


if __name__ == "__main__":
    main()
