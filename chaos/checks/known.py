"""Describes who may have had the seats of a tenant around a denial, and why.

An unexplained denial is printed with this, so that a reader sees what nearly explains it without reading the
whole history. Times are in seconds after the request that was denied; sessions have the id by which `grep`
finds them.
"""

from collections.abc import Iterator

from chaos.checks.lives import Life, Lives
from chaos.checks.signed import Room
from chaos.checks.times import ALLOWANCE_US
from chaos.history import FOREVER, Operation

LINES_MAX = 60  # more than any tenant has seats, and sessions within one hold


def known_around(lives: Lives, seats: Room, denial: Operation) -> list[str]:
    """The seats that may have been held, with holder, time and number; then the settings and licences."""
    plan = lives.plan
    before_us = max(plan.hold_s, plan.session_ttl_s) * 1_000_000 + ALLOWANCE_US
    from_us, until_us = denial.sent_us - before_us, denial.received_us
    lines = [f"answered after {_at(denial.received_us, denial)}"]
    lines += _held(lives, denial)
    lines.append(
        f"seats that were set since {_at(from_us, denial)}: {_all(seats.set.between(from_us, until_us))}"
    )
    if seats.signed is not None:
        lines += [
            f"licences from {_at(begun_us, denial)} to {_at(ended_us, denial)} at most gave {steps}"
            for begun_us, ended_us, signed in seats.signed.functions(from_us, until_us)
            if (steps := ", ".join(f"{number} from {_at(at_us, denial)}" for at_us, number in signed))
        ]
    return [*lines[:LINES_MAX], *([f"and {len(lines) - LINES_MAX} more"] if len(lines) > LINES_MAX else [])]


def _held(lives: Lives, denial: Operation) -> Iterator[str]:
    """The holders that may have had a seat at the denial, or within one hold before."""
    from_us = denial.sent_us - lives.plan.hold_s * 1_000_000 - ALLOWANCE_US
    for holder, spans in sorted(lives.may_hold().items()):
        for may_from_us, may_until_us, life in spans:
            if may_from_us > denial.received_us or may_until_us < from_us:
                continue
            may = f"{holder} may hold from {_at(may_from_us, denial)} to {_at(may_until_us, denial)}"
            yield f"{may}, {_of(life, denial) if life is not None else 'by a grant that nobody answered'}"


def _of(life: Life, denial: Operation) -> str:
    must = f"must from {_at(life.received_us, denial)} to {_at(life.must_hold_until_us, denial)}"
    token = f"last token at {_at(life.renewed_sent_us, denial)} to {_at(life.renewed_by_us, denial)}"
    ends = ((life.ended_us, "ended by"), (life.cut_us, "may be cut from"))
    ended = [f"{how} {_at(at_us, denial)}" for at_us, how in ends if at_us < FOREVER]
    number = f"number {life.number or 'unknown'}" if life.number or life.hold_us else "no number"
    return ", ".join((number, f"session {life.sid}", must, token, *ended))


def _at(at_us: int, denial: Operation) -> str:
    """A moment, in seconds after the request that was denied."""
    if at_us >= FOREVER:
        return "the end"
    return f"{(at_us - denial.sent_us) / 1e6:+.3f} s" if at_us > 0 else "the beginning"


def _all(numbers: set[int]) -> str:
    return ", ".join(str(number) for number in sorted(numbers))
