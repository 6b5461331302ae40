"""`licet.client`: tokens come, last, are renewed, and go where they belong."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from licet.client import (
    ForeignOrigin,
    LicetAuth,
    NoSeatAvailable,
    SessionClosed,
    TokenRefused,
)
from support.guard.calling import CONTEXT, ManualTiming, Program, Tasks, Threads, TokenSite, auth_for
from support.server.served_tenant import ServedTenant
from support.web.http_site import Asked, Reply, Site, says

FULL = says(400, {"error": "temporarily_unavailable", "error_description": "No seat is free."})


@pytest.fixture(scope="module")
def api() -> Iterator[Site]:
    """An API; each test empties what it remembers."""
    with Site() as site:
        yield site


@pytest.fixture(autouse=True)
def fresh(api: Site) -> None:
    """An API that takes every token and remembers nothing."""
    api.asked.clear()
    api.answer = lambda _: says(200, {})


class TestLicet:
    """Beside a running Licet."""

    def served(self, tenant: ServedTenant, api: Site, timing: ManualTiming, **options: Any) -> LicetAuth:
        """Authentication against a tenant; the API takes what Licet says is live."""
        url = f"{tenant.server.url}/{tenant.name}"
        return auth_for(url, api.url, timing, **options)

    def test_a_block_holds_one_seat_and_gives_it_back(
        self, tenant: ServedTenant, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """What the last lines of the seed's example ask of every caller."""
        seats: list[int] = []

        def answer(asked: Asked) -> Reply:
            seats.append(tenant.seats_in_use())
            return says(200 if tenant.introspect(asked.bearer)["active"] else 401)

        api.answer = answer
        auth = self.served(tenant, api, timing)
        assert program.within(auth, api.url).status_code == 200
        assert seats == [1]
        assert tenant.seats_in_use() == 0

    def test_a_session_that_was_ended_is_begun_anew_within_the_request(
        self, tenant: ServedTenant, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """The API answers 401, the refresh is refused, and a new grant mends it."""
        api.answer = lambda asked: says(200 if tenant.introspect(asked.bearer)["active"] else 401)
        auth = self.served(tenant, api, timing)
        program.call(auth, "GET", api.url)
        tenant.ask("revoke", token=api.asked[0].bearer)
        assert program.call(auth, "GET", api.url).status_code == 200
        assert len({it.bearer for it in api.asked}) == 2
        program.log_off(auth)

    def test_a_session_is_renewed_by_its_refresh_token(
        self, tenant: ServedTenant, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """It stays the same session, and asks for no second seat."""
        auth = self.served(tenant, api, timing)
        program.call(auth, "GET", api.url)
        tenant.server.advance(seconds=1)  # else the new token is like the old one
        timing.advance(545)
        program.call(auth, "GET", api.url)
        first, second = (tenant.introspect(it.bearer) for it in api.asked)
        assert first["sid"] == second["sid"]
        assert api.asked[0].bearer != api.asked[1].bearer
        program.log_off(auth)

    def test_a_full_pool_is_told_with_all_that_licet_says(
        self, tenant: ServedTenant, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """L1. The seats are taken; no request reaches the API."""
        tenant.grant("Client2")
        tenant.grant("Client3")
        with pytest.raises(NoSeatAvailable) as raised:
            program.call(self.served(tenant, api, timing), "GET", api.url)
        found = raised.value
        assert (found.reason, found.pool, found.seats, found.in_use) == ("all_in_use", "full", 2, 2)
        assert found.retry_after == 1200
        assert not api.asked

    def test_who_waits_for_a_seat_gets_the_one_that_is_given_back(
        self, tenant: ServedTenant, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """At the end of the patience at the latest, also when the server names a later time."""
        held = tenant.grant("Client2")
        tenant.grant("Client3")
        timing.paused = lambda: tenant.post("logoff", authorization=f"Bearer {held['access_token']}")
        auth = self.served(tenant, api, timing, wait_for_seat=timedelta(minutes=5))
        assert program.call(auth, "GET", api.url).status_code == 200
        assert timing.pauses == [300]
        program.log_off(auth)

    def test_a_wrong_secret_is_told_as_the_server_tells_it(
        self, tenant: ServedTenant, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """RFC 6749 5.2."""
        with pytest.raises(TokenRefused, match="invalid_client: Client authentication failed") as raised:
            program.call(self.served(tenant, api, timing, secret="wrong"), "GET", api.url)
        assert (raised.value.error, raised.value.status) == ("invalid_client", 401)
        assert raised.value.request_id

    def test_a_scope_is_asked_for(
        self, tenant: ServedTenant, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """L1: `view` needs no seat."""
        auth = self.served(tenant, api, timing, scope="view")
        program.call(auth, "GET", api.url)
        assert tenant.introspect(api.asked[0].bearer)["scope"] == "view"
        assert tenant.seats_in_use() == 0
        assert program.log_off(auth)

    def test_a_session_whose_access_token_has_expired_is_logged_off_by_its_refresh_token(
        self, tenant: ServedTenant, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """The seat does not wait for the end of the session."""
        auth = self.served(tenant, api, timing)
        program.call(auth, "GET", api.url)
        timing.advance(700)
        assert program.log_off(auth)
        assert tenant.seats_in_use() == 0


class TestLife:
    """How long tokens are used."""

    def test_a_token_is_used_until_shortly_before_its_end(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """A tenth of its life, and not more than a minute."""
        auth = auth_for(tokens.url, api.url, timing)
        for _ in range(3):
            program.call(auth, "GET", api.url)
            timing.advance(269)
        assert [it.bearer for it in api.asked] == ["access-1", "access-1", "access-1"]
        timing.advance(-266)
        program.call(auth, "GET", api.url)
        assert api.asked[-1].bearer == "access-2"
        assert tokens.asked == ["client_credentials", "refresh_token"]
        assert tokens.site.asked[1].form == {"grant_type": "refresh_token", "refresh_token": "refresh-1"}
        program.log_off(auth)

    def test_a_token_without_a_told_life_is_used_until_the_api_refuses_it(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """RFC 6749 5.1 only recommends `expires_in`."""
        tokens.life_s = None
        auth = auth_for(tokens.url, api.url, timing)
        program.call(auth, "GET", api.url)
        timing.advance(1_000_000)
        program.call(auth, "GET", api.url)
        api.answer = lambda asked: says(401 if asked.bearer == "access-1" else 200)
        assert program.call(auth, "GET", api.url).status_code == 200
        assert [it.bearer for it in api.asked] == ["access-1", "access-1", "access-1", "access-2"]
        program.log_off(auth)

    @pytest.mark.parametrize("status", [400, 401, 404])
    def test_a_refresh_that_is_refused_is_followed_by_a_new_grant(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming, status: int
    ) -> None:
        """Whatever a server without the extension says of its end."""
        tokens.refresh = says(status, {"error": "invalid_grant"} if status == 400 else b"gone")
        auth = auth_for(tokens.url, api.url, timing)
        program.call(auth, "GET", api.url)
        timing.advance(550)
        program.call(auth, "GET", api.url)
        assert tokens.asked == ["client_credentials", "refresh_token", "client_credentials"]
        program.log_off(auth)

    def test_without_a_refresh_token_a_new_grant_is_asked_for(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """RFC 6749 4.4.3."""
        tokens.gives_refresh = False
        auth = auth_for(tokens.url, api.url, timing)
        program.call(auth, "GET", api.url)
        timing.advance(550)
        program.call(auth, "GET", api.url)
        assert tokens.asked == ["client_credentials", "client_credentials"]
        program.log_off(auth)

    @pytest.mark.parametrize("refusal", [says(503, b"busy"), FULL, says(503, {"error": "server_error"})])
    def test_a_renewal_ahead_of_time_that_fails_fails_no_request(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming, refusal: Reply
    ) -> None:
        """The old token works for another minute; the renewal is tried again some seconds later."""
        auth = auth_for(tokens.url, api.url, timing, wait_for_seat=timedelta(minutes=1))
        program.call(auth, "GET", api.url)
        tokens.refresh = refusal
        tokens.grant = lambda: refusal
        timing.advance(550)
        program.call(auth, "GET", api.url)
        asked = len(tokens.asked)
        program.call(auth, "GET", api.url)
        assert [it.bearer for it in api.asked] == ["access-1"] * 3
        assert len(tokens.asked) == asked
        assert not timing.pauses
        tokens.refresh = None
        timing.advance(5)
        program.call(auth, "GET", api.url)
        assert api.asked[-1].bearer == "access-2"
        program.log_off(auth)

    def test_an_outage_when_the_token_has_expired_is_told(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """No new grant is tried where a refresh met an outage: the session may live."""
        auth = auth_for(tokens.url, api.url, timing)
        program.call(auth, "GET", api.url)
        tokens.refresh = says(503, {"error": "server_error"}, retry_after="7")
        timing.advance(601)
        with pytest.raises(TokenRefused) as raised:
            program.call(auth, "GET", api.url)
        assert (raised.value.error, raised.value.retry_after) == ("server_error", 7)
        assert tokens.asked == ["client_credentials", "refresh_token"]
        tokens.refresh = None
        assert program.call(auth, "GET", api.url).status_code == 200
        program.log_off(auth)


class TestRefusedByTheApi:
    """A 401 of the API."""

    def test_a_request_is_repeated_once_and_no_more(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """With a new token; then its answer stands."""
        api.answer = lambda _: says(401)
        auth = auth_for(tokens.url, api.url, timing)
        assert program.call(auth, "POST", api.url, json={"a": 1}).status_code == 401
        assert [(it.bearer, it.body) for it in api.asked] == [
            ("access-1", b'{"a":1}'),
            ("access-2", b'{"a":1}'),
        ]
        program.log_off(auth)

    def test_a_body_that_is_gone_is_not_sent_again_but_the_token_is_renewed(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """A half body would be worse than the 401."""

        def body() -> Iterator[bytes]:
            yield b"once"

        async def abody() -> Any:
            yield b"once"

        api.answer = lambda asked: says(401 if asked.bearer == "access-1" else 200)
        auth = auth_for(tokens.url, api.url, timing)
        content = abody() if isinstance(program, Tasks) else body()
        first = program.call(auth, "GET", api.url, content=content, headers={"content-length": "4"})
        assert first.status_code == 401
        assert program.call(auth, "GET", api.url).status_code == 200
        assert [it.bearer for it in api.asked] == ["access-1", "access-2"]
        program.log_off(auth)


class TestOrigins:
    """Where the token goes."""

    def test_a_request_to_another_origin_is_not_sent(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """No token is even asked for."""
        with Site() as other, pytest.raises(ForeignOrigin, match=r"http://127\.0\.0\.1:\d+ is not the API"):
            program.call(auth_for(tokens.url, api.url, timing), "GET", f"{other.url}/secret-path")
        assert not other.asked
        assert not tokens.asked

    def test_a_redirect_to_another_origin_loses_the_token(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """Its 401 is not taken for the API's."""
        auth = auth_for(tokens.url, api.url, timing)
        with Site(lambda _: says(401)) as other:
            api.answer = lambda _: says(307, location=f"{other.url}/there")
            assert program.call(auth, "POST", api.url, follow_redirects=True).status_code == 401
            assert [it.headers.get("authorization") for it in other.asked] == [None]
        assert len(api.asked) == 1
        assert tokens.asked == ["client_credentials"]
        program.log_off(auth)

    def test_a_redirect_within_the_origin_keeps_it(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """As any browser's cookie does."""
        api.answer = lambda asked: says(200) if asked.path == "/b" else says(307, location="/b")
        auth = auth_for(tokens.url, api.url, timing)
        assert program.call(auth, "GET", f"{api.url}/a", follow_redirects=True).status_code == 200
        assert [it.bearer for it in api.asked] == ["access-1", "access-1"]
        program.log_off(auth)

    def test_several_apis_share_a_session(self, tokens: TokenSite, api: Site, timing: ManualTiming) -> None:
        """Only the origin of their URLs counts."""
        with Site() as second:
            auth = LicetAuth(
                tokens.url, "TestClientId", "password", api=[f"{api.url}/v1", second.url], timing=timing
            )
            with auth, httpx.Client(auth=auth, verify=CONTEXT) as client:
                client.get(api.url)
                client.get(second.url)
            assert [it.bearer for it in (*api.asked, *second.asked)] == ["access-1", "access-1"]


class TestWaiting:
    """For a seat."""

    def test_pauses_grow_where_the_server_does_not_say(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """With chance on top, and one last question at the end of the patience."""
        tokens.grant = lambda: FULL
        auth = auth_for(tokens.url, api.url, timing, wait_for_seat=timedelta(seconds=40))
        with pytest.raises(NoSeatAvailable, match="No seat is free") as raised:
            program.call(auth, "GET", api.url)
        assert timing.pauses == [2, 3, 5, 9, 17.6, pytest.approx(3.4)]
        found = raised.value
        assert {found.reason, found.pool, found.seats, found.in_use, found.retry_after} == {None}

    @pytest.mark.parametrize(
        "reply",
        [
            says(503, {"error": "temporarily_unavailable"}, retry_after="20"),
            says(429, {"error": "temporarily_unavailable", "retry_after": 20}, retry_after="90"),
            says(400, {"error": "temporarily_unavailable", "reason": "suspended", "retry_after": 20.0}),
        ],
    )
    def test_nobody_comes_back_before_the_server_said(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming, reply: Reply
    ) -> None:
        """RFC 9110 10.2.3; the field counts before the header."""
        replies = iter([reply])
        tokens.grant = lambda: next(replies, None)
        auth = auth_for(tokens.url, api.url, timing, wait_for_seat=timedelta(minutes=1))
        assert program.call(auth, "GET", api.url).status_code == 200
        assert timing.pauses == [22]
        program.log_off(auth)

    @pytest.mark.parametrize("reason", ["no_seats", "licence_expired", "licence_missing"])
    def test_who_waits_in_vain_does_not_wait(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming, reason: str
    ) -> None:
        """No time brings a seat."""
        tokens.grant = lambda: says(400, {"error": "temporarily_unavailable", "reason": reason})
        auth = auth_for(tokens.url, api.url, timing, wait_for_seat=timedelta(minutes=1))
        with pytest.raises(NoSeatAvailable) as raised:
            program.call(auth, "GET", api.url)
        assert raised.value.reason == reason
        assert not timing.pauses

    def test_too_many_attempts_are_no_full_pool(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """The secret is wrong, and asking again makes it worse."""
        content = {"error": "temporarily_unavailable", "reason": "rate_limited", "retry_after": 30}
        tokens.grant = lambda: says(429, content)
        auth = auth_for(tokens.url, api.url, timing, wait_for_seat=timedelta(minutes=1))
        with pytest.raises(TokenRefused) as raised:
            program.call(auth, "GET", api.url)
        assert raised.value.retry_after == 30
        assert len(tokens.asked) == 1

    def test_closing_ends_the_wait(self, tokens: TokenSite, api: Site, timing: ManualTiming) -> None:
        """A program that ends does not wait for a seat."""
        tokens.grant = lambda: FULL
        auth = auth_for(tokens.url, api.url, timing, wait_for_seat=timedelta(minutes=1))
        timing.paused = auth.close
        with pytest.raises(SessionClosed):
            Threads().call(auth, "GET", api.url)
        assert len(tokens.asked) == 1
