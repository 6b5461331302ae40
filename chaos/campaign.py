"""Runs many operations in parts: each part is a run with a seed of its own, which is checked at its end.

The result of each part is a line of the file `parts` in the directory. A second call with the same directory
continues after the last line, and repeats a part that was interrupted. The history of a part is removed if it
has no findings.
"""

import random
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from chaos.checks.checker import Report, check
from chaos.checks.holders import DENIALS
from chaos.history import read_history
from chaos.report import summary
from chaos.run import Options, Run

PART = 250_000
PARTS = "parts"
_DAY_S = 24 * 3600.0


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one part."""

    seed: int
    store: str
    operations: int
    granted: int
    denied: int
    unanswered: int
    faults: int
    seconds: float
    findings: dict[str, int]
    checked: dict[str, int]


def make_many(options: Options, directory: Path, operations: int, part: int) -> int:
    """Run the parts that are left of so many operations; returns the exit code, 1 after the first finding."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that all child processes are ended too
    parts = read_parts(directory / PARTS)
    while (done := sum(made.operations for made in parts)) < operations:
        number, began_s = len(parts), time.monotonic()
        print(f"part {number + 1}: {done:,} of {operations:,} operations are made", flush=True)
        made = _make(options, directory / str(number + 1), min(part, operations - done), number)
        with (directory / PARTS).open("ab") as file:
            file.write(msgspec.json.encode(made) + b"\n")
        parts.append(made)
        left_s = (
            (operations - done - made.operations) * (time.monotonic() - began_s) / max(1, made.operations)
        )
        print(f"{in_all(parts)}\nabout {max(0.0, left_s) / 60:.0f} minutes left", flush=True)
        if made.findings:
            return 1
    return int(any(made.findings for made in parts))


def read_parts(path: Path) -> list[Part]:
    """The results of the finished parts; an incomplete line is left out."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [msgspec.json.decode(line, type=Part) for line in lines if line.endswith(b"\n")]


def in_all(parts: Sequence[Part]) -> str:
    """The sum of all parts, in a line."""
    found = sum(sum(made.findings.values()) for made in parts)
    tight = sum(made.checked.get("moments at which every seat was held", 0) for made in parts)
    return (
        f"in all {sum(made.operations for made in parts):,} operations in {len(parts)} parts,"
        f" {sum(made.granted for made in parts):,} granted, {sum(made.denied for made in parts):,} denied,"
        f" {sum(made.unanswered for made in parts):,} unanswered,"
        f" {sum(made.faults for made in parts):,} faults,"
        f" {tight:,} moments at which every seat was held: {found:,} findings"
    )


def _make(options: Options, directory: Path, operations: int, number: int) -> Part:
    if directory.exists():  # the part was interrupted
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    seed = random.Random(f"{options.seed} {number}").randrange(1, 1 << 32)
    options = msgspec.structs.replace(options, seed=seed, seconds=_DAY_S, operations_max=operations)
    run = Run(options, directory)
    try:
        run.run()
    except TimeoutError as fault:  # Licet did not recover from a fault; the answers until then still count.
        print(f"The part ended early: {fault}", flush=True)
    report = check(read_history(run.files()))
    print(summary(report), flush=True)
    if report.is_clean:
        shutil.rmtree(directory)
    return _part(report)


def _part(report: Report) -> Part:
    return Part(
        seed=report.run_plan.seed,
        store=report.run_plan.store,
        operations=report.operations.total(),
        granted=report.outcomes["grant granted"],
        denied=sum(report.outcomes[f"grant {reason}"] for reason in DENIALS),
        unanswered=report.unanswered,
        faults=report.faults.total(),
        seconds=report.seconds,
        findings={str(kind): count for kind, count in report.findings.count.items()},
        checked=dict(report.findings.checked),
    )
