"""Manages the session of one client: its tokens, which thread or task renews them, and its end.

One renewal (`Flight`) at a time: of all threads and tasks that need new tokens one asks the server, and the
others wait for its result. What is asked, in which order, is one flow for both, without I/O.

- Fresh tokens are used as they are. Shortly before they expire, and when the API refuses one, they are
  renewed: by the refresh token, else by a new grant.
- An early renewal that fails never fails a request: while the old token works, it is used.
- When no seat is free, the client tries again when the server says, for as long as it waits for a seat, and
  once more at the end. Where the server says nothing, the pauses grow.
- If it is to stand in line, it asks for a place in the queue of the pool, and for answers that are put off.
- A renewal that ends after the session was closed logs off the tokens that it got.
- Warnings about the licence are logged when they begin and when they change, not at each renewal.
"""

import asyncio
import logging
import threading
from asyncio import wrap_future
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace

from licet.client.clock import Timing
from licet.client.errors import (
    LicetError,
    NoSeatAvailable,
    ServerUnreachable,
    SessionClosed,
    TokenRefused,
    UnusableAnswer,
)
from licet.client.token_endpoint import WAITING_IS_VAIN, Answer, TokenServer, read
from licet.client.tokens import Tokens
from licet.client.transport import Ask, Flow, NoAnswer, Pause, Wire

PAUSE_MIN_S = 1.0  # between two requests for a seat, where the server does not say
PAUSE_MAX_S = 30.0  # a guess: a free seat is found within this time
JITTER_SHARE = 0.1  # of a pause, added to it
JITTER_MIN_S = 1.0
POLL_S = 20  # for which the server may put off an answer; so long a `close` may have to wait for it

_LOG = logging.getLogger("licet.client")
_HOPELESS = frozenset({"invalid_client", "server_error", "temporarily_unavailable"})
_SERVER_ERROR = 500
_UNAUTHORIZED = 401
_SUCCESS = range(200, 300)


class Flight:
    """One renewal, on which others wait; it ends with tokens, an error or, if it was interrupted, None."""

    def __init__(self) -> None:
        self.landed: Future[Tokens | None] = Future()
        self.landed.set_running_or_notify_cancel()  # a caller that gives up does not affect others
        self.thread = threading.get_ident()
        self.task: asyncio.Task[None] | None = None


def _landed(held: Tokens) -> Flight:
    flight = Flight()
    flight.landed.set_result(held)
    return flight


class Session:
    """The tokens of one client; any thread and any event loop may use it."""

    def __init__(
        self, server: TokenServer, wire: Wire, timing: Timing, *, seat_wait_s: float, in_line: bool = False
    ) -> None:
        self._server = server
        self._wire = wire
        self._timing = timing
        self._seat_wait_s = seat_wait_s
        self._in_line = in_line
        self._lock = threading.Lock()
        self._tokens: Tokens | None = None
        self._flight: Flight | None = None
        self._closed = threading.Event()
        self._warned: tuple[str, ...] = ()

    def begin_anew(self) -> None:
        """Forget everything, in a child after a fork: the tokens belong to its parent.

        Locks are new as well: a thread that does not exist in the child may have held the old ones.
        """
        was_closed = self._closed.is_set()
        self._lock = threading.Lock()
        self._tokens = self._flight = None
        self._closed = threading.Event()
        if was_closed:
            self._closed.set()

    def current(self, worn: Tokens | None) -> Tokens | None:
        """Tokens that can be used as they are, if any; `worn` are tokens that the API refused."""
        held = self._tokens
        if held is None or held.is_same(worn) or self._closed.is_set():
            return None
        return held if held.is_fresh(self._timing.now_s()) else None

    def get(self, worn: Tokens | None = None) -> Tokens:
        """Tokens that can be used.

        Raises LicetError.
        """
        while (held := self.current(worn)) is None:
            flight, is_mine = self._board(worn, is_task=False)
            if is_mine:
                with self._flying(flight):
                    flight.landed.set_result(self._wire.run(self._renewing(worn), self._closed))
            got = flight.landed.result()
            if got is not None and not got.is_same(worn):
                return got
        return held

    async def aget(self, worn: Tokens | None = None) -> Tokens:
        """The same, for tasks."""
        while (held := self.current(worn)) is None:
            flight, is_mine = self._board(worn, is_task=True)
            if is_mine:
                # A task of its own: when a caller is cancelled, the new session must not be lost.
                flight.task = asyncio.create_task(self._afly(flight, worn))
            got = await wrap_future(flight.landed)
            if got is not None and not got.is_same(worn):
                return got
        return held

    def doubt(self, worn: Tokens) -> None:
        """The API refused these tokens: renew them at the next request."""
        with self._lock:
            if self._tokens is worn:
                self._tokens = replace(worn, renew_at_s=self._timing.now_s())

    def log_off(self, timeout_s: float | None = None) -> bool:
        """End the session, if there is one; return whether the server confirmed it."""
        return self._wire.run(self._ending(self._take()), self._closed, timeout_s)

    async def alog_off(self) -> bool:
        """The same, for tasks."""
        return await self._wire.arun(self._ending(self._take()))

    def close(self) -> None:
        """Give out no more tokens."""
        self._closed.set()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the server said of its licence with the current tokens."""
        held = self._tokens
        return () if held is None else held.warnings

    @property
    def holds(self) -> bool:
        """Whether there is a session to log off."""
        return self._tokens is not None

    def _board(self, worn: Tokens | None, *, is_task: bool) -> tuple[Flight, bool]:
        """The renewal to wait for, and whether the caller has to do it."""
        with self._lock:
            if (held := self.current(worn)) is not None:  # one has ended since the caller looked
                return _landed(held), False
            if self._closed.is_set():
                raise SessionClosed("the LicetAuth is closed; its session was logged off")
            if self._flight is None:
                self._flight = Flight()
                return self._flight, True
            # A task of this thread renews, and could not go on while the thread waits for it.
            if not is_task and self._flight.thread == threading.get_ident():
                return Flight(), True
            return self._flight, False

    async def _afly(self, flight: Flight, worn: Tokens | None) -> None:
        with suppress(LicetError), self._flying(flight):  # those who wait get the error
            flight.landed.set_result(await self._wire.arun(self._renewing(worn)))

    @contextmanager
    def _flying(self, flight: Flight) -> Iterator[None]:
        """End the renewal in any case, so that those who wait go on."""
        try:
            yield
        except LicetError as refused:
            flight.landed.set_exception(refused)
            raise
        finally:
            with self._lock:
                if self._flight is flight:
                    self._flight = None
            if not flight.landed.done():
                flight.landed.set_result(None)

    def _take(self) -> Tokens | None:
        with self._lock:
            held, self._tokens = self._tokens, None
            return held

    def _renewing(self, worn: Tokens | None) -> Flow[Tokens]:
        """Get new tokens and keep them.

        Raises LicetError.
        """
        got = yield from self._renewed(self._tokens, worn)
        if isinstance(got, LicetError):
            raise got
        with self._lock:
            is_late = self._closed.is_set()
            if not is_late:
                self._tokens = got
        self._warn(got)
        if is_late:
            yield from self._ending(got)
            raise SessionClosed("the LicetAuth was closed meanwhile; its session was logged off")
        return got

    def _warn(self, got: Tokens) -> None:
        if got.warnings and got.warnings != self._warned:
            until = f", until {got.licence_expires_at}" if got.licence_expires_at else ""
            _LOG.warning("%s warns of its licence: %s%s", self._server.url, ", ".join(got.warnings), until)
        self._warned = got.warnings

    def _renewed(self, old: Tokens | None, worn: Tokens | None) -> Flow[Tokens | LicetError]:
        now_s = self._timing.now_s()
        spare = old if old is not None and not old.is_same(worn) and old.lives(now_s) else None
        if old is not None and old.may_refresh(now_s):
            got = yield from self._refreshed(old)
            if isinstance(got, Tokens):
                return got
            if _is_final(got):
                return spare.postponed(now_s) if spare is not None else got
            if isinstance(got, TokenRefused) and got.error == "invalid_grant":
                spare = None  # its session is over
        if spare is None:
            got = yield from self._granted(self._seat_wait_s, in_line=self._in_line)
        else:
            got = yield from self._granted(0.0, in_line=False)
        if isinstance(got, LicetError) and spare is not None:
            return spare.postponed(now_s)
        return got

    def _refreshed(self, old: Tokens) -> Flow[Tokens | LicetError]:
        assert old.refresh_token is not None
        sent_s = self._timing.now_s()
        answer = yield Ask(self._server.refresh(old.refresh_token))
        return self._read(answer, sent_s, old)

    def _granted(self, seat_wait_s: float, *, in_line: bool) -> Flow[Tokens | LicetError]:
        """A new session; while no seat is free, try again until `seat_wait_s` is over."""
        end_s = self._timing.now_s() + seat_wait_s
        pause_s = PAUSE_MIN_S
        while True:
            sent_s = self._timing.now_s()
            poll_s = min(POLL_S, max(0, int(end_s - sent_s))) if in_line else 0
            answer = yield Ask(self._server.grant(in_line=in_line, wait_s=poll_s), poll_s)
            got = self._read(answer, sent_s, None)
            now_s = self._timing.now_s()
            left_s = end_s - now_s
            if not isinstance(got, NoSeatAvailable) or got.reason in WAITING_IS_VAIN or left_s <= 0:
                return got
            if got.queue_position is None or not poll_s or now_s - sent_s < poll_s:
                yield Pause(min(self._pause_s(got, pause_s), left_s))
            if self._closed.is_set():
                return SessionClosed("the LicetAuth was closed while it waited for a seat")
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    def _pause_s(self, denied: NoSeatAvailable, usual_s: float) -> float:
        """How long to wait before the next request for a seat."""
        wait_s = usual_s if denied.retry_after is None else max(denied.retry_after, PAUSE_MIN_S)
        jitter_s = wait_s * JITTER_SHARE
        if denied.queue_position is None:  # else the place would lapse, and nobody overtakes anybody
            jitter_s = max(jitter_s, JITTER_MIN_S)
        return wait_s + self._timing.jitter_s(jitter_s)

    def _read(
        self, answer: Answer | NoAnswer | None, sent_s: float, old: Tokens | None
    ) -> Tokens | LicetError:
        assert answer is not None
        if isinstance(answer, NoAnswer):
            return ServerUnreachable(f"{self._server.url}token {answer.why}")
        return read(answer, self._server.url, sent_s=sent_s, old=old)

    def _ending(self, held: Tokens | None) -> Flow[bool]:
        """Log off. A server that cannot be reached is no error, because the session expires by itself."""
        if held is None:
            return False
        answer = None
        if held.lives(self._timing.now_s()):
            answer = yield Ask(self._server.logoff(held))
        has_expired = answer is None or (isinstance(answer, Answer) and answer.status == _UNAUTHORIZED)
        if has_expired and held.refresh_token is not None:
            answer = yield Ask(self._server.logoff_by_refresh(held.refresh_token))
        if isinstance(answer, Answer) and answer.status in _SUCCESS:
            return True
        _LOG.warning("%slogoff %s; the session ends by itself", self._server.url, _why(answer))
        return False


def _why(answer: Answer | NoAnswer | None) -> str:
    match answer:
        case Answer(status=status):
            return f"answers {status}"
        case NoAnswer(why=why):
            return why
        case None:
            return "takes no token that has expired"


def _is_final(refused: LicetError) -> bool:
    """Whether a failed refresh is final, because a new grant would fail in the same way."""
    match refused:
        case NoSeatAvailable():
            return False
        case TokenRefused(error=error, status=status):
            return status >= _SERVER_ERROR or error in _HOPELESS
        case UnusableAnswer(status=status):
            return status >= _SERVER_ERROR
        case _:
            return True
