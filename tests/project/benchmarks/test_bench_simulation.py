"""The simulated shard agrees with what is known: closed forms of queueing theory, and measured runs."""

import json

import pytest

from bench.pages.made import is_simulated
from bench.simulation.paper import MISS_MAX, Need, closed, need, shards
from bench.simulation.simulate import Costs, Shard, simulate
from support.paths import ROOT

RESULTS = ROOT / "bench" / "results"
JOB_S = 0.001
ONE_QUEUE = Costs(server_s=0, command_s=0, batch_s=0, database_command_s=JOB_S, database_batch_s=0, sync_s=0)
ALONE = Shard(
    nodes=1, node_cores=8, database_cores=1, tenants=1 << 30, batch_max=1, is_folding=False, seconds=60
)


@pytest.mark.wide
@pytest.mark.parametrize("load", [0.3, 0.7])
def test_one_queue_waits_as_long_as_the_formula_says(load: float) -> None:
    """M/D/1, by Pollaczek and Khinchine: the mean wait is load / (2 (1 - load)) jobs; to five per cent."""
    result = simulate(ONE_QUEUE, ALONE._replace(rate=load / JOB_S))
    expected_ms = 1e3 * JOB_S * (1 + load / (2 * (1 - load)))
    assert result.mean_ms == pytest.approx(expected_ms, rel=0.05)
    assert result.database_share == pytest.approx(load, rel=0.05)


def test_a_batch_takes_all_that_came_meanwhile() -> None:
    """So a fixed cost is shared: beyond what one at a time could bear, nothing piles up."""
    costs = ONE_QUEUE._replace(database_command_s=0.0, database_batch_s=0.01)
    result = simulate(costs, ALONE._replace(rate=2_000, batch_max=256, seconds=10))
    assert result.commands_of_batch == pytest.approx(20, rel=0.1)
    assert result.slowest_ms < 25


def test_batches_of_one_tenant_wait_for_each_other_and_others_do_not() -> None:
    """As advisory locks have it, until a batch is durable."""
    costs = ONE_QUEUE._replace(sync_s=0.01)
    shard = ALONE._replace(nodes=4, database_cores=4, clients=64, seconds=5)
    one, many = (simulate(costs, shard._replace(tenants=count)).rate for count in (1, 1 << 30))
    assert one < 100
    assert many > 2 * one


def test_what_waits_for_too_long_is_refused_and_asked_for_again() -> None:
    """While a database is gone; behind that all is answered, and soon as quickly as before."""
    shard = ALONE._replace(
        rate=100, batch_max=256, broken="database", fault_at_s=3, fault_s=4, seconds=15, warm_s=1
    )
    result = simulate(ONE_QUEUE, shard)
    assert result.refused > 100
    assert 0 < result.again_s < 5
    assert result.answers == pytest.approx(100 * 14, rel=0.1)


def test_a_seed_makes_a_run_the_same() -> None:
    """To the last digit, so that a page can be compared."""
    shard = ALONE._replace(rate=300, seconds=3)
    assert simulate(ONE_QUEUE, shard) == simulate(ONE_QUEUE, shard)
    assert simulate(ONE_QUEUE, shard) != simulate(ONE_QUEUE, shard._replace(seed=2))


def test_the_kept_simulation_is_of_the_kept_figures() -> None:
    """Else the page shows what nobody measured: `python -m bench simulate`."""
    assert is_simulated(RESULTS)


def test_the_model_is_as_near_to_measured_runs_as_the_page_says() -> None:
    """On the machine that measured, with 1, 32 and 256 connections; one of them is simulated again here."""
    run, scale, found = (
        json.loads((RESULTS / f"kept-{name}.json").read_text()) for name in ("run", "scale", "simulation")
    )
    for one in found["checked"]:
        assert one["rate"] == pytest.approx(one["measured_rate"], rel=MISS_MAX)
    first = found["checked"][0]
    again = closed(Costs.of(run, scale, first["scenario"]), first["connections"], found["processors"])
    assert again.rate == pytest.approx(first["rate"], rel=1e-6)


def test_shards_are_as_many_as_memory_wants() -> None:
    """A node of each stays below what it may use, and every tenant is somewhere."""
    scale = json.loads((RESULTS / "kept-scale.json").read_text())
    needed: Need = need(scale)
    assert needed.node_mb < 8_000
    assert needed.shards % 10 == 0
    assert shards(needed)["as reckoned"].rate * needed.shards == pytest.approx(needed.writes)
