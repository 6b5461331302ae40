"""A request costs the same with many live sessions as with few, counted; and what is measured is told."""

from collections.abc import Iterator, Mapping, Sequence, Sized
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.counted import sessions
from bench.counted.counting import Loops, counting_loops
from bench.counted.direct import Direct, Taken
from bench.counted.sessions import MeasuredStore
from bench.measured.loading import Loaded
from bench.measured.stores import POSTGRES, SQLITE, Sqlite, kinds
from bench.pages import sessions_page
from licet.ledger.commands import Command, Denied, Granted
from licet.store.errors import StoreUnavailable

FEW, MANY = 1_000, 10_000  # with which each client has two
MORE_MAX = 1.1


class Counting(Direct):
    """Says the loops of SQLite for each item instead of its processor time."""

    def __init__(self, loops: Loops, loaded: Loaded, numbers: Sequence[int]) -> None:
        super().__init__(loaded, numbers)
        self._loops = loops

    def measure(self, batches: Sequence[list[Command]], outcome: type | tuple[type, ...] = Granted) -> Taken:
        """As it is, but for what is counted."""
        before = self._loops.count
        return self._counted(super().measure(batches, outcome), batches, before)

    def measure_reads(self, batches: Sequence[Sequence[bytes]]) -> Taken:
        """As it is, but for what is counted."""
        before = self._loops.count
        return self._counted(super().measure_reads(batches), batches, before)

    def _counted(self, taken: Taken, batches: Sequence[Sized], before: int) -> Taken:
        return taken._replace(cpu_us=(self._loops.count - before) / sum(map(len, batches)))


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, float], dict[str, float]]]:
    """Of each kind of request, the loops of SQLite with few sessions and with many."""
    kind = Sqlite(tmp_path_factory.mktemp("sessions"))
    with counting_loops() as counted, ExitStack() as stack:
        found = []
        for count in (FEW, MANY):
            store = MeasuredStore(kind, count, partial(Counting, counted))
            stack.callback(store.close)
            store.round()  # what is done the first time only is nobody's cost
            found.append({name: taken.cpu_us for name, taken in store.round().items()})
        yield found[0], found[1]


@pytest.mark.wide
def test_no_kind_of_request_reads_more_where_more_sessions_live(
    loops: tuple[Mapping[str, float], Mapping[str, float]],
) -> None:
    few, many = loops
    assert len(few) == 9
    assert min(few.values()) > 0
    assert not {name: (few[name], it) for name, it in many.items() if it > few[name] * MORE_MAX}


class Late(Direct):
    """A busy machine, for once: denials come too late, when all seats are taken."""

    is_late = True

    def measure(self, batches: Sequence[list[Command]], outcome: type | tuple[type, ...] = Granted) -> Taken:
        """As it is, but for the first denials."""
        if outcome is Denied and self.is_late:
            self.is_late = False
            raise StoreUnavailable("no answer in time")
        return super().measure(batches, outcome)


@pytest.mark.wide
def test_a_round_that_a_busy_machine_disturbed_is_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And finds the seats free that the first one took: else millions of rows were filled in for nothing."""
    store = MeasuredStore(Sqlite(tmp_path), FEW, Late)
    try:
        assert len(store.round()) == 9
    finally:
        store.close()
    assert capsys.readouterr().out == "  a round is asked again: no answer in time\n"


@pytest.mark.wide
def test_each_store_is_measured_and_the_page_has_its_figures(tmp_path: Path) -> None:
    with kinds(tmp_path) as stores:
        *_, found = sessions.measure(stores, (1_000, 2_000), 1, tmp_path)
    assert list(found["stores"]) == [SQLITE, POSTGRES]
    for of_kind in found["stores"].values():
        assert len(of_kind["requests"]) == 9
        assert min(points[1]["cpu_us"] for points in of_kind["requests"].values()) > 0
    page = sessions_page.page(f"<!-- made by {sessions_page.MARK} -->\n<!-- end -->\n", found)
    assert page.count(f"| {sessions.SWEEP} | ") == 2
    assert len([*sessions.report(found)]) == 2 * 2 * 10


@pytest.mark.parametrize(("ratio", "missed"), [(1.2, 0), (1.21, 1)])
def test_what_grows_by_more_than_it_may_is_said(ratio: float, missed: int) -> None:
    points: list[dict[str, Any]] = [{"ratio": 1.0}, {"ratio": ratio}]
    found = {"stores": {SQLITE: {"requests": {sessions.GRANT: points}}}}
    assert len([*sessions.missed(found)]) == missed
