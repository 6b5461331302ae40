"""Measures a cell: its contenders in turn, round by round; and summarises it for a table.

The first round warms up: all its answers are kept and checked, and its times do not count. It is repeated,
unchecked, until the contender has answered as much as it needs to be warm. In each later round every
contender has a turn, and the result is the ratio within a round: machines differ and are noisy, but much less
from one second to the next.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any, NamedTuple

from bench.measured.targets import FLOOR
from bench.timed import wrk
from bench.timed.contenders import Cell, Contender
from bench.timed.scenarios import TooFewRows, WrongAnswer
from bench.timed.wrk import Round

_RATE_FIRST = 6000  # requests a second that are prepared for the first round
_MARGIN = 2
_WARM_UPS_MAX = 10  # rounds of a contender that is slow
_SECONDS_OF_THE_SLOWEST = 10  # length of a round for a peer that answers nothing in a shorter one


class Measured(NamedTuple):
    """One round: the figures of wrk, and the processor time of server and database per answer, in us."""

    round: Round
    cpu_us: float
    database_cpu_us: float


class Found(NamedTuple):
    """The rounds of each contender; and for each that left, the reason."""

    rounds: dict[str, list[Measured]]
    left: dict[str, str]


class Length(NamedTuple):
    """How many rounds count, and the length of each."""

    rounds: int
    seconds: int


def measure(cell: Cell, contenders: Mapping[str, Contender], length: Length, directory: Path) -> Found:
    """Measure the rounds of each contender. A peer that answers wrongly or not at all leaves the cell."""
    contenders = dict(contenders)
    rounds: dict[str, list[Measured]] = {name: [] for name in contenders}
    left: dict[str, str] = {}
    expected = dict.fromkeys(contenders, _RATE_FIRST * length.seconds)
    for number in range(length.rounds + 1):
        sent = {
            name: _rows(contenders[name], number, expected[name], directory / f"{name}.rows")
            for name in sorted(
                contenders, key=lambda name: name.endswith(FLOOR)
            )  # it is sent what a Licet is sent
        }
        for name, contender in list(contenders.items()):
            try:
                measured = _round(cell, contender, sent[name], length.seconds, is_checked=number == 0)
            except TooFewRows:
                expected[name] *= 3
                rows = _rows(contender, number, expected[name], sent[name])
                measured = _round(cell, contender, rows, length.seconds, is_checked=number == 0)
            except WrongAnswer as fault:
                if not contender.may_leave:
                    raise
                left[name] = str(fault)
                print(f"  {name} leaves: {fault}", flush=True)
                del contenders[name], rounds[name]
                continue
            expected[name] = max(expected[name], int(measured.round.rate * length.seconds * _MARGIN))
            if number:
                rounds[name].append(measured)
            else:
                _warm_up(cell, contender, sent[name], length.seconds, measured.round.answers)
    return Found(rounds, left)


def _warm_up(cell: Cell, contender: Contender, rows: Path, seconds: int, answers: int) -> None:
    """Send the rows on, until the contender is warm; it has answered so many of them."""
    for _ in range(_WARM_UPS_MAX):
        if answers >= contender.answers_first:
            return
        answers += _round(cell, contender, rows, seconds, is_checked=False).round.answers


def _rows(contender: Contender, number: int, expected: int, path: Path) -> Path:
    requests = [row.request for row in contender.rows(number, expected)]
    return wrk.write_rows(path, contender.target.url, requests)


def _round(cell: Cell, contender: Contender, rows: Path, seconds: int, *, is_checked: bool) -> Measured:
    target = contender.target
    answers = rows.with_suffix(".answers") if is_checked else None
    seconds = max(seconds, contender.seconds_least)
    with contender.turn():
        cpu_s, database_cpu_s = target.cpu_s(), target.database_cpu_s()
        try:
            found = wrk.load(target.url, rows, connections=cell.connections, seconds=seconds, answers=answers)
        except (CalledProcessError, ValueError) as fault:
            why = getattr(fault, "stderr", None) or fault
            raise WrongAnswer(f"{target.name} cannot be asked: {why}") from fault
        cpu_s, database_cpu_s = target.cpu_s() - cpu_s, target.database_cpu_s() - database_cpu_s
    if not found.answers and contender.may_leave and seconds < _SECONDS_OF_THE_SLOWEST:
        return _round(cell, contender, rows, _SECONDS_OF_THE_SLOWEST, is_checked=is_checked)
    if found.broken or not found.answers:
        raise WrongAnswer(f"{target.name}: {found.answers} answers, {found.broken} broken connections")
    contender.was_sent(found.answers, found.refused)
    if answers is not None:
        contender.check(wrk.read_answers(answers))
        answers.unlink()
    each_us = 1e6 / found.answers
    return Measured(found, cpu_s * each_us, database_cpu_s * each_us)


def summary(cell: Cell, clients: int, found: Found) -> dict[str, Any]:
    """The cell in the result file: medians, the raw rounds, and the contenders that left."""
    floors = found.rounds[FLOOR]
    return {
        "scenario": cell.scenario.name,
        "connections": cell.connections,
        "clients": clients,
        "targets": {name: _target(rounds, floors) for name, rounds in found.rounds.items()},
        "left": found.left,
    }


def _target(rounds: Sequence[Measured], floors: Sequence[Measured]) -> dict[str, Any]:
    ratios = sorted(ours.round.rate / its.round.rate for ours, its in zip(rounds, floors, strict=True))
    return {
        "rate": statistics.median(taken.round.rate for taken in rounds),
        "p50_ms": statistics.median(taken.round.p50_ms for taken in rounds),
        "p99_ms": statistics.median(taken.round.p99_ms for taken in rounds),
        "cpu_us": statistics.median(taken.cpu_us for taken in rounds),
        "database_cpu_us": statistics.median(taken.database_cpu_us for taken in rounds),
        "ratio": statistics.median(ratios),
        "ratio_least": ratios[0],
        "ratio_most": ratios[-1],
        "rounds": [
            taken.round._asdict() | {"cpu_us": taken.cpu_us, "database_cpu_us": taken.database_cpu_us}
            for taken in rounds
        ],
    }
