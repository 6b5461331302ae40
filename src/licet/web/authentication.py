"""Authenticates clients (RFC 6749 2.3): by a secret, a password or a signed assertion.

A generated secret is checked at once: its hash is fast. A password is looked up among those that were right
before, and otherwise hashed on a worker thread when its turn comes (`licet.lanes.hashing`). An unknown client
takes the same path and the same time as a wrong secret.

An assertion is checked at once as well: a tenth of a millisecond, by the key of the client that it names.
Then the commit lane marks it as used, for all nodes, by itself or with the command that the client asks for,
and only its first use is accepted (`Verified`). From a source that has sent too many wrong ones none is
checked, unless the client authenticated there before, and then in a thread.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import NamedTuple

from licet.clock import Clock
from licet.credentials.client_assertions import USABLE_S_MAX, Assertion, flaw, may_be_used_before, signing_key
from licet.credentials.generated import SECRET_PREFIX, ClientSecrets
from licet.credentials.passwords import Passwords, Remembered
from licet.credentials.public_keys import Signatures
from licet.journal.recalled import recent_origins, restored_at_ms
from licet.lanes.hashing import Check, Hashing, Part, TooManyFailures
from licet.ledger.commands import AssertionUse, Outcome, UseAssertion
from licet.model import Client, ClientSecret, FailureCause, PublicKey, Tenant, User
from licet.protocol.errors import (
    OAuthError,
    invalid_assertion,
    invalid_client,
    invalid_request,
    rate_limited,
    unavailable,
)
from licet.protocol.message import Credentials
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable
from licet.web.known_headers import KnownHeaders, Proven, secret_of
from licet.web.last_uses import LastUses
from licet.web.source import source_of
from licet.web.throttle import KNOWN_MAX, Subject, Throttle

RECALLS_MAX, RECALL_PAUSE_S = 3, 0.1  # a guess: a store that is there answers by then
BESIDE_MAX = 4  # assertions that are checked in threads at once

Upgrade = Callable[[Tenant, User, str], None]
Gone = Callable[[], Awaitable[object]]
Latest = Callable[[], Awaitable[Tenant | None]]
Candidates = Sequence[tuple[str, str]]


class Verified(NamedTuple):
    """A client whose assertion is valid: it has authenticated if this `use` of it is the first one.

    Whoever gets it submits `use`, or a command that carries it, and calls `settle` with the outcome.
    """

    tenant: Tenant
    client: Client
    use: UseAssertion
    accepted: Callable[[], None]
    refused: Callable[[str, FailureCause], OAuthError]

    def settle(self, outcome: Outcome) -> None:
        """Take note of whether it was the first use. Raises OAuthError if it was not."""
        if isinstance(outcome, AssertionUse) and not outcome.is_first:
            raise self.refused("the assertion was used before", FailureCause.USED_ASSERTION)
        self.accepted()


class Authenticator:
    """Checks credentials. `upgrade` stores a stronger hash of a password; it runs on a worker thread.

    `hashed` is called there with how many seconds a password took.
    `secrets_used` collects when each generated secret was last used, `keys_used` when each key was, by its
    client's key in the store and its thumbprint; whoever writes them to the store takes them.
    `hashing` has the worker threads, which the sign-ins of administrators use as well.
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
        self.secrets_used: LastUses[str, int] = LastUses()
        self.keys_used: LastUses[tuple[int, str], int] = LastUses()
        self._signatures = Signatures()
        self._clock = clock
        self._passwords = passwords
        self._client_secrets = client_secrets
        self._remembered = remembered
        self._throttle = throttle
        self._upgrade = upgrade
        self._hashed = hashed
        self.hashing = Hashing(workers=workers, queue_max=queue_max)
        self._headers = KnownHeaders()
        self._beside = 0
        self._restored_at_ms = 0  # the latest restore that still matters

    def seen(self, header: bytes | None) -> Proven | None:
        """Whose Authorization header this was, where a client authenticated by it before."""
        return None if header is None else self._headers.entry(header)

    def recheck(self, seen: Proven, tenant: Tenant | None) -> Client | None:
        """The client that a header seen before authenticates now; None where it has to be checked anew."""
        now_ms = self._clock.now_ms()
        found = secret_of(seen, tenant, now_ms)
        if found is None:
            return None
        client, kept = found
        self.secrets_used.note(kept.secret_id, now_ms)
        return client

    def secret_of(self, seen: Proven, tenant: Tenant) -> ClientSecret | None:
        """The secret in a header seen before; None where it authenticates nobody now."""
        found = secret_of(seen, tenant, self._clock.now_ms())
        return None if found is None else found[1]

    def is_valid(self, kept: ClientSecret) -> bool:
        """Whether a secret of a set-up that has not changed still authenticates its client."""
        now_ms = self._clock.now_ms()
        if not kept.is_live(now_ms):
            return False
        self.secrets_used.note(kept.secret_id, now_ms)
        return True

    async def check(
        self,
        tenant: Tenant | None,
        credentials: Credentials,
        address: str,
        gone: Gone | None = None,
        *,
        header: bytes | None = None,
        latest: Latest | None = None,
    ) -> Client:
        """The client that these credentials authenticate; `header` is where they are from, if from one.

        Where it waits for a hash and `gone` returns meanwhile, it gives its place back. `latest` returns the
        tenant of the set-up as it is now: before an attempt counts as a failure, it is checked by that.
        Raises OAuthError, QueueFull.
        """
        source = source_of(address)
        client = self._check_at_once(tenant, credentials, source, header)
        if client is None and latest is not None and self._wait_s(tenant, credentials, source) is None:
            tenant = await latest()
            client = self._check_at_once(tenant, credentials, source, header)
        if client is not None:
            return client
        try:
            return await self._check_slowly(tenant, credentials, source, gone)
        except TooManyFailures as refused:
            raise rate_limited(refused.wait_s) from None

    async def check_assertion(
        self,
        tenant: Tenant | None,
        assertion: Assertion,
        ours: Collection[str],
        address: str,
        *,
        latest: Callable[[], Awaitable[tuple[Tenant | None, Collection[str]]]] | None = None,
    ) -> Verified:
        """The client that this assertion authenticates, which it does once.

        `ours` are the audiences that it may name; `latest` is as in `check`, and also returns those.
        Raises OAuthError.
        """
        if not self._signatures.is_ready:
            await asyncio.to_thread(self._signatures.prepare)
        subject, source = (tenant.id if tenant else 0, assertion.client_id), source_of(address)
        is_known = self._throttle.is_known(subject, source)
        # Nobody can guess a signature, so how often others failed with this client does not matter.
        wait_s = self._throttle.wait_s(subject, source) if is_known else self._throttle.source_wait_s(source)
        if wait_s is not None and not is_known:
            raise rate_limited(wait_s)

        def refused(why: str, cause: FailureCause | None = None) -> OAuthError:
            if wait_s is not None:
                return rate_limited(wait_s)
            if is_known:
                self._throttle.failed(subject, source)
            else:
                self._throttle.source_failed(source)
            return invalid_assertion(why, cause)

        client, now_ms = _usable(tenant, assertion.client_id), self._clock.now_ms()
        is_strict = tenant is not None and tenant.strict_assertions
        if (why := flaw(assertion, ours, now_ms, is_strict=is_strict)) is not None:
            raise refused(why)
        signed = partial(signing_key, assertion, client, self._signatures, now_ms)
        key = signed() if wait_s is None else await self._checked_beside(signed)
        if key is None and wait_s is None and latest is not None:
            tenant, ours = await latest()
            return await self.check_assertion(tenant, assertion, ours, address)
        if tenant is None or client is None or key is None:
            raise refused("unknown or disabled client, or signed by none of its keys")
        if may_be_used_before(assertion, self._restored_at_ms):
            why = "the assertion may have been used before the store was restored from a copy"
            raise refused(why, FailureCause.USED_ASSERTION)
        use = UseAssertion(
            tenant_id=tenant.id,
            client_key=client.key,
            jti=assertion.jti_hash,
            until_ms=assertion.until_ms,
        )
        known_by = (client.key, key.thumbprint)
        return Verified(
            tenant, client, use, partial(self._accepted, subject, source, known_by, now_ms), refused
        )

    def _accepted(self, subject: Subject, source: str, known_by: tuple[int, str], now_ms: int) -> None:
        self._throttle.succeeded(subject, source)
        self.keys_used.note(known_by, now_ms)

    async def _checked_beside(self, signed: Callable[[], PublicKey | None]) -> PublicKey | None:
        """Check a signature of a client known at a source that has failed too often: off the event loop.

        So whoever guesses at the same source cannot keep out the client that has the key. Raises OAuthError.
        """
        if self._beside >= BESIDE_MAX:
            raise rate_limited(1)
        self._beside += 1
        try:
            return await asyncio.to_thread(signed)
        finally:
            self._beside -= 1

    async def recall(self, store: Store) -> None:
        """Learn from the store what a running server would know.

        A client with a session counts as known where it comes from, also after a restart. Where it is unknown
        whether the store was restored a moment ago, it counts as restored: so a store that is busy, as with
        the log of a server that was killed, is asked again.
        """
        now_ms = self._clock.now_ms()
        for _ in range(RECALLS_MAX):
            try:
                found = await asyncio.to_thread(restored_at_ms, store, now_ms - USABLE_S_MAX * 1000)
            except StoreUnavailable:
                self._restored_at_ms = now_ms
                await asyncio.sleep(RECALL_PAUSE_S)
            else:
                self._restored_at_ms = found or 0
                break
        with suppress(StoreUnavailable):
            for tenant_id, client_id, address in await asyncio.to_thread(recent_origins, store, KNOWN_MAX):
                self._throttle.succeeded((tenant_id, client_id), source_of(address))

    @property
    def queue_length(self) -> int:
        """How many passwords are being hashed or wait for it."""
        return self.hashing.queue_length

    def close(self) -> None:
        """End the worker threads."""
        self.hashing.close()

    def _check_at_once(
        self, tenant: Tenant | None, credentials: Credentials, source: str, header: bytes | None
    ) -> Client | None:
        """The client, if that takes no hash."""
        if tenant is None:
            return None
        for client_id, secret in credentials.candidates:
            client = _usable(tenant, client_id)
            if secret.startswith(SECRET_PREFIX):
                is_right = self._is_generated(tenant, client, secret, header)
            else:
                is_right = self._is_remembered(tenant, client, secret, _subject(tenant, credentials), source)
            if is_right:
                return client
        return None

    def _wait_s(self, tenant: Tenant | None, credentials: Credentials, source: str) -> int | None:
        """Seconds to wait; None where there may be one more failure, from here and with this client."""
        if _passwords(credentials):
            return self._throttle.wait_s(_subject(tenant, credentials), source)
        return self._throttle.source_wait_s(source)

    def _is_generated(self, tenant: Tenant, client: Client | None, secret: str, header: bytes | None) -> bool:
        now_ms = self._clock.now_ms()
        kept = self._client_secrets.find(client, secret, now_ms)
        if kept is not None and client is not None:
            self.secrets_used.note(kept.secret_id, now_ms)
            if header is not None:
                self._headers.add(header, tenant, client, secret, kept)
        return kept is not None

    def _is_remembered(
        self, tenant: Tenant, client: Client | None, password: str, subject: Subject, source: str
    ) -> bool:
        """Whether a password was right before, and the limits permit to say so.

        Where the client never was before, they do as for one that is hashed: else a guess that is right would
        be told from a wrong one, however many there were.
        """
        if client is None or not client.password_allowed:
            return False
        if not self._remembered.knows(tenant, client, password):
            return False
        if not self._throttle.is_known(subject, source):
            if self._throttle.wait_s(subject, source) is not None:
                return False
            self._throttle.succeeded(subject, source)
        return True

    async def _check_slowly(
        self, tenant: Tenant | None, credentials: Credentials, source: str, gone: Gone | None
    ) -> Client:
        """Check a password by its hash. Two candidates are one attempt: one check, counted once."""
        wrong = (
            invalid_request(credentials.flaw)
            if credentials.flaw
            else invalid_client("unknown or disabled client, or a wrong secret")
        )
        passwords = _passwords(credentials)
        if not passwords:
            if (wait_s := self._wait_s(tenant, credentials, source)) is not None:
                raise rate_limited(wait_s)
            self._throttle.source_failed(source)
            raise wrong
        attempt = self._throttle.attempt(_subject(tenant, credentials), source)
        future = self.hashing.start(
            self._check_of(tenant, passwords), attempt, Part.KNOWN if attempt.is_known else Part.NEW
        )
        at = await self._waited_for(future, gone)
        client = None if at is None else _usable(tenant, passwords[at][0])
        if client is None:
            raise wrong
        return client

    async def _waited_for(self, future: asyncio.Future[int | None], gone: Gone | None) -> int | None:
        """The result of the hash. Raises OAuthError when nobody waits any more, and TooManyFailures."""
        watch = None if gone is None or future.done() else asyncio.ensure_future(gone())
        if watch is not None:
            watch.add_done_callback(lambda _: self.hashing.give_up(future))
        try:
            return await future
        except asyncio.CancelledError:
            if watch is not None and watch.done():
                raise unavailable("the client went away before its turn") from None
            raise
        finally:
            if watch is not None:
                watch.cancel()

    def _check_of(self, tenant: Tenant | None, passwords: Candidates) -> Check[int | None]:
        """The check of a password in the encodings that it may have."""
        clients = [_usable(tenant, client_id) for client_id, _ in passwords]
        # After a change of the password, or of whether the client may be used, it is another check.
        kept = tuple(client.user.password_hash if client else None for client in clients)

        def is_right(at: int | None) -> bool:
            if at is not None and tenant is not None and (client := clients[at]) is not None:
                self._remembered.add(tenant, client, passwords[at][1])
            return at is not None

        return Check(
            key=(tenant.id if tenant else 0, tuple(passwords), kept),
            do=lambda: next(
                (at for at, client in enumerate(clients) if self._hash(tenant, client, passwords[at][1])),
                None,
            ),
            is_right=is_right,
        )

    def _hash(self, tenant: Tenant | None, client: Client | None, password: str) -> bool:
        user = client.user if client is not None and client.password_allowed else None
        began_s = perf_counter()
        is_right = self._passwords.verify(user, password)
        self._hashed(perf_counter() - began_s)
        kept = user.password_hash if user else None
        if is_right and tenant and user and kept and self._passwords.is_outdated(kept):
            self._upgrade(tenant, user, password)
        return is_right


def _passwords(credentials: Credentials) -> Candidates:
    """Those of the candidates that may be passwords."""
    return [pair for pair in credentials.candidates if not pair[1].startswith(SECRET_PREFIX)]


def _subject(tenant: Tenant | None, credentials: Credentials) -> Subject:
    """Whose failures an attempt counts among. Two candidates are one attempt."""
    return (tenant.id if tenant else 0, credentials.candidates[0][0])


def _usable(tenant: Tenant | None, client_id: str) -> Client | None:
    client = tenant.clients.get(client_id) if tenant else None
    return client if client is not None and client.usable else None
