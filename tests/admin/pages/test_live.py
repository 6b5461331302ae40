"""One reader of the store for all viewers: what a viewer gets, and when it is dropped; on a real context."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy import Connection

from licet.admin.pages.live import VIEWERS_MAX, VIEWERS_OF_ONE_MAX, VIEWS_A_TURN_MAX, Live
from licet.admin.problems import Problem
from licet.store.errors import StoreUnavailable
from support.admin.admin_site import PASSWORD, AdminSite
from support.store.kinds import SqlitePlaces
from support.store.setup_site import START_MS

SOON_S = 0.001  # the next look
PATIENCE_S = 60.0


class Shop:
    """What there is to look at, and how often it was."""

    def __init__(self) -> None:
        self.shows: Any = "nothing"
        self.looks: list[list[Any]] = []

    def read(self, connection: Connection, views: Sequence[Any], now_ms: int) -> dict[Any, dict[str, Any]]:
        """As a page does."""
        assert not connection.closed
        assert now_ms >= START_MS
        self.looks.append(list(views))
        if isinstance(self.shows, Exception):
            raise self.shows
        return {view: {"view": view, "shows": self.shows} for view in views}


class Window:
    """One browser's end of a stream."""

    def __init__(self, live: Live, view: str = "all", token: str = "t", *, is_stuck: bool = False) -> None:
        self.started: dict[str, Any] = {}
        self._live = live
        self._is_stuck = is_stuck
        self._sent: asyncio.Queue[bytes] = asyncio.Queue()
        self._closed = asyncio.Event()
        stream = live.stream(view, token)
        self.answer = asyncio.create_task(stream({"type": "http"}, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._closed.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.started = message
            return
        self._sent.put_nowait(message["body"])
        if self._is_stuck and b"event" in message["body"]:
            await asyncio.Event().wait()

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The next event: its name and what it tells."""
        while True:
            body = await asyncio.wait_for(self._sent.get(), PATIENCE_S)
            if body.startswith(b"event: "):
                name, data = body.decode().rstrip("\n").split("\n")
                return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    async def shown(self) -> Any:
        """What it is told next that there is to see."""
        name, data = await self.next()
        assert name == "shown"
        return data["shows"]

    async def close(self) -> None:
        """The reader goes away."""
        self._closed.set()
        await asyncio.wait_for(self.answer, PATIENCE_S)


@pytest.fixture
def site(sqlite_places: SqlitePlaces, tmp_path: Path) -> Iterator[AdminSite]:
    """A store with an administrator, `ada`."""
    site = AdminSite(sqlite_places.make(tmp_path, START_MS), tmp_path)
    yield site
    site.close()


@pytest.fixture
def shop() -> Shop:
    """What is looked at."""
    return Shop()


class Run(Protocol):
    """Runs what a test does with a reader that looks again at once."""

    def __call__(self, test: Callable[[Live], Awaitable[None]], **settings: float) -> None:
        """In the site's event loop."""


@pytest.fixture
def run(site: AdminSite, shop: Shop) -> Run:
    """Runs what a test does with a reader that looks again at once."""

    def run(test: Callable[[Live], Awaitable[None]], **settings: float) -> None:
        async def work() -> None:
            live = Live(
                site.context, shop.read, **{"look_every_s": SOON_S, "ask_again_s": 1000.0, **settings}
            )
            await test(live)

        site.node.run(work)

    return run


def test_a_viewer_is_told_what_there_is_and_then_what_is_new(run: Run, shop: Shop) -> None:
    """And nothing while nothing changes."""

    async def test(live: Live) -> None:
        window = Window(live)
        assert await window.shown() == "nothing"
        later = Window(live)
        assert await later.shown() == "nothing"  # so somebody has looked again
        shop.shows = "seat"
        assert await window.shown() == "seat"
        await later.close()
        headers = dict(window.started["headers"])
        assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
        assert headers[b"cache-control"] == b"no-store"
        await window.close()

    run(test)


def test_what_is_told_says_what_the_clock_shows(run: Run, site: AdminSite) -> None:
    """Countdowns run on the server's clock."""

    async def test(live: Live) -> None:
        window = Window(live)
        assert (await window.next())[1]["now"] == site.clock.now_ms()
        await window.close()

    run(test)


def test_nobody_reads_when_nobody_looks(run: Run, shop: Shop) -> None:
    """And somebody again when somebody does."""

    async def test(live: Live) -> None:
        assert not shop.looks
        for _ in range(2):
            window = Window(live)
            await window.shown()
            reader = live._reading
            assert reader is not None
            await window.close()
            await asyncio.wait_for(reader, PATIENCE_S)
            assert live.viewers == 0

    run(test)


def test_all_who_look_at_the_same_are_one_look(run: Run, shop: Shop) -> None:
    """However many they are."""

    async def test(live: Live) -> None:
        windows = [Window(live, token=f"t{number}") for number in range(50)]
        for window in windows:
            assert await window.shown() == "nothing"
        shop.shows = "seat"
        for window in windows:
            assert await window.shown() == "seat"
        assert all(views == ["all"] for views in shop.looks)
        for window in windows:
            await window.close()

    run(test)


def test_many_different_views_are_read_in_turns_and_none_is_forgotten(run: Run, shop: Shop) -> None:
    """A look is bounded."""

    async def test(live: Live) -> None:
        windows = [Window(live, f"view {it}", f"t{it}") for it in range(2 * VIEWS_A_TURN_MAX + 5)]
        for _ in range(2):
            for window in windows:
                await window.shown()
            shop.shows = "more"
        assert max(map(len, shop.looks)) == VIEWS_A_TURN_MAX
        for window in windows:
            await window.close()

    run(test)


def test_who_takes_nothing_is_dropped_and_keeps_nobody_waiting(run: Run, shop: Shop) -> None:
    """A browser that hangs behind a proxy."""

    async def test(live: Live) -> None:
        stuck, other = Window(live, is_stuck=True), Window(live)
        assert await other.shown() == "nothing"
        shop.shows = "seat"
        assert await other.shown() == "seat"
        await asyncio.wait_for(stuck.answer, PATIENCE_S)
        assert live.viewers == 1
        await other.close()

    run(test, send_within_s=0.01)


def test_too_many_are_refused_and_there_is_room_again_when_one_leaves(run: Run) -> None:
    """Of one sign-in, and of all together."""

    async def test(live: Live) -> None:
        own = [Window(live, token="mine") for _ in range(VIEWERS_OF_ONE_MAX)]
        await own[-1].shown()
        with pytest.raises(Problem) as refused:
            live.stream("all", "mine")
        assert refused.value.status == 503
        await own.pop().close()
        live.stream("all", "mine")
        rest = VIEWERS_MAX - live.viewers
        others = [Window(live, token=f"t{number}") for number in range(rest)]
        await others[-1].shown()
        with pytest.raises(Problem):
            live.stream("all", "another")
        for window in (*own, *others):
            await window.close()

    run(test)


@pytest.mark.parametrize("fault", [StoreUnavailable("gone"), RuntimeError("a bug")])
def test_a_store_that_is_down_is_told_once_and_then_what_there_is(
    run: Run, shop: Shop, fault: Exception
) -> None:
    """The page says that what it shows may be old."""

    async def test(live: Live) -> None:
        window = Window(live)
        await window.shown()
        before, shop.shows = shop.shows, fault
        assert await window.next() == ("down", {})
        shop.shows = before
        assert await window.shown() == "nothing"
        await window.close()

    run(test)


def test_a_stream_ends_with_its_sign_in_and_keeps_nobody_signed_in(run: Run, site: AdminSite) -> None:
    """Who looks on does not use it."""

    async def test(live: Live) -> None:
        access = site.context.access
        token = await access.sign_in("ada", PASSWORD, "192.0.2.1")
        window = Window(live, token=token)
        await window.shown()
        ends_ms = (await _signed_in(site, token)).ends_at_ms
        site.clock.advance(seconds=60)
        assert (await _signed_in(site, token)).ends_at_ms == ends_ms
        await access.sign_out(token)
        while (await window.next())[0] != "ended":
            pass
        await asyncio.wait_for(window.answer, PATIENCE_S)
        assert live.viewers == 0

    run(test, ask_again_s=SOON_S)


async def _signed_in(site: AdminSite, token: str) -> Any:
    found = await site.context.access.signed_in(token, is_use=False)
    assert found is not None
    return found


def test_streams_end_when_the_listener_does(run: Run, site: AdminSite) -> None:
    """The gate tells them, and the reader stops by itself."""

    async def test(live: Live) -> None:
        window = Window(live)
        await window.shown()
        reader = live._reading
        assert reader is not None
        site.context.closing.set()
        await asyncio.wait_for(reader, PATIENCE_S)
        await window.close()

    run(test)


def test_a_viewer_that_goes_while_it_is_sent_something_is_gone(run: Run) -> None:
    """What ends its stream must not be lost because a send ends in the same moment."""

    async def test(live: Live) -> None:
        is_sent = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await is_sent.wait()
            return {"type": "http.disconnect"}

        async def send(_: Any) -> None:
            is_sent.set()

        await asyncio.wait_for(live.stream("all", "a token")({}, receive, send), PATIENCE_S)
        assert live.viewers == 0

    run(test)
