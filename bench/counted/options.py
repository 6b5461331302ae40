"""Measures a grant in a pool with many seats and rules, and compares it with one with few and no options.

There are two stores with the same clients. One has a pool without options, with 10 seats in use and as many
free as a batch takes. The other has a pool with a million seats, 100 rules for 20 groups, and a queue; all
seats that are not reserved are in use. The last kind of batch asks both for one seat more than is free. In
the second pool a grant counts for a max and a reserve; with `per_client`, also for a limit of its client.

Batches are committed without a server, to the two stores in turn. What matters is processor time. On SQLite
the instructions of Python and the loops of SQLite are counted as well, which noise does not change.
"""

import statistics
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from sqlalchemy import text

from bench.counted.counting import Loops, counting_loops, tracing
from bench.counted.direct import Direct, Taken
from bench.measured.loading import Loaded, Shape
from bench.measured.stores import POSTGRES, SQLITE, Kind, connection, keyring
from licet.clock import SystemClock
from licet.credentials.tokens import new_sid
from licet.ledger.commands import Command, Denied, Ended, Grant, Granted, Refresh
from licet.options import COMMON, Priority, Share
from licet.setup.change import changing

BATCHES = (1, 14)
SEATS = 1_000_000
MORE_MAX = 0.20
_FEW = 10
_GROUPS = 20  # one client of each has a seat at a time
_MEMBERS = 5  # of a group
_LATE = _GROUPS * _MEMBERS
_QUEUE = 20
_WARM_ROUNDS = 5
_MANY_ROWS = 250_000  # of one statement

_NUMBERS = {
    SQLITE: (
        "WITH RECURSIVE it(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM it WHERE n < :rows) SELECT n FROM it"
    ),
    POSTGRES: "SELECT generate_series(1, CAST(:rows AS integer)) AS n",
}
_SEATS = """
INSERT INTO seat (pool_id, holder, tenant_id, client_id, initials, taken_at_ms, expires_at_ms, issued_at_ms,
  counted)
SELECT 1, 'client:Other' || (n + :first), 1, 'Other' || (n + :first), 'BN', :now_ms,
  :now_ms + 2 * 86400000 + n + :first, :now_ms, '{common}' FROM ({numbers}) AS numbers
"""


Outcomes = type | tuple[type, ...]


class Pair(NamedTuple):
    """A figure for the pool with few seats and no options, and for the one with many seats and rules."""

    few: float
    many: float

    @property
    def ratio(self) -> float:
        """The second figure divided by the first."""
        return self.many / self.few


class MeasuredStore:
    """A store whose pool is full except for `room` seats, and the batches for it. Close it."""

    def __init__(self, kind: Kind, room: int, seats: int = 0, *, per_client: bool = False) -> None:
        """With `seats`, the pool has so many seats, and options."""
        shape = Shape(clients=_FEW, sessions=_FEW, late=_LATE, room=_GROUPS if seats else room)
        self._loaded = Loaded(kind, keyring(), shape)
        if seats:
            _add_options(self._loaded, seats, per_client=per_client)
        self._direct = Direct(self._loaded, range(_FEW))
        self._room = room

    def close(self) -> None:
        """Close the store, and remove it."""
        self._direct.close()
        self._loaded.kind.remove(self._loaded.place)

    def round(self) -> Iterator[tuple[str, list[Command], Outcomes]]:
        """The batches of a round in order: the kind, the commands, and their expected outcomes."""
        takes = self._takes(0)
        yield "grant", takes, Granted
        yield "denial", self._takes(_GROUPS), Denied
        yield "renewal", [_renewal(it) for it in takes], Granted
        yield "logoff", self._direct.ends(takes), Ended
        takes = self._takes(0)
        # The pool is full when the last command is decided.
        yield "grant, and one denied", [*takes, self._grant(_GROUPS)], (Granted, Denied)
        self._direct.measure([self._direct.ends(takes)], Ended)

    def measure(self, commands: list[Command], outcomes: Outcomes) -> Taken:
        """Commit these commands; returns the cost of one."""
        return self._direct.measure([commands], outcomes)

    def _takes(self, first: int) -> list[Command]:
        return [self._grant(first + number) for number in range(self._room)]

    def _grant(self, late: int) -> Grant:
        return self._loaded.command(_FEW + late, new_sid(SystemClock().now_ms()))


def measure(
    kind: Kind, batch: int, rounds: int, seats: int = SEATS, *, per_client: bool = False
) -> Mapping[str, Pair]:
    """The median processor time of a command of each kind in us, in batches of this size."""
    taken: dict[str, tuple[list[float], list[float]]] = {}
    with _stores(kind, batch, seats, per_client) as stores:
        for number in range(rounds + _WARM_ROUNDS):
            for asked in zip(*(store.round() for store in stores), strict=True):
                times = taken.setdefault(asked[0][0], ([], []))
                # The order alternates, because the second finds warm caches.
                for at in (0, 1) if number % 2 else (1, 0):
                    _, commands, outcomes = asked[at]
                    one = stores[at].measure(commands, outcomes)
                    if number >= _WARM_ROUNDS:
                        times[at].append(one.cpu_us + one.database_cpu_us)
    return {name: Pair(*map(statistics.median, both)) for name, both in taken.items()}


def count(kind: Kind, batch: int, seats: int, *, per_client: bool = False) -> Mapping[str, tuple[Pair, Pair]]:
    """The instructions of Python and the loops of SQLite for a command of each kind."""
    found: dict[str, list[tuple[float, float]]] = {}
    with counting_loops() as loops, _stores(kind, batch, seats, per_client) as stores:
        for store in stores:
            for is_counted in (False, True):
                for name, commands, outcomes in store.round():
                    one = _count(store, commands, outcomes, loops)
                    if is_counted:
                        found.setdefault(name, []).append(one)
    return {name: (Pair(few[0], many[0]), Pair(few[1], many[1])) for name, (few, many) in found.items()}


@contextmanager
def _stores(kind: Kind, batch: int, seats: int, per_client: bool) -> Iterator[list[MeasuredStore]]:
    with ExitStack() as stack:
        stores = [MeasuredStore(kind, batch), MeasuredStore(kind, batch, seats, per_client=per_client)]
        for store in stores:
            stack.callback(store.close)
        yield stores


def _count(
    store: MeasuredStore, commands: list[Command], outcomes: Outcomes, loops: Loops
) -> tuple[float, float]:
    """The instructions and loops of one command."""
    looped = loops.count
    with tracing() as tracer:
        tracer.begin()
        store.measure(commands, outcomes)
        instructions = tracer.end(len(commands)).instructions
    return instructions, (loops.count - looped) / len(commands)


def _renewal(grant: Command) -> Command:
    assert isinstance(grant, Grant)
    return Refresh(
        tenant_id=grant.tenant_id, client_key=grant.client_key, sid=grant.sid, address=grant.address
    )


def _add_options(loaded: Loaded, seats: int, *, per_client: bool) -> None:
    others = seats - _FEW - _GROUPS  # seats in use besides those of the clients
    store = loaded.place.open()
    groups = [f"group:g{number:02}" for number in range(_GROUPS)]
    with changing(store, "bench") as change:
        tenant = change.tenant("Tenant1")
        for number, group in enumerate(groups):
            late = range(_FEW + number, _FEW + _LATE, _GROUPS)
            tenant.add_group(group[6:], clients=frozenset(f"Client{it}" for it in late))
            tenant.add_group(f"no{number}")
        tenant.set_pool(
            "full",
            seats=seats,
            max=tuple(Share(who=group, seats=1) for group in groups),
            reserve=tuple(Share(who=group, seats=1) for group in groups),
            include=tuple(groups),
            priority=tuple(Priority(who=group, level=number % 9) for number, group in enumerate(groups)),
            exclude=tuple(f"group:no{number}" for number in range(_GROUPS)),
            max_per_client=5 if per_client else None,
            queue=_QUEUE,
        )
    store.close()
    with connection(loaded.place) as opened:
        statement = text(_SEATS.format(common=COMMON, numbers=_NUMBERS[loaded.kind.name]))
        now_ms = SystemClock().now_ms()
        for first in range(0, others, _MANY_ROWS):
            rows = min(_MANY_ROWS, others - first)
            opened.execute(statement, {"rows": rows, "first": first, "now_ms": now_ms})
        for table, where in (("pool", "id = 1"), ("seat_count", f"what = '{COMMON}'")):
            opened.execute(text(f"UPDATE {table} SET in_use = in_use + {others} WHERE {where}"))  # noqa: S608 - of this file
    if loaded.kind.name == POSTGRES:
        with connection(loaded.place, is_apart=True) as opened:
            for done in ("VACUUM (ANALYZE)", "CHECKPOINT"):
                opened.execute(text(done))


def report_times(found: Mapping[str, Pair]) -> Iterator[str]:
    """Processor times in lines."""
    for name, pair in found.items():
        yield f"  {name:22}{pair.few:7.0f} and{pair.many:6.0f} us: {pair.ratio:.2f} times"


def report_counts(found: Mapping[str, tuple[Pair, Pair]]) -> Iterator[str]:
    """Counts in lines."""
    for name, (instructions, loops) in found.items():
        yield (
            f"  {name:22}{instructions.few:7,.0f} and{instructions.many:7,.0f} instructions:"
            f" {instructions.ratio:.2f} times; {loops.few:5,.0f} and{loops.many:6,.0f} loops of SQLite"
        )
