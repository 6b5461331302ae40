"""`licet.guard`: what is remembered and for how long, what an outage does, and many requests at once."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from licet.guard import Refused
from support.guard.guarded import KINDS, Api, plain, token_of, wsgi
from support.guard.introspecting import LIVE, TOKEN, Now, guard_at, status
from support.server.running import RunningServer
from support.web.http_site import PATIENCE_S, Asked, Reply, Site, says


@pytest.fixture(params=KINDS, ids=lambda made: made.__name__)
def api(request: pytest.FixtureRequest) -> Api:
    """Each kind of API."""
    kind: Api = request.param
    return kind


@pytest.fixture
def licet() -> Iterator[Site]:
    """An introspection endpoint."""
    with Site(lambda _: says(200, LIVE)) as site:
        yield site


@pytest.fixture
def now() -> Now:
    """The guard's clock."""
    return Now()


class TestMemory:
    """What was said a moment ago."""

    @pytest.mark.parametrize("cache_for", [5, 2, 0.5])
    def test_an_answer_counts_as_long_as_the_server_says(
        self, licet: Site, api: Api, now: Now, cache_for: float
    ) -> None:
        """From when the question was sent: its seat cannot be anybody else's until then (L18)."""
        licet.answer = lambda _: says(200, {**LIVE, "cache_for": cache_for})
        guard = guard_at(licet.url, now)
        assert status(api, guard) == 200
        licet.answer = lambda _: says(200, {"active": False})
        now.s += cache_for - 0.1
        assert status(api, guard) == 200
        now.s += 0.1
        assert status(api, guard) == 401
        assert len(licet.asked) == 2

    def test_the_time_of_the_question_counts_and_not_that_of_the_answer(
        self, licet: Site, api: Api, now: Now
    ) -> None:
        """An answer that was long on its way is believed for less."""

        def answer(_: Asked) -> Reply:
            now.s += 3
            return says(200, {**LIVE, "cache_for": 5})

        licet.answer = answer
        guard = guard_at(licet.url, now)
        assert status(api, guard) == 200
        licet.answer = lambda _: says(200, {"active": False})
        now.s += 1.9
        assert status(api, guard) == 200
        now.s += 0.1
        assert status(api, guard) == 401

    @pytest.mark.parametrize("told", [None, 0, -1, "5", True, [5], 1e300, float("nan"), float("inf")])
    def test_an_answer_of_which_it_is_not_said_counts_for_its_request_alone(
        self, licet: Site, api: Api, now: Now, told: object
    ) -> None:
        """A server that says nothing, or nonsense: its seat may be somebody else's the next moment."""
        licet.answer = lambda _: says(200, {**LIVE, "cache_for": told})
        guard = guard_at(licet.url, now)
        assert [status(api, guard) for _ in range(2)] == [200, 200]
        assert len(licet.asked) == 2

    def test_a_guard_can_only_remember_for_less(self, licet: Site, api: Api, now: Now) -> None:
        """`cache` is a bound of the API's own."""
        licet.answer = lambda _: says(200, {**LIVE, "cache_for": 4})
        for cache_s, remembered_s in ((2, 2), (60, 4)):
            guard = guard_at(licet.url, now, cache=timedelta(seconds=cache_s))
            before = len(licet.asked)
            status(api, guard)
            now.s += remembered_s - 0.1
            status(api, guard)
            assert len(licet.asked) == before + 1
            now.s += 0.1
            status(api, guard)
            assert len(licet.asked) == before + 2

    def test_an_outage_is_bridged_as_far_as_the_memory_goes(self, licet: Site, api: Api, now: Now) -> None:
        """And not for a token that was not asked about."""
        guard = guard_at(licet.url, now)
        status(api, guard)
        licet.answer = lambda _: says(503)
        now.s += 4
        assert status(api, guard) == 200
        assert status(api, guard, token_of("other")) == 503
        now.s += 1
        assert status(api, guard) == 503
        licet.answer = lambda _: says(200, LIVE)
        assert status(api, guard) == 200

    def test_a_bad_token_is_remembered_for_a_second(self, licet: Site, api: Api, now: Now) -> None:
        """Shorter than a good one: it may be on its way."""
        licet.answer = lambda _: says(200, {"active": False})
        guard = guard_at(licet.url, now)
        assert [status(api, guard) for _ in range(3)] == [401] * 3
        assert len(licet.asked) == 1
        licet.answer = lambda _: says(200, LIVE)
        now.s += 1
        assert status(api, guard) == 200

    def test_nothing_is_remembered_when_it_is_not_wanted(self, licet: Site, api: Api, now: Now) -> None:
        """Every request asks, bad tokens as well."""
        guard = guard_at(licet.url, now, cache=timedelta(0))
        for content in (LIVE, {"active": False}, LIVE):
            licet.answer = lambda _, content=content: says(200, content)  # type: ignore[misc]
            assert status(api, guard) == (200 if content["active"] else 401)

    @pytest.mark.parametrize("minutes", [-15, 0, 15])
    def test_no_answer_outlives_its_token_whatever_the_clock_here_says(
        self, licet: Site, api: Api, now: Now, minutes: int
    ) -> None:
        """Its end is counted from the server's own time."""
        server_now = datetime.now(UTC) + timedelta(minutes=minutes)

        def answer(_: Asked) -> bytes:
            body = json.dumps({**LIVE, "exp": int(server_now.timestamp()) + 3})
            return (
                f"HTTP/1.1 200 OK\r\nDate: {format_datetime(server_now, usegmt=True)}\r\n\r\n{body}".encode()
            )

        licet.answer = answer
        guard = guard_at(licet.url, now)
        status(api, guard)
        licet.answer = lambda _: says(200, {"active": False})
        now.s += 2.9
        assert status(api, guard) == 200
        now.s += 0.1
        assert status(api, guard) == 401

    @pytest.mark.parametrize("exp", [1, "soon", True, -5, 1e300])
    def test_an_end_that_is_over_or_makes_no_sense_is_not_remembered(
        self, licet: Site, api: Api, now: Now, exp: object
    ) -> None:
        """The server says that it lives; it is asked again next time."""
        licet.answer = lambda _: says(200, {**LIVE, "exp": exp})
        guard = guard_at(licet.url, now)
        assert [status(api, guard) for _ in range(2)] == [200, 200]
        assert len(licet.asked) == 2

    def test_memory_is_bounded_and_bad_tokens_push_out_no_good_one(self, licet: Site, now: Now) -> None:
        """Somebody may send any number of them."""
        guard = guard_at(licet.url, now, cache_entries_max=3)
        assert status(wsgi, guard, token_of("good")) == 200
        licet.answer = lambda _: says(200, {"active": False})
        for number in range(5):
            status(wsgi, guard, token_of(f"bad{number}"))
        assert status(wsgi, guard, token_of("good")) == 200
        licet.answer = lambda _: says(200, LIVE)
        for number in range(5):
            status(wsgi, guard, token_of(f"more{number}"))
        assert (len(guard._cache._live), len(guard._cache._dead)) == (3, 3)
        assert "good" not in repr(vars(guard._cache))

    def test_no_token_stays_in_memory_after_it_counts(self, licet: Site, now: Now) -> None:
        """The next answer takes with it what has expired, good tokens and bad ones."""
        guard = guard_at(licet.url, now)
        for content in (LIVE, {"active": False}):
            licet.answer = lambda _, content=content: says(200, content)  # type: ignore[misc]
            for token in ("first", "second"):
                status(wsgi, guard, token_of(f"{token}-{content['active']}"))
            now.s += 5
            status(wsgi, guard, token_of(f"third-{content['active']}"))
        third = [f"Bearer {token_of(name)}".encode() for name in ("third-True", "third-False")]
        assert [*guard._cache._live, *guard._cache._dead] == third

    @pytest.mark.parametrize("hold_s", [0, 60])
    def test_against_licet_itself(self, tmp_path: Path, hold_s: int) -> None:
        """A logoff counts at once, and of a seat that is held after what is remembered."""
        now = Now()
        with RunningServer(tmp_path) as server:
            with server.changing() as change:
                change.tenant("Jim_Test").set_pool("full", hold_s=hold_s)
            guard = guard_at(server.url, now)
            token = server.ask("Jim_Test/token", grant_type="client_credentials").json()["access_token"]
            assert status(plain, guard, token) == 200
            server.ask("Jim_Test/revoke", token=token)
            if hold_s:
                assert status(plain, guard, token) == 200
                now.s += 5
            assert status(plain, guard, token) == 401
            server.kill()
            assert status(plain, guard, token) == 401
            now.s += 1
            assert status(plain, guard, token) == 503


class TestTogether:
    """Many at once."""

    def test_requests_with_one_token_share_a_question(self, licet: Site) -> None:
        """Tasks."""
        guard = guard_at(licet.url)

        async def run() -> set[str | None]:
            found = await asyncio.gather(*(guard.acheck("GET", f"Bearer {TOKEN}") for _ in range(20)))
            await guard.aclose()
            return {it.client for it in found}

        assert asyncio.run(run()) == {"TestClientId"}
        assert len(licet.asked) == 1

    def test_threads_with_one_token_share_a_question(self, licet: Site) -> None:
        """The answer is held back until all have begun."""
        guard = guard_at(licet.url)
        asked, gate = threading.Event(), threading.Event()

        def answer(_: Asked) -> Reply:
            asked.set()
            gate.wait(PATIENCE_S)
            return says(200, LIVE)

        licet.answer = answer
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(guard.check, "GET", f"Bearer {TOKEN}") for _ in range(8)]
            assert asked.wait(PATIENCE_S)
            gate.set()
            assert {it.result().client for it in calls} == {"TestClientId"}
        assert len(licet.asked) == 1
        guard.close()

    def test_where_no_thread_runs_beside_the_requests_they_are_refused_in_time(
        self, licet: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Some servers stop threads: here the one that asks never gets to it."""
        guard = guard_at(licet.url, timeout=timedelta(milliseconds=50))
        freed = threading.Event()
        guard._introspector._background._started().call_soon_threadsafe(freed.wait, PATIENCE_S)  # type: ignore[attr-defined]
        with pytest.raises(Refused) as refused:
            guard.check("GET", f"Bearer {TOKEN}")
        assert refused.value.status == 503
        assert "do threads run in this process?" in caplog.text
        freed.set()
        guard.close()

    def test_a_request_that_is_given_up_takes_nobody_along(self, licet: Site) -> None:
        """The others get the answer."""
        guard = guard_at(licet.url)
        asked, gate = threading.Event(), threading.Event()

        def answer(_: Asked) -> Reply:
            asked.set()
            gate.wait(PATIENCE_S)
            return says(200, LIVE)

        licet.answer = answer

        async def run() -> str | None:
            first = asyncio.create_task(guard.acheck("GET", f"Bearer {TOKEN}"))
            await asyncio.to_thread(asked.wait, PATIENCE_S)
            second = asyncio.create_task(guard.acheck("GET", f"Bearer {TOKEN}"))
            await asyncio.sleep(0)
            first.cancel()
            gate.set()
            found = await second
            await guard.aclose()
            return found.client

        assert asyncio.run(run()) == "TestClientId"
        assert len(licet.asked) == 1
