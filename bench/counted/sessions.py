"""Measures each kind of request with very many live sessions, and compares it with the same with few.

The stores have the same 10,000 clients, and are measured in turn, round by round. Commands are committed
without a server, in batches of 32, and introspections are read as by a server's reading thread. The sessions
that are refreshed or introspected are random ones of the 1,000 clients that ask, others in each round. Seats
are taken by clients without a session, until the pool is full. What matters is processor time, which a noisy
machine changes little. A ratio compares figures of the same round, which were measured at nearly the same
time.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import select, text

from bench.counted.direct import BATCH, Direct, Taken
from bench.measured import machine
from bench.measured.loading import Loaded, Shape, begin_sessions
from bench.measured.stores import POSTGRES, Kind, connection, keyring
from licet.clock import SystemClock
from licet.credentials.tokens import new_sid
from licet.ledger.commands import Command, Denied, Ended, Refresh, Sweep, Swept
from licet.store import schema
from licet.store.errors import StoreUnavailable

COUNTS = (1_000, 1_000_000, 10_000_000)
GROWTH_MAX = 1.2  # of the cost of each kind, from the fewest sessions to the most
GRANT = "grant of a client that has its seat"
REFRESH = "refresh of any session"
INTROSPECTION = "introspection of any session, read alone"
TAKE = "grant that takes a seat"
DENIAL = "grant on a full pool: denied"
LOGOFF = "logoff that gives the seat back"
SWEEP = "sweep, for each session that has expired"
SWEEP_SEATS = "the same, where its seat has expired as well"
SWEEP_NONE = "sweep that finds nothing"

_ASKING = 1_000  # clients
_BATCHES = 25
_ROOM = 15  # free seats, in batches
_SWEEP_MAX = 500  # as in the settings
_SWEEPS = 4
_TRIES = 5
_TWO_DAYS_MS = 2 * 86_400_000
_OVERDUE = """
UPDATE session SET expires_at_ms = :past_ms WHERE client_key > :clients;
UPDATE seat SET expires_at_ms = :past_ms WHERE pool_id = 1 AND holder IN
  (SELECT 'client:' || client_id FROM client WHERE key > :clients)
"""
_LATE_LEFT = text("SELECT count(*) FROM session WHERE client_key > :clients")
_WROTE = text("UPDATE setup SET writer = writer + 1")


class MeasuredStore:
    """A store with so many live sessions, and the batches for it. Close it."""

    def __init__(
        self, kind: Kind, sessions: int, direct: Callable[[Loaded, Sequence[int]], Direct] = Direct
    ) -> None:
        """`direct` makes the object that commits batches and measures them."""
        room = _ROOM * BATCH
        self._loaded = Loaded(kind, keyring(), Shape(sessions=sessions, late=room + BATCH, room=room))
        with connection(self._loaded.place) as opened:
            for statement in (
                f"UPDATE pool SET seats = in_use + {room}",  # noqa: S608 - of this file
                "UPDATE setup SET version = version + 1",
                "UPDATE tenant SET version = (SELECT version FROM setup)",
            ):
                opened.execute(text(statement))
        self._direct = direct(self._loaded, range(_ASKING))
        self._random = Random(0)  # noqa: S311 - no secret

    def close(self) -> None:
        """Close the store, and remove it."""
        self._direct.close()
        self._loaded.kind.remove(self._loaded.place)

    def store_bytes(self) -> int:
        """The size of the store."""
        return self._direct.store_bytes()

    def round(self) -> dict[str, Taken]:
        """The cost of a request of each kind; the round is repeated if a busy machine times out."""
        for _ in range(_TRIES - 1):
            try:
                return self._round()
            except StoreUnavailable as fault:
                print(f"  a round is asked again: {fault}", flush=True)
        return self._round()

    def _round(self) -> dict[str, Taken]:
        direct = self._direct
        self._tidy()
        for _ in range(-(-_ASKING // BATCH)):  # so that the store remembers the clients that ask again
            direct.measure([direct.grants()])
        found = {GRANT: direct.measure([direct.grants() for _ in range(_BATCHES)])}
        found[REFRESH] = direct.measure([[self._refresh(*it) for it in batch] for batch in self._any()])
        found[INTROSPECTION] = direct.measure_reads([[sid for _, sid in batch] for batch in self._any()])
        takes = self._takes()
        found[TAKE] = direct.measure(takes)
        found[DENIAL] = direct.measure([self._late(_ROOM * BATCH) for _ in range(_BATCHES)], Denied)
        found[LOGOFF] = direct.measure([direct.ends(batch) for batch in takes], Ended)
        return found | self._sweeps()

    def _sweeps(self) -> dict[str, Taken]:
        direct, sweep = self._direct, [Sweep(sessions_max=_SWEEP_MAX)]
        self._begin_expired(_SWEEPS * _SWEEP_MAX)
        found = {SWEEP: _each(direct.measure([[*sweep] for _ in range(_SWEEPS)], Swept), _SWEEP_MAX)}
        assert not self._expired(), "not all was swept"
        direct.measure(self._takes())
        self._expire_late()
        found[SWEEP_SEATS] = _each(direct.measure([[*sweep]], Swept), _ROOM * BATCH)
        assert not self._expired(), "not all was swept"
        found[SWEEP_NONE] = direct.measure([[*sweep] for _ in range(_BATCHES)], Swept)
        return found

    def _tidy(self) -> None:
        """Sweep the sessions that a failed round has left."""
        with connection(self._loaded.place) as opened:
            left = opened.execute(_LATE_LEFT, {"clients": self._loaded.shape.clients}).scalar_one()
        if left:
            self._expire_late()
        while self._expired():
            self._direct.measure([[Sweep(sessions_max=_SWEEP_MAX)]], Swept)

    def _takes(self) -> list[list[Command]]:
        return [self._late(number * BATCH) for number in range(_ROOM)]

    @staticmethod
    def _refresh(client_key: int, sid: bytes) -> Command:
        return Refresh(tenant_id=1, client_key=client_key, sid=sid, address="127.0.0.1")

    def _late(self, first: int) -> list[Command]:
        """A batch of grants of clients without a session."""
        shape, now_ms = self._loaded.shape, SystemClock().now_ms()
        keys = range(shape.clients + first, shape.clients + first + BATCH)
        return [self._loaded.command(number, new_sid(now_ms)) for number in keys]

    def _any(self) -> list[list[tuple[int, bytes]]]:
        """Batches of random sessions of the clients that ask, each once: its client and its id."""
        shape = self._loaded.shape
        among = range(_ASKING * max(1, shape.sessions // shape.clients))
        chosen = self._random.sample(among, min(_BATCHES * BATCH, len(among)))
        # The first sessions of all clients have the numbers from 1 on; then come the second ones.
        numbers = [it // _ASKING * shape.clients + it % _ASKING + 1 for it in chosen]
        columns = schema.session.c
        with connection(self._loaded.place) as opened:
            query = select(columns.number, columns.client_key, columns.sid).where(columns.number.in_(numbers))
            found = {number: (key, bytes(sid)) for number, key, sid in opened.execute(query)}
        assert all(found[it][0] == (it - 1) % shape.clients + 1 for it in numbers), "of others"
        sessions = [found[it] for it in numbers]
        return [sessions[at : at + BATCH] for at in range(0, len(sessions), BATCH)]

    def _begin_expired(self, sessions: int) -> None:
        """Insert expired sessions of clients that have others."""
        shape = Shape(clients=_ASKING, sessions=sessions)
        with connection(self._loaded.place) as opened:
            now_ms = SystemClock().now_ms() - _TWO_DAYS_MS
            begin_sessions(opened, shape, now_ms, in_postgres=self._loaded.kind.name == POSTGRES)
            opened.execute(_WROTE)

    def _expire_late(self) -> None:
        """Let the sessions and seats of the clients that took seats expire."""
        values = {"past_ms": SystemClock().now_ms() - 1000, "clients": self._loaded.shape.clients}
        with connection(self._loaded.place) as opened:
            for statement in _OVERDUE.split(";"):
                opened.execute(text(statement), values)
            opened.execute(_WROTE)

    def _expired(self) -> int:
        query = text("SELECT count(*) FROM session WHERE expires_at_ms <= :now_ms")
        with connection(self._loaded.place) as opened:
            return int(opened.execute(query, {"now_ms": SystemClock().now_ms()}).scalar_one())


def measure(
    kinds: Sequence[Kind], counts: Sequence[int], rounds: int, directory: Path
) -> Iterator[dict[str, Any]]:
    """The results with each number of live sessions, the fewest first; yields all so far after each store."""
    found: dict[str, Any] = {
        "machine": machine.describe(directory),
        "counts": [*counts],
        "stores": {},
    }
    for kind in kinds:
        found["stores"][kind.name] = _measure(kind, counts, rounds)
        yield found


def _measure(kind: Kind, counts: Sequence[int], rounds: int) -> dict[str, Any]:
    taken: dict[str, list[list[Taken]]] = {}
    at = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    with ExitStack() as stack:
        stores = []
        for count in counts:
            began = time.perf_counter()
            stores.append(MeasuredStore(kind, count))
            stack.callback(stores[-1].close)
            print(f"{kind.name}: {count:,} sessions in {time.perf_counter() - began:.0f} s", flush=True)
        sizes = [store.store_bytes() for store in stores]
        for number in range(rounds + 1):
            # The order alternates, so that noise affects all stores alike.
            turns = range(len(stores)) if number % 2 else reversed(range(len(stores)))
            of_round = {at: stores[at].round() for at in turns}
            for name in of_round[0]:
                if number:
                    taken.setdefault(name, []).append([of_round[at][name] for at in range(len(stores))])
    requests = {name: _summary(points) for name, points in taken.items()}
    return {"at": at, "rounds": rounds, "bytes": sizes, "requests": requests}


def merged(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One result of several, of other kinds of store each, on one machine."""
    first = results[0]
    assert all(it["counts"] == first["counts"] for it in results), "of other numbers of sessions"
    return {**first, "stores": {kind: of_kind for it in results for kind, of_kind in it["stores"].items()}}


def _summary(rounds: Sequence[Sequence[Taken]]) -> list[dict[str, float]]:
    """For each number of sessions the medians, and the ratio of processor time to that with the fewest.

    The ratios are of single rounds; their median is the least disturbed by noise.
    """
    return [_point(points, [_processors_us(it[0]) for it in rounds]) for points in zip(*rounds, strict=True)]


def _point(rounds: Sequence[Taken], fewest_us: Sequence[float]) -> dict[str, float]:
    ratios = sorted(_processors_us(it) / fewest for it, fewest in zip(rounds, fewest_us, strict=True))
    medians = map(statistics.median, zip(*rounds, strict=True))
    of_ratios = {"ratio": statistics.median(ratios), "ratio_least": ratios[0], "ratio_most": ratios[-1]}
    return dict(zip(Taken._fields, medians, strict=True)) | of_ratios


def _processors_us(taken: Taken) -> float:
    return taken.cpu_us + taken.database_cpu_us


def _each(taken: Taken, count: int) -> Taken:
    """The cost for each of so many sessions that one command sweeps."""
    return Taken(*(value / count for value in taken))


def report(found: Mapping[str, Any]) -> Iterator[str]:
    """The results, in lines."""
    for kind, of_kind in found["stores"].items():
        for at, count in enumerate(found["counts"]):
            yield f"{kind}: {count:,} live sessions, {of_kind['bytes'][at] / 1e6:,.0f} MB"
            for name, points in of_kind["requests"].items():
                point = points[at]
                yield (
                    f"  {name:42}{point['cpu_us']:7.1f} + {point['database_cpu_us']:6.1f} us:"
                    f" {point['ratio']:.2f} times ({point['ratio_least']:.2f} to {point['ratio_most']:.2f})"
                )


def missed(found: Mapping[str, Any]) -> Iterator[str]:
    """The kinds of requests whose cost grows by more than GROWTH_MAX."""
    for kind, of_kind in found["stores"].items():
        for name, points in of_kind["requests"].items():
            if (ratio := points[-1]["ratio"]) > GROWTH_MAX:
                yield f"{kind}: {name}: {ratio:.2f} times, and {GROWTH_MAX} is the most."
