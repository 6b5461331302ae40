"""Simulates a shard as a queueing model: nodes, their committing processes and one database.

    arrival -> server of a node -> its commit lane -> processors of the database -> sync to disk -> answer

It is a discrete-event simulation. Its service times come from measurements (`Costs.of`), everything else from
`Shard`. The rules are Licet's:

- A server sends its committing process half of the commands that wait together, or what it has when nothing
  more has arrived; all that is sent while a transaction runs goes into the next one, up to `BATCH_MAX`.
- A batch holds the locks of its tenants until it is durable; batches without common tenants run in parallel.
- Commits that wait for a sync to disk share the next one.
- A request that waits longer than `DEADLINE_S` is answered with 503, and its client retries after a while.

A server is one thread, and so is a committing process; each needs a processor of its machine while it works,
for `wake_s` more when it had nothing to do before. Times between arrivals are exponential. The same seed
gives the same run.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from licet.lanes.portions import Portion

BATCH_MAX = 256  # commands, as in the setting
QUEUE_MAX = 4096
DEADLINE_S = 2.0
FOLD_EVERY_S = 5.0
FOLD_PART = 500  # entries of one transaction
AGAIN_S = (0.5, 2.0)  # the range of time after which a client retries an answer 503
_LOOK_EVERY_S = 0.05
_WAKES = 3  # of a request that is alone: the server, the committing process, and the server again


class Costs(NamedTuple):
    """Service times in processor seconds, and that of a sync to disk; `..batch_s` is for a whole batch."""

    server_s: float  # of a request, in the server of its node
    command_s: float  # of a command, in the committing process
    batch_s: float
    database_command_s: float
    database_batch_s: float
    sync_s: float
    wake_s: float = 0.0  # of a server or a committing process that had nothing to do
    fold_entry_s: float = 0.0  # of an entry of the journal that is folded, in the database
    trip_s: float = 0.0  # the round trip from a node to the database

    @classmethod
    def of(cls, run: Mapping[str, Any], scale: Mapping[str, Any], scenario: str) -> "Costs":
        """The costs from kept results, on PostgreSQL.

        The cost of a request with many connections is that of one command of many; with one connection it
        includes the cost of a whole batch, and wakes the server twice and the committing process once. What
        that takes is what the floor takes more for a request of the only connection than for one of many. To
        fold an entry costs the database as much as a command: a guess, and more than was ever measured.
        """
        cells = {
            cell["connections"]: cell["targets"]
            for cell in run["cells"]
            if cell["scenario"] == scenario and cell["clients"] > 1
        }
        alone, many = (cells[connections]["postgres"] for connections in (min(cells), max(cells)))
        floor_alone, floor_many = (cells[connections]["floor"] for connections in (min(cells), max(cells)))
        wake_us = max(0.0, floor_alone["cpu_us"] - floor_many["cpu_us"])
        straight = scale["curves"]["sessions"]["postgres"][-1]["direct"]["cpu_us"]
        command_us = min(straight, many["cpu_us"] / 2)
        return cls(
            server_s=(many["cpu_us"] - command_us) / 1e6,
            command_s=command_us / 1e6,
            batch_s=max(0.0, alone["cpu_us"] - many["cpu_us"] - _WAKES * wake_us) / 1e6,
            database_command_s=many["database_cpu_us"] / 1e6,
            database_batch_s=max(0.0, alone["database_cpu_us"] - many["database_cpu_us"]) / 1e6,
            sync_s=run["machine"]["sync_ms"] / 1e3,
            wake_s=wake_us / 1e6,
            fold_entry_s=many["database_cpu_us"] / 1e6,
        )


class Shard(NamedTuple):
    """The simulated shard. A fault of a node or of the database begins at `fault_at_s` and lasts `fault_s`.

    With `clients` there are no arrivals: this many clients send their next request after each answer.
    """

    nodes: int = 2
    node_cores: int = 2
    database_cores: int = 4
    tenants: int = 20_000
    rate: float = 1_000.0  # requests a second, of all nodes together
    clients: int = 0
    client_s: float = 0.0  # processor time on the nodes' machine for each request of such a client
    is_one_machine: bool = False  # nodes and database share the processors of the nodes
    seconds: float = 20.0
    warm_s: float = 2.0  # seconds at the beginning that do not count
    broken: str = ""  # `database` or `node`
    fault_at_s: float = 0.0
    fault_s: float = 0.0
    batch_max: int = BATCH_MAX
    is_folding: bool = True
    seed: int = 1


class Result(NamedTuple):
    """The result; shares are of the time of all processors of that kind.

    `again_s` is how long after a fault answers were as fast again as before.
    """

    answers: int
    rate: float
    mean_ms: float
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    refused: int
    commands_of_batch: float
    syncs: float  # a second
    server_share: float  # of the busiest server, which is one thread
    node_share: float
    database_share: float
    again_s: float


class _Processors:
    """Some processors that run jobs in order of arrival."""

    def __init__(self, events: "Simulation", count: int) -> None:
        self.busy_s = 0.0
        self.count = count
        self.is_down = False
        self._events = events
        self._free = count
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()

    def work(self, seconds: float, then: Callable[[], None]) -> None:
        """Run a job for `seconds` as soon as a processor is free, and then call `then`."""
        self._waiting.append((seconds, then))
        self.go_on()

    def go_on(self) -> None:
        while self._free and self._waiting and not self.is_down:
            seconds, then = self._waiting.popleft()
            self._free -= 1
            self.busy_s += seconds
            self._events.after(seconds, lambda then=then: self._done(then))  # type: ignore[misc]

    def _done(self, then: Callable[[], None]) -> None:
        self._free += 1
        then()
        self.go_on()


class _Disk:
    """Syncs to disk, one at a time: commits that arrive while one runs share the next."""

    def __init__(self, events: "Simulation", sync_s: float) -> None:
        self.syncs = 0
        self._events = events
        self._sync_s = sync_s
        self._waiting: list[Callable[[], None]] = []
        self._is_busy = False

    def sync(self, then: Callable[[], None]) -> None:
        """Call `then` when everything written so far is durable."""
        self._waiting.append(then)
        if not self._is_busy:
            self._begin()

    def _begin(self) -> None:
        durable, self._waiting = self._waiting, []
        self._is_busy = True
        self.syncs += 1
        self._events.after(self._sync_s, lambda: self._done(durable))

    def _done(self, durable: list[Callable[[], None]]) -> None:
        self._is_busy = False
        if self._waiting:
            self._begin()
        for then in durable:
            then()


class _Node:
    """A node: a server, which is one thread, and its commit lane."""

    def __init__(self, processors: _Processors, wake_s: float, on_idle: Callable[["_Node"], None]) -> None:
        self.is_down = False
        self.busy_s = 0.0
        self.processors = processors
        self._wake_s = wake_s
        self._on_idle = on_idle
        self._jobs: deque[tuple[float, Callable[[], None]]] = deque()
        self._is_serving = False
        self.unsent: list[tuple[float, int]] = []  # when a command came, and of which tenant
        self.pending: deque[tuple[float, int]] = deque()
        self.portion = Portion()
        self.is_committing = False

    def serve(self, seconds: float, then: Callable[[], None]) -> None:
        """Run a job on the server's thread."""
        self._jobs.append((seconds if self._is_serving else self._wake_s + seconds, then))
        if not self._is_serving:
            self._next_job()

    def _next_job(self) -> None:
        if not self._jobs:
            self._is_serving = False
            self._on_idle(self)
            return
        self._is_serving = True
        seconds, then = self._jobs.popleft()
        self.busy_s += seconds

        def done() -> None:
            then()
            self._next_job()

        self.processors.work(seconds, done)


class Simulation:
    """One run of the simulation."""

    def __init__(self, costs: Costs, shard: Shard) -> None:
        self.now_s = 0.0
        self._costs, self._shard = costs, shard
        self._dice = random.Random(shard.seed)  # noqa: S311 - a model, and no secret
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        machines = [_Processors(self, shard.node_cores) for _ in range(shard.nodes)]
        self._database = machines[0] if shard.is_one_machine else _Processors(self, shard.database_cores)
        self._disk = _Disk(self, costs.sync_s)
        self._nodes = [_Node(at, costs.wake_s, self._send) for at in machines]
        self._locked: set[int] = set()
        self._blocked: deque[tuple[frozenset[int], Callable[[], None]]] = deque()
        self._entries = 0
        self._latencies: list[tuple[float, float]] = []  # when it was answered, and after how long
        self._refused = self._batches = self._commands = 0

    def after(self, seconds: float, then: Callable[[], None]) -> None:
        """Call a function after this time."""
        self._number += 1
        heapq.heappush(self._heap, (self.now_s + seconds, self._number, then))

    def run(self) -> Result:
        """Run to the end."""
        shard = self._shard
        if shard.clients:
            for _ in range(shard.clients):
                self._arrive(self.now_s)
        else:
            self._next_arrival()
        if shard.is_folding:
            self.after(FOLD_EVERY_S, self._fold)
        self.after(_LOOK_EVERY_S, self._give_up)
        if shard.broken:
            self.after(shard.fault_at_s, self._break)
        end_s = shard.seconds
        while self._heap and self._heap[0][0] <= end_s:
            self.now_s, _, then = heapq.heappop(self._heap)
            then()
        return self._result()

    def _next_arrival(self) -> None:
        self.after(self._dice.expovariate(self._shard.rate), self._arrive_and_go_on)

    def _arrive_and_go_on(self) -> None:
        self._next_arrival()
        self._arrive(self.now_s)

    def _arrive(self, came_s: float) -> None:
        """A request arrives; a proxy passes it to a node that is up."""
        alive = [node for node in self._nodes if not node.is_down]
        node = alive[self._dice.randrange(len(alive))]
        tenant = self._dice.randrange(self._shard.tenants)
        # Half of a server's work for a request is before the commit, half after it.
        node.serve(self._costs.server_s / 2, lambda: self._submit(node, came_s, tenant))

    def _submit(self, node: _Node, came_s: float, tenant: int) -> None:
        if len(node.pending) >= QUEUE_MAX:
            self._refuse()
            return
        node.unsent.append((came_s, tenant))
        if len(node.unsent) >= node.portion.size:
            self._send(node)

    def _send(self, node: _Node) -> None:
        node.pending.extend(node.unsent)
        node.unsent.clear()
        if not node.is_committing:
            self._commit(node, self._costs.wake_s)

    def _commit(self, node: _Node, wake_s: float = 0.0) -> None:
        batch: list[tuple[float, int]] = []
        while node.pending and len(batch) < self._shard.batch_max:
            came_s, tenant = node.pending.popleft()
            batch.append((came_s, tenant))
        node.is_committing = bool(batch)
        if not batch:
            return
        self._batches += 1
        self._commands += len(batch)
        costs, size = self._costs, len(batch)
        tenants = frozenset(tenant for _, tenant in batch)

        def at_database() -> None:
            seconds = costs.database_batch_s + costs.database_command_s * size
            self._database.work(seconds, lambda: self._disk.sync(durable))

        def locked() -> None:
            self._with_locks(tenants, at_database)

        def durable() -> None:
            self._release(tenants)
            self._entries += size
            self.after(costs.trip_s / 2, answered)

        def answered() -> None:
            node.portion.saw(len(batch) + len(node.pending) + len(node.unsent))
            for came_s, _ in batch:
                if self.now_s - came_s > DEADLINE_S:  # it may have been done or not
                    self._refuse()
                    continue
                node.serve(costs.server_s / 2, lambda came_s=came_s: self._answer(came_s))  # type: ignore[misc]
            self._commit(node)

        node.processors.work(
            wake_s + costs.batch_s + costs.command_s * size, lambda: self.after(costs.trip_s / 2, locked)
        )

    def _with_locks(self, tenants: frozenset[int], then: Callable[[], None]) -> None:
        if self._locked.isdisjoint(tenants):
            self._locked |= tenants
            then()
        else:
            self._blocked.append((tenants, then))

    def _release(self, tenants: frozenset[int]) -> None:
        self._locked -= tenants
        for _ in range(len(self._blocked)):
            self._with_locks(*self._blocked.popleft())

    def _answer(self, came_s: float) -> None:
        self._latencies.append((self.now_s, self.now_s - came_s))
        if self._shard.clients:
            # The client takes a processor as well, and asks again.
            self._nodes[0].processors.work(self._shard.client_s, lambda: self._arrive(self.now_s))

    def _give_up(self) -> None:
        """Answer requests that have waited too long, whatever the database does."""
        self.after(_LOOK_EVERY_S, self._give_up)
        for node in self._nodes:
            while node.pending and self.now_s - node.pending[0][0] > DEADLINE_S:
                node.pending.popleft()
                self._refuse()

    def _refuse(self) -> None:
        self._refused += 1
        self.after(self._dice.uniform(*AGAIN_S), lambda: self._arrive(self.now_s))

    def _fold(self) -> None:
        """Fold all entries since the last time, in parts, in parallel to the batches."""
        entries, self._entries = self._entries, 0
        self.after(FOLD_EVERY_S, self._fold)
        self._fold_part(entries)

    def _fold_part(self, left: int) -> None:
        if left:
            part = min(left, FOLD_PART)
            seconds = part * self._costs.fold_entry_s
            self._database.work(seconds, lambda: self._disk.sync(lambda: self._fold_part(left - part)))

    def _break(self) -> None:
        if self._shard.broken == "database":
            self._database.is_down = True
            self.after(self._shard.fault_s, self._mend)
        else:
            self._nodes[-1].is_down = True

    def _mend(self) -> None:
        self._database.is_down = False
        self._database.go_on()

    def _result(self) -> Result:
        shard = self._shard
        counted = sorted(took_s for at_s, took_s in self._latencies if at_s >= shard.warm_s)
        seconds = shard.seconds - shard.warm_s
        machines = {id(node.processors): node.processors for node in self._nodes}.values()
        cores = sum(machine.count for machine in machines)
        return Result(
            answers=len(counted),
            rate=len(counted) / seconds,
            mean_ms=1e3 * sum(counted) / max(1, len(counted)),
            p50_ms=1e3 * _percentile(counted, 0.5),
            p99_ms=1e3 * _percentile(counted, 0.99),
            slowest_ms=1e3 * _percentile(counted, 1.0),
            refused=self._refused,
            commands_of_batch=self._commands / max(1, self._batches),
            syncs=self._disk.syncs / shard.seconds,
            server_share=max(node.busy_s for node in self._nodes) / shard.seconds,
            node_share=sum(machine.busy_s for machine in machines) / shard.seconds / cores,
            database_share=self._database.busy_s / shard.seconds / self._database.count,
            again_s=self._again_s(),
        )

    def _again_s(self) -> float:
        """The time from the end of a fault to the last answer that took twice the slowest before it."""
        shard = self._shard
        if not shard.broken:
            return 0.0
        before = sorted(took_s for at_s, took_s in self._latencies if shard.warm_s < at_s < shard.fault_at_s)
        bound_s = 2 * _percentile(before, 1.0)
        end_s = shard.fault_at_s + shard.fault_s
        late = [at_s for at_s, took_s in self._latencies if at_s >= end_s and took_s > bound_s]
        return max(late, default=end_s) - end_s


def simulate(costs: Costs, shard: Shard) -> Result:
    """Simulate a shard with these costs."""
    return Simulation(costs, shard).run()


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
