"""Checking clients: how often a password is hashed, who waits for whom, and who is turned away.

What costs time is counted and not measured: an answer that cost as many hashes took as long.
"""

import asyncio
from pathlib import Path

import pytest

from licet.credentials.generated import ClientSecrets
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.model import Tenant, User
from licet.protocol.errors import OAuthError
from licet.protocol.message import Credentials
from support.examples import jim_test
from support.server.running import RunningServer
from support.web.authenticating import (
    EXPIRED,
    HERE,
    OLD_HASH,
    PASSWORD,
    SECRET,
    TENANT,
    WRONG,
    AuthenticatorHarness,
    client,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def harness() -> AuthenticatorHarness:
    return AuthenticatorHarness()


class TestPasswords:
    """The password of the client's user."""

    async def test_the_right_password_proves_the_client_and_a_wrong_one_does_not(
        self, harness: AuthenticatorHarness
    ) -> None:
        """RFC 6749 2.3.1."""
        assert await harness.check() == "TestClientId"
        assert await harness.check(secret=WRONG) == "invalid_client"

    async def test_a_password_that_was_right_is_not_hashed_again(self, harness: AuthenticatorHarness) -> None:
        """Until it was not used for so long."""
        for _ in range(10):
            assert await harness.check() == "TestClientId"
        assert harness.passwords.checks == 1
        harness.clock.advance(seconds=300)
        assert await harness.check() == "TestClientId"
        assert harness.passwords.checks == 2

    async def test_a_wrong_password_is_hashed_each_time(self, harness: AuthenticatorHarness) -> None:
        """Only what was right is remembered: a wrong one may become right."""
        for _ in range(3):
            assert await harness.check(secret=WRONG) == "invalid_client"
        assert harness.passwords.checks == 3

    async def test_the_old_password_is_worth_nothing_as_soon_as_there_is_a_new_one(
        self, harness: AuthenticatorHarness
    ) -> None:
        """Whoever changed it, and however short a while ago it was right."""
        assert await harness.check() == "TestClientId"
        user = User(initials="TC", name="Test Client", password_hash=harness.passwords.hash("another word"))
        changed = jim_test(clients=(client(1, "TestClientId", user=user),))
        assert await harness.check(at=changed) == "invalid_client"
        assert await harness.check(secret="another word", at=changed) == "TestClientId"

    async def test_a_password_that_may_no_longer_be_used_is_worth_nothing_at_once(
        self, harness: AuthenticatorHarness
    ) -> None:
        """A client that has a generated secret now."""
        assert await harness.check() == "TestClientId"
        changed = jim_test(clients=(client(1, "TestClientId", password_allowed=False),))
        assert await harness.check(at=changed) == "invalid_client"

    async def test_the_hash_is_not_the_password(self, harness: AuthenticatorHarness) -> None:
        """S17."""
        assert await harness.check() == "TestClientId"
        assert await harness.check(secret=OLD_HASH) == "invalid_client"

    async def test_credentials_that_may_mean_two_things_are_right_if_one_of_them_is(
        self, harness: AuthenticatorHarness
    ) -> None:
        """S09: form-encoded or as they are."""
        for _ in range(2):
            assert (
                await harness.check_any(("TestClientId", "pass word"), ("TestClientId", PASSWORD))
                == "TestClientId"
            )
        assert harness.passwords.checks == 2

    async def test_what_is_odd_about_credentials_is_told_when_they_are_wrong(
        self, harness: AuthenticatorHarness
    ) -> None:
        """S10: a `%` that encodes nothing."""
        odd = Credentials(candidates=(("TestClientId", "100%"),), flaw="It is odd.")
        with pytest.raises(OAuthError, match="It is odd") as raised:
            await harness.authenticator.check(TENANT, odd, HERE)
        assert raised.value.error == "invalid_request"


class TestUnknown:
    """S16: whoever does not authenticate gets the same answer for the same work."""

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
        self, harness: AuthenticatorHarness, client_id: str, at: Tenant | None
    ) -> None:
        """A client or tenant that is not there, one that is disabled, one that has no password."""
        secret = WRONG if client_id == "TestClientId" else PASSWORD
        assert await harness.check(client_id, secret, at=at) == "invalid_client"
        assert harness.passwords.checks == 1

    @pytest.mark.parametrize(("client_id", "at"), STRANGERS, ids=IDS)
    @pytest.mark.parametrize(
        "secret",
        [SECRET.secret, EXPIRED.secret, "lcs_", "lcs_abc"],
        ids=["good", "expired", "prefix", "short"],
    )
    async def test_none_costs_a_hash_for_what_looks_like_a_generated_secret(
        self, harness: AuthenticatorHarness, client_id: str, at: Tenant | None, secret: str
    ) -> None:
        """It cannot be a password."""
        expected = "WithSecret" if (client_id, secret) == ("WithSecret", SECRET.secret) else "invalid_client"
        assert await harness.check(client_id, secret, at=at) == expected
        assert harness.passwords.checks == 0

    async def test_it_costs_an_unknown_client_no_more_to_ask_the_same_at_once(self) -> None:
        """Who asks twenty times at once could else tell from the time whether there is such a client."""
        checks = {}
        for client_id in ("TestClientId", "Nobody", "Disabled"):
            harness = AuthenticatorHarness()
            harness.passwords.gate.clear()
            asking = [asyncio.create_task(harness.check(client_id, WRONG)) for _ in range(20)]
            await harness.begun()
            harness.passwords.gate.set()
            assert set(await asyncio.gather(*asking)) == {"invalid_client"}
            checks[client_id] = harness.passwords.checks
        assert len(set(checks.values())) == 1, checks

    async def test_an_unknown_client_is_held_back_like_one_that_is_guessed_at(self) -> None:
        """Or the limit would tell whether there is such a client."""
        told = {}
        for client_id in ("TestClientId", "Nobody", "Disabled"):
            harness = AuthenticatorHarness(per_client_max=5, per_source_max=3)
            sources = [f"203.0.113.{at}" for at in range(5)]
            told[client_id] = [
                await harness.check(client_id, WRONG, source=source) for source in (*sources, *sources)
            ]
        assert told["Nobody"] == told["TestClientId"] == told["Disabled"]


class TestSecrets:
    """Generated secrets of the client's own."""

    async def test_a_generated_secret_is_proved_without_a_hash(self, harness: AuthenticatorHarness) -> None:
        """It has 256 random bits: nobody guesses it, however fast."""
        assert await harness.check("WithSecret", SECRET.secret) == "WithSecret"
        assert harness.passwords.checks == 0

    async def test_when_it_was_last_good_is_noted(self, harness: AuthenticatorHarness) -> None:
        """S18; only of what was good."""
        assert await harness.check("WithSecret", EXPIRED.secret) == "invalid_client"
        assert await harness.check("Other", SECRET.secret) == "invalid_client"
        assert harness.authenticator.secrets_used.take() == {}
        assert await harness.check("WithSecret", SECRET.secret) == "WithSecret"
        assert harness.authenticator.secrets_used.take() == {SECRET.secret_id: harness.clock.now_ms()}

    def test_when_it_was_last_good_is_kept_when_the_server_stops(self, tmp_path: Path) -> None:
        """S18; an administrator removes the secret that nobody uses any more."""
        with RunningServer(tmp_path) as running:
            secret = ClientSecrets(read_keyring(tmp_path / FILE_NAME).pepper).generate()
            with running.changing() as change:
                change.tenant("Jim_Test").add_client("WithSecret", secret, user="TC")
            answer = running.ask("Jim_Test/introspect", "WithSecret", secret.secret, token="x")
            assert answer.json()["error"] == "unauthorized_client"  # it did authenticate
            assert running.terminate() == 0
            with running.store() as store:
                kept = store.tenants()[1].clients["WithSecret"].secrets[0]
            assert kept.last_used_at_ms is not None

    async def test_the_password_does_not_work_where_only_secrets_do(
        self, harness: AuthenticatorHarness
    ) -> None:
        """A person who leaves takes no access along."""
        assert await harness.check("WithSecret", PASSWORD) == "invalid_client"

    async def test_a_secret_that_was_removed_is_worth_nothing_at_once(
        self, harness: AuthenticatorHarness
    ) -> None:
        """Nothing is remembered of it."""
        assert await harness.check("WithSecret", SECRET.secret) == "WithSecret"
        changed = jim_test(clients=(client(6, "WithSecret", password_allowed=False),))
        assert await harness.check("WithSecret", SECRET.secret, at=changed) == "invalid_client"


class TestUpgrade:
    """A password that is kept under a weaker hash than now."""

    async def test_it_is_hashed_anew_at_the_next_good_login_and_off_the_event_loop(self) -> None:
        """Once: then it is remembered, and soon the store has the new one."""
        harness = AuthenticatorHarness(memory_kib=16)
        for _ in range(2):
            assert await harness.check() == "TestClientId"
        [(name, initials, password, thread)] = harness.upgrades
        assert (name, initials, password) == ("Jim_Test", "TC", PASSWORD)
        assert thread.startswith("licet-hash")

    async def test_a_wrong_password_upgrades_nothing(self) -> None:
        """It would take the place of the right one."""
        harness = AuthenticatorHarness(memory_kib=16)
        assert await harness.check(secret=WRONG) == "invalid_client"
        assert harness.upgrades == []

    async def test_a_hash_of_the_present_strength_stays(self, harness: AuthenticatorHarness) -> None:
        """Nothing is written for nothing."""
        assert await harness.check() == "TestClientId"
        assert harness.upgrades == []


class TestQueue:
    """Hashing is done by a few threads, and only so much may wait for them."""

    async def test_equal_checks_under_way_at_once_are_one(self, harness: AuthenticatorHarness) -> None:
        """A client that starts on a hundred machines at once is hashed once."""
        harness.passwords.gate.clear()
        asking = [asyncio.create_task(harness.check(source=f"192.0.2.{at}")) for at in range(50)]
        await harness.begun()
        harness.passwords.gate.set()
        assert set(await asyncio.gather(*asking)) == {"TestClientId"}
        assert harness.passwords.checks == 1

    async def test_checks_of_other_clients_or_passwords_are_not_shared(
        self, harness: AuthenticatorHarness
    ) -> None:
        """A wrong password must not ride along with a right one."""
        harness.passwords.gate.clear()
        pairs = [("TestClientId", PASSWORD), ("TestClientId", WRONG), ("Other", PASSWORD), ("Other", WRONG)]
        asking = [asyncio.create_task(harness.check(*pair)) for pair in pairs]
        await harness.begun()
        harness.passwords.gate.set()
        assert await asyncio.gather(*asking) == ["TestClientId", "invalid_client", "Other", "invalid_client"]
        assert harness.passwords.checks == 4

    async def test_a_caller_that_goes_away_does_not_take_the_others_along(
        self, harness: AuthenticatorHarness
    ) -> None:
        """Whoever was first may be gone when it is done."""
        harness.passwords.gate.clear()
        first, second = (asyncio.create_task(harness.check()) for _ in range(2))
        await harness.begun()
        first.cancel()
        harness.passwords.gate.set()
        assert await second == "TestClientId"
        assert first.cancelled()

    async def test_only_so_many_wait_and_no_source_keeps_another_one_out(self) -> None:
        """S48: who sends the most gives way, and is answered 429."""
        harness = AuthenticatorHarness(queue_max=16)
        harness.passwords.gate.clear()
        flood = [asyncio.create_task(harness.check(secret=f"wrong {at}")) for at in range(30)]
        await harness.begun()
        others = [
            asyncio.create_task(harness.check(secret=f"wrong too {at}", source=f"203.0.113.{at}"))
            for at in range(30)
        ]
        await harness.settled()
        assert harness.authenticator.queue_length <= 8 + 1
        harness.passwords.gate.set()
        told, elsewhere = await asyncio.gather(*flood), await asyncio.gather(*others)
        assert {it: told.count(it) for it in set(told)} == {"invalid_client": 2, "rate_limited": 28}
        assert {it: elsewhere.count(it) for it in set(elsewhere)} == {"invalid_client": 7, "queue_full": 23}
        assert harness.passwords.checks == 9

    async def test_there_is_room_again_when_what_waited_is_done(self) -> None:
        """Also after a wrong password."""
        harness = AuthenticatorHarness(queue_max=2)
        for _ in range(5):
            assert await harness.check(secret=WRONG) == "invalid_client"
        assert await harness.check() == "TestClientId"

    async def test_what_is_remembered_needs_no_room(self) -> None:
        """A flood of wrong passwords does not shut out who was there before."""
        harness = AuthenticatorHarness(queue_max=2)
        assert await harness.check() == "TestClientId"
        harness.passwords.gate.clear()
        harness.passwords.begun.clear()
        flood = [asyncio.create_task(harness.check(secret=f"wrong {at}", source=f"{at}")) for at in range(10)]
        await harness.begun()
        assert await harness.check() == "TestClientId"
        assert await harness.check("WithSecret", SECRET.secret) == "WithSecret"
        assert await harness.check("Other") == "queue_full"
        harness.passwords.gate.set()
        await asyncio.gather(*flood)

    async def test_a_fault_of_a_check_is_everybodys_and_the_last_of_it(
        self, harness: AuthenticatorHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What failed once is tried again."""

        def faulty(_user: User | None, _password: str) -> bool:
            raise MemoryError

        with monkeypatch.context() as patched:
            patched.setattr(harness.passwords, "verify", faulty)
            with pytest.raises(MemoryError):
                await harness.check()
        assert await harness.check() == "TestClientId"
