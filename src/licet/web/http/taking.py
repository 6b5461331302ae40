"""Tells whether a client takes what was written to it, if slowly.

What it has taken is what its system has acknowledged. Where the server's system does not count that, it is
what has left the buffer of the transport, which is less exact, and over TLS says nothing.
"""

import asyncio

from licet.platforms.sockets import taken_of
from licet.web.http.phases import TAKEN_BYTES_LEAST


class Taking:
    """What the client of one connection had taken when somebody last looked."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: int | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        """Look: what the client takes counts from now on."""
        self._taken, _ = _taken_of(transport)

    def begin_later(self) -> None:
        """Forget what was seen: what the client takes counts from the next look on."""
        self._taken = None

    def goes_on(self, transport: asyncio.Transport) -> bool:
        """Look: whether there is more to take, and since the last look enough was taken."""
        before = self._taken
        self._taken, are_more = _taken_of(transport)
        return are_more and (before is None or self._taken - before >= TAKEN_BYTES_LEAST)


def _taken_of(transport: asyncio.Transport) -> tuple[int, bool]:
    """How many bytes are taken, counted from anywhere, and whether there are more."""
    unsent = transport.get_write_buffer_size()
    connected = transport.get_extra_info("socket")  # None below TLS, once the connection is lost
    taken = None if connected is None else taken_of(connected)
    if taken is None:
        return -unsent, unsent > 0
    return taken.acknowledged, taken.are_more or unsent > 0
