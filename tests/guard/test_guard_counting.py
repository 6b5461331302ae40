"""A guard that counts: seats that change hands, fetched licences, memories that fail, and the log."""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from licet.guard import Guard, Identity, OneProcess, Refused, SqlMemory
from licet.guard.coverage import Why
from licet.guard.licence_source import FETCH_EVERY_S, LICENCES_MAX, LOOK_AGAIN_S, RETRY_AFTER_S
from licet.guard.memory import Kept
from support.guard.calling import ManualTiming, Threads, auth_for
from support.guard.guarded import KINDS, an_asgi_api
from support.guard.issuing import INVALID, UNAVAILABLE, refused
from support.guard.seat_memories import START_S, Time
from support.guard.signed_server import INSTALLATION, SignedServer
from support.licences.vendors import TestVendor
from support.web.http_site import PATIENCE_S, Site

HOLD_S = 60


@pytest.fixture
def time() -> Time:
    """The clock of server and guard."""
    return Time()


@pytest.fixture(params=["introspection", "jwt"])
def server(request: pytest.FixtureRequest, time: Time) -> Iterator[SignedServer]:
    """A server of references, and one of JWTs."""
    with Site() as site:
        yield SignedServer(site, time, request.param)


@pytest.fixture
def guard(server: SignedServer) -> Iterator[Guard]:
    """A guard that counts."""
    guard = server.guard()
    yield guard
    guard.close()


def let_in(guard: Guard, token: str, method: str = "POST") -> Identity:
    """Who is let in with this token."""
    return guard.check(method, f"Bearer {token}")


def refusal(guard: Guard, token: str) -> Refused:
    """How a request is refused."""
    with pytest.raises(Refused) as caught:
        guard.check("POST", f"Bearer {token}")
    return caught.value


def until(happened: Callable[[], bool]) -> None:
    """Wait for what happens beside the requests."""
    for _ in range(int(PATIENCE_S * 1000)):
        if happened():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it did not happen")


class TestHandOver:
    """A number that its holder had, and another has now."""

    def test_a_token_from_before_is_refused_once_the_number_is_anothers(
        self, server: SignedServer, guard: Guard
    ) -> None:
        """A JWT after its logoff is one: nobody tells the guard, and its `iat` does."""
        token = server.token(client="C1")
        assert let_in(guard, token).client == "C1"
        server.time.s += HOLD_S
        assert let_in(guard, server.token(client="C2")).client == "C2"
        assert refused(guard, token) == INVALID
        assert let_in(guard, token, "GET").client == "C1"

    def test_one_that_comes_too_soon_is_told_for_how_long(
        self, server: SignedServer, guard: Guard, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Until the one before was silent for the hold; at the very second of the hold it passes."""
        let_in(guard, server.token(client="C1"))
        server.time.s += HOLD_S - 1.5
        early = server.token(client="C2")
        with caplog.at_level(logging.WARNING):
            found = refusal(guard, early)
        assert (found.status, found.error, found.headers["Retry-After"]) == (*UNAVAILABLE, "2")
        assert "being handed over; try again in 2 seconds" in found.description
        assert "seat jim2-api/Jim_Test/full/1 has two holders" in caplog.text
        server.time.s += 1.5
        assert let_in(guard, server.token(client="C2", iat=START_S + HOLD_S)).client == "C2"

    def test_who_is_remembered_is_asked_about_at_each_request(
        self, server: SignedServer, guard: Guard
    ) -> None:
        """Of two who are remembered only one is let in."""
        first, second = server.token(client="C1"), server.token(client="C2", iat=START_S + HOLD_S)
        for _ in range(3):
            assert let_in(guard, first).client == "C1"
        assert let_in(guard, second).client == "C2"
        for _ in range(3):
            assert let_in(guard, second).client == "C2"
            assert refused(guard, first) == INVALID

    def test_one_client_is_one_user(self, server: SignedServer, guard: Guard) -> None:
        """Else a client could be given every username: the API would act as each of them."""
        let_in(guard, server.token(username="One"))
        assert refused(guard, server.token(username="Other")) == UNAVAILABLE

    def test_number_one_of_two_pools_and_tenants_are_two_seats(self, server: SignedServer) -> None:
        """They share a memory, and do not meet; nor do two products."""
        memory = OneProcess(now_s=server.time.now_s)
        pools = {name: {"seats": 1, "scopes": ["all"]} for name in ("full", "lite")}
        server.licences = [server.vendor.sign(server.vendor.claims(pools=pools))]
        guard = server.guard(server.licence(memory))
        let_in(guard, server.token(client="C1"))
        let_in(guard, server.token(client="C2", pool="lite"))
        assert refused(guard, server.token(client="C3")) == UNAVAILABLE
        assert memory.seats == 2
        assert sorted(memory._holders) == ["jim2-api/Jim_Test/full/1", "jim2-api/Jim_Test/lite/1"]
        guard.close()

    def test_every_kind_of_api_counts(self, server: SignedServer) -> None:
        """ASGI, FastAPI and WSGI, which ask in an event loop or in threads."""
        for api in KINDS:
            guard = server.guard()
            assert api(guard, "POST", _headers(server.token(client="C1"))).status_code == 200
            assert api(guard, "POST", _headers(server.token(client="C2"))).status_code == 503
            assert api(guard, "GET", _headers(server.token(client="C2"))).status_code == 200
            guard.close()

    def test_two_guards_of_a_process_share_a_memory(self, server: SignedServer) -> None:
        """By giving it to both."""
        licence = server.licence()
        one, other = server.guard(licence), server.guard(licence)
        let_in(one, server.token(client="C1"))
        assert refused(other, server.token(client="C2")) == UNAVAILABLE
        one.close()
        other.close()


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("life_s", [60, 3600])
def test_a_token_from_before_the_licence_costs_its_client_one_renewal(
    server: SignedServer, life_s: int
) -> None:
    """It has no seat, or may live for longer than is signed: 401, at which `LicetAuth` renews it."""
    before = int(server.time.s) - 1200
    old = {"seat": None} if life_s == 60 else {"iat": before}
    server.granted = [server.token(exp=START_S + life_s, **old), server.token()]
    guard = server.guard()
    with an_asgi_api(guard) as api, auth_for(server.url, api, ManualTiming()) as auth:
        assert Threads().call(auth, "POST", f"{api}jobs").status_code == 200
        assert Threads().call(auth, "POST", f"{api}jobs").status_code == 200
        assert not server.granted
        asked = [it.form["grant_type"] for it in server.site.asked if it.path.endswith("/token")]
    assert asked == ["client_credentials", "refresh_token"]
    guard.close()


class TestFetching:
    """When licences are fetched, and how often."""

    def test_they_come_with_the_first_request_that_needs_one(
        self, server: SignedServer, guard: Guard
    ) -> None:
        """And with no other for five minutes."""
        assert server.fetches == 0
        for _ in range(5):
            let_in(guard, server.token())
            server.time.s += 50
        assert server.fetches == 1

    def test_they_are_renewed_beside_the_requests(self, server: SignedServer, guard: Guard) -> None:
        """Nobody waits for it."""
        let_in(guard, server.token())
        server.time.s += FETCH_EVERY_S
        let_in(guard, server.token())
        until(lambda: server.fetches == 2)

    def test_they_are_fetched_as_a_client(self, server: SignedServer, guard: Guard) -> None:
        """One that may introspect."""
        let_in(guard, server.token())
        [asked] = [it for it in server.site.asked if it.path.endswith("/licences")]
        assert asked.headers["authorization"] == "Basic QXBpOnBhc3N3b3Jk"

    def test_an_upgrade_counts_at_once(self, server: SignedServer, guard: Guard) -> None:
        """The first token with a new number passes, after one fetch."""
        let_in(guard, server.token(number=25))
        server.time.s += LOOK_AGAIN_S
        more = server.vendor.claims(serial=2, pools={"full": {"seats": 30, "scopes": ["all"]}})
        server.licences.append(server.vendor.sign(more))
        assert let_in(guard, server.token(number=26)).client == "C1"
        assert server.fetches == 2

    def test_a_thousand_tokens_beyond_cause_one_fetch(self, server: SignedServer, guard: Guard) -> None:
        """In ten seconds, from many threads, and leave no trace in the memory."""
        let_in(guard, server.token())
        server.time.s += LOOK_AGAIN_S
        tokens = [server.token(number=26 + number, client=f"C{number}") for number in range(200)]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda token: refusal(guard, token).reason, tokens * 5))
        assert set(found) == {Why.BEYOND_LICENCE}
        assert server.fetches == 2

    def test_a_guard_before_its_server_waits_for_it(self, server: SignedServer, guard: Guard) -> None:
        """503, never 403; then 200."""
        early = server.token()
        let_in(guard, early, "GET")  # the keys, or the answer of introspection, are known
        until(lambda: server.fetches == 1)
        until(lambda: guard._counting is not None and guard._counting._source.coverage is not None)
        other = server.guard()
        server.is_down = True
        found = refusal(other, early)
        assert (found.status, found.headers["Retry-After"]) == (503, "2")
        server.is_down = False
        server.time.s += RETRY_AFTER_S
        assert let_in(other, early).client == "C1"
        other.close()

    def test_a_server_without_a_licence_yet_is_waited_for(
        self, server: SignedServer, guard: Guard, caplog: pytest.LogCaptureFixture
    ) -> None:
        """503, and the log says so; every two seconds it is asked again."""
        licences, server.licences = server.licences, []
        with caplog.at_level(logging.ERROR):
            assert refused(guard, server.token()) == UNAVAILABLE
            assert refused(guard, server.token()) == UNAVAILABLE
        assert "has no licence yet" in caplog.text
        assert server.fetches == 1
        server.licences = licences
        server.time.s += RETRY_AFTER_S
        assert let_in(guard, server.token()).client == "C1"

    def test_a_server_that_is_gone_takes_no_licence_along(self, server: SignedServer) -> None:
        """An hour of it is no reason for a refusal; without its keys or answers there are others."""
        guard = server.guard(cache=timedelta(hours=2))
        token = server.token(exp=START_S + 7200)
        server.cache_for = 7200
        server.licences = [server.vendor.sign(server.vendor.pool(access_ttl_max=7200))]
        let_in(guard, token)
        server.changed = {"licences": b""}
        for _ in range(12):
            server.time.s += FETCH_EVERY_S
            assert let_in(guard, token).client == "C1"
        guard.close()

    def test_an_older_serial_does_not_come_back(self, server: SignedServer, guard: Guard) -> None:
        """In the process that has seen the newer one; nothing of a memory makes it worthless for ever."""
        fewer = server.vendor.claims(serial=2, pools={"full": {"seats": 5, "scopes": ["all"]}})
        fewer["iat"] = START_S - 2 * 86_400
        older, server.licences = server.licences, [server.vendor.sign(fewer)]
        assert let_in(guard, server.token(number=5)).client == "C1"
        server.licences = older
        server.time.s += LOOK_AGAIN_S
        assert refusal(guard, server.token(number=6)).reason == Why.LICENCE_OVER
        assert refusal(guard, server.token(number=5)).reason == Why.LICENCE_OVER
        again = server.guard()
        assert let_in(again, server.token(number=6)).client == "C1"
        again.close()

    def test_a_removed_licence_gives_nothing(self, server: SignedServer, guard: Guard) -> None:
        """From the next fetch on."""
        let_in(guard, server.token())
        server.licences = []
        server.time.s += FETCH_EVERY_S
        let_in(guard, server.token(), "GET")  # Which needs no seat: it begins the fetch and depends on none.
        until(lambda: server.fetches == 2)
        until(lambda: not _coverage(guard).licences)
        assert refusal(guard, server.token()).reason == Why.LICENCE_OVER

    def test_a_fetch_that_fails_takes_nothing_away(
        self, server: SignedServer, guard: Guard, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whatever it answers; it is logged."""
        let_in(guard, server.token())
        answers: list[Any] = [["eyJ"] * (LICENCES_MAX + 1), "none", ["x" * 300_000]]
        for licences in answers:
            server.licences = licences
            server.time.s += LOOK_AGAIN_S
            with caplog.at_level(logging.WARNING):
                assert refusal(guard, server.token(number=26)).reason == Why.BEYOND_LICENCE
            assert let_in(guard, server.token()).client == "C1"
        assert "those from before count by their own times" in caplog.text
        assert server.fetches == 4


def _coverage(guard: Guard) -> Any:
    assert guard._counting is not None
    return guard._counting._source.coverage


class _Failing(OneProcess):
    """A memory whose database is out of reach, and whose error shows how to get there."""

    def take(self, seat: str, who: str, iat: int, hold_s: int) -> Kept | None:  # noqa: ARG002 - the same call
        raise sqlite3.OperationalError("postgresql://api:swordfish@db")


class TestMemory:
    """What the memory cannot do, and what it is not asked."""

    @pytest.mark.parametrize("of_api", KINDS, ids=lambda it: it.__name__)
    def test_one_out_of_reach_is_no_refusal_of_the_licence(
        self, server: SignedServer, caplog: pytest.LogCaptureFixture, of_api: Any
    ) -> None:
        """503, and the log says which error, not what its driver says: that may show a password."""
        guard = server.guard(server.licence(_Failing()))
        with caplog.at_level(logging.DEBUG):
            answer = of_api(guard, "POST", _headers(server.token()))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert "the memory of seats raises OperationalError" in caplog.text
        assert "swordfish" not in caplog.text + answer.text
        guard.close()

    def test_one_that_does_not_answer_is_out_of_reach(
        self, server: SignedServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Its own words stand in the log."""
        goes_on = threading.Event()

        def hang() -> Any:
            goes_on.wait(PATIENCE_S)
            raise OSError

        memory = SqlMemory(hang, timeout=timedelta(milliseconds=1))
        guard = server.guard(server.licence(memory))
        with caplog.at_level(logging.ERROR):
            assert refused(guard, server.token()) == UNAVAILABLE
        assert "the database does not answer in time" in caplog.text
        goes_on.set()
        memory.close()
        guard.close()

    def test_what_a_forged_server_invents_is_not_kept(self, server: SignedServer) -> None:
        """Numbers, pools, scopes, ways of counting: a seat that is signed has an entry, and nothing else."""
        memory = OneProcess(now_s=server.time.now_s)
        server.licences = [server.vendor.sign(server.vendor.pool(seats=3))]
        guard = server.guard(server.licence(memory))
        for number in range(60):
            for token in (
                server.token(number=number, client=f"C{number}"),
                server.token(pool=f"pool{number}"),
                server.token(scope=f"scope{number}"),
                server.token(seat={"number": 1, "counted_for": f"way{number}"}),
            ):
                with suppress(Refused):
                    let_in(guard, token)
        assert memory.seats == 3
        coverage = _coverage(guard)
        assert len(coverage._seats) == 1
        assert guard._counting is not None
        assert len(guard._counting._logged_s) < 20
        guard.close()


class TestSecrets:
    """What stands in a log or an answer."""

    def test_no_log_names_anybody_or_shows_a_secret(
        self, server: SignedServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nor does a pool that nobody signed stand there, which may be any text."""
        guard = server.guard(server.licence(installation=INSTALLATION))
        with caplog.at_level(logging.DEBUG, logger="licet"):
            tokens = [
                server.token(client="Smith"),
                server.token(client="Jones"),
                server.token(client="Jones", number=99),
                server.token(client="Jones", pool="evil\npool"),
                server.token(client="Jones", seat=None),
                server.token(client="Jones", iat=START_S + 400),
            ]
            answers = []
            for token in tokens:
                server.time.s += 1
                try:
                    let_in(guard, token)
                except Refused as found:
                    answers.append(f"{found} {found.headers} {found.body!r}")
            server.licences = [TestVendor().sign()]
            server.time.s += LOOK_AGAIN_S
            answers.append(str(refusal(guard, server.token(client="Jones", number=98))))
        assert len(answers) == 6
        told = caplog.text + "".join(answers)
        for secret in ("Smith", "Jones", "TC", "evil", "password", INSTALLATION, *tokens):
            assert secret not in told, secret
        assert len([it for it in caplog.records if it.name == "licet.guard"]) >= 6
        guard.close()

    def test_a_flood_writes_a_line_of_each_kind_a_second(
        self, server: SignedServer, guard: Guard, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Anybody with a token may send many."""
        tokens = [server.token(number=99), server.token(seat=None)]
        with caplog.at_level(logging.WARNING):
            for _ in range(50):
                for token in tokens:
                    refusal(guard, token)
        assert len(caplog.records) == 2


def test_a_guard_without_a_licence_asks_for_none(server: SignedServer) -> None:
    """It is as before, and a token's seat is nothing to it."""
    guard = server.guard(licence=None, is_counting=False)
    let_in(guard, server.token(client="C1"))
    assert let_in(guard, server.token(client="C2", seat=None)).scopes == {"all", "view"}
    assert server.fetches == 0
    guard.close()
