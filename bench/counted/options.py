"""What a grant takes of a pool with many seats and rules, beside one with few seats and no options.

Two stores with the same clients: a pool with 10 seats in use and no options, which has as many more as a
batch takes, so that it is at its bound then; and one with a million seats, of which all are taken that are
not reserved, with 100 rules of 20 groups and a queue. The last kind of batch asks both for one more than
they can give. A grant counts for a max and a reserve there; with `per_client`, for a limit of its client as
well. Batches are committed straight away; the two have their turns. What matters is processor time. On
SQLite the instructions of Python's machine and the loops of SQLite's are counted as well: noise changes
neither.
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
_GROUPS = 20  # of each of which one client at a time has a seat
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
    """Of the pool with few seats and no options, and of the one with many seats and rules."""

    few: float
    many: float

    @property
    def ratio(self) -> float:
        """How many times the first the second is."""
        return self.many / self.few


class Desk:
    """A store whose pool is at its bound but for `room` seats, and what is asked of it. Close it."""

    def __init__(self, kind: Kind, room: int, seats: int = 0, *, per_client: bool = False) -> None:
        """With `seats`, the pool has so many, and options."""
        shape = Shape(clients=_FEW, sessions=_FEW, late=_LATE, room=_GROUPS if seats else room)
        self._loaded = Loaded(kind, keyring(), shape)
        if seats:
            _add_options(self._loaded, seats, per_client=per_client)
        self._direct = Direct(self._loaded, range(_FEW))
        self._room = room

    def close(self) -> None:
        """Let go of the store, and remove it."""
        self._direct.close()
        self._loaded.kind.remove(self._loaded.place)

    def round(self) -> Iterator[tuple[str, list[Command], Outcomes]]:
        """What is asked in turn: batches of one kind each, and how they are answered."""
        takes = self._takes(0)
        yield "grant", takes, Granted
        yield "denial", self._takes(_GROUPS), Denied
        yield "renewal", [_renewal(it) for it in takes], Granted
        yield "logoff", self._direct.ends(takes), Ended
        takes = self._takes(0)
        # The pool is full before the last one is decided.
        yield "grant, and one denied", [*takes, self._grant(_GROUPS)], (Granted, Denied)
        self._direct.measure([self._direct.ends(takes)], Ended)

    def measure(self, commands: list[Command], outcomes: Outcomes) -> Taken:
        """Have them committed."""
        return self._direct.measure([commands], outcomes)

    def _takes(self, first: int) -> list[Command]:
        return [self._grant(first + number) for number in range(self._room)]

    def _grant(self, late: int) -> Grant:
        return self._loaded.command(_FEW + late, new_sid(SystemClock().now_ms()))


def measure(
    kind: Kind, batch: int, rounds: int, seats: int = SEATS, *, per_client: bool = False
) -> Mapping[str, Pair]:
    """The processor time of a command of each kind, in batches of this size: medians, in us."""
    taken: dict[str, tuple[list[float], list[float]]] = {}
    with _desks(kind, batch, seats, per_client) as desks:
        for number in range(rounds + _WARM_ROUNDS):
            for asked in zip(*(desk.round() for desk in desks), strict=True):
                times = taken.setdefault(asked[0][0], ([], []))
                # Which one is first changes, as the second finds warm caches.
                for at in (0, 1) if number % 2 else (1, 0):
                    _, commands, outcomes = asked[at]
                    one = desks[at].measure(commands, outcomes)
                    if number >= _WARM_ROUNDS:
                        times[at].append(one.cpu_us + one.database_cpu_us)
    return {name: Pair(*map(statistics.median, both)) for name, both in taken.items()}


def count(kind: Kind, batch: int, seats: int, *, per_client: bool = False) -> Mapping[str, tuple[Pair, Pair]]:
    """The instructions of Python's machine for a command of each kind, and the loops of SQLite's."""
    found: dict[str, list[tuple[float, float]]] = {}
    with counting_loops() as loops, _desks(kind, batch, seats, per_client) as desks:
        for desk in desks:
            for is_counted in (False, True):
                for name, commands, outcomes in desk.round():
                    one = _count(desk, commands, outcomes, loops)
                    if is_counted:
                        found.setdefault(name, []).append(one)
    return {name: (Pair(few[0], many[0]), Pair(few[1], many[1])) for name, (few, many) in found.items()}


@contextmanager
def _desks(kind: Kind, batch: int, seats: int, per_client: bool) -> Iterator[list[Desk]]:
    with ExitStack() as stack:
        desks = [Desk(kind, batch), Desk(kind, batch, seats, per_client=per_client)]
        for desk in desks:
            stack.callback(desk.close)
        yield desks


def _count(desk: Desk, commands: list[Command], outcomes: Outcomes, loops: Loops) -> tuple[float, float]:
    """Instructions and loops of a command."""
    looped = loops.count
    with tracing() as tracer:
        tracer.begin()
        desk.measure(commands, outcomes)
        instructions = tracer.end(len(commands)).instructions
    return instructions, (loops.count - looped) / len(commands)


def _renewal(grant: Command) -> Command:
    assert isinstance(grant, Grant)
    return Refresh(
        tenant_id=grant.tenant_id, client_key=grant.client_key, sid=grant.sid, address=grant.address
    )


def _add_options(loaded: Loaded, seats: int, *, per_client: bool) -> None:
    others = seats - _FEW - _GROUPS  # which are in use beside those of the clients
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
