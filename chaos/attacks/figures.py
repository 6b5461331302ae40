"""Counts who is let in by the APIs during an attack, with which seat number, and whether that was too much.

The calls are counted outside the guards. The signed hold is six seconds, so that a minute has ten holds.
"""

import threading
from collections import Counter, defaultdict
from typing import Any, NamedTuple

from chaos.checks.guards import CLOCKS_S, Entry, beside, beyond_bound, hand_overs
from chaos.history import ACCESS_TTL_S_MAX, Operation

SEATS, HOLD_S = 5, 6
OVERLAP_S = HOLD_S / 12  # of two APIs that share a table


class Figures(NamedTuple):
    """The calls that the guards of one memory let in during an attack."""

    what: str
    memory: str
    calls: int
    let_in: int
    people: int
    hand_overs: int  # of the seat number with the most
    bound: int
    is_beyond: bool
    beside: int
    beside_s: float  # the longest time for which two holders of a number were let in

    @property
    def is_kept(self) -> bool:
        """Whether each number had one holder at a time, and changed hands no more often than the bound."""
        longest_s = OVERLAP_S if self.memory == "shared" else 0.0
        return not self.is_beyond and self.beside_s <= longest_s + 0.1


HEAD = "attack                     memory     calls   let in  people  hand-overs  bound  holders  beside  for"


def line_of(figures: Figures) -> str:
    """The figures as a line of the printed table."""
    return (
        f"{figures.what:<26} {figures.memory:<7} {figures.calls:8,} {figures.let_in:8,} {figures.people:7,}"
        f" {figures.hand_overs:11,} {figures.bound:6,} {2 if figures.beside else 1:8} {figures.beside:7,}"
        f" {figures.beside_s:8.2f} s{'' if figures.is_kept else '   BROKEN'}"
    )


class Calls:
    """The calls that one memory let in, by seat number; many threads add to it."""

    def __init__(self) -> None:
        self.calls = 0
        self._entries: dict[Any, list[Entry]] = defaultdict(list)
        self._lock = threading.Lock()

    def add(self, number: Any, entry: Entry | None) -> None:
        """Add a call; None is one that was refused."""
        with self._lock:
            self.calls += 1
            if entry is not None:
                self._entries[number].append(entry)

    def figures(self, what: str, memory: str, seconds: float) -> Figures:
        """The figures of all calls."""
        overlap_us = round(OVERLAP_S * 1e6) if memory == "shared" else 0
        most, pairs, longest_us, is_beyond = 0, 0, 0, False
        for entries in self._entries.values():
            entries.sort(key=lambda it: it.operation.sent_us)
            overs = hand_overs(entries)
            most = max(most, len(overs))
            is_beyond |= beyond_bound(overs, HOLD_S, ACCESS_TTL_S_MAX) is not None
            found: Counter[int] = Counter()
            for before, then in beside(entries, HOLD_S, overlap_us=overlap_us, after_us=0):
                found[id(then)] += 1
                longest_us = max(longest_us, then.operation.sent_us - before.operation.received_us)
            pairs += len(found)
        holders = {it.holder for entries in self._entries.values() for it in entries}
        return Figures(
            what=what,
            memory=memory,
            calls=self.calls,
            let_in=sum(map(len, self._entries.values())),
            people=len(holders),
            hand_overs=most,
            bound=int(1 + (2 * seconds + ACCESS_TTL_S_MAX + 2 * CLOCKS_S) / HOLD_S),
            is_beyond=is_beyond,
            beside=pairs,
            beside_s=longest_us / 1e6,
        )


def entry_of(holder: str, issued_s: int, number: int, sent_us: int, received_us: int) -> Entry:
    """The entry of a call that was let in."""
    operation = Operation(
        kind="call",
        sent_us=sent_us,
        received_us=received_us,
        node=0,
        tenant="",
        client=holder,
        licensed=True,
        outcome="let_in",
        number=number,
    )
    return Entry(holder, issued_s, 0, operation)
