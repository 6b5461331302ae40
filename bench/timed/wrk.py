"""Rounds of wrk, the load generator: one thread of it sends prepared requests on many connections."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import NamedTuple

from bench.measured.wire import Answer, Request, host_of

_SCRIPT = Path(__file__).parent / "rows.lua"
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class NoWrk(Exception):
    """The load generator wrk is missing; the message says where to get it."""


class Round(NamedTuple):
    """The figures of wrk for one round.

    `rate` is answers a second; `p50_ms` and `p99_ms` are percentiles of the latency. `refused` answers had a
    status of 400 or more; `broken` requests had no answer. `wrk_cpu_s` is the processor time of wrk itself.
    """

    answers: int
    seconds: float
    rate: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int
    wrk_cpu_s: float


def must_be_there() -> str:
    """The version of wrk.

    Raises NoWrk.
    """
    if shutil.which("wrk") is None:
        raise NoWrk("this needs wrk, a load generator: apt-get install wrk, or brew install wrk")
    printed = subprocess.run(["wrk", "--version"], check=False, capture_output=True, text=True).stdout
    found = re.search(r"\d+\.\d+\.\d+", printed)
    return f"wrk {found[0]}" if found else "wrk"


def load(url: str, rows: Path, *, connections: int, seconds: int, answers: Path | None = None) -> Round:
    """Send the requests of a file of `write_rows` for `seconds`. Write the answers to `answers`, if given."""
    asked = command(url, rows, connections=connections, seconds=seconds)
    if answers is not None:
        asked.append(str(answers))
    before = getrusage(RUSAGE_CHILDREN)
    done = subprocess.run(asked, check=True, capture_output=True, text=True)
    after = getrusage(RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return read_report(done.stdout, used_s)


def command(url: str, rows: Path, *, connections: int, seconds: int) -> list[str]:
    """The command that sends the requests of a file of `write_rows` for `seconds`."""
    return [
        *("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
        *("--timeout", "20s", "--latency", "--script", str(_SCRIPT), url, "--", str(rows)),
    ]


def read_report(text: str, wrk_cpu_s: float = 0.0) -> Round:
    """Parse what wrk printed.

    Raises ValueError when a figure is missing.
    """
    totals = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if totals is None or rate is None:
        raise ValueError(f"wrk printed nothing: {text!r}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    return Round(
        answers=int(totals[1]),
        seconds=float(totals[2]) * _UNITS_MS[totals[3]] / 1000,
        rate=float(rate[1]),
        p50_ms=_percentile(text, "50%"),
        p99_ms=_percentile(text, "99%"),
        refused=int(refused[1]) if refused else 0,
        broken=sum(map(int, broken.groups())) if broken else 0,
        wrk_cpu_s=wrk_cpu_s,
    )


def _percentile(text: str, name: str) -> float:
    found = re.search(rf"\s{name}\s+([\d.]+)(us|ms|s|m)", text)
    if found is None:
        raise ValueError(f"wrk printed no {name}: {text!r}")
    return float(found[1]) * _UNITS_MS[found[2]]


def write_rows(path: Path, url: str, requests: Sequence[Request]) -> Path:
    """Write requests to a server into a file for `load`."""
    host = host_of(url)
    rows = [request.raw(host) for request in requests]
    assert not any(b"\0" in row for row in rows), "a NUL stands between requests"
    path.write_bytes(b"\0".join(rows))
    return path


def read_answers(path: Path) -> list[Answer]:
    """Read the answers that `load` wrote."""
    lines = path.read_bytes().splitlines()
    return [Answer(int(status), body) for status, _, body in (line.partition(b" ") for line in lines)]
