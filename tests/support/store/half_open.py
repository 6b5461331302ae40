"""Forwards TCP connections, and can make them half-open: neither end receives anything, not even a close.

    with Forwarder(port) as forwarder:
        connect(forwarder.port)
        forwarder.silence()  # the connections made so far; new ones work

It behaves like a firewall that drops the state of a connection, or a machine that lost its power.
"""

import socket
import threading
from contextlib import suppress
from typing import Self

_CHUNK = 65_536


class Forwarder:
    """Listens on a port of its own, and forwards each connection to the port `to`."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[tuple[socket.socket, socket.socket]] = []
        self._is_silent: set[socket.socket] = set()
        self.port: int = self._listening.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        for pair in self._open:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    @property
    def connections(self) -> int:
        """The number of connections made so far."""
        return len(self._open)

    def silence(self) -> None:
        """Drop all data of the connections made so far."""
        self._is_silent.update(end for pair in self._open for end in pair)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open.append((near, far))
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while content := one.recv(_CHUNK):
                if one not in self._is_silent:
                    other.sendall(content)
            if one not in self._is_silent:
                other.shutdown(socket.SHUT_WR)
