"""Checks that a pool never has more holders than seats (L6, L18), and denies none while a seat is free (L4).

Of all holders that must have a seat at one moment, one took its seat last. All others had theirs at that
time, so the pool must have had as many seats then: between the latest sending and the latest answer among the
grants that took the seats. So it is no finding if an administrator lowers the seats below the number in use,
but a new holder after that is one.
"""

import heapq
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from chaos.checks.findings import FindingKind, Findings
from chaos.checks.known import known_around
from chaos.checks.lives import Life, Lives
from chaos.checks.numbers import TakenNumbers
from chaos.checks.signed import Room
from chaos.history import Operation

BARRED = frozenset({"excluded", "not_included"})
BY_OPTIONS = frozenset({"max_reached", "reserved", "queued"}) | BARRED
DENIALS = frozenset({"all_in_use", "no_seats", "licence_expired", "licence_missing"}) | BY_OPTIONS


def check_holders(lives: Lives, seats: Room, operations: Sequence[Operation], findings: Findings) -> None:
    """Find the moments at which more holders certainly had a seat than the pool had seats."""
    check_most(
        lives.holding(),
        seats.most,
        seats.least_ever,
        Excess("over_issued", "moments at which every seat was held", "seats", lives.plan.name),
        operations,
        findings,
    )


class Excess(NamedTuple):
    """The words of a finding of too many holders: what was checked, and what there was too little of."""

    kind: FindingKind
    checked: str
    what: str
    tenant: str


def check_most(  # noqa: PLR0917 - called in few places
    lives: Iterable[Life],
    most_between: Callable[[int, int], int],
    least_ever: int,
    excess: Excess,
    operations: Sequence[Operation],
    findings: Findings,
) -> None:
    """Find the moments at which more of these holders certainly had a seat than can have been allowed."""
    grants: Mapping[str, Operation] | None = None
    active: dict[str, dict[str, Life]] = defaultdict(dict)  # by holder, its sessions by sid
    ends: list[tuple[int, str, str]] = []
    for life in sorted(lives, key=lambda life: life.received_us):
        at_us = life.received_us
        while ends and ends[0][0] < at_us:
            _, holder, sid = heapq.heappop(ends)
            del active[holder][sid]
            if not active[holder]:
                del active[holder]
        if life.must_hold_until_us < at_us:
            continue
        active[life.holder][life.sid] = life
        heapq.heappush(ends, (life.must_hold_until_us, life.holder, life.sid))
        if len(active) < least_ever:
            continue
        last_us = max(max(taken.since_us for taken in of_one.values()) for of_one in active.values())
        most = most_between(last_us, at_us)
        findings.checked[excess.checked] += len(active) == most
        if len(active) > most:
            if grants is None:
                grants = {operation.sid: operation for operation in operations if operation.kind == "grant"}
            text = f"{len(active)} holders of {most} {excess.what} in {excess.tenant} at {at_us}"
            held = (it for of_one in active.values() for it in of_one.values())
            findings.add(excess.kind, text, *(grants[life.sid] for life in held))


def check_denials(
    lives: Lives,
    seats: Room,
    operations: Iterable[Operation],
    findings: Findings,
    explains: Callable[[Operation], bool] = lambda _: False,
) -> None:
    """Find the denials that cannot be correct; `explains` says whether an option may be the reason."""
    checking = _Denials(lives, seats, explains)
    for operation in operations:
        if operation.kind != "grant" or operation.outcome not in DENIALS:
            continue
        if why := checking.why_not(operation):
            known = partial(known_around, lives, seats, operation)
            findings.add("unexplained_denial", why, operation, known=known)
        else:
            is_tight = operation.in_use == checking.most_in_use(operation)
            findings.checked["denials with as many in use as may have been, and no more"] += is_tight


class _Denials:
    """Checks the denials of one tenant against all that may have been true at their time."""

    def __init__(self, lives: Lives, seats: Room, explains: Callable[[Operation], bool]) -> None:
        self._lives = lives
        self._seats = seats
        self._explains = explains
        self._most = MostHolders(lives.may_hold().values())
        self._numbers = TakenNumbers(lives)
        self._must_hold: dict[str, list[Life]] = defaultdict(list)
        if lives.plan.duplicates != "none":
            for life in lives.holding():
                self._must_hold[life.holder].append(life)

    def most_in_use(self, operation: Operation) -> int:
        """The most holders that may have had a seat during an operation."""
        return self._most.between(operation.sent_us, operation.received_us)

    def why_not(self, operation: Operation) -> str:
        """Why a denial cannot be correct; '' where it can."""
        window = operation.sent_us, operation.received_us
        holder = self._lives.holder(operation.client, "")
        # EXCLUDE and INCLUDE are decided before all else (L15).
        is_barred = operation.outcome in BARRED
        if not is_barred and any(life.must_hold(*window) for life in self._must_hold[holder]):
            return f"{holder} holds a seat already (L2)"
        if not self._seats.may_be(operation.seats, *window):
            return f"there were not {operation.seats} seats"
        if operation.outcome in BY_OPTIONS and not self._explains(operation):
            return "no option is a reason"
        if operation.outcome not in BY_OPTIONS and (why := self._why_no_seat(operation)):
            return why
        if operation.in_use > (may := self.most_in_use(operation)):
            return f"{operation.in_use} seats in use, and {may} holders at most"
        return ""

    def _why_no_seat(self, operation: Operation) -> str:
        """Why the reason of a denial cannot be true; '' where it can."""
        window = operation.sent_us, operation.received_us
        signed = set[int]() if self._seats.signed is None else self._seats.signed.between(*window)
        if operation.outcome == "licence_expired":
            return "" if 0 in signed else "there was a licence"
        if operation.outcome == "licence_missing":
            return "there was a licence"
        if (operation.outcome == "no_seats") != (operation.seats == 0):
            return "" if operation.seats == 0 and 0 in signed else f"there were {operation.seats} seats"
        if operation.in_use >= operation.seats:
            return ""
        # A number may be held though its seat is gone.
        most = min((it for it in signed if it >= operation.seats), default=0)
        if most and self._numbers.may_be_all(most, *window):
            return ""
        free = ", ".join(str(it) for it in self._numbers.free(most, *window))
        unknown = self._numbers.unknown(*window)
        numbers = f"; of {most} numbers {free} are free, and {unknown} may have one of them" if most else ""
        return f"{operation.in_use} of {operation.seats} seats in use{numbers}"


class MostHolders:
    """How many holders may have had a seat at each moment.

    `holders` are the spans in which each holder may have had one: from, until.
    """

    def __init__(self, holders: Iterable[Sequence[tuple[int, int, Life | None]]]) -> None:
        edges: list[tuple[int, int]] = []
        for spans in holders:
            from_us, reach_us = -1, -1
            for begins_us, until_us, _ in spans:
                if begins_us > reach_us:
                    edges += [(from_us, 1), (reach_us + 1, -1)] if reach_us >= 0 else []
                    from_us = begins_us
                reach_us = max(reach_us, until_us)
            edges += [(from_us, 1), (reach_us + 1, -1)] if reach_us >= 0 else []
        self._at: list[int] = [0]
        self._count: list[int] = [0]
        count = 0
        for at_us, change in sorted(edges):
            count += change
            if at_us == self._at[-1]:
                self._count[-1] = count
            else:
                self._at.append(at_us)
                self._count.append(count)

    def between(self, from_us: int, until_us: int) -> int:
        """The most at any moment between these."""
        first = bisect_right(self._at, from_us) - 1
        return max(self._count[first : bisect_right(self._at, until_us)])
