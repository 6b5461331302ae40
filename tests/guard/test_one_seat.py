"""One seat, one worker: no moment has more clients let in than there are seats, whatever they did before.

A real Licet, whose clock moves when told to, and real guards, which go by the same clock.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from licet.guard import Guard, JwtGuard, Refused
from licet.model import Duplicates, TokenFormat
from licet.testing import LicetServer
from support.guard.calling import CONTEXT
from support.guard.guarded import an_asgi_api
from support.many import examples, few
from support.web.http_site import PATIENCE_S

PROGRAMS = 20
CLIENTS = [f"Program{number}" for number in range(PROGRAMS)]
CALLS_MAX_S = (
    280.0  # after which a guard of JWTs looks at the clock of the machine again, which stands still here
)


@pytest.fixture(scope="module")
def licet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LicetServer]:
    """A server whose clock moves when told to."""
    with LicetServer(tmp_path_factory.mktemp("server")) as server:
        yield server


class Site:
    """A tenant with guards of both kinds, and what its clients have and do."""

    def __init__(self, licet: LicetServer, **options: Any) -> None:
        licet.clear()
        hold_s = options.pop("hold_s", 0)
        self.licet = licet
        self.tenant = licet.tenant(clients=CLIENTS, **options)
        self.tenant.set_pool(hold_s=hold_s)
        self._began_s = self.now_s()
        self._has_keys = False
        self._http = httpx.Client(base_url=self.tenant.url, verify=CONTEXT, timeout=PATIENCE_S)
        self.guards: list[Guard] = [self._asking()]
        if options.get("token_format") is TokenFormat.JWT:
            self.guards.append(self._checking())

    def now_s(self) -> float:
        """The server's time."""
        return self.licet.clock.now_ms() / 1000

    def close(self) -> None:
        """Close the guards."""
        for guard in self.guards:
            guard.close()
        self._http.close()

    def step(self, seconds: float) -> None:
        """Let time go on."""
        if self.now_s() + seconds < self._began_s + CALLS_MAX_S:
            self.licet.clock.advance(seconds=seconds)

    def grant(self, client: str) -> "Granted | None":
        """What a client gets; None when it is denied a seat."""
        return self._granted(client, {"grant_type": "client_credentials", "scope": "all"})

    def refresh(self, before: "Granted") -> "Granted | None":
        """The same of a refresh; None when the session has ended."""
        form = {"grant_type": "refresh_token", "refresh_token": before.refresh_token}
        return self._granted(before.client, form)

    def _granted(self, client: str, form: dict[str, str]) -> "Granted | None":
        answer = self._http.post("token", auth=self.tenant.credentials(client), data=form)
        if answer.status_code != 200:
            assert answer.json()["error"] in {"temporarily_unavailable", "invalid_grant"}
            return None
        told = answer.json()
        return Granted(client, told["access_token"], told["refresh_token"])

    def log_off(self, granted: "Granted") -> dict[str, Any]:
        """What a logoff is answered."""
        form = {"refresh_token": granted.refresh_token}
        answer = self._http.post("logoff", auth=self.tenant.credentials(granted.client), data=form)
        told: dict[str, Any] = answer.raise_for_status().json()
        return told

    def let_in(self, tokens: Sequence["Granted"], guard: Guard | None = None) -> list["Granted"]:
        """Those with which somebody is let in now, by one guard or by any."""
        return [
            token
            for token in tokens
            if any(_lets_in(by, token) for by in ([guard] if guard else self.guards))
        ]

    def _asking(self) -> Guard:
        return Guard(self.tenant.url, *self.tenant.credentials("Api"), ssl_context=CONTEXT, now_s=self.now_s)

    def _checking(self) -> JwtGuard:
        guard = JwtGuard(self.tenant.url, ssl_context=CONTEXT, now_s=self.now_s, wall_s=self._wall_s)
        with suppress(Refused):
            guard.check("GET", f"Bearer {self.tenant.token(CLIENTS[0], 'view')}")
        self._has_keys = True
        return guard

    def _wall_s(self) -> float:
        """The server's time; it sends the keys with that of the machine, which its clock may be ahead of."""
        return self.now_s() if self._has_keys else time.time()


class Granted(NamedTuple):
    """What a client has."""

    client: str
    access_token: str
    refresh_token: str


def _lets_in(guard: Guard, granted: Granted) -> bool:
    try:
        guard.check("POST", f"Bearer {granted.access_token}")
    except Refused as refused:
        if refused.status != 401:  # a guard that cannot tell shows nothing
            raise
        return False
    return True


@pytest.fixture
def site_of(licet: LicetServer) -> Iterator[Callable[..., Site]]:
    """Makes the site of a test."""
    made: list[Site] = []

    def make(**options: Any) -> Site:
        made.append(Site(licet, **options))
        return made[-1]

    yield make
    for site in made:
        site.close()


def one_after_the_other(site: Site, url: str) -> list[Granted]:
    """Each program gets a token if it can, makes a request, and logs off; the tokens that there were."""
    had = []
    for client in CLIENTS:
        if (granted := site.grant(client)) is not None:
            assert post(url, granted) == 200
            site.log_off(granted)
            had.append(granted)
    return had


def post(url: str, granted: Granted) -> int:
    """How an API answers to a POST."""
    headers = {"Authorization": f"Bearer {granted.access_token}"}
    return httpx.post(url, headers=headers, verify=CONTEXT, timeout=PATIENCE_S).status_code


class TestTwentyPrograms:
    """Twenty programs on one seat, one after the other: grant, request, logoff; then all call at once."""

    @pytest.mark.wide
    def test_a_guard_that_asks_lets_none_of_them_in(self, site_of: Callable[..., Site]) -> None:
        """L4: a seat that is given back is free, and nobody is believed to have it."""
        site = site_of(seats=1)
        with an_asgi_api(site.guards[0]) as url:
            had = one_after_the_other(site, url)
            assert len(had) == PROGRAMS
            assert [post(url, it) for it in had] == [401] * PROGRAMS

    def test_a_guard_that_does_not_ask_lets_one_of_them_in(self, site_of: Callable[..., Site]) -> None:
        """L18: the seat is held until its JWT has expired, so the others never had a token."""
        site = site_of(seats=1, token_format=TokenFormat.JWT)
        with an_asgi_api(site.guards[1]) as url:
            had = one_after_the_other(site, url)
            assert [it.client for it in had] == CLIENTS[:1]
            assert [post(url, it) for it in had] == [200]
            site.step(60)
            assert site.grant(CLIENTS[1]) is not None
            assert [post(url, it) for it in had] == [401]

    def test_a_guard_that_remembers_lets_one_of_them_in(self, site_of: Callable[..., Site]) -> None:
        """L18: a pool with a hold may be remembered, as its seat is nobody else's meanwhile."""
        site = site_of(seats=1, hold_s=60)
        with an_asgi_api(site.guards[0]) as url:
            had = one_after_the_other(site, url)
            assert [it.client for it in had] == CLIENTS[:1]
            site.step(4.9)
            assert [post(url, it) for it in had] == [200]
            site.step(0.1)
            assert [post(url, it) for it in had] == [401]
            site.step(54.9)
            assert site.grant(CLIENTS[1]) is None
            site.step(0.1)
            assert site.grant(CLIENTS[1]) is not None

    @pytest.mark.parametrize("token_format", TokenFormat)
    @pytest.mark.parametrize("hold_s", [0, 3, 60])
    def test_who_goes_round_gets_no_more_work_out_of_a_seat(
        self, site_of: Callable[..., Site], token_format: TokenFormat, hold_s: int
    ) -> None:
        """Each takes the seat when it can, works, logs off, and works on with what it has, all the time."""
        site = site_of(seats=1, token_format=token_format, hold_s=hold_s)
        has: dict[str, Granted] = {}
        granted = 0
        for _ in range(20):
            for client in CLIENTS[:5]:
                if not site.let_in([has[client]] if client in has else []) and (new := site.grant(client)):
                    granted += 1
                    has[client] = new
                    assert site.let_in([new]) == [new]
                    site.log_off(new)
                assert len(site.let_in(list(has.values()))) <= 1
            site.step(0.1)
        assert granted >= 1


Step = tuple[str, int | float]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), st.integers(0, 2)),
        st.tuples(st.just("refresh"), st.integers(0, 3)),
        st.tuples(st.just("log off"), st.integers(0, 1)),
        st.tuples(st.just("step"), st.sampled_from([0.1, 1.0, 2.0, 2.9, 3.0, 5.0, 57.1, 60.0])),
    ),
    min_size=10,
    max_size=25,
)


@pytest.mark.parametrize(
    ("token_format", "hold_s"),
    few([(it, hold_s) for hold_s in (0, 60, 3) for it in TokenFormat], 4),
)
@settings(
    max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seats=st.integers(1, 2), duplicates=st.sampled_from([Duplicates.CLIENT, Duplicates.NONE]), steps=STEPS)
def test_no_moment_has_more_let_in_than_there_are_seats(
    licet: LicetServer,
    token_format: TokenFormat,
    *,
    hold_s: int,
    seats: int,
    duplicates: Duplicates,
    steps: list[Step],
) -> None:
    """L1, L4, L18: whatever was granted, refreshed and logged off before, and whatever guards remember."""
    options = {"token_format": token_format, "duplicates": duplicates, "access_ttl_s": 60}
    site = Site(licet, seats=seats, hold_s=hold_s, **options)
    try:
        tokens: list[Granted] = []
        for what, which in steps:
            change(site, tokens, what, which)
            found = site.let_in(tokens)
            holders = {it.client if duplicates is Duplicates.CLIENT else it.refresh_token for it in found}
            assert len(holders) <= seats, (what, which)
    finally:
        site.close()


def change(site: Site, tokens: list[Granted], what: str, which: float) -> None:
    """One step of a client, or of time."""
    if what == "step":
        site.step(which)
        return
    if what == "grant":
        new = site.grant(CLIENTS[int(which)])
    elif not tokens:
        return
    elif what == "refresh":
        new = site.refresh(tokens[-1 - int(which) % len(tokens)])
    else:
        site.log_off(tokens[-1 - int(which) % len(tokens)])
        return
    if new is not None:
        tokens.append(new)


def test_a_request_from_after_a_logoff_is_not_let_in_by_an_answer_from_before_it(
    licet: LicetServer, site_of: Callable[..., Site]
) -> None:
    """L1: it was right for the request before; now the seat is somebody else's."""
    site = site_of(seats=1)
    guard, first = site.guards[0], site.grant(CLIENTS[0])
    assert first is not None
    loop: asyncio.AbstractEventLoop = guard._introspector._background._started()  # type: ignore[attr-defined]
    with ThreadPoolExecutor(4) as pool:
        with licet.silent() as silence:
            early = pool.submit(_lets_in, guard, first)
            silence.wait_for_answers(1)
            pool.submit(site.log_off, first)
            silence.wait_for_answers(2)
            second = pool.submit(site.grant, CLIENTS[1])
            silence.wait_for_answers(3)
            late = pool.submit(_lets_in, guard, first)
            while len(asyncio.all_tasks(loop)) < 3:  # each request is one, and the question of the first
                assert not late.done()
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(PATIENCE_S)  # it has begun
        assert second.result() is not None
        assert (early.result(), late.result()) == (True, False)
