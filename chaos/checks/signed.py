"""Finds how many seats a pool may have had at each moment, by its settings and by its licences.

The number of signed seats changes by actions of administrators, and when a licence begins or expires. The
time of the latter is known to within `ALLOWANCE_US`, because the store has a clock of its own.

A function here is the number of signed seats over time by the licences of one moment: a tuple of steps, each
with its beginning and its number of seats.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

from chaos.checks.times import ALLOWANCE_US, Seats
from chaos.history import FOREVER, Action, Operation, TenantPlan


class Signed:
    """All numbers of seats that may have been signed for a pool at each moment."""

    def __init__(self, plan: TenantPlan, actions: Sequence[Action]) -> None:
        ordered = sorted((it for it in actions if it.kind == "licence"), key=lambda it: it.begun_us)
        spans = [*_spans(((0, plan.signed),), 0, _undone_us(0, ordered))]
        for at, action in enumerate(ordered, start=1):
            spans += _spans(action.signed, action.begun_us, _undone_us(action.ended_us, ordered[at:]))
        edges = sorted({0, *(from_us for from_us, _, _ in spans), *(until_us for _, until_us, _ in spans)})
        self._from = edges
        self._possible: list[set[int]] = [set() for _ in edges]
        for from_us, until_us, seats in spans:
            for at in range(bisect_left(edges, from_us), bisect_left(edges, until_us)):
                self._possible[at].add(seats)
        self.values = frozenset(seats for _, _, seats in spans)
        # The times from and until which each function may have been in effect, and the function.
        at_first: tuple[tuple[int, int], ...] = ((0, plan.signed),)
        self._functions = [(0, _undone_us(0, ordered), at_first)]
        self._functions += [
            (action.begun_us, _undone_us(action.ended_us, ordered[at:]), action.signed)
            for at, action in enumerate(ordered, start=1)
        ]

    def between(self, from_us: int, until_us: int) -> set[int]:
        """All numbers that may have been signed at some moment of this time."""
        first = max(0, bisect_right(self._from, from_us) - 1)
        return set().union(*self._possible[first : max(first + 1, bisect_right(self._from, until_us))])

    def functions(self, from_us: int, until_us: int) -> list[tuple[int, int, tuple[tuple[int, int], ...]]]:
        """The functions that may have been in effect during this time, with their own times."""
        return [it for it in self._functions if it[0] <= until_us and from_us <= it[1]]

    def may_be_below_from(self, number: int, from_us: int) -> int:
        """From when on, after this moment, a session with this number may have been over.

        A server cuts a session once it knows of a future step, and a renewal before that does not prolong it.
        """
        found = FOREVER
        for begun_us, until_us, signed in self._functions:
            if until_us < from_us or begun_us >= found:
                continue
            first_us = max(from_us, begun_us)
            for at, (begins_us, seats) in enumerate(signed):
                ends_us = signed[at + 1][0] + ALLOWANCE_US if at + 1 < len(signed) else FOREVER
                if seats < number and ends_us >= first_us:
                    found = min(found, max(first_us, begins_us - ALLOWANCE_US))
                    break
        return found

    def must_be_below_from(self, number: int, from_us: int) -> int:
        """From when on, after this moment, fewer seats than `number` were certainly signed."""
        return self._first(from_us, lambda possible: max(possible) < number)

    def _first(self, from_us: int, holds: Callable[[set[int]], bool]) -> int:
        for at in range(max(0, bisect_right(self._from, from_us) - 1), len(self._from)):
            if self._possible[at] and holds(self._possible[at]):
                return max(from_us, self._from[at])
        return FOREVER


class Room:
    """The numbers of seats that a pool may have had: the lesser of its setting and its signed seats."""

    def __init__(self, plan: TenantPlan, actions: Sequence[Action]) -> None:
        self.set = Seats(plan.seats, actions)
        self.signed = Signed(plan, actions) if plan.signed else None

    def most(self, from_us: int, until_us: int) -> int:
        """The most seats that it may have had at some moment of this time."""
        return max(self._among(from_us, until_us))

    def may_be(self, seats: int, from_us: int, until_us: int) -> bool:
        """Whether it may have had so many seats at some moment of this time."""
        return seats in self._among(from_us, until_us)

    def may_be_set(self, seats: int, from_us: int, until_us: int) -> bool:
        """Whether its setting may have been so many seats at some moment of this time."""
        return self.set.may_be(seats, from_us, until_us)

    def may_cut(self, from_us: int) -> bool:
        """Whether a seat may have been cut after this moment, by a step of the licences then or later."""
        if self.signed is None:
            return False
        highest = max(self.signed.between(from_us, FOREVER))
        return self.signed.may_be_below_from(highest, from_us) < FOREVER

    @property
    def most_ever(self) -> int:
        """The most seats that it may ever have had."""
        most = self.set.most_ever
        return most if self.signed is None else min(most, max(self.signed.values))

    @property
    def least_ever(self) -> int:
        """The fewest seats that it may ever have had."""
        least = self.set.least_ever
        return least if self.signed is None else min(least, *self.signed.values)

    def _among(self, from_us: int, until_us: int) -> set[int]:
        were_set = self.set.between(from_us, until_us)
        if self.signed is None:
            return were_set
        were_signed = self.signed.between(from_us, until_us)
        return {min(one, other) for one in were_set for other in were_signed}


def numbers_of(operations: Iterable[Operation]) -> dict[str, int]:
    """The seat number of each session, as far as an answer named it."""
    return {it.sid: it.number for it in operations if it.number and it.sid}


def _spans(signed: Sequence[tuple[int, int]], from_us: int, until_us: int) -> Iterator[tuple[int, int, int]]:
    """The times from and until which each step of a function may have been in effect, and its seats."""
    for at, (begins_us, seats) in enumerate(signed):
        ends_us = signed[at + 1][0] + ALLOWANCE_US if at + 1 < len(signed) else FOREVER
        first_us, last_us = max(from_us, begins_us - ALLOWANCE_US), min(until_us, ends_us)
        if first_us <= last_us:
            yield first_us, last_us, seats


def _undone_us(ended_us: int, later: Sequence[Action]) -> int:
    """When another function was certainly in effect."""
    of_later = (it.ended_us for it in later if it.done == "done" and it.begun_us >= ended_us)
    return min(of_later, default=FOREVER)
