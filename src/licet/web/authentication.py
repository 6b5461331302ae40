"""Is the client who it says it is? What was right a moment ago is remembered; the rest is hashed elsewhere.

A generated secret is checked at once: its hash is fast. A password is looked up among the remembered ones,
and hashed on a worker thread (`hashing`) when it is not there; equal checks under way at once are one.
An unknown client takes the same way and the same time as a wrong secret.

An assertion is checked at once as well, a tenth of a millisecond by the key of whoever it says it is of; then
the commit lane marks it as used, for all nodes, and only who was first is let in.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from time import perf_counter

from licet.assertions import Assertion, flaw, signing_key
from licet.clock import Clock
from licet.credentials import SECRET_PREFIX, ClientSecrets, Passwords, Remembered
from licet.ledger import Outcome, Spend, Spent
from licet.model import Client, FailureCause, Tenant, User
from licet.protocol.errors import OAuthError, invalid_assertion, invalid_client, invalid_request, rate_limited
from licet.protocol.message import Credentials
from licet.public_keys import Signatures
from licet.web.hashing import Hashing
from licet.web.source import source_of
from licet.web.throttle import Subject, Throttle

Upgrade = Callable[[Tenant, User, str], None]


class Authenticator:
    """Checks credentials. `upgrade` keeps a stronger hash of a password; it runs on a worker thread.

    `hashed` hears there for how many seconds a password was checked.
    `secrets_used` collects when which generated secret was last good, `keys_used` when which key was, by its
    client's key in the store and its thumbprint; whoever writes it down empties it.
    `hashing` has the worker threads, which administrators' sign-ins use as well.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        passwords: Passwords,
        client_secrets: ClientSecrets,
        remembered: Remembered,
        throttle: Throttle,
        upgrade: Upgrade,
        workers: int,
        queue_max: int,
        hashed: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.secrets_used: dict[str, int] = {}
        self.keys_used: dict[tuple[int, str], int] = {}
        self._signatures = Signatures()
        self._clock = clock
        self._passwords = passwords
        self._client_secrets = client_secrets
        self._remembered = remembered
        self._throttle = throttle
        self._upgrade = upgrade
        self._hashed = hashed
        self.hashing = Hashing(workers=workers, queue_max=queue_max)
        self._under_way: dict[tuple[int, str, str, str | None], asyncio.Future[bool]] = {}

    async def check(self, tenant: Tenant | None, credentials: Credentials, address: str) -> Client:
        """The client that these credentials prove.

        Raises OAuthError, QueueFull.
        """
        for client_id, secret in credentials.candidates:
            client = _usable(tenant, client_id)
            if tenant is not None and self._is_proved_at_once(tenant, client, secret):
                assert client is not None
                return client
        return await self._check_slowly(tenant, credentials, source_of(address))

    async def check_assertion(
        self,
        tenant: Tenant | None,
        assertion: Assertion,
        ours: Collection[str],
        address: str,
        spend: Callable[[Spend], Awaitable[Outcome]],
    ) -> Client:
        """The client that this assertion proves, which it does once.

        `ours` are the names that it may be meant for; `spend` marks it as used where all nodes see it, and
        only what was signed by the client gets there. Raises OAuthError, QueueFull, StoreUnavailable.
        """
        if not self._signatures.is_ready:
            await asyncio.to_thread(self._signatures.prepare)
        subject, source = (tenant.id if tenant else 0, assertion.client_id), source_of(address)
        client, now_ms = _usable(tenant, assertion.client_id), self._clock.now_ms()
        is_strict = tenant is not None and tenant.strict_assertions
        if (why := flaw(assertion, ours, now_ms, is_strict=is_strict)) is not None:
            raise self._refused(subject, source, why)
        key = signing_key(assertion, client, self._signatures, now_ms)
        if tenant is None or client is None or key is None:
            raise self._refused(subject, source, "unknown or disabled client, or signed by none of its keys")
        spent = await spend(
            Spend(
                tenant_id=tenant.id,
                client_key=client.key,
                jti=assertion.jti_hash,
                until_ms=assertion.until_ms,
            )
        )
        assert isinstance(spent, Spent)
        if not spent.is_first:
            raise self._refused(subject, source, "the assertion was used before", FailureCause.USED_ASSERTION)
        self._throttle.succeeded(subject, source)
        self.keys_used[client.key, key.thumbprint] = now_ms
        return client

    def _refused(
        self, subject: Subject, source: str, why: str, cause: FailureCause | None = None
    ) -> OAuthError:
        """What is wrong is always checked: so who guesses can never keep out who has the key."""
        if (wait_s := self._throttle.wait_s(subject, source)) is not None:
            return rate_limited(wait_s)
        self._throttle.failed(subject, source)
        return invalid_assertion(why, cause)

    @property
    def queue_length(self) -> int:
        """How many passwords are being hashed or wait for it."""
        return self.hashing.queue_length

    def close(self) -> None:
        """Let the workers go."""
        self.hashing.close()

    def _is_proved_at_once(self, tenant: Tenant, client: Client | None, secret: str) -> bool:
        if secret.startswith(SECRET_PREFIX):
            now_ms = self._clock.now_ms()
            kept = self._client_secrets.find(client, secret, now_ms)
            if kept is not None:
                self.secrets_used[kept.secret_id] = now_ms
            return kept is not None
        return (
            client is not None and client.password_allowed and self._remembered.knows(tenant, client, secret)
        )

    async def _check_slowly(self, tenant: Tenant | None, credentials: Credentials, source: str) -> Client:
        """What two candidates mean is one attempt: it is asked for once, and counted once."""
        subject = (tenant.id if tenant else 0, credentials.candidates[0][0])
        if (wait_s := self._throttle.wait_s(subject, source)) is not None:
            raise rate_limited(wait_s)
        for client_id, secret in credentials.candidates:
            if secret.startswith(SECRET_PREFIX):
                continue
            client = _usable(tenant, client_id)
            if await self._verify(tenant, client_id, secret, source) and client is not None:
                self._throttle.succeeded(subject, source)
                return client
        self._throttle.failed(subject, source)
        if credentials.flaw:
            raise invalid_request(credentials.flaw)
        raise invalid_client("unknown or disabled client, or a wrong secret")

    async def _verify(self, tenant: Tenant | None, client_id: str, password: str, source: str) -> bool:
        client = _usable(tenant, client_id)
        # A check against what the password was, or of a client that could be used, is another check.
        kept = client.user.password_hash if client else None
        key = (tenant.id if tenant else 0, client_id, password, kept)
        if (future := self._under_way.get(key)) is not None:
            return await asyncio.shield(future)
        future = self.hashing.start(source, partial(self._hash, tenant, client, password))
        self._under_way[key] = future
        future.add_done_callback(lambda _: self._under_way.pop(key, None))
        is_right = await asyncio.shield(future)
        if is_right and tenant is not None and client is not None:
            self._remembered.add(tenant, client, password)
        return is_right

    def _hash(self, tenant: Tenant | None, client: Client | None, password: str) -> bool:
        user = client.user if client is not None and client.password_allowed else None
        began_s = perf_counter()
        is_right = self._passwords.verify(user, password)
        self._hashed(perf_counter() - began_s)
        kept = user.password_hash if user else None
        if is_right and tenant and user and kept and self._passwords.is_outdated(kept):
            self._upgrade(tenant, user, password)
        return is_right


def _usable(tenant: Tenant | None, client_id: str) -> Client | None:
    client = tenant.clients.get(client_id) if tenant else None
    return client if client is not None and client.usable else None
