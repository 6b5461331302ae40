"""Keeps the connections of closed stores for the next test, as each new one starts a process in PostgreSQL.

A connection is kept if its store left it outside a transaction. Its locks and channels are released at once;
its settings are reset when it is taken again. Its prepared statements stay. A connection that has broken in
the meantime is not given out. Other databases, such as those that a test stops, always get new connections.
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

_KEPT_MAX = 6  # of one kind; a test opens two or three stores
_DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)
# A kept connection does not count among those of a store, and has no idle timeout.
_GIVE_BACK = b"""
SELECT pg_advisory_unlock_all(); UNLISTEN *;
SET application_name = 'kept'; SET idle_session_timeout = 0; SET idle_in_transaction_session_timeout = 0
"""
_TAKE = b"RESET ALL"
_CLOSED: Final = pq.PGconn.connect_start(b"host=127.0.0.1 port=1")
_CLOSED.finish()


class KeptConnections:
    """Keeps the connections to one database, from its creation until `close`."""

    def __init__(self, database: str) -> None:
        self.database = database
        self._kept: dict[tuple[Any, ...], list[tuple[pq.abc.PGconn, Any]]] = defaultdict(list)
        self._lock = threading.Lock()
        vars(connection)["DriverConnection"] = type("_Kept", (_KeptConnection,), {"keeper": self})

    def close(self) -> None:
        """Stop keeping, and close the kept connections."""
        vars(connection)["DriverConnection"] = DriverConnection
        for pgconn, _prepared in chain.from_iterable(self._kept.values()):
            pgconn.finish()
        self._kept.clear()

    def take(self, kind: tuple[Any, ...]) -> tuple[pq.abc.PGconn, Any] | None:
        """A kept connection that works, with its settings reset; None if there is none."""
        while True:
            with self._lock:
                if not self._kept[kind]:
                    return None
                pgconn, prepared = self._kept[kind].pop()
            if _does(pgconn, _TAKE):
                return pgconn, prepared
            pgconn.finish()

    def give_back(self, kind: tuple[Any, ...], pgconn: pq.abc.PGconn, prepared: Any) -> None:
        """Keep the connection if possible, otherwise close it."""
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
    """Execute statements; False if the connection is broken."""
    try:
        return pgconn.exec_(statements).status in _DONE
    except psycopg.Error:
        return False
