"""Measures commits of fixed batches by `licet.lanes.commit`, without a server: a grant's cost in the store.

Stores that are compared are measured in turn, one round each, so that noise affects all of them alike.
"""

import statistics
import time
from collections.abc import Callable, Sequence, Sized
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from bench.measured.loading import Loaded
from bench.measured.processes import families, fine_cpu_s, used_s
from bench.measured.stores import POSTGRES
from licet.credentials.tokens import new_sid
from licet.lanes.commit import commit
from licet.ledger.commands import Command, Grant, Granted

if TYPE_CHECKING:
    from licet.store.contract import Store

BATCH = 32
_Answer = TypeVar("_Answer")
_STRIDE = 7919  # a prime, so that the clients come in another order than in the tables


class Taken(NamedTuple):
    """The cost of a command in one round, in us: elapsed time, and processor time here and in the database.

    `log_bytes` is what it wrote to the WAL of the store.
    """

    wall_us: float
    cpu_us: float
    database_cpu_us: float
    log_bytes: float


class Direct:
    """Commits batches to a store in this process. Close it."""

    def __init__(self, loaded: Loaded, numbers: Sequence[int]) -> None:
        self.loaded = loaded
        self._store: Store = loaded.place.open()
        self._numbers = cycle([numbers[at * _STRIDE % len(numbers)] for at in range(len(numbers))])

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def grants(self, count: int = BATCH) -> list[Command]:
        """Grants of the next clients."""
        now_ms = self._store.clock.now_ms()
        return [self.loaded.command(number, new_sid(now_ms)) for number in islice(self._numbers, count)]

    def ends(self, grants: Sequence[Command]) -> list[Command]:
        """The commands that end the sessions of these grants."""
        return [
            self.loaded.end(grant.client_key - 1, grant.sid) for grant in grants if isinstance(grant, Grant)
        ]

    def measure(self, batches: Sequence[list[Command]], outcome: type | tuple[type, ...] = Granted) -> Taken:
        """Commit these batches; returns the cost of a command."""
        taken, answers = self._timed(lambda: [commit(self._store, it) for it in batches], batches)
        wrong = [it for answer in answers for it in answer if not isinstance(it, outcome)]
        assert not wrong, wrong[:3]
        return taken

    def measure_reads(self, batches: Sequence[Sequence[bytes]]) -> Taken:
        """Read these live sessions; returns the cost of one."""
        taken, answers = self._timed(lambda: [self._store.read_sessions(it) for it in batches], batches)
        assert [len(it.sessions) for it in answers] == [*map(len, batches)], "some do not live"
        return taken

    def _timed(
        self, do: Callable[[], list[_Answer]], batches: Sequence[Sized]
    ) -> tuple[Taken, list[_Answer]]:
        """The cost of each item of these batches, and the answers."""
        # Read the database's time first, because finding its processes takes time of this one.
        log, database, own_s = self._log_bytes(), self._database_cpu_s(), time.process_time()
        began = time.perf_counter()
        answers = do()
        wall_s = time.perf_counter() - began
        own_s, database_s = time.process_time() - own_s, used_s(database, self._database_cpu_s())
        log, items = self._log_bytes() - log, sum(map(len, batches))
        each_us = 1e6 / items
        return Taken(wall_s * each_us, own_s * each_us, database_s * each_us, log / items), answers

    def store_bytes(self) -> int:
        """How large the store is."""
        if self.loaded.kind.name != POSTGRES:
            return sum(path.stat().st_size for path in self.loaded.place.data.glob("licet.db"))
        with self._store.reading() as connection:
            query = "SELECT pg_database_size(current_database())"
            return int(connection.exec_driver_sql(query).scalar_one())

    def _database_cpu_s(self) -> dict[int, float]:
        return fine_cpu_s(families(self.loaded.kind.pids()))

    def _log_bytes(self) -> int:
        if self.loaded.kind.name != POSTGRES:
            wal = self.loaded.place.data / "licet.db-wal"
            return wal.stat().st_size if wal.exists() else 0
        with self._store.reading() as connection:
            query = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"
            return int(connection.exec_driver_sql(query).scalar_one())


def summary(rounds: Sequence[Taken]) -> dict[str, Any]:
    """The medians of some rounds."""
    medians = [statistics.median(values) for values in zip(*rounds, strict=True)]
    # A log that begins again does not grow.
    logged = [it.log_bytes for it in rounds if it.log_bytes > 0]
    return dict(zip(Taken._fields, medians, strict=True)) | {"log_bytes": statistics.median(logged or [0.0])}
