"""Pools a bounded number of connections, each of which one thread uses at a time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from licet.store.errors import StoreUnavailable

_Connection = TypeVar("_Connection")


class ConnectionPool(Generic[_Connection]):
    """Connections are made when they are first needed, `most` at most."""

    def __init__(self, make: Callable[[], _Connection], *, most: int) -> None:
        self._make = make
        self._free: list[_Connection] = []
        self._places = threading.Semaphore(most)
        self._most = most
        self._is_closed = False

    @contextmanager
    def taken(self, within_s: float) -> Iterator[_Connection]:
        """One of them, for the length of the block.

        Raises StoreUnavailable when all are in use for longer than that.
        """
        if not self._places.acquire(timeout=within_s):
            raise StoreUnavailable(f"{self._most} reports are being made, and none of them ends")
        try:
            if self._is_closed:
                raise StoreUnavailable("the store is closed")
            connection = self._free.pop() if self._free else self._make()
            try:
                yield connection
            finally:
                self._free.append(connection)
        finally:
            self._places.release()

    def close(self) -> list[_Connection]:
        """Wait until none is in use, give out no more, and return all that were made."""
        self._is_closed = True
        for _ in range(self._most):
            self._places.acquire()
        connections = self._free.copy()
        self._places.release(self._most)
        return connections
