"""The rules of the licence, L1 to L12 and L18, as a client of a real server meets them.

One class a rule; `licet.ledger.rules` has its own tests, which go further. Every rule is kept by a server
that commits in a process of its own, and by one that does it in a thread. Time stands still on the shared
servers until a test moves it.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from licet.cli.run.demo import TENANT
from licet.model import Duplicates, InvalidValue
from licet.reports.live import PoolNow, seats
from licet.setup.change import end_sessions
from support.cli.command_line import run
from support.server.callers import GRANT, Caller, in_use, opened, rows, with_secrets
from support.server.running import RunningServer
from support.server.served_tenant import ServedTenant
from support.store.journals import WHOLE_DENIALS, WHOLE_JOURNAL


@pytest.fixture(params=[True, False], ids=["process", "thread"])
def commit_process(request: pytest.FixtureRequest) -> bool:
    """Whether the server commits in a process of its own."""
    own: bool = request.param
    return own


@pytest.fixture
def tenant(request: pytest.FixtureRequest, *, commit_process: bool) -> ServedTenant:
    """A tenant of a shared server for one test alone."""
    server: RunningServer = request.getfixturevalue("server" if commit_process else "threaded_server")
    return ServedTenant(server)


def ask(tenant: ServedTenant, client_id: str = "TestClientId", **form: str) -> dict[str, Any]:
    """What a grant is answered, good or not."""
    content: dict[str, Any] = tenant.ask("token", client_id, **GRANT, **form).json()
    return content


def is_active(tenant: ServedTenant, answer: dict[str, Any]) -> bool:
    """Whether the access token of an answer is worth something."""
    return bool(tenant.introspect(answer["access_token"])["active"])


def log_off(tenant: ServedTenant, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer to a logoff."""
    content: dict[str, Any] = tenant.post("logoff", authorization=f"Bearer {answer['access_token']}").json()
    return content


def pool_now(tenant: ServedTenant) -> PoolNow:
    """The pool as an administrator sees it."""
    with tenant.server.store() as store, store.reading() as connection:
        found = store.tenant(tenant.name)
        assert found is not None
        (pool,) = seats(connection, found, tenant.server.clock.now_ms()).pools
    return pool


def journal(tenant: ServedTenant) -> dict[tuple[str, str], int]:
    """How often what happened, by kind and reason."""
    query = f"""
        SELECT kind, reason, sum(times) FROM {WHOLE_JOURNAL}
        WHERE tenant_id = (SELECT id FROM tenant WHERE name = ?) GROUP BY kind, reason
    """  # noqa: S608 - names of our own
    return {(kind, reason): times for kind, reason, times in rows(tenant.server, query, tenant.name)}


class TestL1:
    """A grant that includes a licensed scope needs a seat."""

    def test_only_a_scope_that_may_change_data_takes_a_seat(self, tenant: ServedTenant) -> None:
        """L1. `view` alone needs none, `view all` does, and no scope asked means `all`."""
        assert ask(tenant, "TestClientId", scope="view")["scope"] == "view"
        assert tenant.seats_in_use() == 0
        assert ask(tenant, "TestClientId", scope="view all")["scope"] == "view all"
        assert tenant.seats_in_use() == 1
        assert ask(tenant, "Client2")["scope"] == "all"
        assert tenant.seats_in_use() == 2
        assert ask(tenant, "Client3")["reason"] == "all_in_use"
        assert ask(tenant, "Client3", scope="view all")["reason"] == "all_in_use"
        assert ask(tenant, "Client3", scope="view")["scope"] == "view"


class TestL2:
    """The seat is counted for the holder."""

    def test_a_client_that_asks_again_shares_its_own_seat(self, tenant: ServedTenant) -> None:
        """L2. A licence is extended by asking again: the same client takes no second one."""
        first, second = ask(tenant), ask(tenant)
        assert first["refresh_token"] != second["refresh_token"]
        assert tenant.seats_in_use() == 1
        assert not log_off(tenant, first)["seat_released"]
        assert log_off(tenant, second)["seat_released"]

    @pytest.mark.parametrize(
        ("duplicates", "in_use"),
        [(Duplicates.CLIENT, [1, 2, 2]), (Duplicates.USER, [1, 1, 1]), (Duplicates.NONE, [1, 2, 2])],
    )
    def test_the_pool_says_whose_sessions_share_a_seat(
        self, tenant: ServedTenant, duplicates: Duplicates, in_use: list[int]
    ) -> None:
        """L2. Two clients of one user, and then one of them again: of `none` there is no seat left for it."""
        with tenant.server.changing() as change:
            setup = change.tenant(tenant.name)
            setup.set_client("Client2", user="TC")
            setup.set_pool("full", duplicates=duplicates)
        seen = []
        for client_id in ("TestClientId", "Client2", "TestClientId"):
            answer = ask(tenant, client_id)
            seen.append(tenant.seats_in_use())
        assert seen == in_use
        assert answer.get("reason") == ("all_in_use" if duplicates is Duplicates.NONE else None)


class TestL3:
    """How long a session and a token live."""

    def test_a_session_lives_twenty_minutes_after_its_last_refresh_and_a_token_ten(
        self, tenant: ServedTenant
    ) -> None:
        """L3. The answers say so, and so it is, to the second."""
        granted = ask(tenant)
        assert (granted["expires_in"], granted["refresh_expires_in"]) == (600, 1200)
        tenant.server.advance(seconds=599)
        assert is_active(tenant, granted)
        tenant.server.advance(seconds=1)
        assert not is_active(tenant, granted)
        tenant.server.advance(seconds=599)
        renewed = tenant.refresh(granted).json()
        assert (renewed["expires_in"], renewed["refresh_expires_in"]) == (600, 1200)
        tenant.server.advance(seconds=1199)
        assert tenant.refresh(renewed).is_success
        tenant.server.advance(seconds=1200)
        assert tenant.refresh(renewed).json()["error"] == "invalid_grant"

    def test_a_token_never_outlives_its_session(self, tenant: ServedTenant) -> None:
        """L3. `access_ttl` is not above `session_ttl`, and a shorter life of the session counts."""
        with pytest.raises(InvalidValue, match="access_ttl"), tenant.server.changing() as change:
            change.tenant(tenant.name).set(session_ttl_s=599)
        _expire_pool_in(tenant, seconds=90)
        granted = ask(tenant)
        assert (granted["expires_in"], granted["refresh_expires_in"]) == (90, 90)
        tenant.server.advance(seconds=90)
        assert not is_active(tenant, granted)


def _expire_pool_in(tenant: ServedTenant, *, seconds: int) -> None:
    expires_at_ms = tenant.server.clock.now_ms() + seconds * 1000
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set_pool("full", expires_at_ms=expires_at_ms)


def _logoff(tenant: ServedTenant, granted: dict[str, Any]) -> None:
    assert log_off(tenant, granted) == {"logged_off": True, "seat_released": True}


def _logoff_without_access_token(tenant: ServedTenant, granted: dict[str, Any]) -> None:
    form = {"refresh_token": granted["refresh_token"]}
    assert tenant.ask("logoff", "Client2", **form).json() == {"logged_off": True, "seat_released": True}


def _revocation(tenant: ServedTenant, granted: dict[str, Any]) -> None:
    assert tenant.ask("revoke", "Client2", token=granted["refresh_token"]).is_success


def _revocation_of_the_access_token(tenant: ServedTenant, granted: dict[str, Any]) -> None:
    assert tenant.ask("revoke", "Client2", token=granted["access_token"]).is_success


def _administrator(tenant: ServedTenant, granted: dict[str, Any]) -> None:
    sid = bytes.fromhex(tenant.introspect(granted["access_token"])["sid"])
    with tenant.server.store() as store:
        end_sessions(store, "a test", tenant.name, [sid])


def _disabled_client(tenant: ServedTenant, granted: dict[str, Any]) -> None:
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set_client("Client2", enabled=False)


def _disabled_user(tenant: ServedTenant, granted: dict[str, Any]) -> None:
    with tenant.server.changing() as change:
        change.tenant(tenant.name).set_user("C2", enabled=False)


def _removed_client(tenant: ServedTenant, granted: dict[str, Any]) -> None:
    with tenant.server.changing() as change:
        change.tenant(tenant.name).remove_client("Client2")


class TestL4:
    """A seat is held while one of its sessions lives, and free at the moment when the last one ends."""

    @pytest.mark.parametrize(
        "end",
        [
            _logoff,
            _logoff_without_access_token,
            _revocation,
            _revocation_of_the_access_token,
            _administrator,
            _disabled_client,
            _disabled_user,
            _removed_client,
        ],
    )
    def test_the_seat_of_a_session_that_ends_is_given_to_the_next_at_once(
        self, tenant: ServedTenant, end: Callable[[ServedTenant, dict[str, Any]], None]
    ) -> None:
        """L4. However it ends; and its tokens are worth nothing from then on."""
        ask(tenant, "TestClientId")
        granted = ask(tenant, "Client2")
        assert ask(tenant, "Client3")["reason"] == "all_in_use"
        end(tenant, granted)
        assert ask(tenant, "Client3")["scope"] == "all"
        assert not is_active(tenant, granted)
        assert tenant.seats_in_use() == 2

    def test_the_seat_of_a_session_that_expires_is_free_to_the_millisecond(
        self, tenant: ServedTenant
    ) -> None:
        """L4. A grant that finds the pool full looks at expired seats itself."""
        ask(tenant, "TestClientId")
        ask(tenant, "Client2")
        tenant.server.advance(seconds=1199.999)
        refused = ask(tenant, "Client3")
        assert (refused["reason"], refused["retry_after"]) == ("all_in_use", 1)
        tenant.server.advance(seconds=0.001)
        assert ask(tenant, "Client3")["scope"] == "all"
        assert tenant.seats_in_use() == 1


class TestL5:
    """A refresh never needs a free seat, and never loses or doubles one."""

    def test_a_refresh_is_granted_by_a_full_pool_and_by_one_that_was_made_smaller(
        self, tenant: ServedTenant
    ) -> None:
        """L5. The seats in use stay the same."""
        granted = [ask(tenant, client_id) for client_id in ("TestClientId", "Client2")]
        for seats_now in (2, 1, 0):
            with tenant.server.changing() as change:
                change.tenant(tenant.name).set_pool("full", seats=seats_now)
            for client_id, tokens in zip(("TestClientId", "Client2"), granted, strict=True):
                assert tenant.refresh(tokens, client_id).is_success
                assert tenant.refresh(tokens, client_id, scope="all").is_success
            assert tenant.seats_in_use() == 2


class TestL6:
    """At every commit `in_use <= seats`."""

    def test_seats_that_are_lowered_below_use_leave_sessions_alone_and_let_nobody_in(
        self, tenant: ServedTenant
    ) -> None:
        """L6. No new seat until it fits, and the overuse is shown."""
        granted = [ask(tenant, client_id) for client_id in ("TestClientId", "Client2")]
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_pool("full", seats=1)
        assert all(is_active(tenant, tokens) for tokens in granted)
        refused = ask(tenant, "Client3")
        assert (refused["reason"], refused["seats"], refused["in_use"]) == ("all_in_use", 1, 2)
        assert ask(tenant, "Client2")["scope"] == "all"  # it shares the seat that it has
        assert (pool_now(tenant).in_use, pool_now(tenant).overuse) == (2, 1)
        log_off(tenant, granted[0])
        assert ask(tenant, "Client3")["reason"] == "all_in_use"
        assert pool_now(tenant).overuse == 0
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_pool("full", seats=2)
        assert ask(tenant, "Client3")["scope"] == "all"

    def test_a_pool_without_seats_says_that_it_has_none(self, tenant: ServedTenant) -> None:
        """L6. Waiting does not help, so that there is no `retry_after`."""
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_pool("full", seats=0)
        response = tenant.ask("token", **GRANT)
        assert response.status_code == httpx.codes.BAD_REQUEST
        assert response.json()["reason"] == "no_seats"
        assert "retry_after" not in response.json()
        assert "retry-after" not in response.headers


class TestL7:
    """A pool may expire."""

    def test_a_session_never_lives_past_its_pool_and_view_goes_on(self, tenant: ServedTenant) -> None:
        """L7. Also one that was granted before the end was known; then grants are `licence_expired`."""
        granted = ask(tenant)
        viewing = ask(tenant, "Client2", scope="view")
        _expire_pool_in(tenant, seconds=300)
        renewed = tenant.refresh(granted).json()
        assert (renewed["expires_in"], renewed["refresh_expires_in"]) == (300, 300)
        assert (
            tenant.introspect(granted["access_token"])["exp"]
            == tenant.introspect(renewed["access_token"])["exp"]
        )
        tenant.server.advance(seconds=300)
        assert not is_active(tenant, renewed)
        assert tenant.refresh(renewed).json()["error"] == "invalid_grant"
        assert tenant.seats_in_use() == 0
        refused = ask(tenant)
        assert (refused["error"], refused["reason"]) == ("temporarily_unavailable", "licence_expired")
        assert "retry_after" not in refused
        assert is_active(tenant, viewing)
        assert ask(tenant, scope="view")["scope"] == "view"
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_pool("full", expires_at_ms=None)
        assert ask(tenant)["refresh_expires_in"] == 1200


class TestL8:
    """A client holds at most `max_sessions` live sessions."""

    def test_one_session_more_ends_the_oldest_and_the_seat_stays(self, tenant: ServedTenant) -> None:
        """L8. It is `superseded`, and other clients are not touched."""
        with tenant.server.changing() as change:
            change.tenant(tenant.name).set_client("TestClientId", sessions_max=2)
        other = ask(tenant, "Client2")
        granted = [ask(tenant) for _ in range(2)]
        tenant.refresh(granted[0]).raise_for_status()  # the oldest is the one that began first
        granted.append(ask(tenant))
        assert [is_active(tenant, tokens) for tokens in granted] == [False, True, True]
        assert is_active(tenant, other)
        assert tenant.seats_in_use() == 2
        assert journal(tenant)["ended", "superseded"] == 1


class TestL9:
    """Nothing is answered before it is durable; `test_crash.py` goes further."""

    def test_what_was_answered_holds_after_a_crash(self, tmp_path: Path, *, commit_process: bool) -> None:
        """L9. Every token works, every logoff holds, and the seats are those of the sessions."""
        with RunningServer(tmp_path, commit_process=commit_process) as server:
            token = f"{TENANT}/token"
            kept = server.ask(token, "TestClientId", **GRANT).json()
            over = server.ask(token, "Client1", **GRANT).json()
            server.http.post(
                f"/{TENANT}/logoff", headers={"Authorization": f"Bearer {over['access_token']}"}
            ).raise_for_status()
            server.kill()
            server.start()
            for tokens, is_alive in ((kept, True), (over, False)):
                asked = server.ask(f"{TENANT}/introspect", "Api", token=tokens["access_token"])
                assert asked.json()["active"] is is_alive
            renewed = server.ask(token, grant_type="refresh_token", refresh_token=kept["refresh_token"])
            assert renewed.is_success
            assert rows(server, "SELECT holder FROM seat") == [("client:TestClientId",)]


class TestL10:
    """Administrators, the dashboard and the command line never need a seat."""

    def test_the_command_line_works_on_a_full_pool_and_takes_nothing_of_it(self, tmp_path: Path) -> None:
        """L10. Looking, changing and ending."""
        site = ("--tenant", TENANT, "--data", str(tmp_path))
        token = f"{TENANT}/token"
        with RunningServer(tmp_path) as server:
            for number in range(1, 6):
                server.ask(token, f"Client{number}", **GRANT).raise_for_status()
            assert server.ask(token, **GRANT).json()["reason"] == "all_in_use"
            held = json.loads(run("seats", "--json", *site).stdout)["pools"][0]
            assert (held["in_use"], held["seats"]) == (5, 5)
            for verb in (("session", "list"), ("usage",), ("client", "list"), ("pool", "show", "full")):
                run(*verb, *site)
            run("pool", "set", "full", "--duplicates", "user", *site)
            assert in_use(server) == 5
            assert server.ask(token, **GRANT).json()["reason"] == "all_in_use"
            run("session", "end", "--client", "Client2", "--yes", *site)
            assert in_use(server) == 4
            assert server.ask(token, **GRANT).is_success


class TestL11:
    """Every grant, denial and ending is in the journal."""

    def test_the_journal_counts_every_grant_denial_and_ending(self, tenant: ServedTenant) -> None:
        """L11. By kind and reason; denials of one minute are one row."""
        first, second = ask(tenant, "TestClientId"), ask(tenant, "Client2")
        for _ in range(5):
            ask(tenant, "Client3")
        log_off(tenant, first)
        log_off(tenant, first)
        _revocation(tenant, second)
        ask(tenant, scope="view")
        tenant.server.advance(seconds=1200)
        ask(tenant)
        expected = {
            ("granted", ""): 4,
            ("denied", "all_in_use"): 5,
            ("ended", "logoff"): 1,
            ("ended", "revoked"): 1,
        }
        assert journal(tenant).items() >= expected.items()
        query = f"""
            SELECT client_id, initials, pool, sum(times), max(seats), max(in_use) FROM {WHOLE_DENIALS}
            WHERE tenant_id = (SELECT id FROM tenant WHERE name = ?) GROUP BY 1, 2, 3
        """  # noqa: S608
        assert rows(tenant.server, query, tenant.name) == [("Client3", "C3", "full", 5, 2, 2)]

    @pytest.mark.anyio
    async def test_the_journal_agrees_with_the_sessions_at_every_instant(
        self, tmp_path: Path, *, commit_process: bool
    ) -> None:
        """L11. Written in the same transaction: whenever one looks, grants less endings are the sessions."""
        with RunningServer(tmp_path, commit_process=commit_process) as server:
            clients = with_secrets(server, [f"Machine{n}" for n in range(8)], sessions_max=3)
            async with opened([server.url] * len(clients)) as callers:
                asking = [
                    asyncio.create_task(_come_and_go(caller, client))
                    for caller, client in zip(callers, clients.values(), strict=True)
                ]
                looks = set()
                while not all(task.done() for task in asking):
                    ((balance, sessions),) = await asyncio.to_thread(rows, server, _BALANCE)
                    assert balance == sessions
                    looks.add(balance)
                await asyncio.gather(*asking)
            assert len(looks) > 1
            assert rows(server, _BALANCE) == [(len(clients) * 3, len(clients) * 3)]


class TestL12:
    """An administrator may suspend a client for a while."""

    def test_a_client_whose_session_was_ended_may_come_back_after_the_cool_down(
        self, tenant: ServedTenant
    ) -> None:
        """L12, L11. The seat is free for others at once; its denials are in the journal with their reason."""
        granted, viewing = ask(tenant), ask(tenant, scope="view")
        sid = bytes.fromhex(tenant.introspect(granted["access_token"])["sid"])
        with tenant.server.store() as store:
            ended = end_sessions(store, "a test", tenant.name, [sid], reason="It hangs", cool_down_s=300)
        assert (ended.sessions, ended.seats, ended.clients) == (1, 1, ("TestClientId",))
        assert not is_active(tenant, granted)
        assert is_active(tenant, viewing)
        for _ in range(3):
            refused = ask(tenant)
        assert (refused["error"], refused["reason"], refused["retry_after"]) == (
            "temporarily_unavailable",
            "suspended",
            300,
        )
        assert ask(tenant, scope="view")["scope"] == "view"
        assert tenant.refresh(viewing).is_success
        assert ask(tenant, "Client2")["scope"] == "all"
        tenant.server.advance(seconds=299)
        assert ask(tenant)["retry_after"] == 1
        tenant.server.advance(seconds=1)
        assert ask(tenant)["scope"] == "all"
        assert journal(tenant).items() >= {("denied", "suspended"): 4, ("ended", "administrator"): 1}.items()


_BALANCE = f"""
SELECT coalesce(sum(CASE kind WHEN 'granted' THEN times WHEN 'ended' THEN -times ELSE 0 END), 0),
       (SELECT count(*) FROM session WHERE tenant_id = 1)
FROM {WHOLE_JOURNAL} WHERE tenant_id = 1
"""  # noqa: S608 - names of our own


async def _come_and_go(caller: Caller, client: str) -> None:
    """Ask for more sessions than a client may have, and log off in between."""
    for number in range(60):
        answer = await caller.ask(f"{TENANT}/token", client, **GRANT, scope="view")
        if number < 50 and number % 3 == 0:
            await caller.ask(f"{TENANT}/logoff", f"Bearer {answer.content['access_token']}")
