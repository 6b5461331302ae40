"""Bounds one connection: its place among the others, its phases, its time limits, and how it ends.

A subclass reads requests from it (`connection.py`). One table defines the phases, the events that lead from
one to the next, and what each allows (`phases.py`). The rules:

- Every wait that depends on the client has a time limit.
- An error is never written into another answer.
- A connection is closed in such a way that the client still gets the last answer (RFC 9112 section 9.6).
"""

import asyncio
import os
from typing import Any, ClassVar, Final, Literal, Protocol, cast

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from licet.web.http.connections import Connections, Entry, Limits
from licet.web.http.exchange import NOTHING, UnderWay, refusal
from licet.web.http.phases import (
    ANSWER_TIMEOUT_S,
    BODY_BYTES_MAX,
    BODY_TIMEOUT_S,
    BOUNDS,
    HEAD_TIMEOUT_S,
    LINGER_TIMEOUT_S,
    TRANSITIONS,
    Event,
    Overdue,
    Phase,
    no_transition,
)
from licet.web.http.taking import Taking
from licet.web.http.timer import NEVER, OneTimer

OVER: Final = (Phase.LINGER, Phase.CLOSING)
"""The last answer is given. There is a deadline for the rest."""

_ROOM: Final = "room"


class Handshake(Protocol):
    """What came before, on a connection by TLS: its place is this connection's."""

    def is_over(self) -> None:
        """Leave the place."""


class Lifetime(OneTimer, asyncio.Protocol):
    """One connection, from its beginning to its end, for uvicorn's server."""

    body_bytes_max: ClassVar[int] = BODY_BYTES_MAX
    head_timeout_s: ClassVar[float] = HEAD_TIMEOUT_S
    body_timeout_s: ClassVar[float] = BODY_TIMEOUT_S
    answer_timeout_s: ClassVar[float] = ANSWER_TIMEOUT_S
    linger_timeout_s: ClassVar[float] = LINGER_TIMEOUT_S
    serves_half_closed: ClassVar[bool] = True
    limits: ClassVar[Limits] = Limits()

    @staticmethod
    def report(request_id: str, status: int, description: str, address: str) -> None:
        """Report a refusal; a subclass may log it."""

    @staticmethod
    def refusal(status: int, description: str, request_id: str) -> bytes:
        """A refusal as this listener writes it."""
        return refusal(status, description, request_id)

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        del app_state  # that of ASGI's lifespan, which no application of ours has
        self.app: Any = config.loaded_app
        self.timeout_keep_alive = config.timeout_keep_alive
        self.server_state, self.tasks = server_state, server_state.tasks
        self.loop = _loop or asyncio.get_running_loop()
        # One for all connections of the server.
        self.room: Connections = vars(server_state).setdefault(_ROOM, Connections(self.limits))
        self.handshake: Handshake | None = None
        self.peer = ""
        self._entry = Entry.SHUT_OUT
        self._phase: Phase = Phase.NEW
        self._client_is_done = False
        self._under_way: UnderWay = NOTHING
        self._held = bytearray()  # what came behind the request that is under way
        self._taking = Taking()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected: serve it, answer that there is no room, or close at once."""
        self.transport = transport
        self.flow = FlowControl(transport)
        self.server, self.client = get_local_addr(transport), get_remote_addr(transport)
        self.scheme: Literal["http", "https"] = "https" if is_ssl(transport) else "http"
        self.server_state.connections.add(cast("Any", self))
        if self.handshake is not None:
            self.handshake.is_over()
        self.peer = self.client[0] if self.client else ""
        self._entry = self.room.enter(self, self.peer)
        if self._entry is Entry.SERVED:
            self._must_end_by(self.head_timeout_s)
        elif self._entry is Entry.SHUT_OUT:
            self._abort()
        else:
            self._step(Event.NO_ROOM)
            self._must_end_by(self.linger_timeout_s)

    def connection_lost(self, _exc: Exception | None) -> None:
        """The connection is gone: drop all references, without waiting for the garbage collector."""
        self.server_state.connections.discard(cast("Any", self))
        self.room.leave(self)
        self.flow.resume_writing()  # who waits for that, waits no longer
        self._under_way.lost()
        self._under_way = NOTHING
        self._step(Event.LOST)
        self._held.clear()
        self._cancel_alarm()

    def waiting_s(self) -> float | None:
        """For how long it has waited for the client; None while a request is being answered."""
        bounds = BOUNDS[self._phase]
        is_answering = self._phase is Phase.BODY and (
            self._deadline == NEVER or self._under_way.response_started
        )
        if not bounds.is_waiting or is_answering:
            return None
        timeout_s: float = getattr(self, bounds.timeout_s)
        # The deadline is later where the client takes an answer slowly.
        return max(0.0, self.loop.time() - self._deadline + timeout_s)

    def give_way(self) -> None:
        """End this connection at once, for another one that needs its place: it is counted no longer."""
        self._abort()

    def pause_writing(self) -> None:
        """The client does not read its answers: it has until the deadline to begin."""
        self.flow.pause_writing()
        self._taking.begin(self.transport)
        self._must_end_by(self.answer_timeout_s)

    def resume_writing(self) -> None:
        """The client reads again."""
        self.flow.resume_writing()

    # The end

    def _refuse(self, status: int, description: str) -> None:
        """Answer instead of the application; it is the last answer on this connection."""
        if self._phase in OVER:
            return  # The parser objects too, to what is refused already.
        if self._phase is Phase.BODY:
            if self._under_way.response_started:
                # The application was faster. Its answer says `connection: close` already.
                self._step(Event.SPOILT)
                self._must_end_by(self.answer_timeout_s)
                return
            self._under_way.refused()
        request_id = os.urandom(8).hex()
        self.report(request_id, status, description, self.peer)
        self.transport.write(self.whole_refusal(status, description, request_id))
        self._step(Event.REFUSED)
        self._linger()

    def whole_refusal(self, status: int, description: str, request_id: str) -> bytes:
        """A refusal with the header fields of every answer."""
        status_line, line_end, rest = self.refusal(status, description, request_id).partition(b"\r\n")
        common = b"".join(b"%s: %s\r\n" % field for field in self.server_state.default_headers)
        return status_line + line_end + common + rest

    def _end(self) -> None:
        """The last answer is complete, or never will be."""
        if self._phase is Phase.ANSWER and not self._held:
            self._close()
            self._must_end_by(self.linger_timeout_s)
        else:
            self._step(Event.LAST_COMPLETE)
            if self._phase is Phase.LINGER:
                self._linger()

    def _linger(self) -> None:
        """Close in stages (RFC 9112 section 9.6).

        A close with unread bytes, or with bytes still to come, makes the client's system discard an answer
        that the client has not read yet.
        """
        self._held.clear()
        if self._client_is_done:
            self._close()
        elif self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._must_end_by(self.linger_timeout_s)

    def _close(self) -> None:
        """Close once everything written is sent."""
        self._step(Event.CLOSE)
        self._taking.begin_later()
        self.transport.close()

    def _abort(self) -> None:
        """Close at once, even if not everything written is sent."""
        self._step(Event.CLOSE)
        self.transport.abort()

    def _step(self, event: Event) -> None:
        """Enter the next phase."""
        try:
            self._phase = TRANSITIONS[self._phase][event]
        except KeyError:
            self.transport.abort()
            raise no_transition(self._phase, event) from None

    # The timer

    def _on_deadline(self) -> None:
        overdue = BOUNDS[self._phase].overdue
        if overdue is Overdue.ABORT or self.transport.is_closing() or self.flow.write_paused:
            if self._taking.goes_on(self.transport):
                self._must_end_by(self.answer_timeout_s)
            else:
                self._abort()
        elif overdue is Overdue.REFUSE:
            self._refuse(408, "The request was not complete in time.")
        elif overdue is Overdue.CLOSE:
            self._close()
            self._must_end_by(self.linger_timeout_s)
