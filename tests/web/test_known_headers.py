"""An Authorization header that was right before: what it saves, and what makes it wrong at once."""

from base64 import b64encode
from typing import Any, cast

import pytest
from msgspec.structs import replace

from licet.credentials.keyring import new_keyring
from licet.credentials.tokens import Tokens
from licet.lanes.contract import QueueFull
from licet.model import Session
from licet.protocol.errors import OAuthError
from licet.web.endpoints import SCOPES_KEPT_MAX, Endpoints
from licet.web.known_headers import KnownHeaders
from licet.web.request import Repetition
from support.examples import jim_test, sid
from support.web.authenticating import PASSWORD, SECRET, SECRETS, TENANT, AuthenticatorHarness, client, kept
from support.web.exchanges import Whole, never_newer

pytestmark = pytest.mark.anyio

CLIENT = "WithSecret"


def basic(client_id: str, secret: str, scheme: str = "Basic ") -> bytes:
    return scheme.encode() + b64encode(f"{client_id}:{secret}".encode())


RIGHT = basic(CLIENT, SECRET.secret)


class Full:
    """In the place of what commits: a queue without room."""

    async def submit(self, _: object) -> None:
        """Take nothing."""
        raise QueueFull


class Site:
    """The endpoints with a set-up that can be changed; a revocation of an unknown token needs no store."""

    def __init__(self) -> None:
        self.harness = AuthenticatorHarness()
        self.tenants = {TENANT.name: TENANT}
        nobody = cast("Any", None)
        self._tokens = Tokens(new_keyring(0))
        self.endpoints = Endpoints(
            clock=self.harness.clock,
            find_tenant=self.tenants.get,
            commits=cast("Any", Full()),
            reads=nobody,
            authenticator=self.harness.authenticator,
            tokens=self._tokens,
            public_url="",
            waiting=nobody,
            latest_setup=never_newer,
        )

    async def ask(self, header: bytes = RIGHT, form: bytes = b"token=x", tenant: str = TENANT.name) -> str:
        """200, or the error."""
        exchange = Whole(f"/{tenant}/revoke", method="POST", form=form, authorization=header)
        exchange.tenant = tenant
        try:
            response = await self.endpoints.revoke(exchange)
        except OAuthError as error:
            return error.error
        return str(response.status)

    def change(self, **changes: object) -> None:
        """Another snapshot, in which the client has changed."""
        changed = replace(TENANT.clients[CLIENT], **changes)
        self.tenants[TENANT.name] = replace(TENANT, clients={**TENANT.clients, CLIENT: changed})

    def refresh_token(self) -> bytes:
        """Of a session that no store has to know."""
        session = Session(
            sid=sid(1),
            tenant_id=TENANT.id,
            client_key=TENANT.clients[CLIENT].key,
            scope="view",
            pool_id=None,
            holder=None,
            started_at_ms=0,
            renewed_at_ms=0,
            expires_at_ms=1,
            address="",
        )
        return self._tokens.refresh(session).encode()

    def knows(self, header: bytes = RIGHT) -> bool:
        """Whether the header is remembered."""
        return self.harness.authenticator.seen(header) is not None


@pytest.fixture
def site() -> Site:
    return Site()


async def test_a_header_with_a_right_secret_is_remembered_and_still_notes_that_the_secret_was_used(
    site: Site,
) -> None:
    """The page of a client says when each secret was last used."""
    assert not site.knows()
    assert await site.ask() == "200"
    assert site.knows()
    site.harness.authenticator.secrets_used.take()
    assert await site.ask() == "200"
    assert site.harness.authenticator.secrets_used.take() == {SECRET.secret_id: site.harness.clock.now_ms()}


@pytest.mark.parametrize(
    "changes",
    [
        {"secrets": ()},
        {"secrets": (kept(SECRET.secret_id, SECRETS.generate().hash),)},
        {"enabled": False},
        {"user": replace(TENANT.clients[CLIENT].user, enabled=False)},
    ],
    ids=["revoked", "another of the same id", "client disabled", "user disabled"],
)
async def test_a_remembered_header_is_wrong_as_soon_as_the_set_up_says_so(
    site: Site, changes: dict[str, object]
) -> None:
    """RFC 6749 2.3: what is revoked authenticates nobody, whatever was right before."""
    assert await site.ask() == "200"
    site.change(**changes)
    assert site.knows()
    assert await site.ask() == "invalid_client"


async def test_a_remembered_header_is_wrong_from_the_instant_at_which_its_secret_expires(site: Site) -> None:
    """The instant itself is too late."""
    until_ms = site.harness.clock.now_ms() + 2000
    site.change(secrets=(kept(SECRET.secret_id, SECRET.hash, until_ms),))
    assert await site.ask() == "200"
    site.harness.clock.advance(seconds=1.999)
    assert await site.ask() == "200"
    site.harness.clock.advance(seconds=0.001)
    assert site.knows()
    assert await site.ask() == "invalid_client"


async def test_a_secret_that_is_given_back_makes_the_header_right_again(site: Site) -> None:
    """An entry is a hint: what counts is what the set-up has."""
    assert await site.ask() == "200"
    site.change(enabled=False)
    assert await site.ask() == "invalid_client"
    site.change()
    assert await site.ask() == "200"


async def test_a_remembered_header_is_of_one_tenant(site: Site) -> None:
    """A tenant with a client of the same name is another customer."""
    assert await site.ask() == "200"
    site.tenants["Other"] = replace(jim_test(clients=(client(6, CLIENT),)), id=77, name="Other")
    assert await site.ask(tenant="Other") == "invalid_client"
    assert await site.ask(tenant="Nowhere") == "invalid_client"


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        (b"token=x&client_secret=y", "invalid_request"),
        (b"token=x&client_id=Other", "invalid_request"),
        (b"token=x&client_assertion=y", "invalid_request"),
        (b"token=x&client_assertion_type=y", "invalid_request"),
        (b"token=x&client_id=WithSecret", "200"),
    ],
)
async def test_a_form_that_names_a_client_is_read_beside_a_remembered_header_as_beside_any(
    site: Site, form: bytes, wanted: str
) -> None:
    """RFC 6749 2.3: one way to authenticate a request, and no more."""
    before = await site.ask(form=form)
    assert await site.ask() == "200"
    assert (before, await site.ask(form=form)) == (wanted, wanted)


@pytest.mark.parametrize(
    "header",
    [
        basic(CLIENT, SECRET.secret, "basic "),
        basic(CLIENT, SECRET.secret, "Basic  "),
        basic(CLIENT, SECRET.secret.replace("lcs_", "lcs%5F")),
        basic(CLIENT, SECRET.secret) + b" ",
    ],
)
async def test_another_spelling_of_a_right_header_is_right_and_not_remembered(
    site: Site, header: bytes
) -> None:
    """So a client cannot fill the memory with spellings of its one secret."""
    assert await site.ask(header) == "200"
    assert not site.knows(header)
    assert not site.knows()


async def test_a_wrong_secret_and_a_password_are_not_remembered(site: Site) -> None:
    """What is wrong may become right, and a password has rules of its own."""
    wrong, password = basic(CLIENT, SECRETS.generate().secret), basic("TestClientId", PASSWORD)
    assert await site.ask(wrong) == "invalid_client"
    assert await site.ask(password) == "200"
    assert not site.knows(wrong)
    assert not site.knows(password)


class TestWhatIsKept:
    """The memory itself."""

    def test_it_is_bounded_and_forgets_the_oldest(self) -> None:
        """Each client with secrets may ask."""
        known = KnownHeaders(entries_max=2)
        for number in range(4):
            _add(known, f"client{number}")
        assert len(known) == 2
        seen = [known.entry(basic(f"client{number}", SECRET.secret)) is not None for number in range(4)]
        assert seen == [False, False, True, True]

    def test_it_has_neither_the_header_nor_the_secret_and_each_process_has_another_key(self) -> None:
        """Whoever reads the memory of the process finds no secret there that was not sent just now."""
        known, other = KnownHeaders(), KnownHeaders()
        for memory in (known, other):
            _add(memory, CLIENT)
        said = repr((vars(known), vars(other)))
        assert SECRET.secret not in said
        assert RIGHT.decode().removeprefix("Basic ") not in said
        assert vars(known)["_entries"].keys().isdisjoint(vars(other)["_entries"])


def _add(known: KnownHeaders, client_id: str) -> None:
    asking = client(1, client_id, secrets=(kept(SECRET.secret_id, SECRET.hash),))
    tenant = jim_test(clients=(asking,))
    known.add(basic(client_id, SECRET.secret), tenant, asking, SECRET.secret, asking.secrets[0])


class Keeping(Whole):
    """A request that knows whether it was kept."""

    is_kept = False

    def keep(self, _: Repetition) -> None:
        """It is."""
        self.is_kept = True


@pytest.mark.parametrize(("names", "is_kept"), [(SCOPES_KEPT_MAX, True), (SCOPES_KEPT_MAX + 1, False)])
async def test_a_refresh_that_names_many_scopes_is_not_kept(site: Site, names: int, *, is_kept: bool) -> None:
    """A client may name hundreds, which need not exist: it must not decide how much memory is kept for it."""
    form = b"grant_type=refresh_token&refresh_token=%b&scope=%b" % (
        site.refresh_token(),
        b"+".join(b"s%d" % number for number in range(names)),
    )
    exchange = Keeping(f"/{TENANT.name}/token", method="POST", form=form, authorization=RIGHT)
    exchange.tenant = TENANT.name
    with pytest.raises(QueueFull):
        await site.endpoints.token(exchange)
    assert exchange.is_kept == is_kept
