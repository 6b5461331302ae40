"""Compares the history of a run with the licence rules, and reports each contradiction as a finding.

It is pure: it takes records and returns findings. It trusts only the requests and answers of clients, the
actions of administrators, and the tables at the end of the run. Where the history leaves open what happened,
the server has the benefit of the doubt: so every finding is certainly a defect, of Licet or of the checker.

`check` takes the records of one run, in any order.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from chaos.checks.answers import check_answers
from chaos.checks.assertions import check_assertions, not_in_vain
from chaos.checks.claims import check_claims
from chaos.checks.final_state import check_final, check_sample
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
from chaos.checks.upkeep import check_upkeep
from chaos.history import (
    FOREVER,
    Action,
    AnyRecord,
    Fault,
    Figure,
    Final,
    Operation,
    RunPlan,
    Sample,
    TenantPlan,
    Upkeep,
)

FAILOVER_S_MAX = 10.0
EXPIRY_S_MAX = 1.0
PROMOTED, FAILOVER, EXPIRY = "promoted", "failover", "expiry"
UPKEEP = "upkeep after the load"
GRANTS_AFTER_PROMOTION = 1000  # among these is the one that was answered first


class Report(msgspec.Struct, kw_only=True):
    """The figures of a run, and the findings in its history."""

    run_plan: RunPlan
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
    """The records of a run, by their kind."""

    def __init__(self, records: Iterable[AnyRecord]) -> None:
        self.run_plan: RunPlan | None = None
        self.operations: list[Operation] = []
        self.actions: dict[str, list[Action]] = defaultdict(list)
        self.faults: list[Fault] = []
        self.figures: list[Figure] = []
        self.samples: list[Sample] = []
        self.final: Final | None = None
        self.upkeep: Upkeep | None = None
        self.clocks: dict[str, StoreClock] = defaultdict(StoreClock)
        for record in records:
            self._put(record)
        self._date_operations()

    def _date_operations(self) -> None:
        """Find when delayed grants were decided at the earliest, and sort all operations by this moment."""
        clocks = self.clocks
        for operation in self.operations:
            clocks[operation.tenant].learn(operation)
        faults = Faults(self.faults)
        self.operations = [clocks[it.tenant].dated(it, faults) for it in self.operations]
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
            case Sample():
                self.samples.append(record)
            case Final():
                self.final = record
            case Upkeep():
                self.upkeep = record
            case RunPlan():
                self.run_plan = record


def check(records: Iterable[AnyRecord]) -> Report:
    """Check the history of one run.

    Raises ValueError when the records are not those of a run.
    """
    found = _Sorted(records)
    if found.run_plan is None:
        raise ValueError("a history needs a record of its run")
    findings = Findings()
    faults = Faults(found.faults, found.operations)
    by_tenant: dict[str, list[Operation]] = defaultdict(list)
    for operation in found.operations:
        by_tenant[operation.tenant].append(operation)
    for plan in found.run_plan.tenants:
        _check_tenant(plan, by_tenant[plan.name], found, faults, findings)
    for sample in found.samples:
        check_sample(sample.pools, sample, findings)
        check_counts(sample, findings)
    if found.final is not None:
        check_counts(found.final, findings)
    if found.upkeep is not None:
        check_upkeep(found.upkeep, findings)
    return _report(found, found.run_plan, findings)


def _check_tenant(
    plan: TenantPlan, operations: list[Operation], found: _Sorted, faults: Faults, findings: Findings
) -> None:
    assert found.run_plan is not None
    actions = found.actions[plan.name]
    for action in actions:
        if action.done == "contradiction":
            findings.add("tables", f"an administrator's change was refused: {action.why}", action)
    check_assertions(operations, actions, found.faults, faults, findings)
    operations = not_in_vain(operations, findings)
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
        check_live(plan, lives, found.samples, operations, found.clocks[plan.name], faults, findings)
    check_claims(plan, operations, findings)
    check_answers(lives, operations, actions, faults, findings)
    if seats.signed is not None:
        check_numbers(lives, seats.signed, operations, findings)
        check_calls(lives, seats.signed, operations, actions, found.run_plan, faults, findings)
    if found.final is not None:
        check_final(lives, seats, operations, found.final, findings)
        if limits is not None:
            its_seats = [seat for seat in found.final.seats if seat.tenant == plan.name]
            limits.check_counted(its_seats, found.final, findings)


def _measured(found: _Sorted, findings: Findings) -> dict[str, list[float]]:
    """The measured figures in seconds, by name."""
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
    if found.upkeep is not None:
        figures[UPKEEP].append((found.upkeep.ended_us - found.upkeep.begun_us) / 1e6)
    return dict(figures)


def _is_during(figure: Figure, fault: Fault) -> bool:
    return fault.begun_us <= figure.at_us <= fault.ended_us


def _failover_s(operations: Sequence[Operation], promoted: Figure) -> float:
    """The time from a promotion to the first answer to a grant that was sent after it."""
    first = bisect_left(operations, promoted.at_us, key=lambda operation: operation.sent_us)
    granted = (
        operation
        for operation in operations[first:]
        if operation.kind == "grant" and operation.outcome == "granted"
    )
    first_ones = islice(granted, GRANTS_AFTER_PROMOTION)
    answered_us = min((grant.received_us for grant in first_ones), default=FOREVER)
    return (answered_us - promoted.at_us) / 1e6


def _report(found: _Sorted, run_plan: RunPlan, findings: Findings) -> Report:
    figures = _measured(found, findings)
    return Report(
        run_plan=run_plan,
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
    """The time from the first operation to the last one."""
    return (operations[-1].sent_us - operations[0].sent_us) / 1e6 if operations else 0.0
