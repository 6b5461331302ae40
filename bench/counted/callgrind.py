"""Counts the processor's instructions of a request with valgrind, if it is installed.

Unlike `bench guard`, this includes the work inside C code. It takes minutes, and the numbers depend on the
build of Python and its libraries; so there is no baseline, and they serve to compare two commits on one
machine. The same work runs with fewer and with more requests, and the difference is what the further requests
take.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.counted.overhead import without
from bench.counted.work import KINDS, work

_FEWER, _MORE = 64, 128


class NoValgrind(Exception):
    """valgrind is not installed; the text says how to get it."""


def count() -> Iterator[tuple[str, float]]:
    """The instructions of each kind of request.

    Raises NoValgrind.
    """
    for kind in KINDS:
        yield kind, count_one(kind)


def count_one(kind: str, parts: Sequence[str] = ()) -> float:
    """The instructions of a kind of request, without these parts (`bench.counted.overhead`).

    Raises NoValgrind.
    """
    if shutil.which("valgrind") is None:
        raise NoValgrind("this needs valgrind: apt-get install valgrind")
    fewer, more = (_instructions(kind, requests, parts) for requests in (_FEWER, _MORE))
    return (more - fewer) / (_MORE - _FEWER)


def _instructions(kind: str, requests: int, parts: Sequence[str]) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
    # Without this, sets have another order in each process.
    variables = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [*command, "-m", "bench.counted.callgrind", kind, str(requests), *parts],
        check=True,
        capture_output=True,
        text=True,
        env=variables,
        cwd=Path(__file__).parents[2],
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1])


def _work(kind: str, requests: int, parts: Sequence[str]) -> None:
    with (
        without(parts),
        tempfile.TemporaryDirectory() as scratch,
        work(Path(scratch)) as (made, runner),
    ):
        runner.run(made.answer(runner.run(made.requests(kind, requests))))


if __name__ == "__main__":
    _work(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
