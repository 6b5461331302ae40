"""Checks the seat numbers of a signed pool: none is given again before its last hold is over (L13, L18).

And no client is denied while a number is free that no other client can have had, or held after its last
token. A number may be held although its seat is gone, because a licence with fewer seats began and cut the
seat. The server cuts a seat when it learns of that licence, and a renewal before that does not prolong the
hold; so the checker ignores such a renewal.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate, pairwise

from chaos.checks.findings import Findings
from chaos.checks.lives import Lives
from chaos.checks.signed import Signed
from chaos.history import Final, Operation

ISSUING = frozenset({"grant", "refresh"})
_UNKNOWN = 0  # as a number


def check_numbers(lives: Lives, signed: Signed, operations: Iterable[Operation], findings: Findings) -> None:
    """Find tokens with the same number that were issued to different holders less than one hold apart."""
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
    """Find seats in the tables that share a number, or whose number is not that of the answers."""
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


class TakenNumbers:
    """When a holder may have had each number, or it may have been held after its last token."""

    def __init__(self, lives: Lives) -> None:
        spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for of_holder in lives.may_hold().values():
            for from_us, until_us, life in of_holder:
                spans[life.number if life is not None else _UNKNOWN].append((from_us, until_us))
        unknown = spans.pop(_UNKNOWN, [])
        self._unknown_from = sorted(from_us for from_us, _ in unknown)
        self._unknown_until = sorted(until_us for _, until_us in unknown)
        # For each number, in order: when it may have been taken, and until when it may have been held.
        self._from: dict[int, list[int]] = {}
        self._reach: dict[int, list[int]] = {}
        for number, of_one in spans.items():
            of_one.sort()
            self._from[number] = [from_us for from_us, _ in of_one]
            self._reach[number] = [*accumulate((until_us for _, until_us in of_one), max)]

    def may_be_all(self, most: int, from_us: int, until_us: int) -> bool:
        """Whether all numbers up to this one may have been taken or held during this time."""
        return most - len(self.free(most, from_us, until_us)) + self.unknown(from_us, until_us) >= most

    def free(self, most: int, from_us: int, until_us: int) -> list[int]:
        """The numbers up to this one that no known holder can have had during this time."""
        return [number for number in range(1, most + 1) if not self._may_be(number, from_us, until_us)]

    def unknown(self, from_us: int, until_us: int) -> int:
        """How many sessions may have had an unknown number during this time."""
        begun = bisect_right(self._unknown_from, until_us)
        return begun - bisect_left(self._unknown_until, from_us)

    def _may_be(self, number: int, from_us: int, until_us: int) -> bool:
        begun = bisect_right(self._from.get(number, ()), until_us)
        return begun > 0 and self._reach[number][begun - 1] >= from_us
