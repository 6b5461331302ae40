"""Finds ghost seats in pools with a line: live sessions that no client knows of (L19).

Such a session may exist where a grant was not answered. If the client left while it waited, Licet may still
have granted until moments later, because the answer may have been on its way, and never after that. A client
that left and was then answered that it has no seat, has none: Licet gave back the seat that it was granting
before that answer, or as soon as it could reach the store.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from chaos.checks.findings import Findings
from chaos.checks.lives import Lives
from chaos.checks.times import ALLOWANCE_US, Faults, StoreClock
from chaos.history import LiveRow, Operation, Sample, TenantPlan

SEEN = "sessions with a seat that a sample found: clients know of them"
LOST = "sessions with a seat that a sample found: nobody's, by grants without an answer"
GONE = "sessions with a seat that a sample found: nobody's, granted as their clients left"
NOW = "sessions with a seat that a sample found: nobody's, being given back"
NEAR_US = 60_000_000  # a finding shows the clients that left within this time before it


def check_live(  # noqa: PLR0917 - what the checks of a tenant are given
    plan: TenantPlan,
    lives: Lives,
    samples: Iterable[Sample],
    operations: Sequence[Operation],
    clock: StoreClock,
    faults: Faults,
    findings: Findings,
) -> None:
    """Find each live session that no grant explains, and report it once."""
    grants: dict[str, list[Operation]] = defaultdict(list)
    for it in operations:
        if it.kind == "grant" and it.licensed and (it.is_unknown or it.left_us):
            grants[it.client].append(it)
    reported: set[str] = set()
    for sample in samples:
        for row in sample.live:
            if row.tenant != plan.name:
                continue
            findings.checked[SEEN] += row.sid in lives.by_sid
            if row.sid not in lives.by_sid and row.sid not in reported:
                reported.add(row.sid)
                _check(row, sample, grants[row.client], clock, faults, findings)


def _check(  # noqa: PLR0917 - one step of the above
    row: LiveRow,
    sample: Sample,
    grants: Sequence[Operation],
    clock: StoreClock,
    faults: Faults,
    findings: Findings,
) -> None:
    begun = clock.span_us(row.started_ms)
    if begun is None:
        return
    why = {_why(begun, sample, grant, faults) for grant in grants} - {""}
    if why:
        findings.checked[min(why)] += 1
        return
    text = f"{row.sid} of {row.client}, begun between {begun[0]} and {begun[1]}, is nobody's"
    near = [it for it in grants if _asked_us(it) <= begun[1] and begun[0] <= _known_us(it) + NEAR_US]
    findings.add("ghost_seat", text, replace(sample, pools=(), counts=(), lines=(), live=(row,)), *near)


def _why(begun: tuple[int, int], sample: Sample, grant: Operation, faults: Faults) -> str:
    """How this grant may have begun a session that was found alive; '' where it cannot have."""
    asked_us = _asked_us(grant)
    if grant.is_unknown:
        is_possible = asked_us <= begun[1] and begun[0] <= faults.by_us(grant)
        return (GONE if grant.left_us else LOST) if is_possible else ""
    # The client was answered that it has no seat.
    if not asked_us <= begun[1] or begun[0] > grant.received_us:
        return ""
    is_now = sample.begun_us <= grant.received_us + ALLOWANCE_US
    return NOW if is_now or not faults.is_noticed(grant) else ""


def _asked_us(grant: Operation) -> int:
    return grant.asked_us or grant.sent_us


def _known_us(grant: Operation) -> int:
    return grant.received_us or grant.left_us or grant.lost_us
