"""Memories of seats, by a clock that moves when told to, on each of their databases."""

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
    """Seconds since 1970, for every clock that there is."""

    def __init__(self, s: float = START_S) -> None:
        self.s = float(s)

    def now_s(self) -> float:
        """Of a clock that only goes forward, and of the wall."""
        return self.s

    def wall_ms(self) -> int:
        """Of a database."""
        return int(self.s * 1000)


class Database:
    """A database with the table; `connect` is what an API gives to its memory."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self.connect = connect
        self.memories: list[SqlMemory] = []
        self._own = connect()
        self.execute(SqlMemory.SCHEMA)

    @classmethod
    def sqlite(cls, file: Path) -> "Database":
        """In a file."""
        return cls(lambda: sqlite3.connect(file, timeout=60))

    @classmethod
    def postgres(cls, server: Postgres, name: str) -> "Database":
        """In a server."""
        url = server.create_database(name)
        return cls(lambda: psycopg.connect(url))

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement, which is committed."""
        cursor = self._own.cursor()
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
        self._own.commit()
        return [*rows]

    def memory(self, time: Time | None = None, **options: Any) -> SqlMemory:
        """One process' memory; by the clocks of the machine if no time is given."""
        if time is not None:
            options = {"now_s": time.now_s, "wall_ms": time.wall_ms} | options
        self.memories.append(SqlMemory(self.connect, **{"timeout": timedelta(seconds=60)} | options))
        return self.memories[-1]

    def close(self) -> None:
        """Close all memories, and the connection of the test's own."""
        self._own.close()
        for memory in self.memories:
            memory.close()
