"""`licet.client` in the queue of a pool (L19): it stands in line, and its answers are put off."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from licet.client import NoSeatAvailable
from support.guard.calling import ManualTiming, Program, Threads, TokenSite, auth_for
from support.server.served_tenant import ServedTenant
from support.waiting import until
from support.web.http_site import Reply, Site, says

MINUTE = timedelta(minutes=1)


def queued(position: int = 2, retry_after: int = 5, **more: Any) -> Reply:
    """A denial with a place in line."""
    content = {"error": "temporarily_unavailable", "reason": "queued", "queue_position": position}
    return says(400, content | {"retry_after": retry_after} | more)


@pytest.fixture(scope="module")
def api() -> Iterator[Site]:
    """An API that takes every token."""
    with Site(lambda _: says(200, {})) as site:
        yield site


class TestLicet:
    """Beside a running Licet."""

    @pytest.fixture
    def full(self, tenant: ServedTenant) -> ServedTenant:
        """A tenant with a queue; Client2 and Client3 have its seats."""
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_pool("full", queue=5)
        return tenant

    def test_it_gets_the_seat_that_is_given_back(
        self, full: ServedTenant, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """Within one request, which the server answers then."""
        held = full.grant("Client2")
        full.grant("Client3")
        auth = auth_for(f"{full.server.url}/{full.name}", api.url, timing, wait_for_seat=MINUTE, queue=True)
        with ThreadPoolExecutor(1) as thread:
            called = thread.submit(program.call, auth, "GET", api.url)
            until(lambda: full.places() == ["client:TestClientId"])
            full.post("logoff", authorization=f"Bearer {held['access_token']}")
            assert called.result().status_code == 200
        assert not timing.pauses
        assert full.places() == []
        program.log_off(auth)

    def test_without_a_wait_it_is_told_its_place(
        self, full: ServedTenant, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """A program may do something else meanwhile, and come back."""
        full.grant("Client2")
        full.grant("Client3")
        auth = auth_for(f"{full.server.url}/{full.name}", api.url, timing, queue=True)
        with pytest.raises(NoSeatAvailable) as raised:
            program.call(auth, "GET", api.url)
        found = raised.value
        assert (found.reason, found.queue_position, found.retry_after) == ("queued", 1, 5)


class TestAsked:
    """What it asks, and when."""

    def test_it_asks_for_a_place_and_for_a_late_answer(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """RFC 7240 4.3. Shorter than its own wait, and than the time-outs of proxies."""
        auth = auth_for(tokens.url, api.url, timing, wait_for_seat=MINUTE, queue=True)
        assert program.call(auth, "GET", api.url).status_code == 200
        [asked] = tokens.site.asked
        assert asked.form["queue"] == "true"
        assert asked.headers["prefer"] == "wait=20"
        program.log_off(auth)

    def test_unless_it_is_told_to_it_stands_in_no_line(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """By itself nothing is sent that other servers do not know."""
        auth = auth_for(tokens.url, api.url, timing, wait_for_seat=MINUTE)
        assert program.call(auth, "GET", api.url).status_code == 200
        [asked] = tokens.site.asked
        assert "queue" not in asked.form
        assert "prefer" not in asked.headers
        program.log_off(auth)

    def test_after_a_late_answer_it_asks_again_at_once(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """Until its own time is over; the last request waits for what is left."""

        def late() -> Reply:
            timing.advance(int(tokens.site.asked[-1].headers.get("prefer", "wait=0").removeprefix("wait=")))
            return queued()

        tokens.grant = late
        auth = auth_for(tokens.url, api.url, timing, wait_for_seat=timedelta(seconds=50), queue=True)
        with pytest.raises(NoSeatAvailable) as raised:
            program.call(auth, "GET", api.url)
        assert raised.value.queue_position == 2
        assert [it.headers["prefer"] for it in tokens.site.asked] == ["wait=20", "wait=20", "wait=10"]
        assert not timing.pauses

    def test_where_the_server_has_no_room_it_asks_again_in_time(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """The pauses do not grow: its place would lapse."""
        replies = iter([queued(), queued(), queued(retry_after=2)])
        tokens.grant = lambda: next(replies, None)
        auth = auth_for(tokens.url, api.url, timing, wait_for_seat=MINUTE, queue=True)
        assert program.call(auth, "GET", api.url).status_code == 200
        assert timing.pauses == [5.5, 5.5, 2.2]
        program.log_off(auth)

    def test_an_early_renewal_takes_no_place(
        self, tokens: TokenSite, api: Site, program: Program, timing: ManualTiming
    ) -> None:
        """While the old token works, the request is sent with it."""
        tokens.gives_refresh = False
        auth = auth_for(tokens.url, api.url, timing, wait_for_seat=MINUTE, queue=True)
        program.call(auth, "GET", api.url)
        tokens.grant = queued
        timing.advance(550)
        assert program.call(auth, "GET", api.url).status_code == 200
        assert "queue" not in tokens.site.asked[-1].form
        program.log_off(auth)

    def test_a_session_that_comes_after_closing_is_ended_again(
        self, tokens: TokenSite, api: Site, timing: ManualTiming
    ) -> None:
        """Its answer was late, and nobody waits for it any more."""
        auth = auth_for(tokens.url, api.url, timing, wait_for_seat=MINUTE, queue=True)

        def close() -> None:
            auth.close()

        tokens.grant = close
        with pytest.raises(RuntimeError):
            Threads().call(auth, "GET", api.url)
        assert tokens.asked == ["client_credentials", "logoff"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([{"pool": "named", "reason": "not_included"}], {"named": "not_included"}),
        ([{"pool": 1, "reason": "x"}, "no", {"reason": "y"}, {"pool": "p"}], {}),
        ([{"pool": f"p{number}", "reason": "x"} for number in range(9)], {f"p{it}": "x" for it in range(8)}),
        ({"pool": "named"}, {}),
        (None, {}),
    ],
)
def test_the_reasons_of_several_pools_are_kept(
    tokens: TokenSite, api: Site, timing: ManualTiming, sent: Any, kept: dict[str, str]
) -> None:
    """Where the server says them as it should."""
    tokens.grant = lambda: says(400, {"error": "temporarily_unavailable", "pools": sent})
    with pytest.raises(NoSeatAvailable) as raised:
        Threads().call(auth_for(tokens.url, api.url, timing), "GET", api.url)
    assert raised.value.pools == kept
