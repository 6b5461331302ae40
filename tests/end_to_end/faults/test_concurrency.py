"""Many at once: on one server, on two that share a store, and around administrators.

Nothing here waits for time to pass. `Caller` is an HTTP client that costs little, so that the server has the
processors.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from licet.clock import ManualClock
from licet.lanes.commit import commit
from licet.ledger.commands import ClientRefused, End, Grant, Granted, Refresh, ScopeRefused, SessionUnknown
from licet.ledger.scopes import resolve_scope
from licet.model import EndReason, Tenant
from licet.setup.change import changing
from licet.store.opening import SQLITE_NAME
from licet.store.sqlite.store import SqliteStore
from support.many import few
from support.once.made_once import empty_store
from support.server.callers import GRANT, TENANT, Answer, Caller, bearer, in_use, opened, rows, with_secrets
from support.server.running import RunningServer
from support.store.journals import WHOLE_JOURNAL

pytestmark = pytest.mark.anyio


async def ask_at_once(
    callers: Sequence[Caller], path: str, authorizations: Sequence[str], **form: str
) -> list[Answer]:
    """All of them ask before the first of them reads an answer."""
    for caller, authorization in zip(callers, authorizations, strict=True):
        caller.say(path, authorization, **form)
    return await asyncio.gather(*(caller.hear() for caller in callers))


def tally(answers: Sequence[Answer]) -> Mapping[str, int]:
    """How often which answer was given."""
    return Counter(answer.told for answer in answers)


class TestOneServer:
    """Two hundred connections at once."""

    @pytest.mark.parametrize("times", few([10, 50], 1))
    async def test_of_two_hundred_clients_five_get_a_seat_each_time(self, tmp_path: Path, times: int) -> None:
        """L4, L6: every seat that came back is given again at once."""
        with RunningServer(tmp_path, connections_per_source_max=200) as server:
            clients = list(with_secrets(server, [f"Machine{n}" for n in range(200)]).values())
            winners: Counter[str] = Counter()
            async with opened([server.url] * len(clients)) as callers:
                for number in range(times):
                    answers = await ask_at_once(callers, f"{TENANT}/token", clients, **GRANT)
                    assert tally(answers) == {"granted": 5, "all_in_use": 195}
                    assert {(it.content["seats"], it.content["in_use"]) for it in _refused(answers)} == {
                        (5, 5)
                    }
                    assert in_use(server) == 5
                    await self._give_back(callers, clients, answers, by_logoff=number % 2 == 0)
                    winners.update(
                        client
                        for client, answer in zip(clients, answers, strict=True)
                        if answer.told == "granted"
                    )
            assert in_use(server) == 0
            assert winners.total() == 5 * times
            denied = rows(server, f"SELECT sum(times) FROM {WHOLE_JOURNAL} WHERE kind = 'denied'")  # noqa: S608
            assert denied == [(times * 195,)]

    @staticmethod
    async def _give_back(
        callers: Sequence[Caller], clients: Sequence[str], answers: Sequence[Answer], *, by_logoff: bool
    ) -> None:
        for caller, client, answer in zip(callers, clients, answers, strict=True):
            if answer.told != "granted":
                continue
            if by_logoff:
                given_back = await caller.ask(f"{TENANT}/logoff", bearer(answer))
                assert given_back == (200, {"logged_off": True, "seat_released": True})
            else:
                token = answer.content["refresh_token"]
                assert await caller.ask(f"{TENANT}/revoke", client, token=token) == (200, {})

    async def test_twenty_refreshes_of_one_token_at_once_are_one_session_and_one_seat(
        self, tmp_path: Path
    ) -> None:
        """L5: parallel refreshes and lost answers are harmless."""
        with RunningServer(tmp_path) as server:
            (client,) = with_secrets(server, ["Machine"]).values()
            async with opened([server.url] * 20) as callers:
                first = await callers[0].ask(f"{TENANT}/token", client, **GRANT)
                token = first.content["refresh_token"]
                form = {"grant_type": "refresh_token", "refresh_token": token}
                for _ in range(10):
                    answers = await ask_at_once(callers, f"{TENANT}/token", [client] * 20, **form)
                    assert tally(answers) == {"granted": 20}
                    assert {answer.content["refresh_token"] for answer in answers} == {token}
            assert in_use(server) == 1
            assert rows(server, "SELECT count(*) FROM session WHERE pool_id IS NOT NULL") == [(1,)]

    async def test_of_many_logoffs_of_one_session_exactly_one_gives_back_the_seat(
        self, tmp_path: Path
    ) -> None:
        """Product 3.3: idempotent."""
        with RunningServer(tmp_path) as server:
            (client,) = with_secrets(server, ["Machine"]).values()
            async with opened([server.url] * 20) as callers:
                for _ in range(20):
                    granted = await callers[0].ask(f"{TENANT}/token", client, **GRANT)
                    answers = await ask_at_once(callers, f"{TENANT}/logoff", [bearer(granted)] * 20)
                    assert {(it.status, it.content["logged_off"]) for it in answers} == {(200, True)}
                    assert sum(answer.content["seat_released"] for answer in answers) == 1
                    assert in_use(server) == 0
            ended = rows(server, f"SELECT sum(times) FROM {WHOLE_JOURNAL} WHERE reason = 'logoff'")  # noqa: S608
            assert ended == [(20,)]

    async def test_a_refresh_that_meets_a_logoff_never_brings_the_session_back(self, tmp_path: Path) -> None:
        """L4, L5: whichever comes first, the logoff is final and the seat is free."""
        with RunningServer(tmp_path) as server:
            (client,) = with_secrets(server, ["Machine"]).values()
            api = with_secrets(server, ["Asker"], introspects=True)["Asker"]
            async with opened([server.url] * 8) as callers:
                for number in range(25):
                    granted = await callers[0].ask(f"{TENANT}/token", client, **GRANT)
                    form = {"grant_type": "refresh_token", "refresh_token": granted.content["refresh_token"]}
                    for at, caller in enumerate(callers):
                        if at == number % len(callers):
                            caller.say(f"{TENANT}/logoff", bearer(granted))
                        else:
                            caller.say(f"{TENANT}/token", client, **form)
                    answers = await asyncio.gather(*(caller.hear() for caller in callers))
                    ended = answers.pop(number % len(callers))
                    assert ended.content == {"logged_off": True, "seat_released": True}
                    assert tally(answers).keys() <= {"granted", "invalid_grant"}
                    assert in_use(server) == 0
                    for answer in (granted, *answers):
                        if answer.told == "granted":
                            token = answer.content["access_token"]
                            asked = await callers[0].ask(f"{TENANT}/introspect", api, token=token)
                            assert asked.content == {"active": False}

    async def test_one_client_that_asks_two_hundred_times_at_once_takes_one_seat(
        self, tmp_path: Path
    ) -> None:
        """L2, L8: the same client asking again must not take a second licence."""
        with RunningServer(tmp_path, connections_per_source_max=300) as server:
            (client,) = with_secrets(server, ["Machine"], sessions_max=30).values()
            async with opened([server.url] * 200) as callers:
                for _ in range(3):
                    answers = await ask_at_once(callers, f"{TENANT}/token", [client] * 200, **GRANT)
                    assert tally(answers) == {"granted": 200}
                    assert in_use(server) == 1
                    live = rows(server, "SELECT count(*) FROM session WHERE pool_id IS NOT NULL")
                    assert live == [(30,)]

    async def test_two_tenants_never_share_seats(self, tmp_path: Path) -> None:
        """A tenant has its own users, clients, scopes and pools, also where all names are the same."""
        with RunningServer(tmp_path, connections_per_source_max=300) as server:
            with server.changing() as change:
                change.add_tenant("Other", seats=2)
            names = [f"Machine{n}" for n in range(40)]
            here = list(with_secrets(server, names).values())
            there = list(with_secrets(server, names, tenant="Other").values())
            async with opened([server.url] * 80) as callers:
                for _ in range(5):
                    for caller, client in zip(callers[:40], here, strict=True):
                        caller.say(f"{TENANT}/token", client, **GRANT)
                    for caller, client in zip(callers[40:], there, strict=True):
                        caller.say("Other/token", client, **GRANT)
                    answers = await asyncio.gather(*(caller.hear() for caller in callers))
                    assert tally(answers[:40]) == {"granted": 5, "all_in_use": 35}
                    assert tally(answers[40:]) == {"granted": 2, "all_in_use": 38}
                    assert (in_use(server), in_use(server, "Other")) == (5, 2)
                    for at, answer in enumerate(answers):
                        if answer.told == "granted":
                            tenants = (TENANT, "Other") if at < 40 else ("Other", TENANT)
                            abroad = await callers[at].ask(f"{tenants[1]}/logoff", bearer(answer))
                            assert (abroad.status, abroad.told) == (401, "invalid_token")
                            at_home = await callers[at].ask(f"{tenants[0]}/logoff", bearer(answer))
                            assert at_home.content["seat_released"]


def _refused(answers: Sequence[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.told != "granted"]


class TestTwoServers:
    """Two processes on one file: each sees what the other committed before it."""

    async def test_grants_at_two_servers_never_take_more_seats_than_there_are(self, tmp_path: Path) -> None:
        """L6: and both servers answer."""
        with RunningServer(tmp_path) as first, RunningServer(tmp_path) as second:
            clients = list(with_secrets(first, [f"Machine{n}" for n in range(100)]).values())
            second.notice()
            winners: Counter[int] = Counter()
            async with opened([first.url, second.url] * 50) as callers:
                for _ in range(15):
                    answers = await ask_at_once(callers, f"{TENANT}/token", clients, **GRANT)
                    assert tally(answers) == {"granted": 5, "all_in_use": 95}
                    assert in_use(first) == 5
                    for at, answer in enumerate(answers):
                        if answer.told == "granted":
                            winners[at % 2] += 1
                            # At the other one: a logoff is final everywhere at once.
                            ended = await callers[at - 1].ask(f"{TENANT}/logoff", bearer(answer))
                            assert ended.content == {"logged_off": True, "seat_released": True}
                            again = await callers[at].ask(f"{TENANT}/logoff", bearer(answer))
                            assert again.content == {"logged_off": True, "seat_released": False}
                    assert in_use(first) == 0
            assert winners.total() == 75

    async def test_the_same_client_at_two_servers_takes_one_seat(self, tmp_path: Path) -> None:
        """L2, L5, L8: its sessions are counted together, and each server renews what the other granted."""
        with RunningServer(tmp_path) as first, RunningServer(tmp_path) as second:
            (client,) = with_secrets(first, ["Machine"], sessions_max=10).values()
            second.notice()
            async with opened([first.url, second.url] * 20) as callers:
                answers = await ask_at_once(callers, f"{TENANT}/token", [client] * 40, **GRANT)
                assert tally(answers) == {"granted": 40}
                assert in_use(first) == 1
                assert rows(first, "SELECT count(*) FROM session WHERE pool_id IS NOT NULL") == [(10,)]
                for at, answer in enumerate(answers):
                    token = answer.content["refresh_token"]
                    callers[at - 1].say(
                        f"{TENANT}/token", client, grant_type="refresh_token", refresh_token=token
                    )
                renewed = await asyncio.gather(*(caller.hear() for caller in callers))
                assert tally(renewed) == {"granted": 10, "invalid_grant": 30}
                assert in_use(first) == 1

    async def test_servers_whose_clocks_differ_by_a_moment_agree_that_a_session_is_over(
        self, tmp_path: Path
    ) -> None:
        """L4: one gave the seat away as expired; the other, milliseconds behind, must not fail over it."""
        ahead, behind = ManualClock(), ManualClock(ManualClock().now_ms() - 5)
        path = tmp_path / SQLITE_NAME
        stores = [SqliteStore(path, ahead, create=True), SqliteStore(path, behind)]
        with changing(stores[0], "a test") as change:
            setup = change.add_tenant(TENANT, seats=1)
            for initials in ("TC", "C1"):
                setup.add_user(initials)
                setup.add_client(initials, user=initials)
        for store in stores:
            store.refresh_tenants()
        tenant = stores[0].tenant(TENANT)
        assert tenant is not None
        first, second = (
            _grant_of(tenant, client_id, number) for number, client_id in enumerate(("TC", "C1"))
        )
        (granted,) = commit(stores[0], [first])
        assert isinstance(granted, Granted)
        for clock in (ahead, behind):
            clock.advance(seconds=1200)
        (granted,) = commit(stores[0], [second])
        assert isinstance(granted, Granted)
        refresh = Refresh(tenant_id=tenant.id, client_key=first.client_key, sid=first.sid)
        end = End(tenant_id=tenant.id, sid=first.sid, reason=EndReason.LOGOFF)
        outcomes = [commit(stores[1], [command])[0] for command in (refresh, end)]
        for store in stores:
            store.close()
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert isinstance(outcomes[0], SessionUnknown)


def _grant_of(tenant: Tenant, client_id: str, number: int = 0, scope: str = "all") -> Grant:
    """A grant, of the set-up as it is in this snapshot."""
    client = tenant.clients[client_id]
    resolved = resolve_scope(tenant, client, (scope,))
    assert not isinstance(resolved, ScopeRefused)
    return Grant(
        tenant_id=tenant.id,
        client_key=client.key,
        sid=number.to_bytes(20, "big"),
        scope=resolved.scope,
        pool_id=resolved.pool_id,
        address="192.0.2.1",
    )


class TestChangesUnderWay:
    """A grant that was read before a change of the set-up and is committed after it.

    A server that runs looks at the set-up four times a second: for as long it may read what was true before.
    """

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[SqliteStore]:
        """Two pools, a licensed scope, and one that needs no seat."""
        store = SqliteStore(empty_store(tmp_path / SQLITE_NAME), ManualClock())
        with changing(store, "a test") as change:
            setup = change.add_tenant(TENANT, seats=1)
            setup.add_pool("other", seats=1)
            setup.add_scope("extra", pool="full")
            setup.add_scope("free")
            setup.add_user("TC")
            setup.add_client("TestClientId", user="TC")
        store.refresh_tenants()
        yield store
        store.close()

    @staticmethod
    def _before(store: SqliteStore) -> Tenant:
        tenant = store.tenant(TENANT)
        assert tenant is not None
        return tenant

    def test_a_client_that_was_disabled_gets_nothing(self, store: SqliteStore) -> None:
        """L4."""
        grant = _grant_of(self._before(store), "TestClientId")
        with changing(store, "a test") as change:
            change.tenant(TENANT).set_client("TestClientId", enabled=False)
        assert isinstance(commit(store, [grant])[0], ClientRefused)

    def test_a_scope_that_was_taken_from_the_client_is_not_granted(self, store: SqliteStore) -> None:
        """What a change takes away from a session, no session gets after it."""
        grant = _grant_of(self._before(store), "TestClientId", scope="extra")
        with changing(store, "a test") as change:
            change.tenant(TENANT).set_client("TestClientId", scopes=frozenset({"view"}))
        assert isinstance(commit(store, [grant])[0], ScopeRefused)

    def test_a_scope_that_was_removed_is_not_granted(self, store: SqliteStore) -> None:
        """What a change takes away from a session, no session gets after it."""
        grant = _grant_of(self._before(store), "TestClientId", scope="free")
        with changing(store, "a test") as change:
            change.tenant(TENANT).remove_scope("free")
        assert isinstance(commit(store, [grant])[0], ScopeRefused)

    def test_a_scope_that_became_licensed_is_not_had_without_a_seat(self, store: SqliteStore) -> None:
        """L1: it could be renewed for ever."""
        grant = _grant_of(self._before(store), "TestClientId", scope="free")
        with changing(store, "a test") as change:
            change.tenant(TENANT).set_scope("free", pool="other")
        self._must_not_hold(store, grant, None)

    def test_a_scope_that_moved_to_another_pool_takes_no_seat_of_the_old_one(
        self, store: SqliteStore
    ) -> None:
        """L1: a seat of that scope's pool."""
        before = self._before(store)
        grant = _grant_of(before, "TestClientId", scope="extra")
        with changing(store, "a test") as change:
            change.tenant(TENANT).set_scope("extra", pool="other")
        self._must_not_hold(store, grant, grant.pool_id)

    @staticmethod
    def _must_not_hold(store: SqliteStore, grant: Grant, pool_id: int | None) -> None:
        """Refused, or granted with a seat of the pool that the scope has now."""
        (outcome,) = commit(store, [grant])
        if isinstance(outcome, Granted):
            assert outcome.session.pool_id != pool_id
        else:
            assert isinstance(outcome, ScopeRefused)
