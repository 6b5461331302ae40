"""Seat memories of guards, on each kind of database, with a clock that a test moves."""

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from licet.guard.sql_memory import SqlMemory
from support.store.postgres import Postgres

START_S = 1_795_824_000  # 2026-11-28
NO_CACHE = timedelta(0)


class Time:
    """One time, in seconds since 1970, for all clocks of a test."""

    def __init__(self, s: float = START_S) -> None:
        self.s = float(s)

    def now_s(self) -> float:
        """The time of the monotonic clock and of the wall clock, in seconds."""
        return self.s

    def wall_ms(self) -> int:
        """The time of the database, in milliseconds."""
        return int(self.s * 1000)


class Database:
    """A database with the table of seats; an API passes `connect` to its memory."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self.connect = connect
        self.memories: list[SqlMemory] = []
        self._own = connect()
        self.execute(SqlMemory.SCHEMA)

    @classmethod
    def sqlite(cls, file: Path) -> "Database":
        """A SQLite database in a file."""
        return cls(lambda: sqlite3.connect(file, timeout=60))

    @classmethod
    def postgres(cls, server: Postgres, name: str) -> "Database":
        """A database of a PostgreSQL server."""
        url = server.create_database(name)
        return cls(lambda: psycopg.connect(url))

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute a statement, commit it, and return its rows."""
        cursor = self._own.cursor()
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
        self._own.commit()
        return [*rows]

    def memory(self, time: Time | None = None, **options: Any) -> SqlMemory:
        """The memory of one process; without `time` it uses the clocks of the machine."""
        if time is not None:
            options = {"now_s": time.now_s, "wall_ms": time.wall_ms} | options
        self.memories.append(SqlMemory(self.connect, **{"timeout": timedelta(seconds=60)} | options))
        return self.memories[-1]

    def close(self) -> None:
        """Close all memories and the test's own connection."""
        self._own.close()
        for memory in self.memories:
            memory.close()
