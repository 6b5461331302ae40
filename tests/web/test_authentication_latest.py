"""Before an attempt counts as a failure, it is checked by the set-up as it is now: once, and for anybody."""

from typing import Any

import pytest
from msgspec.structs import replace

from licet.credentials.client_assertions import parse
from licet.ledger.commands import AssertionUse
from licet.model import Tenant, User
from licet.protocol.errors import OAuthError
from licet.protocol.message import Credentials
from support.examples import jim_test
from support.web.authenticating import (
    HERE,
    PASSWORD,
    SECRET,
    TENANT,
    WRONG,
    AuthenticatorHarness,
    client,
    prove,
)
from support.web.signing import Signer, claims

ISSUER = "https://licence.example.com/Jim_Test"
SIGNER, OTHER = Signer.new("ES256"), Signer.new("ES256")
KEYED = jim_test(clients=(client(1, "TestClientId", keys=(SIGNER.key,)),))
EMPTY = jim_test(clients=())

pytestmark = pytest.mark.anyio


class Latest:
    """The set-up as it is now, and how often somebody has looked at it."""

    def __init__(self, tenant: Tenant | None) -> None:
        self.tenant = tenant
        self.looks = 0

    async def __call__(self) -> Tenant | None:
        """Look."""
        self.looks += 1
        return self.tenant

    async def and_ours(self) -> tuple[Tenant | None, list[str]]:
        """The same for an assertion."""
        return await self(), [ISSUER]


async def ask(
    harness: AuthenticatorHarness, known: Tenant | None, latest: Latest, *pair: str, source: str = HERE
) -> str:
    """The client of a secret or password, where this was known of the set-up; or the error."""
    client_id, secret = pair
    try:
        found = await harness.authenticator.check(
            known, Credentials(candidates=((client_id, secret),)), source, latest=latest
        )
    except OAuthError as error:
        return str(error.fields.get("reason", error.error))
    return found.client_id


async def show(
    harness: AuthenticatorHarness, known: Tenant | None, latest: Latest, signer: Signer = SIGNER
) -> str:
    """The same for an assertion."""
    assertion = parse(signer.sign(claims("TestClientId", ISSUER, now_s=harness.clock.now_ms() / 1000)))
    check: Any = harness.authenticator.check_assertion
    try:
        verified = await check(known, assertion, [ISSUER], HERE, latest=latest.and_ours)
        verified.settle(AssertionUse(is_first=True))
    except OAuthError as error:
        return str(error.fields.get("reason", error.error))
    assert verified.tenant is latest.tenant
    return str(verified.client.client_id)


@pytest.mark.parametrize("known", [None, EMPTY], ids=["no tenant", "no client"])
async def test_who_was_added_a_moment_ago_authenticates_and_has_not_failed(known: Tenant | None) -> None:
    """However often: a script that adds a hundred clients and tries each has no failure."""
    harness = AuthenticatorHarness(per_client_max=1, per_source_max=1)
    for _ in range(5):
        assert await ask(harness, known, Latest(TENANT), "TestClientId", PASSWORD) == "TestClientId"
        assert await ask(harness, known, Latest(TENANT), "WithSecret", SECRET.secret) == "WithSecret"
        assert await show(harness, known, Latest(KEYED)) == "TestClientId"
    assert await ask(harness, TENANT, Latest(TENANT), "WithSecret", "lcs_wrong") == "invalid_client"
    assert await ask(harness, TENANT, Latest(TENANT), "WithSecret", "lcs_wrong") == "rate_limited"


async def test_for_who_is_known_nobody_looks() -> None:
    """Only a password is looked for that is not remembered: it may have been changed a moment ago."""
    harness = AuthenticatorHarness()
    for looks in (1, 0, 0):
        latest = Latest(TENANT)
        assert await ask(harness, TENANT, latest, "TestClientId", PASSWORD) == "TestClientId"
        assert await ask(harness, TENANT, latest, "WithSecret", SECRET.secret) == "WithSecret"
        assert latest.looks == looks
    latest = Latest(KEYED)
    assert await show(harness, KEYED, latest) == "TestClientId"
    assert latest.looks == 0


@pytest.mark.parametrize("client_id", ["TestClientId", "WithSecret", "Nobody", "Disabled"])
@pytest.mark.parametrize("secret", [WRONG, "lcs_wrong"])
async def test_each_wrong_secret_has_one_look_whether_there_is_such_a_client_or_not(
    client_id: str, secret: str
) -> None:
    """S16: the time until the answer tells nothing."""
    for known in (TENANT, None):
        latest = Latest(known)
        assert await ask(AuthenticatorHarness(), known, latest, client_id, secret) == "invalid_client"
        assert latest.looks == 1


@pytest.mark.parametrize("known", [None, EMPTY, KEYED], ids=["no tenant", "no client", "another key"])
async def test_each_assertion_that_is_signed_by_no_known_key_has_one_look(known: Tenant | None) -> None:
    latest = Latest(known)
    assert await show(AuthenticatorHarness(), known, latest, OTHER) == "invalid_client"
    assert latest.looks == 1


async def test_from_a_source_over_its_limit_nobody_looks() -> None:
    """A flood has as many looks as failures, and then none."""
    harness = AuthenticatorHarness(per_client_max=3, per_source_max=3)
    latest = Latest(TENANT)
    told = [await ask(harness, TENANT, latest, "Nobody", "lcs_wrong") for _ in range(100)]
    assert told == [*["invalid_client"] * 3, *["rate_limited"] * 97]
    assert {await ask(harness, TENANT, latest, "Nobody", WRONG) for _ in range(100)} == {"rate_limited"}
    assert {await show(harness, None, latest) for _ in range(100)} == {"rate_limited"}
    assert latest.looks == 3


async def test_a_password_that_was_changed_a_moment_ago_is_the_only_one_that_counts() -> None:
    """The one before is still known, and it is not remembered: it is hashed by the set-up as it is now."""
    harness = AuthenticatorHarness()
    user = User(initials="TC", name="Test Client", password_hash=harness.passwords.hash("another word"))
    changed = jim_test(clients=(client(1, "TestClientId", user=user),))
    assert await ask(harness, TENANT, Latest(changed), "TestClientId", "another word") == "TestClientId"
    assert await ask(harness, TENANT, Latest(changed), "TestClientId", PASSWORD) == "invalid_client"


@pytest.mark.parametrize("hashes", [1, 2])
async def test_a_set_up_that_changes_at_each_look_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch, hashes: int
) -> None:
    """As one that other nodes change all the time: all hashes but the last see a change, too."""
    harness = AuthenticatorHarness(remember_s=0)
    versions, looks = [TENANT], list[int]()
    verify = harness.passwords.verify

    def changed_meanwhile(user: User | None, password: str) -> bool:
        if harness.passwords.checks < hashes - 1:
            versions.append(replace(TENANT))
        return verify(user, password)

    async def look() -> None:
        looks.append(len(looks))
        versions.append(replace(TENANT))
        assert len(looks) < 100

    monkeypatch.setattr(harness.passwords, "verify", changed_meanwhile)
    found, _ = await prove(harness, lambda _: versions[-1], look)
    assert found is versions[-1]
    assert len(looks) == 1
    assert harness.passwords.checks == hashes
