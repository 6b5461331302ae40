"""The numbers of seats of a signed pool: nobody gets one before another's hold of it is over (L13, L18)."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from chaos.findings import Findings
from chaos.history import Final, Operation
from chaos.lives import Lives
from chaos.signed import Signed

ISSUING = frozenset({"grant", "refresh"})


def check_numbers(lives: Lives, signed: Signed, operations: Iterable[Operation], findings: Findings) -> None:
    """Find tokens of different holders of a number that were issued less than a hold apart."""
    issued: dict[int, list[tuple[int, str, Operation]]] = defaultdict(list)
    most = max(signed.values)
    for operation in operations:
        life = lives.by_sid.get(operation.sid)
        if life is None or not life.number:
            continue
        if operation.number not in {0, life.number}:
            findings.add("early_number", f"{life.sid} has number {life.number} as well", operation)
        if operation.kind in ISSUING and operation.outcome == "granted" and operation.issued_ms:
            issued[life.number].append((operation.issued_ms, life.holder, operation))
        if operation.number > most:
            findings.add("early_number", f"no licence has as many as {operation.number} seats", operation)
    hold_ms = lives.plan.hold_s * 1000
    for number, of_one in issued.items():
        of_one.sort(key=lambda it: it[0])
        for (before_ms, before, first), (then_ms, then, second) in pairwise(of_one):
            if before == then:
                continue
            findings.checked["hand-overs of a number by Licet"] += 1
            if then_ms - before_ms < hold_ms:
                text = f"number {number} of {before} was {then}'s after {then_ms - before_ms} ms"
                findings.add("early_number", text, first, second)


def check_numbers_at_the_end(lives: Lives, final: Final, findings: Findings) -> None:
    """Find seats in the tables with another number than their sessions were told, or with the same one."""
    seats = {it.holder: it.number for it in final.seats if it.tenant == lives.plan.name}
    numbers = [*seats.values()]
    if len(set(numbers)) < len(numbers) or 0 in numbers:
        findings.add("tables", f"{lives.plan.name}: seats have the numbers {sorted(numbers)}")
    for row in final.sessions:
        life = lives.by_sid.get(row.sid)
        if life is None or not life.number or row.expires_at_ms <= final.now_ms:
            continue
        if seats.get(life.holder) != life.number:
            text = f"{life.sid} was told number {life.number}, and its seat has {seats.get(life.holder)}"
            findings.add("tables", text)
