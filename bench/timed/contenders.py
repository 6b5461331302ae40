"""The contenders of a cell: the floor, a Licet on each kind of store, and peers.

A contender prepares the rows of a round, and checks the answers. At the end of a cell, the tables of a Licet
must agree with the answers it gave.
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
from bench.timed.scenarios import RoundContext, Row, Scenario, TooFewRows, WrongAnswer, check_answers, events

_LAPS_FIRST = 3


class Cell(NamedTuple):
    """One measurement; `many` is whether many clients send requests, or one."""

    scenario: Scenario
    connections: int
    many: bool


class Contender(Protocol):
    """A server that takes part in a cell."""

    target: Target
    may_leave: bool  # whether the cell goes on without it when it answers wrongly
    seconds_least: int  # shortest length of its rounds

    @property
    def answers_first(self) -> int:
        """How many answers it takes to be warm."""

    def turn(self) -> AbstractContextManager[None]:
        """A context in which its rounds run."""

    def rows(self, number: int, expected: int) -> list[Row]:
        """The rows for this round, in which about `expected` requests will be sent."""

    def check(self, answers: Sequence[Answer]) -> None:
        """Return if these answers are right.

        Raises WrongAnswer.
        """

    def was_sent(self, answered: int, refused: int) -> None:
        """Record how many requests of a round were answered, and how many of these were refused.

        Raises WrongAnswer, TooFewRows.
        """


class OnStore:
    """A Licet on a kind of store, with its own copy of the filled store."""

    may_leave = False
    seconds_least = 0
    turn = staticmethod(nullcontext)

    @property
    def answers_first(self) -> int:
        """Each row three times: a Licet remembers of the first two how it decides the next."""
        return 0 if self._cell.scenario.rows_once else _LAPS_FIRST * len(self.sent)

    def __init__(self, cell: Cell, site: Site, held: Filled, target: Target) -> None:
        self.target = target
        self.sent: list[Row] = []
        self.least: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._cell = cell
        self._site = site
        self._held = held.held

    def rows(self, number: int, expected: int) -> list[Row]:
        """The rows of the scenario."""
        cell = self._cell
        context = RoundContext(self._site, self._held, self.target.url, cell.many, number, expected, [])
        self.sent = cell.scenario.rows(context)
        prepared = Counter({"granted": sum(context.made)})
        self.least += prepared
        self.most += prepared
        return self.sent

    def check(self, answers: Sequence[Answer]) -> None:
        """Check the answers as the scenario requires.

        Raises WrongAnswer.
        """
        check_answers(self._cell.scenario, answers)

    def was_sent(self, answered: int, refused: int) -> None:
        """Compute what the journal must contain; requests under way at the end may be in it or not.

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
    """The floor, which gets the same requests as a Licet."""

    may_leave = False
    seconds_least = answers_first = 0
    turn = staticmethod(nullcontext)

    def __init__(self, target: Target, like: OnStore) -> None:
        self.target = target
        self._like = like

    def rows(self, number: int, expected: int) -> list[Row]:
        """The rows of the Licet, which were prepared before."""
        del number, expected
        return self._like.sent

    def check(self, answers: Sequence[Answer]) -> None:
        """Check that all answers are the same.

        Raises WrongAnswer.
        """
        if not answers or any(answer.status != HTTPStatus.OK or answer != answers[0] for answer in answers):
            raise WrongAnswer("the floor did not answer")

    def was_sent(self, answered: int, refused: int) -> None:
        """Check that nothing was refused.

        Raises WrongAnswer.
        """
        del answered
        if refused:
            raise WrongAnswer("the floor refused")


@contextmanager
def on_store(
    cell: Cell, site: Site, kind: Kind, filled: Filled, python: Python | None = None
) -> Iterator[OnStore]:
    """A Licet for a cell; at the end of the block its tables must agree with its answers.

    Raises TablesDisagree.
    """
    place = kind.copy(filled.place)
    with licet(kind, place, python=python) as target:
        contender = OnStore(cell, site, filled, target)
        ask_all(target.url, [site.hold(MANY)])  # it has started when it answers this
        contender.least["granted"] += 1
        contender.most["granted"] += 1
        yield contender
    check_tables(place, filled.journal, contender.least, contender.most)
    kind.remove(place)
