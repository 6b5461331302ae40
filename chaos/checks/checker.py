"""The checker: compares a history with what the licence allows.

It is pure: records in, findings out. It trusts nothing but what clients sent and were answered, what
administrators did, and the tables after quiet. Where a history leaves a choice, the server has the benefit
of it: every finding is a mistake for certain (or one of the checker's), whatever happened unseen.

`check` takes the records of one run, in any order.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from chaos.checks.answers import check_answers
from chaos.checks.claims import check_claims
from chaos.checks.final_state import check_final, check_look
from chaos.checks.findings import Findings
from chaos.checks.ghosts import check_live
from chaos.checks.guards import check_calls
from chaos.checks.holders import check_denials, check_holders
from chaos.checks.limits import check_counts, limiting
from chaos.checks.line import check_line
from chaos.checks.lives import Lives
from chaos.checks.numbers import check_numbers
from chaos.checks.signed import Room
from chaos.checks.times import Faults, StoreClock
from chaos.history import (
    FOREVER,
    Action,
    AnyRecord,
    Begun,
    Fault,
    Figure,
    Final,
    Look,
    Operation,
    TenantPlan,
)

FAILOVER_S_MAX = 10.0
EXPIRY_S_MAX = 1.0
PROMOTED, FAILOVER, EXPIRY = "promoted", "failover", "expiry"
GRANTS_LOOKED_AT = 1000  # behind a promotion: among these is the one that was answered first


class Report(msgspec.Struct, kw_only=True):
    """What a run was, in figures, and what was found in it."""

    begun: Begun
    findings: Findings
    operations: Counter[str]
    outcomes: Counter[str]
    unanswered: int
    actions: Counter[str]
    faults: Counter[str]
    figures: dict[str, list[float]]
    seconds: float

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings.count


class _Sorted:
    """The records of a run, by what they are."""

    def __init__(self, records: Iterable[AnyRecord]) -> None:
        self.begun: Begun | None = None
        self.operations: list[Operation] = []
        self.actions: dict[str, list[Action]] = defaultdict(list)
        self.faults: list[Fault] = []
        self.figures: list[Figure] = []
        self.looks: list[Look] = []
        self.final: Final | None = None
        self.clocks: dict[str, StoreClock] = defaultdict(StoreClock)
        for record in records:
            self._put(record)
        self._settle()

    def _settle(self) -> None:
        """Say of grants whose answers were put off when they were decided, in the order of that."""
        clocks = self.clocks
        for operation in self.operations:
            clocks[operation.tenant].learn(operation)
        faults = Faults(self.faults)
        self.operations = [clocks[it.tenant].settled(it, faults) for it in self.operations]
        self.operations.sort(key=lambda operation: operation.sent_us)

    def _put(self, record: AnyRecord) -> None:
        match record:
            case Operation():
                self.operations.append(record)
            case Action():
                self.actions[record.tenant].append(record)
            case Fault():
                self.faults.append(record)
            case Figure():
                self.figures.append(record)
            case Look():
                self.looks.append(record)
            case Final():
                self.final = record
            case Begun():
                self.begun = record


def check(records: Iterable[AnyRecord]) -> Report:
    """Check the history of one run.

    Raises ValueError when the records are not those of a run.
    """
    found = _Sorted(records)
    if found.begun is None:
        raise ValueError("a history has a record of what was begun")
    findings = Findings()
    faults = Faults(found.faults, found.operations)
    by_tenant: dict[str, list[Operation]] = defaultdict(list)
    for operation in found.operations:
        by_tenant[operation.tenant].append(operation)
    for plan in found.begun.tenants:
        _check_tenant(plan, by_tenant[plan.name], found, faults, findings)
    for look in found.looks:
        check_look(look.pools, look, findings)
        check_counts(look, findings)
    if found.final is not None:
        check_counts(found.final, findings)
    return _report(found, found.begun, findings)


def _check_tenant(
    plan: TenantPlan, operations: list[Operation], found: _Sorted, faults: Faults, findings: Findings
) -> None:
    assert found.begun is not None
    actions = found.actions[plan.name]
    for action in actions:
        if action.done == "contradiction":
            findings.add("tables", f"an administrator's change was refused: {action.why}", action)
    seats = Room(plan, actions)
    lives = Lives(plan, operations, actions, faults, seats.signed)
    limits = limiting(plan, lives, seats, actions)
    check_holders(lives, seats, operations, findings)
    if limits is None:
        check_denials(lives, seats, operations, findings)
    else:
        limits.check(operations, findings)
        check_line(plan, lives, seats, limits, actions, faults, operations, findings)
        check_denials(lives, seats, operations, findings, limits.explains)
        check_live(plan, lives, found.looks, operations, found.clocks[plan.name], faults, findings)
    check_claims(plan, operations, findings)
    check_answers(lives, operations, actions, faults, findings)
    if seats.signed is not None:
        check_numbers(lives, seats.signed, operations, findings)
        check_calls(lives, seats.signed, operations, actions, found.begun, faults, findings)
    if found.final is not None:
        check_final(lives, seats, operations, found.final, findings)
        if limits is not None:
            its_seats = [seat for seat in found.final.seats if seat.tenant == plan.name]
            limits.check_counted(its_seats, found.final, findings)


def _measured(found: _Sorted, findings: Findings) -> dict[str, list[float]]:
    """What was measured, in seconds, by its name."""
    figures: dict[str, list[float]] = defaultdict(list)
    for figure in found.figures:
        if figure.name == PROMOTED:
            seconds = _failover_s(found.operations, figure)
            is_alone = all(
                fault.kind.startswith(FAILOVER) for fault in found.faults if _is_during(figure, fault)
            )
            figures[FAILOVER if is_alone else f"{FAILOVER} and more"].append(seconds)
            if is_alone and seconds > FAILOVER_S_MAX:
                findings.add("slow_failover", f"{seconds:.1f} s to the first grant", figure)
        else:
            figures[figure.name].append(figure.seconds)
            if figure.name.startswith(EXPIRY) and not 0 <= figure.seconds <= EXPIRY_S_MAX:
                findings.add("slow_seat", f"free {figure.seconds:.3f} s after its life", figure)
    return dict(figures)


def _is_during(figure: Figure, fault: Fault) -> bool:
    return fault.begun_us <= figure.at_us <= fault.ended_us


def _failover_s(operations: Sequence[Operation], promoted: Figure) -> float:
    """From a promotion to the first answer to a grant that was asked for after it."""
    first = bisect_left(operations, promoted.at_us, key=lambda operation: operation.sent_us)
    granted = (
        operation
        for operation in operations[first:]
        if operation.kind == "grant" and operation.outcome == "granted"
    )
    answered_us = min((grant.received_us for grant in islice(granted, GRANTS_LOOKED_AT)), default=FOREVER)
    return (answered_us - promoted.at_us) / 1e6


def _report(found: _Sorted, begun: Begun, findings: Findings) -> Report:
    figures = _measured(found, findings)
    return Report(
        begun=begun,
        findings=findings,
        operations=Counter(operation.kind for operation in found.operations),
        outcomes=Counter(
            f"{operation.kind} {operation.outcome or 'unanswered'}" for operation in found.operations
        ),
        unanswered=sum(operation.is_unknown for operation in found.operations),
        actions=Counter(
            action.kind for of_one in found.actions.values() for action in of_one if action.done == "done"
        ),
        faults=Counter(fault.kind for fault in found.faults),
        figures=figures,
        seconds=_span_s(found.operations),
    )


def _span_s(operations: Sequence[Operation]) -> float:
    """How long the operations took together."""
    return (operations[-1].sent_us - operations[0].sent_us) / 1e6 if operations else 0.0
