"""Listens for changes of the set-up by other nodes, and holds the lock of the leader, which does the upkeep.

It is a thread with a connection of its own: where that is lost, another node gets the lock.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from time import monotonic

from licet.store.postgres.connection import DriverConnection, Link

HEARTBEAT_S = 1.0
CHANNEL = "licet_setup"
LEADER_LOCK = 0x6C_69_63_02  # a class of advisory locks: "lic" in ASCII, and a number

# A stopped node does not stay leader for long.
_WATCHER = {"idle_session_timeout": f"{10 * HEARTBEAT_S:.0f}s"}


class Watcher:
    """A thread that waits for notifications, on a connection of its own, and calls `on_change` for each.

    `answer_s` is how long the database may take to answer before the connection counts as lost.
    """

    def __init__(self, url: str, on_change: Callable[[], None], answer_s: float) -> None:
        self.is_leader = False
        self._link = Link(url, "watcher", _WATCHER)
        self._on_change = on_change
        self._answer_s = answer_s
        self._closed = threading.Event()
        self._waker, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="licet-watch", daemon=True)

    def start(self) -> None:
        """Listen from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and release the lock."""
        self._closed.set()
        self._waker.close()
        if self._thread.is_alive():
            self._thread.join()
        self._woken.close()
        self._link.close()

    def _run(self) -> None:
        while not self._closed.is_set():
            with suppress(Exception):  # Readers of the set-up get the error; this tries again.
                self._listen()
            self.is_leader = False
            self._closed.wait(HEARTBEAT_S / 4)

    def _listen(self) -> None:
        """Listen until it is closed, or the connection is lost: then another node may become leader."""
        # Not `select.select`, which takes no file number above 1023: a server with many clients has such.
        with self._link.using(self._answer_s) as wire, DefaultSelector() as either:
            either.register(wire.raw, EVENT_READ)
            either.register(self._woken, EVENT_READ)
            wire.raw.execute(f"LISTEN {CHANNEL}".encode())
            self._on_change()  # What changed while nobody listened.
            while not self._closed.is_set():
                wire.raw.deadline = monotonic() + self._answer_s
                self._stand(wire.raw)
                if any(True for _ in wire.raw.notifies(timeout=0)):
                    self._on_change()
                either.select(HEARTBEAT_S)

    def _stand(self, raw: DriverConnection) -> None:
        """Take the leader's lock if it is free. It ends with the connection, so check that this is alive."""
        statement = "SELECT true" if self.is_leader else f"SELECT pg_try_advisory_lock({LEADER_LOCK}, 0)"
        [(is_mine,)] = raw.execute(statement.encode())
        self.is_leader = is_mine
