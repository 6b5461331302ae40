"""`licet.client`: many threads and tasks at once."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from licet.client import NoSeatAvailable
from support.guard.calling import ManualTiming, Tasks, Threads, TokenSite, auth_for, gathered
from support.web.http_site import PATIENCE_S, Site, says

FULL = says(400, {"error": "temporarily_unavailable", "error_description": "No seat is free."})


@pytest.fixture
def api() -> Iterator[Site]:
    """An API that takes every token."""
    with Site() as site:
        yield site


class TestTogether:
    """Many at once."""

    def test_threads_share_one_grant(self, tokens: TokenSite, api: Site, timing: ManualTiming) -> None:
        """One flight at a time."""
        auth = auth_for(tokens.url, api.url, timing)
        gate = threading.Barrier(2, timeout=PATIENCE_S)
        tokens.grant = lambda: pass_through(gate.wait)
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(Threads().call, auth, "GET", api.url) for _ in range(8)]
            gate.wait()
            assert {it.result().status_code for it in calls} == {200}
        assert tokens.asked == ["client_credentials"]
        auth.close()

    def test_tasks_share_one_grant(self, tokens: TokenSite, api: Site, timing: ManualTiming) -> None:
        """One flight at a time."""
        auth = auth_for(tokens.url, api.url, timing)
        found = gathered(8, lambda: Tasks.acall(auth, "GET", api.url))
        assert {it.status_code for it in found} == {200}
        assert tokens.asked == ["client_credentials"]
        auth.close()

    def test_a_refused_token_is_renewed_once_for_all(
        self, tokens: TokenSite, api: Site, timing: ManualTiming
    ) -> None:
        """All of them are repeated with the same new one."""
        auth = auth_for(tokens.url, api.url, timing)
        api.answer = lambda asked: says(401 if asked.bearer == "access-1" else 200)
        found = gathered(8, lambda: Tasks.acall(auth, "GET", api.url))
        assert {it.status_code for it in found} == {200}
        assert tokens.asked == ["client_credentials", "refresh_token"]
        auth.close()

    def test_a_refusal_is_told_to_all_who_waited_for_it(
        self, tokens: TokenSite, api: Site, timing: ManualTiming
    ) -> None:
        """And the next one asks again."""
        tokens.grant = lambda: FULL
        auth = auth_for(tokens.url, api.url, timing)

        async def run() -> list[BaseException | httpx.Response]:
            calls = (Tasks.acall(auth, "GET", api.url) for _ in range(5))
            return await asyncio.gather(*calls, return_exceptions=True)

        assert {type(it) for it in asyncio.run(run())} == {NoSeatAvailable}
        assert len(tokens.asked) == 1
        tokens.grant = lambda: None
        Threads().call(auth, "GET", api.url)
        auth.close()

    def test_a_task_that_is_cancelled_loses_no_session(
        self, tokens: TokenSite, api: Site, timing: ManualTiming
    ) -> None:
        """What it asked for is for the others, and would else hold a seat for nobody."""
        auth = auth_for(tokens.url, api.url, timing)
        asked = threading.Event()
        gate = threading.Event()
        tokens.grant = lambda: pass_through(asked.set, lambda: gate.wait(PATIENCE_S))

        async def run() -> httpx.Response:
            first = asyncio.create_task(Tasks.acall(auth, "GET", api.url))
            await asyncio.to_thread(asked.wait, PATIENCE_S)
            second = asyncio.create_task(Tasks.acall(auth, "GET", api.url))
            await asyncio.sleep(0)
            first.cancel()
            gate.set()
            return await second

        assert asyncio.run(run()).status_code == 200
        assert tokens.asked == ["client_credentials"]
        auth.close()

    def test_an_event_loop_that_ends_leaves_the_errand_to_the_next(
        self, tokens: TokenSite, api: Site, timing: ManualTiming
    ) -> None:
        """Nobody waits for what does not come."""
        auth = auth_for(tokens.url, api.url, timing)
        asked, gate = threading.Event(), threading.Event()
        tokens.grant = lambda: pass_through(asked.set, lambda: gate.wait(PATIENCE_S))

        async def run() -> None:
            task = asyncio.create_task(Tasks.acall(auth, "GET", api.url))
            await asyncio.to_thread(asked.wait, PATIENCE_S)
            task.cancel()

        asyncio.run(run())
        gate.set()
        assert Threads().call(auth, "GET", api.url).status_code == 200
        auth.close()

    def test_a_thread_does_not_wait_for_a_task_that_it_keeps_from_running(
        self, tokens: TokenSite, api: Site, timing: ManualTiming
    ) -> None:
        """A sync client within an event loop is slow, and must not be stuck."""
        auth = auth_for(tokens.url, api.url, timing)
        asked = threading.Event()
        tokens.grant = lambda: asked.set()  # noqa: PLW0108 - a function without a result

        async def run() -> set[int]:
            task = asyncio.create_task(Tasks.acall(auth, "GET", api.url))
            await asyncio.to_thread(asked.wait, PATIENCE_S)
            sync = Threads().call(auth, "GET", api.url)
            return {(await task).status_code, sync.status_code}

        assert asyncio.run(run()) == {200}
        auth.close()

    def test_who_comes_when_one_has_just_landed_asks_for_nothing(
        self, tokens: TokenSite, api: Site, timing: ManualTiming
    ) -> None:
        """Between looking and asking another thread may have brought what is needed."""
        auth = auth_for(tokens.url, api.url, timing)
        held = auth._session.get()
        flight, is_mine = auth._session._board(None, is_task=False)
        assert (flight.landed.result(), is_mine) == (held, False)
        auth.close()

    def test_a_refused_token_is_known_also_when_its_renewal_was_put_off(
        self, tokens: TokenSite, api: Site, timing: ManualTiming
    ) -> None:
        """A renewal ahead of time failed, and then the API refused the token of an earlier request."""
        auth = auth_for(tokens.url, api.url, timing)
        first = auth._session.get()
        timing.advance(550)
        tokens.refresh = says(503, {"error": "server_error"})
        assert auth._session.get().is_same(first)
        tokens.refresh = None
        assert auth._session.get(first).access_token.reveal() == "access-2"
        auth.close()


def pass_through(*steps: Callable[[], object]) -> None:
    """Do these, and let the token server answer as it does."""
    for step in steps:
        step()
