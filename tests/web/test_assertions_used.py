"""What the endpoints ask of the commit lane so that an assertion is used: once, with the command itself."""

import json
from typing import Any, NamedTuple, cast
from urllib.parse import urlencode

import pytest

from licet.credentials.generated import ClientSecrets
from licet.credentials.keyring import new_keyring
from licet.credentials.passwords import Passwords, Remembered
from licet.credentials.tokens import Tokens
from licet.lanes.commit import commit
from licet.lanes.contract import Submitter, Waiter
from licet.ledger.commands import Command, End, Grant, Outcome, Refresh, UseAssertion
from licet.protocol.errors import OAuthError
from licet.setup.change import changing
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable
from licet.web.authentication import Authenticator
from licet.web.endpoints import Endpoints
from licet.web.throttle import Throttle
from support.examples import jim_test
from support.store.kinds import Place
from support.store.store_site import begin
from support.web.exchanges import Whole, never_newer
from support.web.signing import Signer, claims, proof

pytestmark = pytest.mark.anyio

SIGNER = Signer.new("ES256")
ISSUER, WHO = "https://licence.example.com", "TestClientId"
TENANT = jim_test()
GRANT = {"grant_type": "client_credentials"}


class Answered(NamedTuple):
    """A status or an error, the kinds of commands that the lane was asked, and the content of the answer.

    `is_failed` is whether it counts as a failed authentication.
    """

    said: str
    asked: list[type[Command]]
    content: dict[str, str]
    is_failed: bool


class CommitsAtOnce(Submitter[Command, Outcome]):
    """Commits each command at once, in a real store; `asked` are the commands."""

    is_open, queue_length = True, 0

    def __init__(self, store: Store) -> None:
        self.asked: list[Command] = []
        self.is_down = False
        self._store = store

    def put(self, item: Command, waiter: Waiter[Outcome], /) -> None:
        """Commit it."""
        self.asked.append(item)
        if self.is_down:
            waiter.set_exception(StoreUnavailable("it is away"))
            return
        [outcome] = commit(self._store, [item])
        assert not isinstance(outcome, Exception)
        waiter.set_result(outcome)

    async def close(self) -> None:
        """Nothing is under way."""


class NobodyWaits:
    """In line for a seat."""

    def freed(self, pool_id: int | None) -> None:
        """A seat was given back."""


class Site:
    """The endpoints of one tenant, of which a client has a key."""

    def __init__(self, place: Place) -> None:
        store = begin(place, TENANT)
        with changing(store, "a test") as change:
            change.tenant(TENANT.name).add_key(WHO, SIGNER.key)
        store.refresh_tenants()
        self.commits = CommitsAtOnce(store)
        self._clock = place.clock
        self.authenticator = Authenticator(
            clock=self._clock,
            passwords=Passwords(),
            client_secrets=ClientSecrets(b"pepper"),
            remembered=Remembered(self._clock),
            throttle=Throttle(self._clock, per_client_max=3, per_source_max=3),
            upgrade=lambda *_: None,
            workers=1,
            queue_max=1,
        )
        nobody = cast("Any", None)
        self._endpoints = Endpoints(
            clock=self._clock,
            find_tenant=store.tenant,
            commits=self.commits,
            reads=nobody,
            authenticator=self.authenticator,
            tokens=Tokens(new_keyring(self._clock.now_ms())),
            public_url=ISSUER,
            waiting=cast("Any", NobodyWaits()),
            latest_setup=never_newer,
        )

    def sign(self) -> str:
        """An assertion."""
        return SIGNER.sign(claims(WHO, f"{ISSUER}/{TENANT.name}", now_s=self._clock.now_ms() / 1000))

    async def ask(self, endpoint: str, assertion: str, **form: str) -> Answered:
        """What becomes of a request."""
        self.commits.asked.clear()
        body = urlencode(proof(assertion) | form).encode()
        exchange = Whole(f"/{TENANT.name}/{endpoint}", method="POST", form=body)
        exchange.tenant = TENANT.name
        answer = getattr(self._endpoints, endpoint)
        content: dict[str, str] = {}
        try:
            response = await answer(exchange)
        except OAuthError as refused:
            said = refused.error
        except StoreUnavailable:
            said = "unavailable"
        else:
            said, content = str(response.status), json.loads(response.body or b"{}")
        failed = exchange.is_authenticating
        return Answered(said, [type(it) for it in self.commits.asked], content, is_failed=failed)


@pytest.fixture
def site(place: Place) -> Site:
    """With a store of each kind in turn."""
    return Site(place)


async def test_a_grant_and_a_refresh_use_it_in_their_own_turn(site: Site) -> None:
    """A second turn would cost as much as the grant."""
    granted = await site.ask("token", site.sign(), **GRANT)
    assert (granted.said, granted.asked) == ("200", [Grant])
    renewing = {"grant_type": "refresh_token", "refresh_token": granted.content["refresh_token"]}
    renewed = await site.ask("token", site.sign(), **renewing)
    assert (renewed.said, renewed.asked) == ("200", [Refresh])
    off = await site.ask("logoff", site.sign(), refresh_token=granted.content["refresh_token"])
    assert (off.said, off.asked) == ("200", [UseAssertion, End])
    assert len(site.authenticator.keys_used.take()) == 1


@pytest.mark.parametrize("wrong", [{"scope": "nothing"}, {"grant_type": "password"}, {"queue": "maybe"}])
async def test_what_is_refused_before_a_command_is_made_uses_it_by_itself(
    site: Site, wrong: dict[str, str]
) -> None:
    """RFC 7523 3, 7: whoever has overheard it must not get a token by asking better."""
    assertion = site.sign()
    refused = await site.ask("token", assertion, **(GRANT | wrong))
    assert (refused.said == "invalid_client", refused.asked) == (False, [UseAssertion])
    again = await site.ask("token", assertion, **(GRANT | wrong))
    assert (again.said, again.asked, again.is_failed) == ("invalid_client", [UseAssertion], True)
    better = await site.ask("token", assertion, **GRANT)
    assert (better.said, better.asked, better.is_failed) == ("invalid_client", [Grant], True)


async def test_whoever_sends_one_again_and_again_is_throttled(site: Site) -> None:
    """As a failed authentication, in whichever turn it shows; the client itself goes on where it was."""
    assertion = site.sign()
    said = [(await site.ask("token", assertion, **GRANT)).said for _ in range(5)]
    assert said == ["200", *["invalid_client"] * 3, "temporarily_unavailable"]
    assert (await site.ask("token", site.sign(), **GRANT)).said == "200"


async def test_what_the_store_could_not_note_is_not_used_and_nobody_is_blamed(site: Site) -> None:
    """RFC 9110 15.6.4. The client sends the same request again."""
    assertion = site.sign()
    site.commits.is_down = True
    down = await site.ask("token", assertion, **GRANT)
    assert (down.said, down.is_failed) == ("unavailable", False)
    assert not site.authenticator.keys_used.take()
    site.commits.is_down = False
    assert (await site.ask("token", assertion, **GRANT)).said == "200"
