"""Checking clients while others guess: who has to wait, who never has to, and what changes meanwhile."""

import asyncio
import threading
from typing import Any

import pytest

from licet.credentials.client_assertions import parse, signing_key
from licet.ledger.commands import AssertionUse
from licet.model import User
from licet.protocol.errors import OAuthError
from licet.protocol.message import Credentials
from support.examples import jim_test
from support.web.authenticating import (
    EXPIRED,
    HERE,
    PASSWORD,
    SECRET,
    TENANT,
    THERE,
    WRONG,
    AuthenticatorHarness,
    client,
    prove,
    tenant,
)
from support.web.signing import Signer, claims

pytestmark = pytest.mark.anyio


@pytest.fixture
def harness() -> AuthenticatorHarness:
    return AuthenticatorHarness()


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
        self, harness: AuthenticatorHarness, changed: dict[str, Any]
    ) -> None:
        """L12: a change counts at once, however long the line is."""
        tenants = [TENANT]
        asking = asyncio.create_task(prove(harness, lambda _: tenants[-1]))
        harness.passwords.gate.clear()
        await harness.begun()
        tenants.append(jim_test(clients=(client(1, "TestClientId", **changed),)))
        harness.passwords.gate.set()
        with pytest.raises(OAuthError, match="authentication failed"):
            await asking

    async def test_another_change_of_the_tenant_costs_no_second_hash(
        self, harness: AuthenticatorHarness
    ) -> None:
        """What was right is remembered, for the hash that the user still has."""
        tenants = [TENANT]
        asking = asyncio.create_task(prove(harness, lambda _: tenants[-1]))
        harness.passwords.gate.clear()
        await harness.begun()
        tenants.append(tenant())
        harness.passwords.gate.set()
        found, proved = await asking
        assert found is tenants[-1]
        assert proved is found.clients["TestClientId"]
        assert harness.passwords.checks == 1


class TestLimit:
    """S19: guessing is limited, and limits nobody else."""

    async def test_a_source_that_fails_too_often_is_told_to_wait(self) -> None:
        """RFC 6749 2.3.1; it costs no hash any more."""
        harness = AuthenticatorHarness(per_source_max=3)
        told = [await harness.check(secret=f"wrong {at}") for at in range(5)]
        assert told == ["invalid_client"] * 3 + ["rate_limited"] * 2
        assert harness.passwords.checks == 3

    async def test_the_limit_is_told_in_seconds(self) -> None:
        """RFC 6585 4: 429 with Retry-After."""
        harness = AuthenticatorHarness(per_source_max=1)
        await harness.check(secret=WRONG)
        with pytest.raises(OAuthError) as raised:
            await harness.authenticator.check(TENANT, Credentials(candidates=(("Other", WRONG),)), HERE)
        assert raised.value.status == 429
        assert raised.value.fields["retry_after"] in range(1, 61)

    async def test_many_attempts_at_once_get_no_further_than_one_after_the_other(self) -> None:
        """What is under way counts: 3 may fail, whether they come in turn or together."""
        harness = AuthenticatorHarness(per_source_max=3)
        harness.passwords.gate.clear()
        asking = [asyncio.create_task(harness.check(secret=f"wrong {at}")) for at in range(30)]
        await harness.begun()
        harness.passwords.gate.set()
        told = await asyncio.gather(*asking)
        assert (told.count("invalid_client"), told.count("rate_limited")) == (3, 27)
        assert await harness.check(secret=WRONG) == "rate_limited"
        assert harness.passwords.checks == 3

    @pytest.mark.parametrize("is_known", [False, True], ids=["after a restart", "known"])
    async def test_an_office_behind_one_address_gets_in_at_nine(self, is_known: bool) -> None:
        """200 clients with right passwords, far more at once than a source may fail in a minute."""
        many = [client(at, f"Client{at}") for at in range(200)]
        office = jim_test(clients=many)
        harness = AuthenticatorHarness(per_source_max=60, queue_max=512, remember_s=0)
        for _ in range(2 if is_known else 1):
            harness.passwords.gate.clear()
            harness.passwords.begun.clear()
            asking = [asyncio.create_task(harness.check(it.client_id, at=office)) for it in many]
            await harness.begun()
            assert harness.authenticator.queue_length <= 256
            harness.passwords.gate.set()
            assert await asyncio.gather(*asking) == [it.client_id for it in many]

    async def test_an_office_gets_in_where_one_of_them_guesses_when_it_was_good_before(self) -> None:
        """The one who guesses waits alone."""
        many = [client(at, f"Client{at}") for at in range(50)]
        office = jim_test(clients=many)
        harness = AuthenticatorHarness(per_source_max=3, queue_max=512, remember_s=0)
        for known in many:
            assert await harness.check(known.client_id, at=office) == known.client_id
        told = [await harness.check("Nobody", f"wrong {at}", at=office) for at in range(10)]
        assert told[-1] == "rate_limited"
        for known in many:
            assert await harness.check(known.client_id, at=office) == known.client_id

    async def test_a_client_at_work_needs_no_hash_through_hours_of_a_flood(self) -> None:
        """It refreshes every ten minutes; there is no room in any line all the time."""
        harness = AuthenticatorHarness(queue_max=4, remember_s=3600)
        assert await harness.check() == "TestClientId"
        harness.passwords.gate.clear()
        harness.passwords.begun.clear()
        flood = [
            asyncio.create_task(harness.check(secret=f"wrong {at}", source=f"203.0.113.{at}"))
            for at in range(64)
        ]
        await harness.begun()
        for _ in range(50):
            harness.clock.advance(seconds=600)
            assert await harness.check(source=THERE) == "TestClientId"
            assert await harness.check("Other") == "queue_full"
        harness.passwords.gate.set()
        await asyncio.gather(*flood)

    async def test_whoever_goes_away_gives_its_place_back(self) -> None:
        """S48: and what is being hashed already counts, whether somebody waits for the answer or not."""
        harness = AuthenticatorHarness(queue_max=4, per_source_max=2, workers=1)
        harness.passwords.gate.clear()
        gone = asyncio.Event()
        first = asyncio.create_task(harness.check(secret="wrong", gone=gone))
        await harness.begun()
        second, third = (
            asyncio.create_task(harness.check("Other", "wrong", source=source, gone=gone))
            for source in (THERE, "203.0.113.2")
        )
        await harness.settled()
        assert await harness.check("Other", source="203.0.113.1") == "queue_full"
        gone.set()
        assert await second == await third == "server_error"
        asking = asyncio.create_task(harness.check("Other", source="203.0.113.1"))
        await harness.settled()
        assert not asking.done()
        harness.passwords.gate.set()
        assert await asking == "Other"
        assert await first == "invalid_client"
        assert harness.passwords.checks == 2
        assert await harness.check(secret=WRONG) == "invalid_client"
        assert await harness.check(secret=WRONG) == "rate_limited"

    @pytest.mark.parametrize(
        ("client_id", "secret"),
        [("TestClientId", PASSWORD), ("WithSecret", SECRET.secret)],
        ids=["password", "secret"],
    )
    async def test_a_client_that_authenticated_is_not_shut_out(self, client_id: str, secret: str) -> None:
        """Neither while others guess at it, nor by guesses from where it is."""
        harness = AuthenticatorHarness(per_source_max=1, per_client_max=1)
        assert await harness.check(client_id, secret) == client_id
        for _ in range(3):
            await harness.check(client_id, WRONG)
            await harness.check(client_id, WRONG, source=THERE)
        assert await harness.check(client_id, WRONG) == "rate_limited"
        assert await harness.check(client_id, secret, source=HERE) == client_id

    async def test_guesses_at_a_password_that_is_remembered_are_limited(self) -> None:
        """The right one is told from a wrong one only as often as one may fail."""
        harness = AuthenticatorHarness(per_source_max=3)
        assert await harness.check() == "TestClientId"
        told = [await harness.check(secret=f"guess {at}", source=THERE) for at in range(5)]
        assert told == ["invalid_client"] * 3 + ["rate_limited"] * 2
        assert await harness.check(source=THERE) == "rate_limited"
        assert await harness.check(source=HERE) == "TestClientId"
        harness.clock.advance(seconds=60)
        assert await harness.check(source=THERE) == "TestClientId"

    async def test_where_a_remembered_password_was_right_its_client_is_known(self) -> None:
        """It has moved, and guesses follow it there."""
        harness = AuthenticatorHarness(per_source_max=3)
        assert await harness.check() == "TestClientId"
        assert await harness.check(source=THERE) == "TestClientId"
        assert harness.passwords.checks == 1
        told = [await harness.check("Other", f"guess {at}", source=THERE) for at in range(5)]
        assert told == ["invalid_client"] * 3 + ["rate_limited"] * 2
        assert await harness.check(source=THERE) == "TestClientId"

    async def test_a_generated_secret_is_right_wherever_others_guess(self) -> None:
        """Nobody can guess it."""
        harness = AuthenticatorHarness(per_source_max=1, per_client_max=1)
        for _ in range(3):
            await harness.check("WithSecret", WRONG, source=THERE)
        assert await harness.check("WithSecret", SECRET.secret, source=THERE) == "WithSecret"

    async def test_a_client_that_nobody_has_seen_yet_is_not_shut_out_by_guesses_elsewhere(self) -> None:
        """The server may have been started anew a moment ago."""
        harness = AuthenticatorHarness(per_source_max=3, per_client_max=2)
        for at in range(5):
            await harness.check(secret=WRONG, source=f"203.0.113.{at}")
        assert await harness.check(source=HERE) == "TestClientId"

    async def test_neither_is_one_whose_credentials_may_mean_two_things(self) -> None:
        """S09, S19: what was sent once is one attempt, whichever spelling is the right one."""
        harness = AuthenticatorHarness(per_client_max=2)
        for at in range(5):
            await harness.check(secret=WRONG, source=f"203.0.113.{at}")
        assert (
            await harness.check_any(("TestClientId", "pass word"), ("TestClientId", PASSWORD))
            == "TestClientId"
        )

    async def test_a_right_password_is_never_counted_as_a_failure(self) -> None:
        """Also where nothing is remembered and the first of two spellings is the wrong one."""
        harness = AuthenticatorHarness(per_client_max=3, per_source_max=3, remember_s=0)
        both = ("TestClientId", "pass word"), ("TestClientId", PASSWORD)
        assert {await harness.check_any(*both) for _ in range(10)} == {"TestClientId"}

    @pytest.mark.parametrize(
        "secret", ["lcs_guess", SECRET.secret, EXPIRED.secret], ids=["guess", "of another", "expired"]
    )
    async def test_guessing_at_generated_secrets_is_limited_as_well(self, secret: str) -> None:
        """It costs no hash, but a log line."""
        harness = AuthenticatorHarness(per_source_max=3)
        told = [await harness.check("Other", secret) for _ in range(5)]
        assert told == ["invalid_client"] * 3 + ["rate_limited"] * 2


class TestAssertions:
    """A flood of assertions that nobody's key signed."""

    GOOD, BAD = Signer.new("ES256"), Signer.new("ES256")
    ISSUER = "https://licence.example.com/Jim_Test"
    KEYED = jim_test(clients=(client(1, "TestClientId", keys=(GOOD.key,)),))

    @pytest.fixture
    def checked_in(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The threads in which signatures were checked."""
        threads: list[str] = []

        def noted(*arguments: Any) -> Any:
            threads.append(threading.current_thread().name)
            return signing_key(*arguments)

        monkeypatch.setattr("licet.web.authentication.signing_key", noted)
        return threads

    async def _try(
        self, harness: AuthenticatorHarness, signer: Signer, client_id: str = "TestClientId", at: str = HERE
    ) -> str:
        now_s = harness.clock.now_ms() / 1000
        assertion = parse(signer.sign(claims(client_id, self.ISSUER, now_s=now_s)))

        try:
            verified = await harness.authenticator.check_assertion(self.KEYED, assertion, [self.ISSUER], at)
            verified.settle(AssertionUse(is_first=True))
        except OAuthError as error:
            return str(error.fields.get("reason", error.error))
        return verified.client.client_id

    @pytest.mark.parametrize("client_id", ["TestClientId", "Nobody"])
    async def test_from_a_source_over_its_limit_no_signature_is_checked(
        self, client_id: str, checked_in: list[str]
    ) -> None:
        """A thousand a second take nothing but their parsing, whether there is such a client or not."""
        harness = AuthenticatorHarness(per_source_max=3)
        told = [await self._try(harness, self.BAD, client_id) for _ in range(100)]
        assert told == [*["invalid_client"] * 3, *["rate_limited"] * 97]
        assert len(checked_in) == 3
        assert await self._try(harness, self.GOOD, at=THERE) == "TestClientId"

    async def test_who_was_good_there_is_checked_beside_the_loop(self, checked_in: list[str]) -> None:
        """And let in, whatever others send from the same address in its name."""
        harness = AuthenticatorHarness(per_source_max=3, per_client_max=3)
        assert await self._try(harness, self.GOOD) == "TestClientId"
        told = [await self._try(harness, self.BAD) for _ in range(10)]
        assert told == [*["invalid_client"] * 3, *["rate_limited"] * 7]
        loop = threading.current_thread().name
        assert [it == loop for it in checked_in] == [True] * 4 + [False] * 7
        assert await self._try(harness, self.GOOD) == "TestClientId"

    async def test_only_so_many_are_checked_beside_it_at_once(self, checked_in: list[str]) -> None:
        """The others are told to come again in a second."""
        harness = AuthenticatorHarness(per_client_max=1)
        assert await self._try(harness, self.GOOD) == "TestClientId"
        assert await self._try(harness, self.BAD) == "invalid_client"
        told = await asyncio.gather(*(self._try(harness, self.BAD) for _ in range(50)))
        assert set(told) == {"rate_limited"}
        assert len(checked_in) < 2 + 50

    async def test_bad_ones_take_no_try_of_a_password(self) -> None:
        """They cost nothing: whoever sends them could use up the tries of a client that has both."""
        harness = AuthenticatorHarness(per_client_max=1)
        for at in range(50):
            assert await self._try(harness, self.BAD, at=f"203.0.113.{at}") == "invalid_client"
        assert await harness.check(at=self.KEYED) == "TestClientId"
