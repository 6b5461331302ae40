"""A bounded number of things that several threads use, each of them by one thread at a time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from licet.store.errors import StoreUnavailable

_Thing = TypeVar("_Thing")


class Turns(Generic[_Thing]):
    """Each is made when it is first wanted, and there are `most` at most."""

    def __init__(self, make: Callable[[], _Thing], *, most: int) -> None:
        self._make = make
        self._free: list[_Thing] = []
        self._turns = threading.Semaphore(most)
        self._most = most
        self._is_closed = False

    @contextmanager
    def taken(self, within_s: float) -> Iterator[_Thing]:
        """One of them, for the length of the block.

        Raises StoreUnavailable when all are in use for longer than that.
        """
        if not self._turns.acquire(timeout=within_s):
            raise StoreUnavailable(f"{self._most} reports are being made, and none of them ends")
        try:
            if self._is_closed:
                raise StoreUnavailable("the store is closed")
            thing = self._free.pop() if self._free else self._make()
            try:
                yield thing
            finally:
                self._free.append(thing)
        finally:
            self._turns.release()

    def close(self) -> list[_Thing]:
        """Wait until none is in use, let nobody have one any more, and return all that were made."""
        self._is_closed = True
        for _ in range(self._most):
            self._turns.acquire()
        things = self._free.copy()
        self._turns.release(self._most)
        return things
