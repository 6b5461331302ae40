"""`licet.guard`: which requests share a question, and who may ask when many do."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from licet.guard import Guard, GuardMiddleware, Refused
from licet.guard.admission import (
    STRANGERS_UNDER_WAY_MAX,
    STRANGERS_WAITING_MAX,
    UNDER_WAY_MAX,
    Admission,
    Known,
    TooMany,
)
from licet.guard.introspection import Dead, Live, Secret, Unusable
from licet.guard.token_shape import looks_like_ours
from licet.model import TokenFormat
from licet.testing import LicetServer
from support.guard.calling import CONTEXT
from support.guard.frameworks import flask_application
from support.guard.guarded import an_asgi_api, answer_ok, token_of
from support.guard.introspecting import PATIENCE, TOKEN, guard_at
from support.guard.threaded_servers import serving
from support.web.http_site import PATIENCE_S, Asked, Reply, Site, says

LIVE = {"active": True, "scope": "all", "client_id": "TestClientId", "username": "TC", "read_only": False}
ENDED = {"active": False}
MADE_UP = 400


class Held:
    """Answers that are decided when the question comes, and sent when the test says so."""

    def __init__(self, site: Site, *answers: Reply) -> None:
        self.came, self.gate = threading.Semaphore(0), threading.Event()
        self._answers = iter(answers)
        site.answer = self._answer

    def _answer(self, _: Asked) -> Reply:
        answer = next(self._answers)
        self.came.release()
        assert self.gate.wait(PATIENCE_S)
        return answer

    def wait(self) -> None:
        """Return when one more question has come."""
        assert self.came.acquire(timeout=PATIENCE_S)


@pytest.fixture
def licet() -> Iterator[Site]:
    """An introspection endpoint."""
    with Site(lambda _: says(200, LIVE)) as site:
        yield site


def in_tasks(guard: Guard, held: Held, later: int) -> list[int]:
    """How a request is answered, and then those that come while it is asked for the first."""

    async def run() -> list[int]:
        first = asyncio.create_task(_status(guard))
        await asyncio.to_thread(held.wait)
        others = [asyncio.create_task(_status(guard)) for _ in range(later)]
        await asyncio.sleep(0)
        held.gate.set()
        found = [await it for it in (first, *others)]
        await guard.aclose()
        return found

    return asyncio.run(run())


def in_threads(guard: Guard, held: Held, later: int) -> list[int]:
    """The same, for threads."""
    with ThreadPoolExecutor(later + 1) as pool:
        first = pool.submit(_status_of, guard)
        held.wait()
        others = [pool.submit(_status_of, guard) for _ in range(later)]
        loop: asyncio.AbstractEventLoop = guard._introspector._background._started()  # type: ignore[attr-defined]
        while len(asyncio.all_tasks(loop)) < 1 + later + 2:  # each request is one, and each question
            assert not any(it.done() for it in others)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(PATIENCE_S)  # all of them have begun
        held.gate.set()
        found = [it.result() for it in (first, *others)]
    guard.close()
    return found


async def _status(guard: Guard, token: str = TOKEN) -> int:
    try:
        await guard.acheck("POST", f"Bearer {token}")
    except Refused as refused:
        return refused.status
    return 200


def _status_of(guard: Guard) -> int:
    try:
        guard.check("POST", f"Bearer {TOKEN}")
    except Refused as refused:
        return refused.status
    return 200


@pytest.mark.parametrize("kind", [in_tasks, in_threads])
class TestSharing:
    """Requests with one token, of which some come while it is being asked about."""

    def test_an_answer_lets_in_nobody_who_came_after_its_question(
        self, licet: Site, kind: Callable[[Guard, Held, int], list[int]]
    ) -> None:
        """The token may have been logged off in between, and its seat be somebody else's (L1)."""
        held = Held(licet, says(200, LIVE), says(200, ENDED))
        assert kind(guard_at(licet.url), held, 8) == [200, *[401] * 8]

    def test_all_who_come_meanwhile_share_the_next_question(
        self, licet: Site, kind: Callable[[Guard, Held, int], list[int]]
    ) -> None:
        """However many they are: two questions are all that a token costs at a time."""
        held = Held(licet, says(200, LIVE), says(200, LIVE))
        assert kind(guard_at(licet.url), held, 8) == [200] * 9
        assert len(licet.asked) == 2


class TestSharingMore:
    """Which answers are for later requests as well."""

    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            (says(200, {**LIVE, "cache_for": 5}), 200),
            (says(200, ENDED), 401),
            (says(500), 503),
        ],
    )
    def test_what_may_be_believed_for_longer_or_lets_nobody_in_is_shared(
        self, licet: Site, answer: Reply, status: int
    ) -> None:
        """No seat is used twice by it."""
        assert in_tasks(guard_at(licet.url), Held(licet, answer), 8) == [status] * 9
        assert len(licet.asked) == 1

    def test_a_guard_that_is_to_remember_nothing_asks_again(self, licet: Site) -> None:
        """Whatever the server says."""
        held = Held(licet, *[says(200, {**LIVE, "cache_for": 5})] * 2)
        assert in_tasks(guard_at(licet.url, cache=timedelta(0)), held, 8) == [200] * 9
        assert len(licet.asked) == 2

    def test_requests_from_before_the_question_share_it(self, licet: Site) -> None:
        """They came before it was decided."""
        guard = guard_at(licet.url)

        async def run() -> list[int]:
            found = await asyncio.gather(*(_status(guard) for _ in range(20)))
            await guard.aclose()
            return found

        assert asyncio.run(run()) == [200] * 20
        assert len(licet.asked) == 1

    def test_who_comes_later_waits_no_longer_than_for_a_question(
        self, licet: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The time that the first one takes is part of it."""
        held = Held(licet, *[says(200, LIVE)] * 2)
        guard = guard_at(licet.url, timeout=timedelta(seconds=0.2))

        async def run() -> list[int]:
            first = asyncio.create_task(_status(guard))
            await asyncio.to_thread(held.wait)
            found = [await first, await _status(guard)]
            await guard.aclose()
            return found

        assert asyncio.run(run()) == [503, 503]
        assert "does not answer in time" in caplog.text
        held.gate.set()


class TestShape:
    """What cannot be a token is refused without a question."""

    @pytest.mark.parametrize(
        "token",
        [
            "x",
            "lca_abc",
            "lca_" + "A" * 87,
            "lca_" + "A" * 1021,
            "lcr_" + "A" * 88,
            "lca_" + "A" * 87 + ".",
            "A" * 92,
            "eyJ.e30.AA",
            f"eyJhbGciOiJFUzI1NiJ9.e30.{'A' * 85}",
            f"eyJhbGciOiJFUzI1NiJ9.e30.{'A' * 87}",
            f"eyJhbGciOiJFUzI1NiJ9..{'A' * 86}",
            f"abc.e30.{'A' * 86}",
            f"eyJhbGciOiJFUzI1NiJ9.e30.e30.{'A' * 86}",
        ],
    )
    @pytest.mark.parametrize("kind", ["threads", "tasks"])
    def test_nobody_is_asked_about_what_is_no_token(
        self, licet: Site, token: str, kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """401, as any that is not live; the log says why, once a second."""
        guard = guard_at(licet.url)
        if kind == "tasks":
            assert asyncio.run(_status(guard, token)) == 401
        else:
            with pytest.raises(Refused, match="invalid_token"):
                guard.check("GET", f"Bearer {token}")
        assert not licet.asked
        assert "it does not look like an access token of Licet" in caplog.text
        assert token not in caplog.text or token == "x"
        guard.close()

    @pytest.mark.parametrize("token_format", TokenFormat)
    def test_what_licet_gives_looks_like_a_token(
        self, server_of_licet: LicetServer, token_format: TokenFormat
    ) -> None:
        """Of each kind, and with any scope."""
        tenant = server_of_licet.tenant(f"Of_{token_format.value}", token_format=token_format)
        names = [f"{number:_>64}" for number in range(7)]
        with tenant.changing() as setup:
            for name in names:
                setup.add_scope(name)
        for scope in ("view", "all", "view all", *(" ".join(names[: it + 1]) for it in range(7))):
            assert looks_like_ours(tenant.token("TestClientId", scope))


@pytest.fixture(scope="module")
def server_of_licet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LicetServer]:
    """Licet itself."""
    with LicetServer(tmp_path_factory.mktemp("server")) as server:
        yield server


class TestKnown:
    """Whose tokens were live."""

    def test_a_token_is_known_until_it_expires(self) -> None:
        """Or until it is found to be dead; that nobody answered says nothing."""
        known, token = Known(), Secret(TOKEN)
        assert not known.has(token, 1000.0)
        known.learn(token, _live(left_s=60.0), 1000.0)
        known.learn(token, Unusable("does not answer"), 1001.0)
        assert known.has(token, 1059.9)
        assert not known.has(token, 1060.0)
        known.learn(token, Dead(), 1002.0)
        assert not known.has(token, 1002.0)

    def test_one_of_which_nobody_says_how_long_it_lives_is_not(self) -> None:
        """It could be known for ever."""
        known = Known()
        known.learn(Secret(TOKEN), _live(left_s=None), 1000.0)
        assert not known.has(Secret(TOKEN), 1000.0)

    def test_it_is_bounded_and_holds_no_token(self) -> None:
        """The one that was live longest ago goes first."""
        known = Known(entries_max=2)
        for name in ("first", "second", "first", "third"):
            known.learn(Secret(token_of(name)), _live(left_s=60.0), 1000.0)
        assert [known.has(Secret(token_of(it)), 1000.0) for it in ("first", "second", "third")] == [
            True,
            False,
            True,
        ]
        assert "lca_" not in repr(vars(known))
        assert all(len(it) == 16 for it in known._ends_s)


def _live(left_s: float | None) -> Live:
    who: Any = None
    return Live(identity=who, left_s=left_s, believed_s=0.0)


class TestAdmission:
    """How many may ask at once."""

    def test_neither_known_callers_nor_strangers_keep_the_others_out(self) -> None:
        """Each kind has places that the other cannot take."""

        async def run(first: bool) -> tuple[int, int]:
            admission = Admission()
            many = [_Asker(admission, is_known=first) for _ in range(50)]
            await asyncio.sleep(0)
            others = [_Asker(admission, is_known=not first) for _ in range(50)]
            await asyncio.sleep(0)
            found = sum(it.is_in for it in many), sum(it.is_in for it in others)
            for asker in (*many, *others):
                await asker.leave()
            assert not admission._under_way
            return found

        assert asyncio.run(run(True)) == (15, 5)
        assert asyncio.run(run(False)) == (10, 10)

    def test_a_place_goes_to_the_first_who_waits_and_to_known_callers_before_strangers(self) -> None:
        """And is lost to nobody who gave up."""

        async def run() -> None:
            admission = Admission()
            inside = [_Asker(admission, is_known=False) for _ in range(STRANGERS_UNDER_WAY_MAX)]
            inside += [_Asker(admission, is_known=True) for _ in range(UNDER_WAY_MAX - len(inside))]
            await asyncio.sleep(0)
            stranger, gone, first, second = (
                _Asker(admission, is_known=is_known) for is_known in (False, True, True, True)
            )
            await asyncio.sleep(0)
            gone.task.cancel()
            await inside[0].leave()
            assert [it.is_in for it in (stranger, gone, first, second)] == [False, False, True, False]
            await inside[-1].leave()
            await asyncio.sleep(0)
            assert (stranger.is_in, second.is_in) == (False, True)
            await inside[1].leave()
            await asyncio.sleep(0)
            assert stranger.is_in
            first.task.cancel()  # with its place
            for asker in (*inside, stranger, first, second, gone):
                await asker.leave()
            assert not admission._under_way

        asyncio.run(run())

    def test_a_place_that_was_given_to_one_who_gives_up_is_given_on(self) -> None:
        """Also where both happen in the same moment."""

        async def run() -> None:
            admission = Admission()
            inside = [_Asker(admission, is_known=False) for _ in range(STRANGERS_UNDER_WAY_MAX - 1)]
            async with admission.place(is_known=False):
                await asyncio.sleep(0)
                gives_up, waits = _Asker(admission, is_known=False), _Asker(admission, is_known=False)
                await asyncio.sleep(0)
            gives_up.task.cancel()  # it has its place, and has not heard of it
            await gives_up.leave()
            await asyncio.sleep(0)
            assert (gives_up.is_in, waits.is_in) == (False, True)
            for asker in (*inside, waits):
                await asker.leave()
            assert not admission._under_way

        asyncio.run(run())

    def test_when_many_strangers_wait_the_next_one_is_refused_at_once(self) -> None:
        """A line has a bound."""

        async def run() -> None:
            admission = Admission()
            every = STRANGERS_UNDER_WAY_MAX + STRANGERS_WAITING_MAX
            there = [_Asker(admission, is_known=False) for _ in range(every)]
            await asyncio.sleep(0)
            with pytest.raises(TooMany):
                async with admission.place(is_known=False):
                    pass
            async with admission.place(is_known=True):
                pass
            for asker in there:
                await asker.leave()

        asyncio.run(run())


class _Asker:
    """One who has a place until `leave`, or waits for it."""

    def __init__(self, admission: Admission, *, is_known: bool) -> None:
        self.is_in, self.done = False, asyncio.Event()
        self.task = asyncio.create_task(self._run(admission, is_known=is_known))

    async def _run(self, admission: Admission, *, is_known: bool) -> None:
        async with admission.place(is_known=is_known):
            self.is_in = True
            await self.done.wait()

    async def leave(self) -> None:
        self.done.set()
        await asyncio.wait([self.task])


@contextmanager
def a_wsgi_api(guard: Guard) -> Iterator[str]:
    """An API behind the WSGI middleware, with a thread for each request."""
    with serving(flask_application(guard)) as url:
        yield url


def made_up(number: int) -> str:
    """A token that looks like one: every other a reference, and a JWT."""
    return token_of(f"made-up-{number}") if number % 2 else f"eyJ{number:A>20}.e30.{'A' * 86}"


@pytest.mark.parametrize("api", [an_asgi_api, a_wsgi_api])
class TestFlood:
    """400 made-up tokens at once, at an API on a real server."""

    def test_a_known_caller_is_let_in_while_nobody_answers_about_the_others(
        self, licet: Site, api: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As slow as a server can be; the others get 503 at once, but for those that wait."""
        gate = threading.Event()

        def answer(asked: Asked) -> Reply:
            if asked.form["token"] == TOKEN:
                return says(200, {**LIVE, "exp": 4e9})
            assert gate.wait(PATIENCE_S)
            return says(200, ENDED)

        licet.answer = answer
        guard = guard_at(licet.url)
        waiting = STRANGERS_UNDER_WAY_MAX + STRANGERS_WAITING_MAX

        async def run(url: str) -> None:
            assert await _post(url, TOKEN) == 200
            flood = [asyncio.create_task(_post(url, made_up(it))) for it in range(MADE_UP)]
            assert set(await _first(flood, MADE_UP - waiting)) == {503}
            assert [await _post(url, TOKEN) for _ in range(20)] == [200] * 20
            gate.set()
            every = [await it for it in flood]
            assert (every.count(401), every.count(503)) == (waiting, MADE_UP - waiting)

        with api(guard) as url:
            asyncio.run(run(url))
        guard.close()
        told = [
            message for message in caplog.messages if "too many wait whose tokens were never live" in message
        ]
        assert len(told) == 1  # its clock stands still

    def test_a_known_caller_is_let_in_by_licet_itself(self, server_of_licet: LicetServer, api: Any) -> None:
        """A token of a pool without a hold: it is asked about each time."""
        tenant = server_of_licet.tenant(f"Flooded_{api.__name__}")
        guard = Guard(tenant.url, *tenant.credentials("Api"), ssl_context=CONTEXT, timeout=PATIENCE)
        good = tenant.token("TestClientId")

        async def run(url: str) -> None:
            assert await _post(url, good) == 200
            flood = [asyncio.create_task(_post(url, made_up(it))) for it in range(MADE_UP)]
            assert [await _post(url, good) for _ in range(20)] == [200] * 20
            assert {await it for it in flood} <= {401, 503}

        with api(guard) as url:
            asyncio.run(run(url))
        guard.close()


async def _post(url: str, token: str) -> int:
    """The status of the answer; a client library would take longer than the API."""
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(*urlsplit(url).netloc.split(":"))
        head = f"POST / HTTP/1.1\r\nhost: api\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\n"
        writer.write(f"{head}connection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1."), answer
    return int(answer.split()[1])


async def _first(tasks: list[asyncio.Task[int]], count: int) -> list[int]:
    """The answers of those that are done, once they are so many."""
    found: set[asyncio.Task[int]] = set()
    while len(found) < count:
        done, _ = await asyncio.wait(set(tasks) - found, return_when=asyncio.FIRST_COMPLETED)
        found |= done
    return [it.result() for it in found]


def test_the_guard_closes_before_a_server_hears_that_all_is_over(licet: Site) -> None:
    """Its event loop may end in the same moment."""
    guard = guard_at(licet.url)
    open_then: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "lifespan.shutdown.complete":
            open_then.append(len(guard._introspector._of_loops))  # type: ignore[attr-defined]

    async def receive() -> dict[str, str]:
        return {}

    async def run() -> None:
        assert await _status(guard) == 200
        await GuardMiddleware(answer_ok, guard)({"type": "lifespan"}, receive, send)

    asyncio.run(run())
    assert open_then == [0]
