"""A run measures every scenario at every number of connections and clients, each on stores of its own.

The result is written as JSON; the page of figures is made from that file.
"""

import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from bench import peers
from bench.measured import machine, pythons
from bench.measured.stores import Kind, keyring, kinds
from bench.measured.tables import read_journal
from bench.measured.targets import FLOOR, floor, licet, start_s
from bench.measured.tenants import Filled, Site, begin_sessions, plans, single
from bench.timed import flood, floods, wrk
from bench.timed.cells import Length, measure, summary
from bench.timed.contenders import Cell, Contender, OnFloor, OnStore, on_store
from bench.timed.peering import SCENARIOS as PEER_SCENARIOS
from bench.timed.peering import RunningPeer, asked, described, installed, start_all
from bench.timed.scenarios import SCENARIOS

PYTHON_CONNECTIONS = 32  # of the cells on another Python
_STARTS = 5
_CELLS = ("cells", "python_cells", "peer_cells")


class Options(NamedTuple):
    """What to measure, and how long. `clients` has 1, or `many`, or both."""

    scenarios: Sequence[str]
    connections: Sequence[int]
    clients: Sequence[int]
    stores: tuple[str, ...]
    rounds: int
    seconds: int
    many: int
    peers: Sequence[str]  # their names, or "all"
    peer_connections: Sequence[int]
    before: str = ""  # the result of an interrupted run, which is continued
    floods: tuple[int, float] | tuple[()] = ()  # rounds and their seconds; empty: no floods
    python: bool = False  # whether to measure on another Python as well, if there is one


class Base(NamedTuple):
    """What all cells begin with: the set-up, and a filled store of each kind, which cells copy."""

    site: Site
    filled: dict[str, Filled]


class Run:
    """A run under way, with its stores, floor and peers, and its result so far."""

    def __init__(self, options: Options, directory: Path, result: Path, stack: ExitStack) -> None:
        self.found: dict[str, Any] = {
            "wrk": wrk.must_be_there(),
            "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
            "options": options._asdict(),
            "machine": machine.describe(directory),
            **{name: [] for name in _CELLS},
            "floods": {},
        }
        self._options = options
        self._directory = directory
        self._result = result
        self._stores = stack.enter_context(kinds(directory, options.stores))
        self._base = _base(self._stores, options.many)
        self._floor = stack.enter_context(floor(directory))
        self._python: pythons.Python | None = None
        if options.python and (other := pythons.other()) is not None:
            self._python, share = other
            self.found["python_other"] = {"version": self._python.version, "share": share}
        self._peers = installed(options.peers)
        self._began = time.monotonic()
        self._cells_before = 0
        self.found["stores"] = {kind.name: kind.settings for kind in self._stores}
        self.found["start_s"] = {kind.name: _starts(kind) for kind in self._stores}
        self.found["peers"] = [described(peer) for peer in self._peers]
        self.found["peers_missing"] = peers.missing() if options.peers else {}
        self.found["peers_faulty"] = {}
        if options.before:
            self._go_on_with(json.loads(Path(options.before).read_text("utf-8")))

    def _go_on_with(self, before: Mapping[str, Any]) -> None:
        """Take over the result of an interrupted run, of the same machine, rounds and seconds."""
        for name in ("processor", "processors", "kernel", "python", "sqlite"):
            if before["machine"][name] != self.found["machine"][name]:
                sys.exit(f"{self._options.before} was measured on another machine: another {name}")
        if any(before["options"][name] != self.found["options"][name] for name in ("rounds", "seconds")):
            sys.exit(f"{self._options.before} has other rounds; say the same --rounds and --seconds")
        for name in ("scenarios", "connections", "clients"):  # the names of all that is in the result
            both = {*before["options"][name], *self.found["options"][name]}
            self.found["options"][name] = sorted(
                both, key=[*SCENARIOS].index if name == "scenarios" else None
            )
        self.found["options"]["before"] = ""
        self.found["at"] = before["at"]
        for name in (*_CELLS, "floods", "peers_faulty"):
            self.found[name] = before.get(name, self.found[name])
        if not self.found["peers"]:  # A run without peers goes on with one that had some.
            self.found |= {name: before[name] for name in ("peers", "peers_missing")}
        if "python_other" in before:
            self.found.setdefault("python_other", before["python_other"])

    def _is_done(self, cell: Cell, kept_as: str) -> bool:
        asked = (cell.scenario.name, cell.connections, self._clients(many=cell.many))
        return any(
            asked == (cell["scenario"], cell["connections"], cell["clients"]) for cell in self.found[kept_as]
        )

    def measure(self) -> None:
        """Measure Licet and the floor in every cell, and the peers in the cells that they take part in.

        Between the two, measure the main cells on another Python, and good clients beside floods.
        """
        cells = [todo for todo in _cells(self._options) if not self._is_done(todo, "cells")]
        twice = [todo for todo in _python_cells(self._options) if self._python]
        twice = [cell for cell in twice if not self._is_done(cell, "python_cells")]
        beside = [todo for todo in _peer_cells(self._options) if self._peers]
        beside = [cell for cell in beside if not self._is_done(cell, "peer_cells")]
        self._cells_before = self._cells_done()
        total = len(cells) + len(twice) + len(beside)
        for cell in cells:
            self._measure(cell, "cells", {}, total)
        for cell in twice:
            self._measure_pythons(cell, total)
        if self._options.floods:
            self._measure_floods(flood.Length(*self._options.floods))
        if beside:
            scenarios = list(dict.fromkeys(cell.scenario.name for cell in beside))
            with ExitStack() as stack:
                started, faulty = start_all(
                    self._peers, self._options.many, scenarios, self._directory, stack
                )
                self.found["peers_faulty"] |= faulty
                for cell in beside:
                    self._measure_peers(cell, started, total)
        self._keep()  # also where there was nothing left to measure

    def _measure_floods(self, length: flood.Length) -> None:
        done = self.found["floods"]
        kinds = [kind for kind in self._stores if f"secrets {kind.name}" not in done]
        if all(name in done for name in floods.names(self._stores)):
            return
        for name, found in floods.measure(kinds, length, self._directory):
            done[name] = found
            self._keep()

    def _measure_pythons(self, cell: Cell, total: int) -> None:
        """Measure floor and Licet on both Pythons, each Licet with a store of its own."""
        with ExitStack() as stack:
            others = {
                kind.name: stack.enter_context(self._on_store(cell, kind, self._python))
                for kind in self._stores
            }
            bottom = stack.enter_context(floor(self._directory, self._python))
            named: dict[str, Contender] = {pythons.OTHER + name: other for name, other in others.items()}
            named[pythons.OTHER + FLOOR] = OnFloor(bottom, next(iter(others.values())))
            self._measure(cell, "python_cells", named, total)

    def _on_store(
        self, cell: Cell, kind: Kind, python: pythons.Python | None = None
    ) -> AbstractContextManager[OnStore]:
        return on_store(cell, self._base.site, kind, self._base.filled[kind.name], python)

    def _cells_done(self) -> int:
        return sum(len(self.found[name]) for name in _CELLS)

    def _measure_peers(self, cell: Cell, started: Sequence[RunningPeer], total: int) -> None:
        clients = self._clients(many=cell.many)
        contenders, left = asked(started, cell.scenario.name, clients, many=cell.many)
        self._measure(cell, "peer_cells", contenders, total)
        found = self.found["peer_cells"][-1]
        found["left"] |= left
        found["lost"] = {name: lost for name, contender in contenders.items() if (lost := contender.lost())}
        for name, lost in found["lost"].items():
            print(f"  {name} has {lost} fewer grants stored than it answered", flush=True)
        self._keep()

    def _measure(self, cell: Cell, kept_as: str, peers: Mapping[str, Contender], total: int) -> None:
        with ExitStack() as stack:
            licets = {kind.name: stack.enter_context(self._on_store(cell, kind)) for kind in self._stores}
            bottom = OnFloor(self._floor, next(iter(licets.values())))
            length = Length(self._options.rounds, self._options.seconds)
            rounds = measure(cell, {FLOOR: bottom, **licets, **peers}, length, self._directory)
        self.found[kept_as].append(summary(cell, self._clients(many=cell.many), rounds))
        done = self._cells_done() - self._cells_before
        left_s = (time.monotonic() - self._began) / done * (total - done)
        self._keep()
        _print_cell(self.found[kept_as][-1], f"{done} of {total}, {left_s / 60:.0f} minutes left")

    def _keep(self) -> None:
        """Write the result so far, so that an interruption loses nothing; cells are in a fixed order."""
        ordered = {name: sorted(self.found[name], key=_place) for name in _CELLS}
        self._result.write_text(json.dumps(self.found | ordered, indent=1))

    def _clients(self, *, many: bool) -> int:
        return self._options.many if many else 1


def run(options: Options, directory: Path, result: Path) -> list[str]:
    """Measure everything, write the figures to `result`, and return the bounds that were missed."""
    # SIGTERM unwinds the stack, so that all started processes end, also the stopped ones.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with ExitStack() as stack:
        measuring = Run(options, directory, result, stack)
        measuring.measure()
        return [*floods.missed(measuring.found["floods"])]


def _peer_cells(options: Options) -> list[Cell]:
    """The cells with peers: only those that are compared, as all would take hours."""
    return [
        cell
        for cell in _cells(options)
        if cell.scenario.name in PEER_SCENARIOS and cell.connections in options.peer_connections
    ]


def _python_cells(options: Options) -> list[Cell]:
    return [
        cell
        for cell in _cells(options)
        if cell.scenario.name in pythons.SCENARIOS and cell.many and cell.connections == PYTHON_CONNECTIONS
    ]


def _cells(options: Options) -> Iterator[Cell]:
    for name in options.scenarios:
        for clients in options.clients:
            if clients > 1 or SCENARIOS[name].with_one:
                for connections in options.connections:
                    if connections <= (SCENARIOS[name].connections_max or connections):
                        yield Cell(SCENARIOS[name], connections, many=clients > 1)


def _place(cell: Mapping[str, Any]) -> tuple[int, int, int]:
    """The sort key of a cell in a result."""
    return [*SCENARIOS].index(cell["scenario"]), cell["clients"], cell["connections"]


def _base(stores: Sequence[Kind], many: int) -> Base:
    keys = keyring()
    site, filled = Site(keys, plans(many)), {}
    for kind in stores:
        print(f"Filling a store: {kind.name}", flush=True)
        place = kind.make(keys)
        site.fill(place)
        with licet(kind, place) as target:
            held = begin_sessions(site, target.url)
        filled[kind.name] = Filled(place, held, read_journal(place))
    return Base(site, filled)


def _starts(kind: Kind) -> list[float]:
    """Seconds from the start of a server with one client to its first answered grant, several times."""
    keys = keyring()
    site, place = Site(keys, plans(1)[:1]), kind.make(keys)
    site.fill(place)
    times = [start_s(place, site.grant(single(0), 0)) for _ in range(_STARTS)]
    kind.remove(place)
    print(f"First answer {min(times):.2f} to {max(times):.2f} s after the start: {kind.name}", flush=True)
    return times


def _print_cell(cell: dict[str, Any], how_far: str) -> None:
    print(f"{cell['scenario']}, {cell['connections']} connections, {cell['clients']} clients ({how_far})")
    for name, target in cell["targets"].items():
        ratio = f"{target['ratio']:.2f} ({target['ratio_least']:.2f} to {target['ratio_most']:.2f})"
        cpu = f"{target['cpu_us']:.0f} + {target['database_cpu_us']:.0f} us"
        print(
            f"  {name:10} {target['rate']:8,.0f}/s  p99 {target['p99_ms']:7.1f} ms"
            f"  of the floor {ratio}  {cpu}",
            flush=True,
        )
