"""A grant costs the same in a pool with many seats and rules as in one with few and none, counted."""

from collections.abc import Mapping

import pytest

from bench.counted import options
from bench.counted.options import Pair
from bench.measured.stores import Sqlite

# Of what is counted: how many times that of the pool with few seats and no options. Processor time is below.
INSTRUCTIONS_MAX = {
    "grant": 1.17,
    "denial": 1.2,
    "renewal": 1.02,
    "logoff": 1.12,
    "grant, and one denied": 1.17,
}
FEW, MANY = 100, 5_000


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Mapping[str, tuple[Pair, Pair]]]:
    """The counts of two pools with 100 rules, each beside a pool with ten seats and no options."""
    kind = Sqlite(tmp_path_factory.mktemp("options"))
    return {seats: options.count(kind, 4, seats) for seats in (FEW, MANY)}


@pytest.mark.wide
def test_what_is_asked_of_a_pool_takes_no_more_where_it_has_more_seats(
    counts: Mapping[int, Mapping[str, tuple[Pair, Pair]]],
) -> None:
    for name in INSTRUCTIONS_MAX:
        (few, few_loops), (many, many_loops) = counts[FEW][name], counts[MANY][name]
        assert many.many == pytest.approx(few.many, rel=0.02), name
        assert many_loops.many == pytest.approx(few_loops.many, rel=0.05), name


def test_what_is_asked_of_a_pool_takes_little_more_where_it_has_a_hundred_rules(
    counts: Mapping[int, Mapping[str, tuple[Pair, Pair]]],
) -> None:
    ratios = {name: instructions.ratio for name, (instructions, _) in counts[MANY].items()}
    assert ratios.keys() == INSTRUCTIONS_MAX.keys()
    assert not {name: ratio for name, ratio in ratios.items() if ratio > INSTRUCTIONS_MAX[name]}


def test_a_ratio_is_said_with_both_of_its_figures(
    counts: Mapping[int, Mapping[str, tuple[Pair, Pair]]],
) -> None:
    assert [*options.report_times({"grant": Pair(50.0, 60.0)})] == [
        "  grant                      50 and    60 us: 1.20 times"
    ]
    assert len([*options.report_counts(counts[FEW])]) == len(INSTRUCTIONS_MAX)
