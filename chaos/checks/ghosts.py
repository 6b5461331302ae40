"""Finds ghost seats in pools with a line: live sessions of which no client was told (L19).

Such a session may exist where a grant was not answered. Where the client left while it waited, a grant may
still have been decided until moments after that, as the answer may have been on its way; none is decided
later. A client that left and was then answered that it has no seat, has none: a seat that was being granted
to it was given back before that answer, or as soon as the store could be reached.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from chaos.checks.findings import Findings
from chaos.checks.lives import Lives
from chaos.checks.times import ALLOWANCE_US, Faults, StoreClock
from chaos.history import LiveRow, Look, Operation, TenantPlan

SEEN = "sessions with a seat that a look found: clients know of them"
LOST = "sessions with a seat that a look found: nobody's, by grants without an answer"
GONE = "sessions with a seat that a look found: nobody's, granted as their clients left"
NOW = "sessions with a seat that a look found: nobody's, being given back"
NEAR_US = 60_000_000  # a finding shows the clients that left within this time before it


def check_live(  # noqa: PLR0917 - what the checks of a tenant are given
    plan: TenantPlan,
    lives: Lives,
    looks: Iterable[Look],
    operations: Sequence[Operation],
    clock: StoreClock,
    faults: Faults,
    findings: Findings,
) -> None:
    """Find those that no grant explains, each once."""
    grants: dict[str, list[Operation]] = defaultdict(list)
    for it in operations:
        if it.kind == "grant" and it.licensed and (it.is_unknown or it.left_us):
            grants[it.client].append(it)
    told: set[str] = set()
    for look in looks:
        for row in look.live:
            if row.tenant != plan.name:
                continue
            findings.checked[SEEN] += row.sid in lives.by_sid
            if row.sid not in lives.by_sid and row.sid not in told:
                told.add(row.sid)
                _check(row, look, grants[row.client], clock, faults, findings)


def _check(  # noqa: PLR0917 - one step of the above
    row: LiveRow,
    look: Look,
    grants: Sequence[Operation],
    clock: StoreClock,
    faults: Faults,
    findings: Findings,
) -> None:
    begun = clock.span_us(row.started_ms)
    if begun is None:
        return
    why = {_why(begun, look, grant, faults) for grant in grants} - {""}
    if why:
        findings.checked[min(why)] += 1
        return
    text = f"{row.sid} of {row.client}, begun between {begun[0]} and {begun[1]}, is nobody's"
    near = [it for it in grants if _asked_us(it) <= begun[1] and begun[0] <= _known_us(it) + NEAR_US]
    findings.add("ghost_seat", text, replace(look, pools=(), counts=(), lines=(), live=(row,)), *near)


def _why(begun: tuple[int, int], look: Look, grant: Operation, faults: Faults) -> str:
    """Why this grant may have begun a session that is found alive; '' where it cannot have."""
    asked_us = _asked_us(grant)
    if grant.is_unknown:
        is_by_it = asked_us <= begun[1] and begun[0] <= faults.by_us(grant)
        return (GONE if grant.left_us else LOST) if is_by_it else ""
    # It heard that it has no seat.
    if not asked_us <= begun[1] or begun[0] > grant.received_us:
        return ""
    is_now = look.begun_us <= grant.received_us + ALLOWANCE_US
    return NOW if is_now or not faults.is_noticed(grant) else ""


def _asked_us(grant: Operation) -> int:
    return grant.asked_us or grant.sent_us


def _known_us(grant: Operation) -> int:
    return grant.received_us or grant.left_us or grant.lost_us
