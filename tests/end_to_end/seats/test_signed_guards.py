"""An API that counts by its vendor's key, with a real server and guard: whom it refuses, and whom never.

The clock of server and guards is one that moves when told to.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from itertools import count
from typing import Any

import httpx
import pytest

from licet.cli.run.demo import PASSWORD
from licet.client import LicetAuth
from licet.credentials.jwt_signing_keys import PUBLISHED_BEFORE_MS
from licet.credentials.keyring import FILE_NAME, read_keyring, write_keyring
from licet.guard import Guard, WsgiGuardMiddleware
from licet.guard.counting import CLOCKS_S
from licet.licences.vendor_file import Vendor
from licet.model import Duplicates
from licet.store.opening import SQLITE_NAME
from support.guard.calling import CONTEXT
from support.guard.licensed import LicensedTenant, calls, seat_of
from support.licences.signed_pools import the_vendor
from support.licences.vendors import TestVendor
from support.server.running import RunningServer
from support.server.served_tenant import AWAY
from support.waiting import until

_NUMBERS = count(1)
HOLD_S = 60
API = "http://localhost"
Guarding = Callable[..., AbstractContextManager[Guard]]


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose answers are dated by its clock, as a guard of JWTs looks at that."""
    data = tmp_path_factory.mktemp("server")
    with RunningServer(data, manual_clock=True, dates_by_clock=True) as running:
        yield running


@pytest.fixture
def tenant(own_server: RunningServer) -> LicensedTenant:
    """A tenant of two seats, in no licence yet."""
    return LicensedTenant(own_server, f"Guarded{next(_NUMBERS)}")


@pytest.fixture(params=["references", "jwts"])
def guarding(tenant: LicensedTenant, request: pytest.FixtureRequest) -> Guarding:
    """A guard of either kind for its tokens."""
    if request.param == "jwts":
        tenant.use_jwts()
        return tenant.jwt_guard
    return tenant.guard


class TestSeats:
    """One holder a number at a time, and no sooner than the hold allows."""

    def test_a_seat_is_let_in_at_the_second_that_the_denial_said(
        self, tenant: LicensedTenant, guarding: Guarding
    ) -> None:
        """Not a second before; the API has seen the one before until it left."""
        tenant.install(tenant.signed(seats=1))
        with guarding() as guard:
            first = tenant.grant()
            tenant.server.advance(seconds=12.3)
            assert calls(guard, first) == "ok"
            tenant.log_off(first)
            assert tenant.denied("Client2") == ("all_in_use", 48)
            tenant.server.advance(seconds=47)
            assert tenant.denied("Client2") == ("all_in_use", 1)
            tenant.server.advance(seconds=1)
            second = tenant.grant("Client2")
            assert calls(guard, second) == "ok"
            assert calls(guard, first) == "401 invalid_token"

    def test_an_older_session_that_expires_leaves_its_number_to_the_newest_token(
        self, tenant: LicensedTenant, guarding: Guarding
    ) -> None:
        """It logs off, and the older one expires within the hold: the number is not given before."""
        tenant.install(tenant.signed(seats=1))
        with guarding() as guard:
            older = tenant.grant()
            tenant.server.advance(seconds=1190)
            newest = tenant.grant()
            assert calls(guard, newest) == "ok"
            tenant.server.advance(seconds=5)
            tenant.log_off(newest)
            tenant.server.advance(seconds=5)
            assert tenant.introspect(older["access_token"]) == {"active": False}
            assert tenant.denied("Client2") == ("all_in_use", HOLD_S - 10)
            tenant.server.advance(seconds=HOLD_S - 10)
            assert calls(guard, tenant.grant("Client2")) == "ok"

    def test_a_logged_off_jwt_is_refused_once_its_number_is_anothers(self, tenant: LicensedTenant) -> None:
        """Also by an API whose clock stood still for a while, for which it has not expired yet."""
        tenant.use_jwts()
        tenant.install(tenant.signed(seats=1))
        behind_s = 0

        def wall_s() -> float:
            return tenant.now_s() - behind_s

        with tenant.jwt_guard(
            tenant.licence(wall_s=wall_s), wall_s=wall_s, leeway=timedelta(seconds=60)
        ) as guard:
            first = tenant.grant()
            assert calls(guard, first) == "ok"
            tenant.log_off(first)
            behind_s = 20
            tenant.server.advance(seconds=HOLD_S)
            assert calls(guard, first) == "ok"
            second = tenant.grant("Client2")
            assert seat_of(second) == seat_of(first)
            assert calls(guard, second) == "ok"
            assert calls(guard, first) == "401 invalid_token"


class TestWhoSigned:
    """Only the vendor's key counts, whatever the server does."""

    def test_a_customers_own_vendor_key_is_good_for_the_server_alone(self, own_server: RunningServer) -> None:
        """Licet grants; the API does not know the vendor."""
        forged = LicensedTenant(own_server, f"Forged{next(_NUMBERS)}", vendor=TestVendor())
        forged.install(forged.signed(seats=1000))
        granted = forged.grant()
        assert forged.introspect(granted["access_token"])["seat"]["number"] == 1
        with forged.guard(forged.licence(the_vendor().vendor)) as guard:
            assert calls(guard, granted) == "403 unknown_vendor"
            assert calls(guard, granted, "GET") == "ok"

    def test_a_scope_that_nobody_signed_is_not_the_handlers(self, tenant: LicensedTenant) -> None:
        """It is in the token, and the seat passes without it."""
        with tenant.server.changing() as change:
            change.tenant(tenant.name).add_scope("reports")
        tenant.install()
        both, alone = tenant.grant(scope="all reports"), tenant.grant(scope="reports")
        with tenant.guard() as guard:
            assert guard.check("POST", f"Bearer {both['access_token']}").scopes == {"all"}
            assert guard.check("GET", f"Bearer {alone['access_token']}").scopes == set()
            assert calls(guard, alone) == "401 invalid_token"  # it has no seat

    def test_a_seat_of_another_pool_reaches_to_its_own_scopes(self, tenant: LicensedTenant) -> None:
        """`all` with a pool that nobody signed: reading passes without the scope, writing does not."""
        with tenant.server.changing() as change:
            setup = change.tenant(tenant.name)
            setup.add_pool("mine", seats=1000)
            setup.add_pool("lite", seats=5)
            setup.add_scope("lite", pool="lite")
        pools = {"full": {"seats": 1, "scopes": ["all"]}, "lite": {"seats": 1, "scopes": ["lite"]}}
        tenant.install(tenant.signed(claims={"pools": pools}))
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_scope("all", pool="mine")
        mine, lite = tenant.grant(), tenant.grant("Client2", scope="lite")
        with tenant.guard() as guard:
            assert guard.check("GET", f"Bearer {mine['access_token']}").scopes == set()
            assert calls(guard, mine) == "401 invalid_token"
            assert guard.check("POST", f"Bearer {lite['access_token']}").scopes == {"lite"}

    def test_the_vendors_next_key_refuses_nobody(self, tenant: LicensedTenant, guarding: Guarding) -> None:
        """The customer has the file with both, then a licence by the new key; so has the API."""
        old, new = tenant.vendor, TestVendor()
        both = Vendor(name="acme", product="jim2-api", keys={**old.vendor.keys, **new.vendor.keys})
        with guarding(tenant.licence(both)) as guard:
            tenant.install()
            granted = tenant.grant()
            assert calls(guard, granted) == "ok"
            tenant.vendor = new
            tenant.install(tenant.signed(serial=2, seats=3), trusted=both)
            tenant.server.advance(seconds=10)
            more = [tenant.grant(client_id) for client_id in ("Client2", "Client3")]
            assert [calls(guard, it) for it in (granted, *more)] == ["ok"] * 3

    def test_new_keys_of_the_servers_jwts_refuse_nobody(self, tenant: LicensedTenant) -> None:
        """One guard, from before the rotation until the old key is gone."""
        tenant.use_jwts()
        tenant.install()
        path = tenant.server.data / FILE_NAME
        with tenant.jwt_guard() as guard:
            granted = tenant.grant()
            assert calls(guard, granted) == "ok"
            write_keyring(path, read_keyring(path).rotated(tenant.server.clock.now_ms()))
            until(lambda: len(_kids(tenant)) > 3)
            for _ in range(int(PUBLISHED_BEFORE_MS / 1000 / HOLD_S) + 2):
                tenant.server.advance(seconds=HOLD_S)
                granted = tenant.refresh(granted).json()
                assert calls(guard, granted) == "ok"
            write_keyring(path, read_keyring(path).pruned(tenant.server.clock.now_ms()))
            until(lambda: len(_kids(tenant)) == 3)
            assert calls(guard, tenant.grant("Client2")) == "ok"


class TestHonestChanges:
    """What an administrator, a vendor or an hour without a server does to clients that are let in."""

    def test_an_upgrade_counts_with_the_first_token_that_needs_it(
        self, tenant: LicensedTenant, guarding: Guarding
    ) -> None:
        """The guard fetches before it refuses, ten seconds after the last time."""
        tenant.install()
        with guarding() as guard:
            assert [calls(guard, tenant.grant(it)) for it in ("TestClientId", "Client2")] == ["ok", "ok"]
            tenant.server.advance(seconds=10)
            tenant.install(tenant.signed(serial=2, seats=3))
            assert calls(guard, tenant.grant("Client3")) == "ok"

    def test_a_guard_that_came_before_the_licence_lets_in_soon_after_it(
        self, tenant: LicensedTenant, guarding: Guarding
    ) -> None:
        """Until then tokens have no seat."""
        with guarding() as guard:
            assert calls(guard, tenant.grant()) == "401 invalid_token"
            tenant.install()
            assert calls(guard, tenant.grant()) == "ok"

    def test_a_guard_waits_for_a_server_that_cannot_answer_yet(self, tenant: LicensedTenant) -> None:
        """503, and as soon as it answers the request passes."""
        tenant.install()
        granted, store = tenant.grant(), tenant.server.data / SQLITE_NAME
        with tenant.guard() as guard:
            store.rename(store.with_name(AWAY))
            assert calls(guard, granted) == "503 2"
            store.with_name(AWAY).rename(store)
            assert calls(guard, granted) == "ok"

    def test_another_way_of_counting_refuses_nobody_who_is_in(
        self, tenant: LicensedTenant, guarding: Guarding
    ) -> None:
        """What a seat was counted for stays, over refreshes too."""
        tenant.install()
        with guarding() as guard:
            granted = tenant.grant()
            assert calls(guard, granted) == "ok"
            with tenant.server.changing() as change:
                change.tenant(tenant.name).set_pool("full", duplicates=Duplicates.USER)
            tenant.server.advance(seconds=30)
            renewed = tenant.refresh(granted).json()
            assert [calls(guard, granted), calls(guard, renewed)] == ["ok", "ok"]
            assert calls(guard, tenant.grant("Client2")) == "ok"

    def test_a_client_of_another_user_waits_for_its_own_hold_and_is_let_in(
        self, tenant: LicensedTenant, guarding: Guarding
    ) -> None:
        """The API counts the two users apart; Licet denies for the hold at most, and no token is refused."""
        tenant.install(tenant.signed(seats=1))
        with guarding() as guard:
            assert calls(guard, tenant.grant()) == "ok"
            with tenant.server.changing() as change:
                change.tenant(tenant.name).set_client("TestClientId", user="C3")
            assert tenant.denied("TestClientId") == ("all_in_use", HOLD_S)
            tenant.server.advance(seconds=HOLD_S)
            assert calls(guard, tenant.grant()) == "ok"

    @pytest.mark.parametrize("who", ["the administrator", "the vendor"])
    def test_a_longer_hold_refuses_nobody(self, tenant: LicensedTenant, guarding: Guarding, who: str) -> None:
        """Neither those who are in, nor who gets a number that came back under the shorter one."""
        tenant.install()
        with guarding() as guard:
            stays, leaves = tenant.grant(), tenant.grant("Client2")
            assert [calls(guard, it) for it in (stays, leaves)] == ["ok", "ok"]
            tenant.log_off(leaves)
            if who == "the vendor":
                tenant.install(tenant.signed(serial=2, hold=300))
            else:
                with tenant.server.changing() as change:
                    change.tenant(tenant.name).set_pool("full", hold_s=300)
            waited_s = 0
            while "error" in (
                answer := tenant.ask("token", "Client3", grant_type="client_credentials").json()
            ):
                wait_s = min(answer["retry_after"], 50)
                waited_s += wait_s
                tenant.server.advance(seconds=wait_s)
                stays = tenant.refresh(stays).json()
                assert calls(guard, stays) == "ok"
            assert waited_s <= 300
            assert calls(guard, answer) == "ok"

    @pytest.mark.parametrize("kind", ["references", "jwts"])
    def test_a_token_from_before_the_licence_is_renewed_once(self, tenant: LicensedTenant, kind: str) -> None:
        """A JWT has no seat then, and a reference of an hour is too old; LicetAuth hides it from programs."""
        if kind == "jwts":
            tenant.use_jwts(access_ttl_s=600)
        else:
            with tenant.server.changing() as change:
                change.tenant(tenant.name).set(session_ttl_s=7200, access_ttl_s=3600)
        seen: list[str] = []
        guarding = tenant.jwt_guard if kind == "jwts" else tenant.guard
        with guarding() as guard, _calling(tenant, guard, seen) as http:
            assert http.get(API).status_code == 200
            tenant.install()
            tenant.server.advance(seconds=2 if kind == "jwts" else 600 + CLOCKS_S + 1)
            assert [http.post(API).status_code for _ in range(3)] == [200, 200, 200]
        assert len({*seen}) == 2
        assert len(seen) == 5  # a GET, a POST that was refused, and three that were not

    def test_a_server_that_is_gone_for_an_hour_is_no_reason_to_refuse(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """What was fetched counts by its own times; a guard of JWTs asks nobody else."""
        data = tmp_path_factory.mktemp("gone")
        with RunningServer(data, manual_clock=True, dates_by_clock=True) as server:
            tenant = LicensedTenant(server, "Gone")
            tenant.use_jwts(access_ttl_s=1200)
            tenant.install(tenant.signed(access_ttl_max=1200))
            with tenant.jwt_guard() as guard:
                granted = tenant.grant()
                assert calls(guard, granted) == "ok"
                server.kill()
                for _ in range(3):
                    server.advance(seconds=95)
                    assert calls(guard, granted) == "ok"


def test_clocks_six_minutes_apart_are_refused_and_the_log_says_by_how_much(
    tenant: LicensedTenant, caplog: pytest.LogCaptureFixture
) -> None:
    """503, as a token cannot be told from one that a server made up; five minutes are no difference."""
    tenant.install()
    tenant.server.advance(seconds=-tenant.now_s() % 1)  # a token has whole seconds
    granted = tenant.grant()
    for behind_s, said in ((CLOCKS_S, "ok"), (6 * 60, "503 2")):
        with tenant.guard(tenant.licence(wall_s=lambda s=behind_s: tenant.now_s() - s)) as guard:
            assert calls(guard, granted) == said
    assert "is from 360 s in the future by this machine's clock" in caplog.text
    assert [it.levelno for it in caplog.records if it.name == "licet.guard"] == [logging.ERROR]


@contextmanager
def _calling(tenant: LicensedTenant, guard: Guard, seen: list[str]) -> Iterator[httpx.Client]:
    """A program that calls an API behind a guard; `seen` gets the token of each request that arrives."""
    guarded = WsgiGuardMiddleware(_answer, guard)

    def api(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        seen.append(environ["HTTP_AUTHORIZATION"])
        return guarded(environ, start_response)

    with (
        LicetAuth(tenant.url, "TestClientId", PASSWORD, api=API, ssl_context=CONTEXT) as auth,
        httpx.Client(transport=httpx.WSGITransport(app=api), auth=auth) as http,
    ):
        yield http


def _answer(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]


def _kids(tenant: LicensedTenant) -> list[str]:
    answer = tenant.server.http.get(f"/{tenant.name}/jwks.json")
    return [key["kid"] for key in answer.raise_for_status().json()["keys"]]
