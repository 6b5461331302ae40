"""Gives SQLAlchemy a connection of the driver, and translates its exceptions.

SQLAlchemy is imported when the first connection is wrapped. A process that only commits never does that.
"""

import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection, Engine


class Wrapping:
    """Makes connections of SQLAlchemy, of one engine: what it compiles once is compiled for all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._given = threading.local()

    def of(self, raw: "psycopg.Connection[Any]") -> "Connection":
        """The same connection for SQLAlchemy. It must not be in a transaction: a first one is rolled back."""
        with self._lock:
            if self._engine is None:
                self._engine = self._make()
        self._given.raw = raw
        return self._engine.connect()

    def _make(self) -> "Engine":
        from sqlalchemy import create_engine  # noqa: PLC0415 - see above
        from sqlalchemy.pool import NullPool  # noqa: PLC0415 - see above

        return create_engine(
            "postgresql+psycopg://",
            creator=lambda: vars(self._given).pop("raw"),  # once: it never connects again by itself
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",  # The store begins and ends transactions itself.
            use_native_hstore=False,
            hide_parameters=True,  # of a failed statement: they may contain a password hash
        )


def cause_of(fault: Exception) -> BaseException | None:
    """What SQLAlchemy has wrapped, or its exception itself; None where it is not one of SQLAlchemy's."""
    kinds = sys.modules.get("sqlalchemy.exc")  # who has not imported it gets none of its exceptions
    if kinds is None or not isinstance(fault, kinds.SQLAlchemyError):
        return None
    cause: BaseException | None = getattr(fault, "orig", None)
    return cause or fault
