"""Keeps open pages up to date by server-sent events: one reader of the store serves all viewers.

    live = Live(context, read)                # read(connection, views, now_ms) -> the content of each
    return live.stream(view, token)        # an answer that goes on

The rules:

- Without viewers nothing is read. The store is asked at most once a second, in one read of `VIEWS_A_TURN_MAX`
  different views at most.
- A viewer gets the content of its view when that has changed, and only the newest: a slow viewer misses what
  was in between, and one that reads nothing for `SEND_WITHIN_S` is dropped.
- There are at most `VIEWERS_MAX`, and `VIEWERS_OF_ONE_MAX` of one sign-in.
- A stream does not keep a sign-in alive, and ends with it.

It knows nothing of the content that it sends.
"""

import asyncio
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from fastapi.responses import Response
from sqlalchemy import Connection
from starlette.types import Receive, Scope, Send

from licet.admin.context import AdminContext
from licet.admin.problems import unavailable
from licet.lanes.contract import QueueFull
from licet.store.errors import StoreUnavailable

LOOK_EVERY_S = 1.0
REST = 9.0  # pause after a read, times its duration: so a large store is not read all the time
VIEWS_A_TURN_MAX = 20
VIEWERS_MAX = 200  # a guess: administrators of one server, each with some windows
VIEWERS_OF_ONE_MAX = 12
SEND_WITHIN_S = 10.0
ASK_AGAIN_S = 15.0  # whether a viewer is still signed in; shorter than the idle limit of proxies

Shown = Mapping[str, Any]  # goes to the browser as JSON
Read = Callable[[Connection, Sequence[Any], int], Mapping[Any, Shown]]

_ENDED = b"event: ended\ndata: {}\n\n"
_ALIVE = b": \n\n"


class Live:
    """One reader and its viewers. Use it from one event loop."""

    def __init__(
        self,
        context: AdminContext,
        read: Read,
        *,
        look_every_s: float = LOOK_EVERY_S,
        send_within_s: float = SEND_WITHIN_S,
        ask_again_s: float = ASK_AGAIN_S,
    ) -> None:
        self.context = context
        self.send_within_s = send_within_s
        self.ask_again_s = ask_again_s
        self._look_every_s = look_every_s
        self._read = read
        self._viewers: set[Viewer] = set()
        self._reading: asyncio.Task[None] | None = None
        self._turn = 0

    def stream(self, view: Hashable, token: str) -> Response:
        """A stream of the content of this view, for this sign-in.

        Raises Problem when there are too many viewers.
        """
        of_one = sum(viewer.token == token for viewer in self._viewers)
        if len(self._viewers) >= VIEWERS_MAX or of_one >= VIEWERS_OF_ONE_MAX:
            raise unavailable("Too many look already; this page does not follow by itself.")
        return _Stream(self, Viewer(view, token))

    @property
    def viewers(self) -> int:
        """The number of viewers."""
        return len(self._viewers)

    def join(self, viewer: "Viewer") -> None:
        """Add a viewer."""
        self._viewers.add(viewer)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._follow())

    def leave(self, viewer: "Viewer") -> None:
        """Remove a viewer."""
        self._viewers.discard(viewer)

    async def _follow(self) -> None:
        """Read once a second for as long as there are viewers."""
        closing, loop = self.context.closing, asyncio.get_running_loop()
        while self._viewers and not closing.is_set():
            views = self._of_this_turn()
            now_ms, began_s = self.context.clock.now_ms(), loop.time()
            shown = await self._look(views, now_ms)
            took_s = loop.time() - began_s
            for viewer in self._viewers:
                if viewer.view in views:
                    viewer.note_news(shown.get(viewer.view), now_ms)
            with suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), max(self._look_every_s, REST * took_s))

    async def _look(self, views: Sequence[Hashable], now_ms: int) -> Mapping[Any, Shown]:
        """The content of these views; empty while the store does not answer."""
        try:
            return await self.context.read(lambda connection: self._read(connection, views, now_ms))
        except (QueueFull, StoreUnavailable):
            return {}
        except Exception as fault:
            self.context.log.exception("live_look_failed", exc_info=fault)
            return {}

    def _of_this_turn(self) -> Sequence[Hashable]:
        """The views to read now; when there are many, they take turns."""
        views = list(dict.fromkeys(viewer.view for viewer in self._viewers))
        if len(views) <= VIEWS_A_TURN_MAX:
            return views
        self._turn = (self._turn + VIEWS_A_TURN_MAX) % len(views)
        return (views + views)[self._turn : self._turn + VIEWS_A_TURN_MAX]


class Viewer:
    """A viewer of a view, and the newest content that was not sent to it yet."""

    def __init__(self, view: Hashable, token: str) -> None:
        self.view = view
        self.token = token
        self._seen: Shown | None = {}
        self._news = b""
        self._has_news = asyncio.Event()

    def note_news(self, shown: Shown | None, now_ms: int) -> None:
        """Note the content of the view now; None when it is unknown."""
        if shown == self._seen:
            return
        self._seen = shown
        name, data = ("down", {}) if shown is None else ("shown", {**shown, "now": now_ms})
        self._news = f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
        self._has_news.set()

    async def news(self, within_s: float) -> bytes:
        """The newest content, as soon as there is any, or a keep-alive."""
        try:
            async with asyncio.timeout(within_s):
                await self._has_news.wait()
        except TimeoutError:
            return _ALIVE
        self._has_news.clear()
        return self._news


class _Stream(Response):
    """An answer that lasts until the viewer, its sign-in or the listener is gone."""

    def __init__(self, live: Live, viewer: Viewer) -> None:
        super().__init__(
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
            media_type="text/event-stream",
        )
        del self.headers["content-length"]
        self._live = live
        self._viewer = viewer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is new."""
        del scope
        self._live.join(self._viewer)
        sending = asyncio.create_task(self._send_news(send))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._live.leave(self._viewer)
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _send_news(self, send: Send) -> None:
        """Return when the viewer is dropped, for whatever reason."""
        loop, live = asyncio.get_running_loop(), self._live
        ask_at_s = loop.time() + live.ask_again_s
        with suppress(TimeoutError, OSError):
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await self._sent(send, start)
            await self._sent(send, _body(b"retry: 3000\n\n"))
            while True:
                news = await self._viewer.news(max(0.0, ask_at_s - loop.time()))
                if loop.time() >= ask_at_s:
                    if not await self._is_signed_in():
                        break
                    ask_at_s = loop.time() + live.ask_again_s
                await self._sent(send, _body(news))
            await self._sent(send, _body(_ENDED, is_last=True))

    async def _sent(self, send: Send, message: dict[str, Any]) -> None:
        # Not `wait_for`: in Python 3.11 it may forget that its task was cancelled.
        async with asyncio.timeout(self._live.send_within_s):
            await send(message)

    async def _is_signed_in(self) -> bool:
        """Whether the sign-in is still valid; assumed where that is unknown."""
        try:
            return await self._live.context.access.signed_in(self._viewer.token, is_use=False) is not None
        except (QueueFull, StoreUnavailable):
            return True


def _body(content: bytes, *, is_last: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": not is_last}


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
