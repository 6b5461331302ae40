"""`licet.guard` under real servers with threads, in Flask and Django, and in several event loops at once."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from licet.guard import Guard
from support.calling import CONTEXT
from support.frameworks import django_application, flask_application
from support.guarded import token_of
from support.http_site import PATIENCE_S, Site, says
from support.threaded_servers import serving

LIVE = {
    "active": True,
    "scope": "all",
    "client_id": "TestClientId",
    "username": "TC",
    "read_only": False,
    "cache_for": 5,
}
THREADS = 8
CALLS = 40
TOKENS = 4


@pytest.fixture
def licet() -> Iterator[Site]:
    """An introspection endpoint."""
    with Site(lambda _: says(200, LIVE)) as site:
        yield site


@pytest.fixture
def guard(licet: Site) -> Iterator[Guard]:
    """A guard whose clock stands still: what it was told, it remembers."""
    guard = Guard(f"{licet.url}/Jim_Test", "Api", "password", ssl_context=CONTEXT, now_s=lambda: 1000.0)
    yield guard
    guard.close()


@pytest.mark.parametrize("application", [flask_application, django_application])
def test_many_threads_ask_once_about_each_token(
    licet: Site, guard: Guard, application: Callable[[Guard], Any]
) -> None:
    """And everybody is told who calls, also while the question is on its way."""
    with serving(application(guard)) as url, httpx.Client(verify=CONTEXT, timeout=PATIENCE_S) as http:

        def call(number: int) -> tuple[int, str]:
            found = http.post(url, headers={"Authorization": f"Bearer {token_of(str(number % TOKENS))}"})
            return found.status_code, found.json()["user"]

        with ThreadPoolExecutor(THREADS) as pool:
            assert set(pool.map(call, range(CALLS))) == {(200, "TC")}
    assert sorted(it.form["token"] for it in licet.asked) == [token_of(str(it)) for it in range(TOKENS)]


def test_event_loops_of_several_threads_share_what_is_remembered(licet: Site, guard: Guard) -> None:
    """Each asks over connections of its own, and closes them."""

    async def call(number: int) -> str | None:
        found = [await guard.acheck("POST", f"Bearer {token_of(str(number % TOKENS))}") for _ in range(3)]
        await guard.aclose()
        return found[0].user

    with ThreadPoolExecutor(THREADS) as pool:
        assert set(pool.map(lambda number: asyncio.run(call(number)), range(CALLS))) == {"TC"}
    assert TOKENS <= len(licet.asked) <= THREADS * TOKENS  # they do not wait for one another
    assert not guard._desks._desks  # type: ignore[attr-defined]
