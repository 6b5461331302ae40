"""Measures how the cost of a grant changes with the number of sessions, tenants, clients, seats and nodes.

Each curve has some points; a point is a store of its own, filled by `loading`. The cost is measured twice: of
batches that are committed without a server (`direct`), and of a whole server at 32 connections. All points of
a curve have a turn in each round. The first round does not count, but for nodes, which start anew in each.
The figure to compare is processor time, which a noisy machine changes little.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from bench.counted import direct
from bench.counted.direct import Direct, Taken
from bench.measured import machine
from bench.measured.loading import Loaded, Shape
from bench.measured.processes import cpu_s, families
from bench.measured.stores import POSTGRES, Kind, keyring, kinds
from bench.measured.targets import Target, licet
from bench.measured.wire import Request, ask_all
from bench.timed import wrk
from licet.ledger.commands import Ended

CONNECTIONS = 32
BATCHES = 25
NODES = 4
WARM_UP_S = 1  # of nodes that have just started
LATE = 100
_ASKED_MAX = 10_000


class Curve(NamedTuple):
    """A curve with its points; `asked_max` is how many clients of a point send requests at most."""

    name: str
    title: str
    points: Mapping[int, Shape]
    asked_max: int = _ASKED_MAX


CURVES = {
    curve.name: curve
    for curve in (
        Curve(
            "sessions",
            "live sessions",
            {count: Shape(sessions=count) for count in (1_000, 10_000, 100_000, 1_000_000)},
            asked_max=1_000,
        ),
        Curve("tenants", "tenants", {count: Shape(tenants=count) for count in (1, 10, 100, 1_000, 10_000)}),
        Curve(
            "clients",
            "clients",
            {count: Shape(clients=count, sessions=count) for count in (10, 100, 1_000, 10_000, 100_000)},
        ),
        Curve(
            "seats",
            "seats of one pool",
            {
                count: Shape(clients=count - 5, sessions=count - 5, late=LATE, room=5)
                for count in (10, 100, 1_000, 10_000, 100_000)
            },
        ),
    )
}


class Length(NamedTuple):
    """How many rounds count, the seconds of a server's round, and other numbers of live sessions.

    To fill ten million takes some minutes, and 2 to 4 GB in the temporary directory.
    """

    rounds: int
    seconds: int
    sessions: tuple[int, ...] = ()

    def of(self, curve: Curve) -> Curve:
        """The curve, for these numbers of live sessions if it is that of sessions."""
        if curve.name != "sessions" or not self.sessions:
            return curve
        return curve._replace(points={count: Shape(sessions=count) for count in self.sessions})


def measure(names: Sequence[str], stores: tuple[str, ...], length: Length, directory: Path) -> dict[str, Any]:
    """Measure the curves."""
    found: dict[str, Any] = {
        "wrk": wrk.must_be_there(),
        "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "machine": machine.describe(directory),
        "rounds": length.rounds,
        "seconds": length.seconds,
        "curves": {},
        "empty_mb": {},
    }
    with kinds(directory, stores) as there:
        for kind in there:
            found["empty_mb"][kind.name] = _empty_mb(kind)
        for name in names:
            if name == "nodes":
                shared = [kind for kind in there if kind.name == POSTGRES]
                found["curves"][name] = {kind.name: _nodes(kind, length, directory) for kind in shared}
            else:
                found["curves"][name] = {
                    kind.name: _curve(length.of(CURVES[name]), kind, length, directory) for kind in there
                }
    return found


def with_curves_of(found: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """An earlier result with the curves of this one in the place of its own, and when they were measured."""
    later = {name: {"at": found["at"], "rounds": found["rounds"]} for name in found["curves"]}
    return {
        **before,
        "curves": {**before["curves"], **found["curves"]},
        "later": {**before.get("later", {}), **later},
    }


def _empty_mb(kind: Kind) -> float:
    """The memory of a server that has one client, after its first grant."""
    loaded = Loaded(kind, keyring(), Shape(clients=1, sessions=1))
    with licet(kind, loaded.place) as target:
        ask_all(target.url, [loaded.grant(0)])
        resident_mb = target.resident_mb()
    kind.remove(loaded.place)
    return resident_mb


def _curve(curve: Curve, kind: Kind, length: Length, directory: Path) -> list[dict[str, Any]]:
    keys = keyring()
    loaded = {at: Loaded(kind, keys, shape) for at, shape in curve.points.items()}
    straight = _direct(curve, loaded, length)
    served = _servers(curve, loaded, length, directory)
    for store in loaded.values():
        kind.remove(store.place)
    points = [{"at": at, **straight[at], **served[at]} for at in loaded]
    for point in points:
        _print_point(curve, kind, point)
    return points


def _asked(curve: Curve, shape: Shape) -> Sequence[int]:
    """The clients that send requests: the late ones if there are any, else the first `asked_max`."""
    if shape.late:
        return range(shape.clients, shape.clients + shape.late)
    return range(min(curve.asked_max, shape.clients))


def _direct(curve: Curve, loaded: Mapping[int, Loaded], length: Length) -> dict[int, dict[str, Any]]:
    rounds: dict[int, list[Taken]] = {at: [] for at in loaded}
    with ExitStack() as stack:
        stores = {at: Direct(place, _asked(curve, place.shape)) for at, place in loaded.items()}
        for store in stores.values():
            stack.callback(store.close)
        for _ in range(length.rounds + 1):
            for at, store in stores.items():
                rounds[at].append(_take_and_give(store) if store.loaded.shape.late else _grants(store))
        return {
            at: {"direct": direct.summary(rounds[at][1:]), "store_bytes": store.store_bytes()}
            for at, store in stores.items()
        }


def _grants(store: Direct) -> Taken:
    return store.measure([store.grants() for _ in range(BATCHES)])


def _take_and_give(store: Direct) -> Taken:
    """The cost of a grant and its end, of repeated batches with as many grants as there are free seats."""
    rounds = []
    for _ in range(BATCHES):
        grants = store.grants(store.loaded.shape.room)
        rounds += [store.measure([grants]), store.measure([store.ends(grants)], Ended)]
    return Taken(*(statistics.mean(values) * 2 for values in zip(*rounds, strict=True)))


def _servers(
    curve: Curve, loaded: Mapping[int, Loaded], length: Length, directory: Path
) -> dict[int, dict[str, Any]]:
    with ExitStack() as stack:
        servers = {at: stack.enter_context(licet(place.kind, place.place)) for at, place in loaded.items()}
        rows = {
            at: wrk.write_rows(directory / f"scale-{at}", servers[at].url, _requests(curve, place))
            for at, place in loaded.items()
        }
        for at, place in loaded.items():
            # The server has started when it answers these. They also take the free seats that are left to
            # late clients, as a full pool is measured.
            first = _asked(curve, place.shape)[: place.shape.room]
            ask_all(servers[at].url, [place.grant(number) for number in first])
        rounds: dict[int, list[dict[str, float]]] = {at: [] for at in loaded}
        for _ in range(length.rounds + 1):
            for at, target in servers.items():
                rounds[at].append(_round([(target, rows[at])], length.seconds))
        return {
            at: {"server": _medians(rounds[at][1:]), "resident_mb": server.resident_mb()}
            for at, server in servers.items()
        }


def _requests(curve: Curve, loaded: Loaded) -> list[Request]:
    asked = _asked(curve, loaded.shape)
    numbers = asked[loaded.shape.room :] if loaded.shape.late else asked
    return [loaded.grant(numbers[at * 7919 % len(numbers)]) for at in range(len(numbers))]


def _nodes(kind: Kind, length: Length, directory: Path) -> list[dict[str, Any]]:
    """All nodes grant from one pool, or each from its own; for every number of nodes in turn.

    Each has a copy of the store, and nodes of its own: a grant counts the sessions of its client, so that a
    point would pay for what those before it have begun.
    """
    loaded = Loaded(kind, keyring(), Shape(tenants=NODES, clients=4_000, sessions=4_000))
    found: dict[tuple[int, str], list[dict[str, float]]] = {}
    for _ in range(length.rounds):
        for count in range(1, NODES + 1):
            for whose in ("one pool", "own pools"):
                place = kind.copy(loaded.place)
                with ExitStack() as stack:
                    nodes = [stack.enter_context(licet(kind, place)) for _ in range(count)]
                    asked = [
                        (node, _node_rows(loaded, node, directory / f"node-{at}", at * (whose != "one pool")))
                        for at, node in enumerate(nodes)
                    ]
                    for node in nodes:
                        ask_all(node.url, [loaded.grant(0)])  # it has started when it answers this
                    _round(asked, WARM_UP_S)
                    found.setdefault((count, whose), []).append(_round(asked, length.seconds))
                kind.remove(place)
    kind.remove(loaded.place)
    points: list[dict[str, Any]] = [
        {"at": count, "whose": whose, "server": _medians(rounds)} for (count, whose), rounds in found.items()
    ]
    for point in points:
        print(f"nodes: {point['at']}, {point['whose']}: {point['server']['rate']:,.0f}/s", flush=True)
    return points


def _node_rows(loaded: Loaded, node: Target, path: Path, tenant: int) -> Path:
    numbers = range(tenant, loaded.shape.clients, loaded.shape.tenants)
    return wrk.write_rows(path, node.url, [loaded.grant(number) for number in numbers])


def _round(asked: Sequence[tuple[Target, Path]], seconds: int) -> dict[str, float]:
    """One round with load on all of these servers at once."""
    before = _used(asked)
    with ThreadPoolExecutor(len(asked)) as pool:
        rounds = list(
            pool.map(
                lambda pair: wrk.load(pair[0].url, pair[1], connections=CONNECTIONS, seconds=seconds), asked
            )
        )
    after = _used(asked)
    answers = sum(taken.answers for taken in rounds)
    assert answers, "nothing was answered"
    return {
        "rate": sum(taken.rate for taken in rounds),
        "p99_ms": max(taken.p99_ms for taken in rounds),
        "refused": sum(taken.refused for taken in rounds) / answers,
        "cpu_us": (after[0] - before[0]) * 1e6 / answers,
        "database_cpu_us": (after[1] - before[1]) * 1e6 / answers,
    }


def _used(asked: Sequence[tuple[Target, Path]]) -> tuple[float, float]:
    own_s = sum(target.cpu_s() for target, _ in asked)
    return own_s, cpu_s(families(sorted({pid for target, _ in asked for pid in target.database_roots})))


def _medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(taken[name] for taken in rounds) for name in rounds[0]}


def _print_point(curve: Curve, kind: Kind, point: Mapping[str, Any]) -> None:
    straight, server = point["direct"], point["server"]
    print(
        f"{curve.title}: {point['at']:9,} {kind.name:9}"
        f" straight {straight['cpu_us']:5.0f} + {straight['database_cpu_us']:4.0f} us of processors,"
        f" {straight['wall_us']:5.0f} us, log {straight['log_bytes']:6,.0f} bytes;"
        f" server {server['rate']:7,.0f}/s, {server['cpu_us']:5.0f} + {server['database_cpu_us']:4.0f} us,"
        f" {point['resident_mb']:4.0f} MB",
        flush=True,
    )
