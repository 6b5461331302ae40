"""Keeps the connections of closed stores for the next test: a new one costs the database a process each time.

A connection is kept where its store left it in no transaction. It gives its locks and channels back at once,
and forgets its settings when it is taken again. What it has prepared stays prepared. One that has died
meanwhile is not given out. Other databases, as those that a test stops, have new connections each time.
"""

import threading
from collections import defaultdict
from itertools import chain
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.pq import ExecStatus, TransactionStatus

from licet.store.postgres import connection
from licet.store.postgres.connection import DriverConnection

_KEPT_MAX = 6  # of one kind of link; a test opens two stores or three
_DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)
# Nobody counts it among the connections of a store, and nothing ends it for being idle.
_GIVE_BACK = b"""
SELECT pg_advisory_unlock_all(); UNLISTEN *;
SET application_name = 'kept'; SET idle_session_timeout = 0; SET idle_in_transaction_session_timeout = 0
"""
_TAKE = b"RESET ALL"
_CLOSED: Final = pq.PGconn.connect_start(b"host=127.0.0.1 port=1")
_CLOSED.finish()


class KeptConnections:
    """Those to one database, from now on until they are closed."""

    def __init__(self, database: str) -> None:
        self.database = database
        self._kept: dict[tuple[Any, ...], list[tuple[pq.abc.PGconn, Any]]] = defaultdict(list)
        self._lock = threading.Lock()
        vars(connection)["DriverConnection"] = type("_Kept", (_KeptConnection,), {"keeper": self})

    def close(self) -> None:
        """Keep no more, and close those that are kept."""
        vars(connection)["DriverConnection"] = DriverConnection
        for pgconn, _prepared in chain.from_iterable(self._kept.values()):
            pgconn.finish()
        self._kept.clear()

    def take(self, kind: tuple[Any, ...]) -> tuple[pq.abc.PGconn, Any] | None:
        """One that lives, as new; None where there is none."""
        while True:
            with self._lock:
                if not self._kept[kind]:
                    return None
                pgconn, prepared = self._kept[kind].pop()
            if _does(pgconn, _TAKE):
                return pgconn, prepared
            pgconn.finish()

    def give_back(self, kind: tuple[Any, ...], pgconn: pq.abc.PGconn, prepared: Any) -> None:
        """Keep it, or close it where that is not to be had."""
        if pgconn.transaction_status == TransactionStatus.IDLE and _does(pgconn, _GIVE_BACK):
            while pgconn.notifies() is not None:
                pass
            with self._lock:
                if len(self._kept[kind]) < _KEPT_MAX:
                    self._kept[kind].append((pgconn, prepared))
                    return
        pgconn.finish()


class _KeptConnection(DriverConnection):
    keeper: KeptConnections
    _kind: tuple[Any, ...] | None = None

    @classmethod
    def connect(cls, *arguments: Any, **named: Any) -> Any:
        if named.get("dbname") != cls.keeper.database:
            return super().connect(*arguments, **named)
        kind = tuple(sorted((key, str(value)) for key, value in named.items()))
        if (found := cls.keeper.take(kind)) is None:
            made = super().connect(*arguments, **named)
        else:
            made = cls(found[0])
            made._autocommit = named["autocommit"]
            made._prepared, made.prepared_calls = found[1]
        made._kind = kind
        return made

    def close(self) -> None:
        if self._kind is None or self.closed:
            super().close()
            return
        pgconn, self.pgconn = self.pgconn, _CLOSED
        self.keeper.give_back(self._kind, pgconn, (self._prepared, self.prepared_calls))


def _does(pgconn: pq.abc.PGconn, statements: bytes) -> bool:
    """Whether a connection lives and has executed these."""
    try:
        return pgconn.exec_(statements).status in _DONE
    except psycopg.Error:
        return False
