"""Checking clients: how often a password is hashed, who waits for whom, and who is turned away.

What costs time is counted and not measured: an answer that cost as many hashes took as long.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from examples import jim_test
from licet.clock import ManualClock
from licet.credentials import ClientSecrets, Passwords, Remembered
from licet.keyring import FILE_NAME, read_keyring
from licet.model import Client, ClientSecret, Tenant, User
from licet.protocol.errors import OAuthError
from licet.protocol.message import Credentials, Request
from licet.store.contract import QueueFull
from licet.web.authentication import Authenticator
from licet.web.public import Exchange, PublicApp
from licet.web.throttle import Throttle
from running import RunningServer

pytestmark = pytest.mark.anyio

PATIENCE_S = 10.0
HERE, THERE = "192.0.2.1", "198.51.100.1"
PASSWORD, WRONG = "pass+word", "wrong word"
SECRETS = ClientSecrets(b"pepper")
SECRET, EXPIRED = SECRETS.generate(), SECRETS.generate()


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that the server runs on."""
    return "asyncio"


class CountingPasswords(Passwords):
    """Argon2id as weak as it can be, counted; while the gate is shut, a check does not end."""

    def __init__(self, *, memory_kib: int = 8) -> None:
        super().__init__(memory_kib=memory_kib, time_cost=1)
        self.checks = 0
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def verify(self, user: User | None, password: str) -> bool:
        """Whether this is the user's password."""
        self.checks += 1
        self.begun.set()
        assert self.gate.wait(PATIENCE_S)
        return super().verify(user, password)


OLD_HASH = Passwords(memory_kib=8, time_cost=1).hash(PASSWORD)


def kept(secret_id: str, secret_hash: bytes, expires_at_ms: int | None = None) -> ClientSecret:
    return ClientSecret(
        secret_id=secret_id,
        hash=secret_hash,
        created_at_ms=0,
        expires_at_ms=expires_at_ms,
        last_used_at_ms=None,
    )


def client(key: int, client_id: str, **changes: object) -> Client:
    user = User(initials="TC", name="Test Client", password_hash=OLD_HASH)
    return replace(Client(key=key, client_id=client_id, user=user), **changes)


def tenant() -> Tenant:
    nobody = User(initials="NO", name="No Password", password_hash=None)
    gone = User(initials="GO", name="Gone", password_hash=OLD_HASH, enabled=False)
    secrets = (kept(SECRET.secret_id, SECRET.hash), kept(EXPIRED.secret_id, EXPIRED.hash, expires_at_ms=1))
    return jim_test(
        clients=(
            client(1, "TestClientId"),
            client(2, "Other"),
            client(3, "Disabled", enabled=False),
            client(4, "OfDisabledUser", user=gone),
            client(5, "WithoutPassword", user=nobody),
            client(6, "WithSecret", password_allowed=False, secrets=secrets),
        )
    )


TENANT = tenant()


class Desk:
    """An authenticator and what stands around it."""

    def __init__(
        self,
        *,
        per_client_max: int = 1000,
        per_source_max: int = 1000,
        queue_max: int = 100,
        remember_s: int = 300,
        memory_kib: int = 8,
        workers: int = 2,
    ) -> None:
        self.clock = ManualClock()
        self.passwords = CountingPasswords(memory_kib=memory_kib)
        self.upgrades: list[tuple[str, str, str, str]] = []
        self.authenticator = Authenticator(
            clock=self.clock,
            passwords=self.passwords,
            client_secrets=SECRETS,
            remembered=Remembered(self.clock, ttl_s=remember_s),
            throttle=Throttle(self.clock, per_client_max=per_client_max, per_source_max=per_source_max),
            upgrade=self._upgrade,
            workers=workers,
            queue_max=queue_max,
        )

    def _upgrade(self, upgraded: Tenant, user: User, password: str) -> None:
        self.upgrades.append((upgraded.name, user.initials, password, threading.current_thread().name))

    async def check(
        self,
        client_id: str = "TestClientId",
        secret: str = PASSWORD,
        *,
        at: Tenant | None = TENANT,
        source: str = HERE,
        gone: asyncio.Event | None = None,
    ) -> str:
        """The client that was proved, or the error, or that there is no room."""
        return await self.check_any((client_id, secret), at=at, source=source, gone=gone)

    async def check_any(
        self,
        *pairs: tuple[str, str],
        at: Tenant | None = TENANT,
        source: str = HERE,
        gone: asyncio.Event | None = None,
    ) -> str:
        """The same with all that the credentials may mean."""
        try:
            proved = await self.authenticator.check(
                at, Credentials(candidates=pairs), source, gone.wait if gone else None
            )
        except OAuthError as error:
            return str(error.fields.get("reason", error.error))
        except QueueFull:
            return "queue_full"
        return proved.client_id

    @staticmethod
    async def settled() -> None:
        """Return when whatever was ready to run has run."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def begun(self) -> None:
        """Return when a check has begun, and with it whatever was ready to run before."""
        assert await asyncio.to_thread(self.passwords.begun.wait, PATIENCE_S)


@pytest.fixture
def desk() -> Desk:
    return Desk()


class TestPasswords:
    """The password of the client's user."""

    async def test_the_right_password_proves_the_client_and_a_wrong_one_does_not(self, desk: Desk) -> None:
        """RFC 6749 2.3.1."""
        assert await desk.check() == "TestClientId"
        assert await desk.check(secret=WRONG) == "invalid_client"

    async def test_a_password_that_was_right_is_not_hashed_again(self, desk: Desk) -> None:
        """Until it was not used for so long."""
        for _ in range(10):
            assert await desk.check() == "TestClientId"
        assert desk.passwords.checks == 1
        desk.clock.advance(seconds=300)
        assert await desk.check() == "TestClientId"
        assert desk.passwords.checks == 2

    async def test_a_wrong_password_is_hashed_each_time(self, desk: Desk) -> None:
        """Only what was right is remembered: a wrong one may become right."""
        for _ in range(3):
            assert await desk.check(secret=WRONG) == "invalid_client"
        assert desk.passwords.checks == 3

    async def test_the_old_password_is_worth_nothing_as_soon_as_there_is_a_new_one(self, desk: Desk) -> None:
        """Whoever changed it, and however short a while ago it was right."""
        assert await desk.check() == "TestClientId"
        user = User(initials="TC", name="Test Client", password_hash=desk.passwords.hash("another word"))
        changed = jim_test(clients=(client(1, "TestClientId", user=user),))
        assert await desk.check(at=changed) == "invalid_client"
        assert await desk.check(secret="another word", at=changed) == "TestClientId"

    async def test_a_password_that_may_no_longer_be_used_is_worth_nothing_at_once(self, desk: Desk) -> None:
        """A client that has a generated secret now."""
        assert await desk.check() == "TestClientId"
        changed = jim_test(clients=(client(1, "TestClientId", password_allowed=False),))
        assert await desk.check(at=changed) == "invalid_client"

    async def test_the_hash_is_not_the_password(self, desk: Desk) -> None:
        """S17."""
        assert await desk.check() == "TestClientId"
        assert await desk.check(secret=OLD_HASH) == "invalid_client"

    async def test_credentials_that_may_mean_two_things_are_right_if_one_of_them_is(self, desk: Desk) -> None:
        """S09: form-encoded or as they are."""
        for _ in range(2):
            assert (
                await desk.check_any(("TestClientId", "pass word"), ("TestClientId", PASSWORD))
                == "TestClientId"
            )
        assert desk.passwords.checks == 2

    async def test_what_is_odd_about_credentials_is_told_when_they_are_wrong(self, desk: Desk) -> None:
        """S10: a `%` that encodes nothing."""
        odd = Credentials(candidates=(("TestClientId", "100%"),), flaw="It is odd.")
        with pytest.raises(OAuthError, match="It is odd") as raised:
            await desk.authenticator.check(TENANT, odd, HERE)
        assert raised.value.error == "invalid_request"


class TestUnknown:
    """S16: whoever does not prove itself gets the same answer for the same work."""

    STRANGERS = (
        ("TestClientId", TENANT),
        ("Nobody", TENANT),
        ("Disabled", TENANT),
        ("OfDisabledUser", TENANT),
        ("WithoutPassword", TENANT),
        ("WithSecret", TENANT),
        ("TestClientId", None),
    )
    IDS = ("wrong", "unknown", "disabled", "of disabled", "no password", "secret only", "unknown tenant")

    @pytest.mark.parametrize(("client_id", "at"), STRANGERS, ids=IDS)
    async def test_each_costs_one_hash_and_is_told_the_same(
        self, desk: Desk, client_id: str, at: Tenant | None
    ) -> None:
        """A client or tenant that is not there, one that is disabled, one that has no password."""
        secret = WRONG if client_id == "TestClientId" else PASSWORD
        assert await desk.check(client_id, secret, at=at) == "invalid_client"
        assert desk.passwords.checks == 1

    @pytest.mark.parametrize(("client_id", "at"), STRANGERS, ids=IDS)
    @pytest.mark.parametrize(
        "secret",
        [SECRET.secret, EXPIRED.secret, "lcs_", "lcs_abc"],
        ids=["good", "expired", "prefix", "short"],
    )
    async def test_none_costs_a_hash_for_what_looks_like_a_generated_secret(
        self, desk: Desk, client_id: str, at: Tenant | None, secret: str
    ) -> None:
        """It cannot be a password."""
        expected = "WithSecret" if (client_id, secret) == ("WithSecret", SECRET.secret) else "invalid_client"
        assert await desk.check(client_id, secret, at=at) == expected
        assert desk.passwords.checks == 0

    async def test_it_costs_an_unknown_client_no_more_to_ask_the_same_at_once(self) -> None:
        """Who asks twenty times at once could else tell from the time whether there is such a client."""
        checks = {}
        for client_id in ("TestClientId", "Nobody", "Disabled"):
            desk = Desk()
            desk.passwords.gate.clear()
            asking = [asyncio.create_task(desk.check(client_id, WRONG)) for _ in range(20)]
            await desk.begun()
            desk.passwords.gate.set()
            assert set(await asyncio.gather(*asking)) == {"invalid_client"}
            checks[client_id] = desk.passwords.checks
        assert len(set(checks.values())) == 1, checks

    async def test_an_unknown_client_is_held_back_like_one_that_is_guessed_at(self) -> None:
        """Or the limit would tell whether there is such a client."""
        told = {}
        for client_id in ("TestClientId", "Nobody", "Disabled"):
            desk = Desk(per_client_max=5, per_source_max=3)
            sources = [f"203.0.113.{at}" for at in range(5)]
            told[client_id] = [
                await desk.check(client_id, WRONG, source=source) for source in (*sources, *sources)
            ]
        assert told["Nobody"] == told["TestClientId"] == told["Disabled"]


class TestSecrets:
    """Generated secrets of the client's own."""

    async def test_a_generated_secret_is_proved_without_a_hash(self, desk: Desk) -> None:
        """It has 256 random bits: nobody guesses it, however fast."""
        assert await desk.check("WithSecret", SECRET.secret) == "WithSecret"
        assert desk.passwords.checks == 0

    async def test_when_it_was_last_good_is_noted(self, desk: Desk) -> None:
        """S18; only of what was good."""
        assert await desk.check("WithSecret", EXPIRED.secret) == "invalid_client"
        assert await desk.check("Other", SECRET.secret) == "invalid_client"
        assert desk.authenticator.secrets_used == {}
        assert await desk.check("WithSecret", SECRET.secret) == "WithSecret"
        assert desk.authenticator.secrets_used == {SECRET.secret_id: desk.clock.now_ms()}

    def test_when_it_was_last_good_is_kept_when_the_server_stops(self, tmp_path: Path) -> None:
        """S18; an administrator removes the secret that nobody uses any more."""
        with RunningServer(tmp_path) as running:
            secret = ClientSecrets(read_keyring(tmp_path / FILE_NAME).pepper).generate()
            with running.changing() as change:
                change.tenant("Jim_Test").add_client("WithSecret", secret, user="TC")
            answer = running.ask("Jim_Test/introspect", "WithSecret", secret.secret, token="x")
            assert answer.json()["error"] == "unauthorized_client"  # it did prove itself
            assert running.terminate() == 0
            with running.store() as store:
                kept = store.tenants()[1].clients["WithSecret"].secrets[0]
            assert kept.last_used_at_ms is not None

    async def test_the_password_does_not_work_where_only_secrets_do(self, desk: Desk) -> None:
        """A person who leaves takes no access along."""
        assert await desk.check("WithSecret", PASSWORD) == "invalid_client"

    async def test_a_secret_that_was_removed_is_worth_nothing_at_once(self, desk: Desk) -> None:
        """Nothing is remembered of it."""
        assert await desk.check("WithSecret", SECRET.secret) == "WithSecret"
        changed = jim_test(clients=(client(6, "WithSecret", password_allowed=False),))
        assert await desk.check("WithSecret", SECRET.secret, at=changed) == "invalid_client"


class TestUpgrade:
    """A password that is kept under a weaker hash than now."""

    async def test_it_is_hashed_anew_at_the_next_good_login_and_off_the_event_loop(self) -> None:
        """Once: then it is remembered, and soon the store has the new one."""
        desk = Desk(memory_kib=16)
        for _ in range(2):
            assert await desk.check() == "TestClientId"
        [(name, initials, password, thread)] = desk.upgrades
        assert (name, initials, password) == ("Jim_Test", "TC", PASSWORD)
        assert thread.startswith("licet-hash")

    async def test_a_wrong_password_upgrades_nothing(self) -> None:
        """It would take the place of the right one."""
        desk = Desk(memory_kib=16)
        assert await desk.check(secret=WRONG) == "invalid_client"
        assert desk.upgrades == []

    async def test_a_hash_of_the_present_strength_stays(self, desk: Desk) -> None:
        """Nothing is written for nothing."""
        assert await desk.check() == "TestClientId"
        assert desk.upgrades == []


class TestQueue:
    """Hashing is done by a few threads, and only so much may wait for them."""

    async def test_equal_checks_under_way_at_once_are_one(self, desk: Desk) -> None:
        """A client that starts on a hundred machines at once is hashed once."""
        desk.passwords.gate.clear()
        asking = [asyncio.create_task(desk.check(source=f"192.0.2.{at}")) for at in range(50)]
        await desk.begun()
        desk.passwords.gate.set()
        assert set(await asyncio.gather(*asking)) == {"TestClientId"}
        assert desk.passwords.checks == 1

    async def test_checks_of_other_clients_or_passwords_are_not_shared(self, desk: Desk) -> None:
        """A wrong password must not ride along with a right one."""
        desk.passwords.gate.clear()
        pairs = [("TestClientId", PASSWORD), ("TestClientId", WRONG), ("Other", PASSWORD), ("Other", WRONG)]
        asking = [asyncio.create_task(desk.check(*pair)) for pair in pairs]
        await desk.begun()
        desk.passwords.gate.set()
        assert await asyncio.gather(*asking) == ["TestClientId", "invalid_client", "Other", "invalid_client"]
        assert desk.passwords.checks == 4

    async def test_a_caller_that_goes_away_does_not_take_the_others_along(self, desk: Desk) -> None:
        """Whoever was first may be gone when it is done."""
        desk.passwords.gate.clear()
        first, second = (asyncio.create_task(desk.check()) for _ in range(2))
        await desk.begun()
        first.cancel()
        desk.passwords.gate.set()
        assert await second == "TestClientId"
        assert first.cancelled()

    async def test_only_so_many_wait_and_no_source_keeps_another_one_out(self) -> None:
        """S48: who sends the most gives way, and is answered 429."""
        desk = Desk(queue_max=16)
        desk.passwords.gate.clear()
        flood = [asyncio.create_task(desk.check(secret=f"wrong {at}")) for at in range(30)]
        await desk.begun()
        others = [
            asyncio.create_task(desk.check(secret=f"wrong too {at}", source=f"203.0.113.{at}"))
            for at in range(30)
        ]
        await desk.settled()
        assert desk.authenticator.queue_length <= 8 + 1
        desk.passwords.gate.set()
        told, elsewhere = await asyncio.gather(*flood), await asyncio.gather(*others)
        assert {it: told.count(it) for it in set(told)} == {"invalid_client": 2, "rate_limited": 28}
        assert {it: elsewhere.count(it) for it in set(elsewhere)} == {"invalid_client": 7, "queue_full": 23}
        assert desk.passwords.checks == 9

    async def test_there_is_room_again_when_what_waited_is_done(self) -> None:
        """Also after a wrong password."""
        desk = Desk(queue_max=2)
        for _ in range(5):
            assert await desk.check(secret=WRONG) == "invalid_client"
        assert await desk.check() == "TestClientId"

    async def test_what_is_remembered_needs_no_room(self) -> None:
        """A flood of wrong passwords does not shut out who was there before."""
        desk = Desk(queue_max=2)
        assert await desk.check() == "TestClientId"
        desk.passwords.gate.clear()
        desk.passwords.begun.clear()
        flood = [asyncio.create_task(desk.check(secret=f"wrong {at}", source=f"{at}")) for at in range(10)]
        await desk.begun()
        assert await desk.check() == "TestClientId"
        assert await desk.check("WithSecret", SECRET.secret) == "WithSecret"
        assert await desk.check("Other") == "queue_full"
        desk.passwords.gate.set()
        await asyncio.gather(*flood)

    async def test_a_fault_of_a_check_is_everybodys_and_the_last_of_it(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What failed once is tried again."""

        def faulty(_user: User | None, _password: str) -> bool:
            raise MemoryError

        with monkeypatch.context() as patched:
            patched.setattr(desk.passwords, "verify", faulty)
            with pytest.raises(MemoryError):
                await desk.check()
        assert await desk.check() == "TestClientId"


class TestMeanwhile:
    """What is changed while somebody waits for a hash."""

    @pytest.mark.parametrize(
        "changed",
        [
            {"user": User(initials="TC", name="Test Client", password_hash=None)},
            {"enabled": False},
            {"password_allowed": False},
        ],
        ids=["password", "disabled", "secrets only"],
    )
    async def test_a_password_that_was_right_when_it_was_sent_is_not_when_it_was_changed_since(
        self, desk: Desk, changed: dict[str, Any]
    ) -> None:
        """L12: a change counts at once, however long the line is."""
        tenants = [TENANT]
        asking = asyncio.create_task(prove(desk, lambda _: tenants[-1]))
        desk.passwords.gate.clear()
        await desk.begun()
        tenants.append(jim_test(clients=(client(1, "TestClientId", **changed),)))
        desk.passwords.gate.set()
        with pytest.raises(OAuthError, match="authentication failed"):
            await asking

    async def test_another_change_of_the_tenant_costs_no_second_hash(self, desk: Desk) -> None:
        """What was right is remembered, for the hash that the user still has."""
        tenants = [TENANT]
        asking = asyncio.create_task(prove(desk, lambda _: tenants[-1]))
        desk.passwords.gate.clear()
        await desk.begun()
        tenants.append(tenant())
        desk.passwords.gate.set()
        found, proved = await asking
        assert found is tenants[-1]
        assert proved is found.clients["TestClientId"]
        assert desk.passwords.checks == 1


def prove(desk: Desk, find_tenant: Callable[[str], Tenant]) -> Coroutine[Any, Any, tuple[Tenant, Client]]:
    """What the public listener makes of a request with the right password."""
    nobody = cast("Any", None)
    public = PublicApp(
        clock=nobody,
        find_tenant=find_tenant,
        commits=nobody,
        reads=nobody,
        authenticator=desk.authenticator,
        tokens=nobody,
        public_url="",
        is_ready=nobody,
        store_failed=nobody,
        measures=nobody,
        refusals=nobody,
        tarpit=nobody,
        recorder=nobody,
    )

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    exchange = Exchange({"client": (HERE, 1), "headers": []}, receive, TENANT.name)
    basic = Credentials(candidates=(("TestClientId", PASSWORD),))
    request = Request(tenant=TENANT.name, basic=basic, form={}, address=HERE)
    return public._prove(exchange, request, "token")


class TestLimit:
    """S19: guessing is limited, and limits nobody else."""

    async def test_a_source_that_fails_too_often_is_told_to_wait(self) -> None:
        """RFC 6749 2.3.1; it costs no hash any more."""
        desk = Desk(per_source_max=3)
        told = [await desk.check(secret=f"wrong {at}") for at in range(5)]
        assert told == ["invalid_client"] * 3 + ["rate_limited"] * 2
        assert desk.passwords.checks == 3

    async def test_the_limit_is_told_in_seconds(self) -> None:
        """RFC 6585 4: 429 with Retry-After."""
        desk = Desk(per_source_max=1)
        await desk.check(secret=WRONG)
        with pytest.raises(OAuthError) as raised:
            await desk.authenticator.check(TENANT, Credentials(candidates=(("Other", WRONG),)), HERE)
        assert raised.value.status == 429
        assert 1 <= int(raised.value.fields["retry_after"]) <= 60

    async def test_many_attempts_at_once_get_no_further_than_one_after_the_other(self) -> None:
        """What is under way counts: 3 may fail, whether they come in turn or together."""
        desk = Desk(per_source_max=3)
        desk.passwords.gate.clear()
        asking = [asyncio.create_task(desk.check(secret=f"wrong {at}")) for at in range(30)]
        await desk.begun()
        desk.passwords.gate.set()
        told = await asyncio.gather(*asking)
        assert (told.count("invalid_client"), told.count("rate_limited")) == (3, 27)
        assert await desk.check(secret=WRONG) == "rate_limited"
        assert desk.passwords.checks == 3

    @pytest.mark.parametrize("is_known", [False, True], ids=["after a restart", "known"])
    async def test_an_office_behind_one_address_gets_in_at_nine(self, is_known: bool) -> None:
        """200 clients with right passwords, far more at once than a source may fail in a minute."""
        many = [client(at, f"Client{at}") for at in range(200)]
        office = jim_test(clients=many)
        desk = Desk(per_source_max=60, queue_max=512, remember_s=0)
        for _ in range(2 if is_known else 1):
            desk.passwords.gate.clear()
            desk.passwords.begun.clear()
            asking = [asyncio.create_task(desk.check(it.client_id, at=office)) for it in many]
            await desk.begun()
            assert desk.authenticator.queue_length <= 256
            desk.passwords.gate.set()
            assert await asyncio.gather(*asking) == [it.client_id for it in many]

    async def test_an_office_gets_in_where_one_of_them_guesses_when_it_was_good_before(self) -> None:
        """The one who guesses waits alone."""
        many = [client(at, f"Client{at}") for at in range(50)]
        office = jim_test(clients=many)
        desk = Desk(per_source_max=3, queue_max=512, remember_s=0)
        for it in many:
            assert await desk.check(it.client_id, at=office) == it.client_id
        told = [await desk.check("Nobody", f"wrong {at}", at=office) for at in range(10)]
        assert told[-1] == "rate_limited"
        for it in many:
            assert await desk.check(it.client_id, at=office) == it.client_id

    async def test_a_client_at_work_needs_no_hash_through_hours_of_a_flood(self) -> None:
        """It refreshes every ten minutes; there is no room in any line all the time."""
        desk = Desk(queue_max=4, remember_s=3600)
        assert await desk.check() == "TestClientId"
        desk.passwords.gate.clear()
        desk.passwords.begun.clear()
        flood = [
            asyncio.create_task(desk.check(secret=f"wrong {at}", source=f"203.0.113.{at}"))
            for at in range(64)
        ]
        await desk.begun()
        for _ in range(50):
            desk.clock.advance(seconds=600)
            assert await desk.check(source=THERE) == "TestClientId"
            assert await desk.check("Other") == "queue_full"
        desk.passwords.gate.set()
        await asyncio.gather(*flood)

    async def test_whoever_goes_away_gives_its_place_back(self) -> None:
        """S48: and what is being hashed already counts, whether somebody waits for the answer or not."""
        desk = Desk(queue_max=4, per_source_max=2, workers=1)
        desk.passwords.gate.clear()
        gone = asyncio.Event()
        first = asyncio.create_task(desk.check(secret="wrong", gone=gone))
        await desk.begun()
        second, third = (
            asyncio.create_task(desk.check("Other", "wrong", source=source, gone=gone))
            for source in (THERE, "203.0.113.2")
        )
        await desk.settled()
        assert await desk.check("Other", source="203.0.113.1") == "queue_full"
        gone.set()
        assert await second == await third == "server_error"
        asking = asyncio.create_task(desk.check("Other", source="203.0.113.1"))
        await desk.settled()
        assert not asking.done()
        desk.passwords.gate.set()
        assert await asking == "Other"
        assert await first == "invalid_client"
        assert desk.passwords.checks == 2
        assert await desk.check(secret=WRONG) == "invalid_client"
        assert await desk.check(secret=WRONG) == "rate_limited"

    @pytest.mark.parametrize(
        ("client_id", "secret"),
        [("TestClientId", PASSWORD), ("WithSecret", SECRET.secret)],
        ids=["password", "secret"],
    )
    async def test_a_client_that_proved_itself_is_not_shut_out(self, client_id: str, secret: str) -> None:
        """Neither from the source of the guesses nor while others guess at it."""
        desk = Desk(per_source_max=1, per_client_max=1)
        assert await desk.check(client_id, secret) == client_id
        for _ in range(3):
            await desk.check(client_id, WRONG)
            await desk.check(client_id, WRONG, source=THERE)
        assert await desk.check(client_id, WRONG) == "rate_limited"
        for source in (HERE, THERE):
            assert await desk.check(client_id, secret, source=source) == client_id

    async def test_a_client_that_nobody_has_seen_yet_is_not_shut_out_by_guesses_elsewhere(self) -> None:
        """The server may have been started anew a moment ago."""
        desk = Desk(per_source_max=3, per_client_max=2)
        for at in range(5):
            await desk.check(secret=WRONG, source=f"203.0.113.{at}")
        assert await desk.check(source=HERE) == "TestClientId"

    async def test_neither_is_one_whose_credentials_may_mean_two_things(self) -> None:
        """S09, S19: what was sent once is one attempt, whichever spelling is the right one."""
        desk = Desk(per_client_max=2)
        for at in range(5):
            await desk.check(secret=WRONG, source=f"203.0.113.{at}")
        assert (
            await desk.check_any(("TestClientId", "pass word"), ("TestClientId", PASSWORD)) == "TestClientId"
        )

    async def test_a_right_password_is_never_counted_as_a_failure(self) -> None:
        """Also where nothing is remembered and the first of two spellings is the wrong one."""
        desk = Desk(per_client_max=3, per_source_max=3, remember_s=0)
        both = ("TestClientId", "pass word"), ("TestClientId", PASSWORD)
        assert {await desk.check_any(*both) for _ in range(10)} == {"TestClientId"}

    @pytest.mark.parametrize(
        "secret", ["lcs_guess", SECRET.secret, EXPIRED.secret], ids=["guess", "of another", "expired"]
    )
    async def test_guessing_at_generated_secrets_is_limited_as_well(self, secret: str) -> None:
        """It costs no hash, but a log line."""
        desk = Desk(per_source_max=3)
        told = [await desk.check("Other", secret) for _ in range(5)]
        assert told == ["invalid_client"] * 3 + ["rate_limited"] * 2
