"""The contenders of a cell: the floor, a Licet on each kind of store, and peers.

A contender says which rows it is sent in a round, and whether the answers were right. When it leaves, what it
keeps must agree with what it has answered.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from http import HTTPStatus
from typing import NamedTuple, Protocol

from bench.measured.pythons import Python
from bench.measured.stores import Kind
from bench.measured.tables import check_tables
from bench.measured.targets import Target, licet
from bench.measured.tenants import MANY, Filled, Site
from bench.measured.wire import Answer, ask_all
from bench.timed.scenarios import Desk, Row, Scenario, TooFewRows, WrongAnswer, check_answers, events


class Cell(NamedTuple):
    """One measurement; `many` is whether many clients ask."""

    scenario: Scenario
    connections: int
    many: bool


class Contender(Protocol):
    """One that takes part in a cell."""

    target: Target
    may_leave: bool  # whether the others go on without it when it answers wrongly
    seconds_least: int  # of a round of it

    def turn(self) -> AbstractContextManager[None]:
        """What a round of it happens in."""

    def rows(self, number: int, expected: int) -> list[Row]:
        """What it is sent in this round, in which there may be so many requests."""

    def check(self, answers: Sequence[Answer]) -> None:
        """Return if these answers are right.

        Raises WrongAnswer.
        """

    def was_sent(self, answered: int, refused: int) -> None:
        """Hear how a round went.

        Raises WrongAnswer, TooFewRows.
        """


class OnStore:
    """A Licet on a kind of store, with a copy of the filled place for itself."""

    may_leave = False
    seconds_least = 0
    turn = staticmethod(nullcontext)

    def __init__(self, cell: Cell, site: Site, held: Filled, target: Target) -> None:
        self.target = target
        self.sent: list[Row] = []
        self.least: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._cell = cell
        self._site = site
        self._held = held.held

    def rows(self, number: int, expected: int) -> list[Row]:
        """The scenario's."""
        cell = self._cell
        desk = Desk(self._site, self._held, self.target.url, cell.many, number, expected, [])
        self.sent = cell.scenario.rows(desk)
        prepared = Counter({"granted": sum(desk.made)})
        self.least += prepared
        self.most += prepared
        return self.sent

    def check(self, answers: Sequence[Answer]) -> None:
        """As the scenario says.

        Raises WrongAnswer.
        """
        check_answers(self._cell.scenario, answers)

    def was_sent(self, answered: int, refused: int) -> None:
        """Reckon what the journal must have. What was under way at the end may be there, or not.

        Raises WrongAnswer, TooFewRows.
        """
        wanted = answered if self._cell.scenario.is_refused else 0
        if refused != wanted:
            raise WrongAnswer(f"{self._cell.scenario.name}: {refused} of {answered} were refused")
        unknown = self._cell.connections + 1
        least = events(self.sent, answered)
        least["ended"] = min(least["ended"], sum(row.event == "ended" for row in self.sent))
        self.most += events(self.sent, answered + unknown)
        self.least += Counter({key: count - unknown for key, count in least.items()})
        if (share := self._cell.scenario.rows_once) and answered > len(self.sent) * share:
            raise TooFewRows


class OnFloor:
    """The floor, which is sent what a Licet is sent."""

    may_leave = False
    seconds_least = 0
    turn = staticmethod(nullcontext)

    def __init__(self, target: Target, like: OnStore) -> None:
        self.target = target
        self._like = like

    def rows(self, number: int, expected: int) -> list[Row]:
        """Those of the Licet, which has them by now."""
        del number, expected
        return self._like.sent

    def check(self, answers: Sequence[Answer]) -> None:
        """It always answers the same.

        Raises WrongAnswer.
        """
        if not answers or any(answer.status != HTTPStatus.OK or answer != answers[0] for answer in answers):
            raise WrongAnswer("the floor did not answer")

    def was_sent(self, answered: int, refused: int) -> None:
        """It refuses nothing.

        Raises WrongAnswer.
        """
        del answered
        if refused:
            raise WrongAnswer("the floor refused")


@contextmanager
def on_store(
    cell: Cell, site: Site, kind: Kind, filled: Filled, python: Python | None = None
) -> Iterator[OnStore]:
    """A Licet for a cell; at the end of the block its tables must agree.

    Raises TablesDisagree.
    """
    place = kind.copy(filled.place)
    with licet(kind, place, python=python) as target:
        contender = OnStore(cell, site, filled, target)
        ask_all(target.url, [site.hold(MANY)])  # until it has answered, it may be starting
        contender.least["granted"] += 1
        contender.most["granted"] += 1
        yield contender
    check_tables(place, filled.journal, contender.least, contender.most)
    kind.remove(place)
