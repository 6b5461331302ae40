"""`python -m interop`: run the suite; `--write` writes the page, `--only NAME` runs some parts.

Exit codes: 0 all is as expected, 1 something is not, 2 wrong use.
"""

import argparse
import sys

from interop.manifest import clients, resource_servers
from interop.run import Part, run


def main() -> int:
    """Do what is asked; the exit code."""
    parser = argparse.ArgumentParser(prog="interop", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the page of what was seen")
    parser.add_argument("--only", action="append", default=[], help="a part, such as python/authlib_requests")
    options = parser.parse_args()
    chosen = [it for it in clients() + resource_servers() if not options.only or it.name in options.only]
    parts = run(chosen, _tell)
    return int(any(part.faults for part in parts))


def _tell(part: Part) -> None:
    print(part.manifest.name, part.version, part.runtime, part.missing, *part.faults, sep="\n   ", flush=True)


if __name__ == "__main__":
    sys.exit(main())
