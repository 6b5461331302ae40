"""The processor's own instructions of a request, counted by valgrind where it is installed.

It sees what the guard does not: work inside of C code. It takes minutes, and its numbers are of one build of
Python and its libraries; so there is no baseline, and they are for comparing two commits on one machine.
The same work is run with fewer and with more requests, and what counts is the difference.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.work import KINDS, work

_FEWER, _MORE = 64, 128


class NoValgrind(Exception):
    """There is no valgrind; the text says where to get it."""


def count() -> Iterator[tuple[str, float]]:
    """Each kind of request, and its instructions.

    Raises NoValgrind.
    """
    if shutil.which("valgrind") is None:
        raise NoValgrind("this needs valgrind: apt-get install valgrind")
    for kind in KINDS:
        yield kind, (_instructions(kind, _MORE) - _instructions(kind, _FEWER)) / (_MORE - _FEWER)


def _instructions(kind: str, requests: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
    # Without this, sets and dictionaries stand in another order each time.
    variables = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [*command, "-m", "bench.callgrind", kind, str(requests)],
        check=True,
        capture_output=True,
        text=True,
        env=variables,
        cwd=Path(__file__).parent.parent,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1])


def _work(kind: str, requests: int) -> None:
    with tempfile.TemporaryDirectory() as scratch, work(Path(scratch)) as (made, runner):
        runner.run(made.answer(runner.run(made.requests(kind, requests))))


if __name__ == "__main__":
    _work(sys.argv[1], int(sys.argv[2]))
