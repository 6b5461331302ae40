"""Finds what may have been true of the set-up at each moment, and what must have been.

An action may have taken effect as soon as it began, so it counts from its beginning. Its effect is certainly
over only when an action that undoes it is done. A request without an answer may be carried out until
`late_us`.
"""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from msgspec.structs import replace

from chaos.history import FOREVER, Action, ActionKind, Fault, Operation

# By how much the clocks of store and history may differ within a session's life, including the delay between
# reading and comparing them: a guess, far above the difference of two readings on one machine.
ALLOWANCE_US = 250_000
# After so long without a fault, a request without an answer was carried out or never will be: this is longer
# than every time-out of Licet. A request that waits in a node goes on waiting while there is a fault.
LATE_US = 10_000_000
# After so long, a change of the set-up is in effect on all nodes: one second, as documented, and half of one
# for a busy machine.
STALE_US = 1_500_000

# After so long, a server has certainly seen that a client left, and has given back the seat it was granting.
LEFT_US = 4_000_000

T = TypeVar("T")


class Faults:
    """The times of faults, and of requests that a node left without an answer although there was no fault.

    That may happen on a busy machine, if the node does not get the lock of its store in time.
    """

    def __init__(self, faults: Iterable[Fault], operations: Iterable[Operation] = ()) -> None:
        self._silent: dict[int, list[int]] = defaultdict(list)  # by node, in the order of sending
        for operation in operations:
            if operation.is_unknown and operation.kind != "call" and not operation.left_us:
                insort(self._silent[operation.node], operation.sent_us)
        self._begun: list[int] = []
        self._ended: list[int] = []
        for fault in sorted(faults, key=lambda struck: struck.begun_us):
            if self._ended and fault.begun_us <= self._ended[-1] + STALE_US:
                self._ended[-1] = max(self._ended[-1], fault.ended_us)
            else:
                self._begun.append(fault.begun_us)
                self._ended.append(fault.ended_us)

    def whole_us(self, at_us: int) -> int:
        """The end of the fault at this moment or shortly after; without one, this moment."""
        at = bisect_right(self._begun, at_us + STALE_US) - 1
        return max(at_us, self._ended[at]) if at >= 0 and self._ended[at] >= at_us else at_us

    def touch(self, from_us: int, until_us: int) -> bool:
        """Whether there was a fault during this time, or shortly before or after."""
        at = bisect_right(self._begun, until_us + STALE_US) - 1
        return at >= 0 and self._ended[at] >= from_us - STALE_US

    def was_silent(self, node: int, from_us: int, until_us: int) -> bool:
        """Whether a node left a request of this time without an answer, or had no store."""
        sent = self._silent[node]
        return bisect_left(sent, from_us) < bisect_right(sent, until_us)

    def late_us(self, at_us: int) -> int:
        """Until when a request that was sent at this moment, and not answered, may be carried out."""
        left_us = LATE_US
        first = bisect_left(self._ended, at_us)
        for begun_us, ended_us in zip(self._begun[first:], self._ended[first:], strict=True):
            if at_us + left_us < begun_us - STALE_US:
                break
            left_us -= max(0, begun_us - STALE_US - at_us)
            at_us = max(at_us, ended_us)
        return at_us + left_us

    def by_us(self, grant: Operation) -> int:
        """Until when a grant without an answer may still get a seat."""
        if not grant.left_us:
            return self.late_us(grant.due_us)
        seen_us = grant.left_us + LEFT_US
        return seen_us if self.is_noticed(grant) else self.late_us(seen_us)

    def is_noticed(self, grant: Operation) -> bool:
        """Whether nothing can have kept the node from seeing that the client left."""
        window = grant.left_us - LEFT_US, grant.left_us + LEFT_US
        return not self.touch(*window) and not self.was_silent(grant.node, *window)

    def known_us(self, at_us: int) -> int:
        """When every node knows of a change of the set-up that was made at this moment."""
        return self.whole_us(at_us) + STALE_US


class StoreClock:
    """Bounds how far the store's clock is ahead of the history's, by the answers of a tenant."""

    def __init__(self) -> None:
        self._least_us, self._most_us = -FOREVER, FOREVER

    def learn(self, operation: Operation) -> None:
        """Narrow the bounds: each token was issued between its request and its answer."""
        if operation.kind in {"grant", "refresh"} and operation.issued_ms and operation.outcome == "granted":
            issued_us = operation.issued_ms * 1000
            exactly_us = 1000 if operation.claims is None else 1_000_000  # a JWT has whole seconds
            self._least_us = max(self._least_us, issued_us - operation.received_us)
            self._most_us = min(self._most_us, issued_us + exactly_us - operation.sent_us)

    def span_us(self, at_ms: int) -> tuple[int, int] | None:
        """The times of the history between which the store's clock showed this; None if it was moved."""
        if not -FOREVER < self._least_us <= self._most_us < FOREVER:
            return None
        at_us = at_ms * 1000
        return at_us - self._most_us - ALLOWANCE_US, at_us + 1000 - self._least_us + ALLOWANCE_US

    def dated(self, operation: Operation, faults: Faults) -> Operation:
        """The operation; if it waited, with the earliest moment of its decision as its `sent_us`.

        It stays unchanged if clocks were moved, or there was a fault meanwhile.
        """
        if not operation.wait_s:
            return operation
        asked_us = sent_us = operation.sent_us
        is_known = operation.outcome == "granted" and self._least_us <= self._most_us
        if is_known and not faults.touch(asked_us, operation.received_us):
            sent_us = max(sent_us, operation.issued_ms * 1000 - self._most_us - ALLOWANCE_US)
        return replace(operation, sent_us=sent_us, asked_us=asked_us)


class Settings(Generic[T]):
    """The values that a setting may have had at each moment; `changes` are the actions and their values."""

    def __init__(self, first: T, changes: Iterable[tuple[Action, T]]) -> None:
        found = sorted(changes, key=lambda change: change[0].begun_us)
        ordered = [action for action, _ in found]
        self._values = [first, *(value for _, value in found)]
        self._from = [0, *(action.begun_us for action in ordered)]
        self._until = [self._undone_us(0, ordered)]
        self._until += [
            self._undone_us(action.ended_us, ordered[at:]) for at, action in enumerate(ordered, start=1)
        ]

    def between(self, from_us: int, until_us: int) -> set[T]:
        """All values that it may have had at some moment of this time."""
        first = bisect_left(self._until, from_us)
        return {*self._values[first : bisect_right(self._from, until_us)]}

    @staticmethod
    def _undone_us(ended_us: int, later: Sequence[Action]) -> int:
        """When the setting certainly had another value."""
        of_later = (
            action.ended_us for action in later if action.done == "done" and action.begun_us >= ended_us
        )
        return min(of_later, default=FOREVER)


class Seats(Settings[int]):
    """The seats that may have been set for a pool at each moment."""

    def __init__(self, first: int, actions: Sequence[Action]) -> None:
        super().__init__(first, ((action, action.seats) for action in actions if action.kind == "seats"))

    def most(self, from_us: int, until_us: int) -> int:
        """The most seats that it may have had at some moment of this time."""
        return max(self.between(from_us, until_us))

    def least(self, from_us: int, until_us: int) -> int:
        """The fewest seats that it may have had at some moment of this time."""
        return min(self.between(from_us, until_us))

    def may_be(self, seats: int, from_us: int, until_us: int) -> bool:
        """Whether it may have had so many seats at some moment of this time."""
        return seats in self.between(from_us, until_us)

    @property
    def most_ever(self) -> int:
        """The most seats that it may ever have had."""
        return max(self._values)

    @property
    def least_ever(self) -> int:
        """The fewest seats that it may ever have had."""
        return min(self._values)


class Spans:
    """The times in which a state of one client may have lasted: from an action `begins` to one `ends`."""

    def __init__(
        self, actions: Iterable[Action], begins: ActionKind, ends: ActionKind, faults: Faults
    ) -> None:
        self._spans: list[tuple[int, int]] = []
        begun_us: int | None = None
        for action in sorted(actions, key=lambda done: done.begun_us):
            if action.kind == begins and begun_us is None:
                begun_us = action.begun_us
            elif action.kind == ends and action.done == "done" and begun_us is not None:
                self._spans.append((begun_us, faults.known_us(action.ended_us)))
                begun_us = None
        if begun_us is not None:
            self._spans.append((begun_us, FOREVER))

    def touch(self, from_us: int, until_us: int) -> bool:
        """Whether the state may have lasted at some moment of this time."""
        return any(begun_us <= until_us and from_us <= ended_us for begun_us, ended_us in self._spans)


class Disabled:
    """The times in which a client was certainly disabled."""

    def __init__(self, actions: Iterable[Action]) -> None:
        self._spans: list[tuple[int, int]] = []
        since_us: int | None = None
        for action in sorted(actions, key=lambda done: done.begun_us):
            if action.kind == "disable" and action.done == "done":
                since_us = action.ended_us
            elif action.kind == "enable" and since_us is not None:
                self._spans.append((since_us, action.begun_us))
                since_us = None
        if since_us is not None:
            self._spans.append((since_us, FOREVER))

    def cover(self, from_us: int, until_us: int) -> bool:
        """Whether the client was disabled during this whole time."""
        return any(begun_us <= from_us and until_us <= ended_us for begun_us, ended_us in self._spans)
