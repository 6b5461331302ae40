"""L13, as clients and APIs of a real server meet it: tokens have the number of their seat.

Licences are published for APIs. The API is behind a real guard that counts by the vendor's key.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from licet.cli.run.demo import PASSWORD
from licet.formats import instant
from licet.model import Duplicates
from support.guard.licensed import LicensedTenant, calls, seat_of
from support.server.running import RunningServer

_NUMBERS = count(1)
HOUR_S = 3600


def client(number: int) -> dict[str, Any]:
    """The seat of this number, counted for its client."""
    return {"number": number, "counted_for": "client"}


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose answers are dated by its clock, as a guard of JWTs looks at that."""
    data = tmp_path_factory.mktemp("server")
    with RunningServer(data, manual_clock=True, dates_by_clock=True) as running:
        yield running


@pytest.fixture
def tenant(own_server: RunningServer) -> LicensedTenant:
    """A tenant of two seats, in no licence yet."""
    return LicensedTenant(own_server, f"Signed{next(_NUMBERS)}")


class TestTokens:
    """`seat` in introspection answers and JWTs."""

    def test_a_pool_in_no_licence_has_no_numbers(self, tenant: LicensedTenant) -> None:
        """Its tokens are as they ever were."""
        granted = tenant.grant()
        assert "seat" not in tenant.introspect(granted["access_token"])
        tenant.use_jwts()
        assert seat_of(tenant.grant("Client2")) is None

    def test_introspection_says_which_seat_a_session_has(self, tenant: LicensedTenant) -> None:
        """The holder's sessions share it; a refresh keeps it; a scope without a seat has none."""
        tenant.install()
        first, second = tenant.grant(), tenant.grant("Client2")
        again, view = tenant.grant(), tenant.grant(scope="view")
        renewed = tenant.refresh(second, "Client2").json()
        for granted, number in ((first, 1), (second, 2), (again, 1), (renewed, 2)):
            assert tenant.introspect(granted["access_token"])["seat"] == client(number)
        assert "seat" not in tenant.introspect(view["access_token"])

    def test_a_jwt_says_which_seat_it_was_issued_with(self, tenant: LicensedTenant) -> None:
        """From the first one on, and after a refresh; introspection of it says the same."""
        tenant.install()
        tenant.use_jwts()
        first, second = tenant.grant(), tenant.grant("Client2")
        renewed = tenant.refresh(second, "Client2").json()
        assert [seat_of(it) for it in (first, second, renewed)] == [client(1), client(2), client(2)]
        assert seat_of(tenant.grant(scope="view")) is None
        assert tenant.introspect(second["access_token"])["seat"] == client(2)

    def test_sessions_from_before_the_licence_have_numbers_too(self, tenant: LicensedTenant) -> None:
        """The oldest seat the lowest."""
        old = [tenant.grant()]
        tenant.server.advance(seconds=1)
        old.append(tenant.grant("Client2"))
        tenant.install()
        assert [tenant.introspect(it["access_token"])["seat"]["number"] for it in old] == [1, 2]
        tenant.use_jwts()
        assert seat_of(tenant.refresh(old[1], "Client2").json()) == client(2)

    def test_a_seat_is_counted_for_whom_its_session_says(self, tenant: LicensedTenant) -> None:
        """Whatever the set-up says by now."""
        tenant.install()
        before = tenant.grant()
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_pool("full", duplicates=Duplicates.USER)
        after = tenant.grant("Client2")
        assert tenant.introspect(before["access_token"])["seat"] == client(1)
        assert tenant.introspect(after["access_token"])["seat"] == {"number": 2, "counted_for": "user"}


class TestWarnings:
    """A token answer says what comes."""

    def test_a_licence_that_ends_is_said_with_each_token(self, tenant: LicensedTenant) -> None:
        """Soon, in its grace, and no more once a renewal is installed; an unlicensed scope has none."""
        end_s = int(tenant.now_s()) + 40 * 24 * HOUR_S
        tenant.install(tenant.signed(claims={"exp": end_s, "grace": 14 * 24 * HOUR_S}))
        assert "warnings" not in tenant.grant()
        tenant.server.advance(seconds=11 * 24 * HOUR_S)
        soon = tenant.grant()
        assert soon["warnings"] == ["licence_expires_soon"]
        assert soon["licence_expires_at"] == instant(end_s * 1000)
        assert tenant.refresh(soon).json()["warnings"] == ["licence_expires_soon"]
        assert "warnings" not in tenant.grant(scope="view")
        tenant.server.advance(seconds=29 * 24 * HOUR_S)
        assert tenant.grant()["warnings"] == ["licence_grace"]
        tenant.install(tenant.signed(serial=2))
        assert "licence_expires_at" not in tenant.grant()


class TestLicences:
    """`GET /{tenant}/licences`."""

    def get(self, tenant: LicensedTenant, client_id: str = "Api", secret: str = PASSWORD) -> Any:
        """The answer to a client."""
        return tenant.server.http.get(f"/{tenant.name}/licences", auth=(client_id, secret))

    def test_an_api_gets_the_licences_as_they_were_signed(self, tenant: LicensedTenant) -> None:
        """Not to be cached; without a licence the list is empty."""
        assert self.get(tenant).json() == {"licences": []}
        texts = [tenant.signed(), tenant.signed(name="C-2", claims={"nbf": 1_800_000_000})]
        tenant.install(*texts)
        answer = self.get(tenant)
        assert sorted(answer.json()["licences"]) == sorted(texts)
        assert answer.headers["cache-control"] == "no-store"

    def test_nobody_else_gets_them(self, tenant: LicensedTenant) -> None:
        """As for introspection: who does not authenticate, and a client that may not introspect."""
        tenant.install()
        assert self.get(tenant, "TestClientId").json()["error"] == "unauthorized_client"
        for answer in (
            self.get(tenant, secret="wrong" + PASSWORD),
            tenant.server.http.get(f"/{tenant.name}/licences"),
            tenant.server.http.get("/Nobody/licences", auth=("Api", PASSWORD)),
        ):
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        in_url = tenant.server.http.get(f"/{tenant.name}/licences?client_secret=a")
        assert (in_url.status_code, in_url.json()["error"]) == (400, "invalid_request")

    def test_a_serial_that_was_replaced_long_ago_is_not_among_them(self, tenant: LicensedTenant) -> None:
        """One of yesterday is: clocks differ."""
        now_s = int(tenant.now_s())
        older = tenant.signed(serial=1)
        newer = tenant.signed(serial=2, claims={"nbf": now_s + 60})
        tenant.install(older, newer)
        tenant.server.advance(seconds=30 * HOUR_S)
        assert len(self.get(tenant).json()["licences"]) == 2
        tenant.server.advance(seconds=20 * HOUR_S)
        assert self.get(tenant).json() == {"licences": [newer]}


class TestGuards:
    """The API of the vendor."""

    def test_it_lets_in_whom_the_server_gave_a_seat(self, tenant: LicensedTenant) -> None:
        """With references and with JWTs."""
        tenant.install()
        granted = tenant.grant()
        with tenant.guard() as guard:
            assert calls(guard, granted) == "ok"
            assert calls(guard, tenant.grant(scope="view"), "GET") == "ok"
        tenant.use_jwts()
        with tenant.jwt_guard() as guard:
            assert calls(guard, tenant.grant()) == "ok"

    def test_it_refuses_what_no_licence_covers(self, tenant: LicensedTenant) -> None:
        """A pool that was never signed: its tokens have no seat. Reading needs none."""
        with tenant.guard() as guard:
            assert calls(guard, tenant.grant()) == "401 invalid_token"
            assert calls(guard, tenant.grant(), "GET") == "ok"
