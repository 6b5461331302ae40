"""An authenticator without a server; its password checks are counted, and a test can hold them back."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from msgspec.structs import replace

from licet.clock import ManualClock
from licet.credentials.generated import ClientSecrets
from licet.credentials.passwords import Passwords, Remembered
from licet.lanes.contract import QueueFull
from licet.model import Client, ClientSecret, Tenant, User
from licet.protocol.errors import OAuthError
from licet.protocol.message import Credentials, Request
from licet.web.authentication import Authenticator
from licet.web.endpoints import Endpoints
from licet.web.throttle import Throttle
from support.examples import jim_test
from support.web.exchanges import Whole, never_newer

PATIENCE_S = 60.0
HERE, THERE = "192.0.2.1", "198.51.100.1"
PASSWORD, WRONG = "pass+word", "wrong word"
SECRETS = ClientSecrets(b"pepper")
SECRET, EXPIRED = SECRETS.generate(), SECRETS.generate()


class CountingPasswords(Passwords):
    """Argon2id with its lowest cost. It counts checks; a check ends only while the gate is open."""

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


class AuthenticatorHarness:
    """An authenticator, with the clock, the passwords and the upgrades of hashes that it works with."""

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
        """The identifier of the authenticated client, or the error, or `queue_full`."""
        return await self.check_any((client_id, secret), at=at, source=source, gone=gone)

    async def check_any(
        self,
        *pairs: tuple[str, str],
        at: Tenant | None = TENANT,
        source: str = HERE,
        gone: asyncio.Event | None = None,
    ) -> str:
        """The same for credentials that can be read as several pairs of identifier and secret."""
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
        """Return when all tasks that were ready to run have run."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def begun(self) -> None:
        """Return when a check has begun; tasks that were ready before it have run by then."""
        assert await asyncio.to_thread(self.passwords.begun.wait, PATIENCE_S)


def prove(
    harness: AuthenticatorHarness,
    find_tenant: Callable[[str], Tenant],
    latest_setup: Callable[[], Awaitable[None]] = never_newer,
) -> Coroutine[Any, Any, tuple[Tenant, Client]]:
    """How the public listener authenticates a request with the right password."""
    nobody = cast("Any", None)
    endpoints = Endpoints(
        clock=nobody,
        find_tenant=find_tenant,
        commits=nobody,
        reads=nobody,
        authenticator=harness.authenticator,
        tokens=nobody,
        public_url="",
        waiting=nobody,
        latest_setup=latest_setup,
    )
    exchange = Whole("/", method="POST", address=HERE)
    exchange.tenant = TENANT.name
    basic = Credentials(candidates=(("TestClientId", PASSWORD),))
    request = Request(tenant=TENANT.name, basic=basic, form={}, address=HERE)
    return endpoints.authenticate(exchange, request, "token")
