"""Estimates a million tenants with a hundred million live sessions from measurements and a simulation.

The figures are computed from kept results, and so is the simulation. Its inputs are kept with it, so that a
page never shows a simulation of other results.
"""

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any, NamedTuple

from bench.simulation.simulate import Costs, Result, Shard, simulate

TENANTS, SESSIONS = 1_000_000, 100_000_000  # each session has its own client
RENEWED_EVERY_S = 600  # the lifetime of an access token
LASTS_S = 3_600  # a guess: a session is used for an hour
NODE_MB = 8_000.0  # a guess: the memory that a node may use
NODES = 2
DATABASE_CORES, NODE_CORES = 4, 2
TRIP_S = 0.0005  # a guess: the round trip between two machines of a data centre
FAULT_S = 10.0
_CLIENT_S = 20e-6  # of wrk, for each request
_CHECKED = (1, 32, 256)  # connections of the measured runs with which the model is compared
MISS_MAX = 0.33  # how far the model's rates may differ in those


class Need(NamedTuple):
    """The resources of the whole system, and the number of shards."""

    shards: int
    writes: float  # a second
    renewals: float
    grants: float
    node_mb: float  # the memory of one node for clients and tenants
    disk_bytes: float
    log_bytes: float  # a second
    node_cores: float
    database_cores: float
    client_mb: float  # of one client, in a node
    tenant_mb: float


def need(scale: Mapping[str, Any]) -> Need:
    """Estimate the resources, with enough shards for a node's memory below `NODE_MB`, in tens."""
    clients, tenants = (scale["curves"][name]["postgres"] for name in ("clients", "tenants"))
    client_mb, tenant_mb = _slope(clients, "resident_mb"), _slope(tenants, "resident_mb")
    memory_mb = SESSIONS * client_mb + TENANTS * tenant_mb
    shards = 10 * ceil(memory_mb / NODE_MB / 10)
    renewals, grants = SESSIONS / RENEWED_EVERY_S, SESSIONS / LASTS_S
    writes = renewals + 2 * grants
    server: Mapping[str, float] = scale["curves"]["sessions"]["postgres"][-1]["server"]
    return Need(
        shards=shards,
        writes=writes,
        renewals=renewals,
        grants=grants,
        node_mb=memory_mb / shards,
        disk_bytes=SESSIONS * _slope(clients, "store_bytes"),
        log_bytes=writes * clients[-1]["direct"]["log_bytes"],
        node_cores=writes * server["cpu_us"] / 1e6,
        database_cores=writes * server["database_cpu_us"] / 1e6,
        client_mb=client_mb,
        tenant_mb=tenant_mb,
    )


def _slope(points: list[Mapping[str, Any]], what: str) -> float:
    """How much one more of something takes."""
    more, of = (float(points[-1][name]) - float(points[0][name]) for name in (what, "at"))
    return more / of


def shards(needed: Need) -> dict[str, Shard]:
    """The simulated shards, by what each shows."""
    one = Shard(
        nodes=NODES,
        node_cores=NODE_CORES,
        database_cores=DATABASE_CORES,
        tenants=TENANTS // needed.shards,
        rate=needed.writes / needed.shards,
    )
    return {
        "as reckoned": one,
        "half of the nodes": one._replace(nodes=NODES // 2),
        "twice as much": one._replace(rate=2 * one.rate),
        "four times as much": one._replace(rate=4 * one.rate, seconds=12.0),
        "six times as much": one._replace(rate=6 * one.rate, seconds=12.0),
        "database fails over": one._replace(broken="database", fault_at_s=5.0, fault_s=FAULT_S, seconds=25.0),
        "a node dies": one._replace(broken="node", fault_at_s=10.0),
    }


def inputs(run: Mapping[str, Any], scale: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of the simulation, for comparison."""
    return {"costs": Costs.of(run, scale, "refresh")._asdict(), "need": need(scale)._asdict()}


def made(run: Mapping[str, Any], scale: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate each shard, and the measured runs on the machine that measured them, for comparison."""
    costs, needed = Costs.of(run, scale, "refresh"), need(scale)
    found: dict[str, Any] = {
        "inputs": inputs(run, scale),
        "processors": run["machine"]["processors"],
        "shards": {},
        "checked": [],
    }
    for name, shard in shards(needed).items():
        result = simulate(costs._replace(trip_s=TRIP_S), shard)
        found["shards"][name] = result._asdict()
        print(f"{name}: {shard.rate:,.0f}/s, 99th percentile {result.p99_ms:.1f} ms", flush=True)
    for scenario in ("grant", "refresh"):
        for connections in _CHECKED:
            result = closed(Costs.of(run, scale, scenario), connections, run["machine"]["processors"])
            measured = _measured(run, scenario, connections)
            found["checked"].append(
                {
                    "scenario": scenario,
                    "connections": connections,
                    "rate": result.rate,
                    "p50_ms": result.p50_ms,
                    "measured_rate": measured["rate"],
                    "measured_p50_ms": measured["p50_ms"],
                }
            )
    return found


def closed(costs: Costs, connections: int, processors: int) -> Result:
    """One node, its database and the load generator on one machine, as in the measured runs."""
    return simulate(
        costs,
        Shard(
            nodes=1,
            node_cores=processors,
            is_one_machine=True,
            tenants=1,
            clients=connections,
            client_s=_CLIENT_S,
            seconds=6.0,
            warm_s=1.0,
        ),
    )


def _measured(run: Mapping[str, Any], scenario: str, connections: int) -> Mapping[str, Any]:
    cell = next(
        cell
        for cell in run["cells"]
        if cell["scenario"] == scenario and cell["connections"] == connections and cell["clients"] > 1
    )
    target: Mapping[str, Any] = cell["targets"]["postgres"]
    return target


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """This part of the page, in lines."""
    needed = Need(**found["inputs"]["need"])
    yield from ("", f"### {TENANTS:,} tenants, {SESSIONS:,} live sessions", "")
    yield (
        f"Each session is of a client of its own, is renewed every {RENEWED_EVERY_S} s and used for"
        f" {LASTS_S:,} s. A node remembers every tenant and client of its shard, so memory decides how many"
        f" shards there are: {needed.shards}, with {NODES} nodes and a database with a standby each."
    )
    yield ""
    yield "| quantity | assumption | in all | per shard |"
    yield "| --- | --- | ---: | ---: |"
    for what, how, total, unit in _quantities(needed):
        yield f"| {what} | {how} | {_number(total)}{unit} | {_number(total / needed.shards)}{unit} |"
    yield ""
    yield from _simulated(found, needed)
    yield ""
    yield from _checked(found)


def _quantities(needed: Need) -> Iterator[tuple[str, str, float, str]]:
    yield "tenants", f"{SESSIONS // TENANTS} clients each", TENANTS, ""
    yield "sessions", "one of each client", SESSIONS, ""
    yield (
        "memory of nodes, of which each has half",
        f"{needed.client_mb * 1e3:.1f} kB a client, {needed.tenant_mb * 1e3:.1f} kB a tenant",
        NODES * needed.node_mb * needed.shards / 1e3,
        " GB",
    )
    yield (
        "disk",
        f"{needed.disk_bytes / SESSIONS:,.0f} bytes a client with its session and seat",
        needed.disk_bytes / 1e9,
        " GB",
    )
    yield "renewals a second", f"every {RENEWED_EVERY_S} s", needed.renewals, ""
    yield "grants a second, and as many endings", f"every {LASTS_S:,} s", needed.grants, ""
    yield (
        "log",
        f"{needed.log_bytes / needed.writes:,.0f} bytes for each of these writes",
        needed.log_bytes / 1e6,
        " MB/s",
    )
    yield "processors of Licet, busy", "as measured", needed.node_cores, ""
    yield "processors of databases, busy", "as measured, without standby", needed.database_cores, ""
    nodes = _all_of(needed, NODES * NODE_CORES)
    yield "processors of nodes, to have", f"{NODES} nodes of {NODE_CORES}", nodes, ""
    yield (
        "processors of databases, to have",
        f"{DATABASE_CORES}, and a standby with as many",
        _all_of(needed, 2 * DATABASE_CORES),
        "",
    )


def _all_of(needed: Need, each: int) -> float:
    return float(needed.shards * each)


def _simulated(found: Mapping[str, Any], needed: Need) -> Iterator[str]:
    yield (
        "A shard, simulated (`python -m bench simulate`): a queueing model of its servers, batches, locks,"
        f" syncs and folding, with the measured service times, {TRIP_S * 1e3:.1f} ms from a node to its"
        f" database and back, and {needed.writes / needed.shards:,.0f} writes a second:"
    )
    yield ""
    yield (
        "| shard | writes a second | median | 99th percentile | slowest | commands of a batch"
        " | syncs a second | busiest server | processors of nodes | of the database | answered 503"
        " | as before after |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name, shard in shards(needed).items():
        result = Result(**found["shards"][name])
        again = f"{result.again_s:.1f} s" if shard.broken else ""
        yield (
            f"| {name} | {shard.rate:,.0f} | {_ms(result.p50_ms)} | {_ms(result.p99_ms)} |"
            f" {_ms(result.slowest_ms)} | {result.commands_of_batch:.1f} | {result.syncs:,.0f}"
            f" | {result.server_share:.0%} | {result.node_share:.0%} | {result.database_share:.0%}"
            f" | {result.refused:,} | {again} |"
        )


def _checked(found: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "The same model for the machine that measured: one node, its database and the load generator on"
        f" {found['processors']} processors. Its rates are within {MISS_MAX:.0%} of the measured ones:"
    )
    yield ""
    yield "| request | connections | simulated | measured | median, simulated | median, measured |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for one in found["checked"]:
        yield (
            f"| {one['scenario']} | {one['connections']} | {one['rate']:,.0f}/s"
            f" | {one['measured_rate']:,.0f}/s | {_ms(one['p50_ms'])} | {_ms(one['measured_p50_ms'])} |"
        )


def _ms(value: float) -> str:
    return f"{value:.1f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
