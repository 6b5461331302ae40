"""Accepts the TLS connections of a listener, with the same bounds as without TLS.

asyncio informs a protocol of a connection only after the handshake, so that connections without one would not
be counted. So connections are accepted here. The rules:

- A connection counts for its source from the beginning, and can be replaced like any that keeps the server
  waiting.
- Its handshake has the same time limit as a head; then it is closed.
- If there is no room, it is closed at once: an answer would cost a handshake.
- A failed handshake is the client's fault, and is not logged.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

import uvicorn
from uvicorn.server import ServerState

from licet.web.http.certificate import Certificate
from licet.web.http.connection import GuardedHttpProtocol
from licet.web.http.connections import Connections, Entry

SHUTDOWN_S: Final = 86_400.0
"""The event loop's own time limit for what is left to send at a close, and for the end of TLS. The deadlines
of a connection end it earlier, and know whether the client takes anything."""

ACCEPT_AGAIN_S: Final = 1.0  # after no file was left for a connection; asyncio waits as long


class Handshake:
    """A connection on which TLS is not agreed yet."""

    def __init__(self, room: Connections, state: ServerState, address: str) -> None:
        self._room = room
        self._connections = cast("set[Any]", state.connections)
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._task: asyncio.Task[None] | None = None
        self.is_served = room.enter(self, address) is Entry.SERVED
        if self.is_served:
            self._connections.add(self)
        else:
            room.leave(self)

    def waiting_s(self) -> float:
        """For how long it has kept the server waiting."""
        return self._loop.time() - self._began_s

    def give_way(self) -> None:
        """End it, for another one that needs its place."""
        if self._task is not None:
            self._task.cancel()

    shutdown = give_way  # as uvicorn calls it, when the server stops

    def is_over(self) -> None:
        """TLS is agreed, and the connection is about to take the place; or it never will."""
        self._room.leave(self)
        self._connections.discard(self)

    def begin(self, accepted: socket.socket, certificate: Certificate, protocol: GuardedHttpProtocol) -> None:
        """Agree on TLS, and hand the connection to its protocol."""
        self._task = self._loop.create_task(self._run(accepted, certificate, protocol))
        # Not by the task: one that is cancelled in the turn in which it was made never runs.
        self._task.add_done_callback(lambda task: self._end(task, accepted))

    async def _run(
        self, accepted: socket.socket, certificate: Certificate, protocol: GuardedHttpProtocol
    ) -> None:
        protocol.handshake = self
        with suppress(OSError):  # as errors of TLS are; the transport is closed
            await self._loop.connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=certificate.context(),
                ssl_handshake_timeout=protocol.head_timeout_s,
                ssl_shutdown_timeout=SHUTDOWN_S,
            )

    def _end(self, task: asyncio.Task[None], accepted: socket.socket) -> None:
        self.is_over()
        if task.cancelled():
            accepted.close()  # nobody else does, where the task never ran


class TlsListener:
    """A listening socket whose connections speak TLS. For uvicorn, one of its servers."""

    def __init__(
        self,
        listening: socket.socket,
        certificate: Certificate,
        make: Callable[[], GuardedHttpProtocol],
        state: ServerState,
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._certificate = certificate
        self._make = make
        self._state = state
        self._loop = asyncio.get_running_loop()
        self._accepting = self._loop.create_task(self._accept())

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Where it runs."""
        return self._loop

    def close(self) -> None:
        """Accept no more."""
        self._accepting.cancel()

    async def wait_closed(self) -> None:
        """Return when it accepts no more."""
        await asyncio.wait([self._accepting])

    async def _accept(self) -> None:
        while True:
            try:
                accepted, address = await self._loop.sock_accept(self._listening)
            except OSError:
                await asyncio.sleep(ACCEPT_AGAIN_S)
                continue
            self._begin(accepted, str(address[0]))
            await asyncio.sleep(0)  # others have their turn, however many wait to be accepted

    def _begin(self, accepted: socket.socket, address: str) -> None:
        protocol = self._make()
        handshake = Handshake(protocol.room, self._state, address)
        if handshake.is_served:
            handshake.begin(accepted, self._certificate, protocol)
        else:
            accepted.close()


class GuardedServer(uvicorn.Server):
    """uvicorn's server, which speaks TLS where it has a certificate."""

    def __init__(self, config: uvicorn.Config, certificate: Certificate | None = None) -> None:
        super().__init__(config)
        self._certificate = certificate

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        if self._certificate is None or sockets is None:
            await super().startup(sockets)
            return
        await super().startup([])
        for listening in sockets:
            listener = TlsListener(listening, self._certificate, self._protocol, self.server_state)
            self.servers.append(cast("asyncio.Server", listener))

    def _protocol(self) -> GuardedHttpProtocol:
        made = cast("type[GuardedHttpProtocol]", self.config.http_protocol_class)
        return made(self.config, self.server_state, self.lifespan.state)
