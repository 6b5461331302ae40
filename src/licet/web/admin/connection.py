"""The connections of the admin listener: uvicorn's own protocol, with bounds on how many and how slow.

The public listener's protocol is made for whole answers; here some are streams. A head is bounded by h11
while it comes in, and by the gate when it is here.
A connection that has not brought a whole request by the second look at it is closed. One that waits for its
answer, or takes a stream, is left alone.
"""

import asyncio
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS_MAX: Final = 100
"""Open connections; one more is closed without a word. A browser opens six, and an event stream keeps one."""

LOOK_EVERY_S: Final = 10.0
"""So a request has 10 to 20 seconds to come in whole: 4 MiB at 4 Mbit/s."""

KEEP_ALIVE_S: Final = 5
"""Between two requests on one connection, as uvicorn has it."""


class BoundedHttpProtocol(H11Protocol):
    """One connection."""

    connections_max: ClassVar[int] = CONNECTIONS_MAX
    look_every_s: ClassVar[float] = LOOK_EVERY_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there."""
        super().connection_made(transport)
        self._seen: object = None
        self._watch = self.loop.call_later(self.look_every_s, self._look)
        if len(self.connections) > self.connections_max:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Somebody is gone."""
        self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Close a connection on which the same request is still to come in as at the last look."""
        cycle: Any = self.cycle  # none before the first request
        is_answering = cycle is not None and not cycle.more_body and not cycle.response_complete
        if is_answering:
            self._seen = None
        elif self._seen == (now := id(cycle)):
            self.transport.abort()
            return
        else:
            self._seen = now
        self._watch = self.loop.call_later(self.look_every_s, self._look)
