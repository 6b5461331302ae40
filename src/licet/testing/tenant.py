"""Controls a tenant of a test: its endpoints, its clients, its sessions, and its own switches."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

import httpx

from licet.client import LicetAuth
from licet.credentials.generated import ClientSecrets
from licet.credentials.passwords import Passwords
from licet.credentials.tokens import new_sid
from licet.journal import denials
from licet.journal.denials import DenialRange
from licet.lanes.commit import commit
from licet.ledger.commands import Command, End, Grant, Granted, Outcome
from licet.ledger.signed_pools import room_of
from licet.model import Duplicates, EndReason, InvalidValue, Pool, Scope, Session, Tenant
from licet.refusal import Code
from licet.reports import live
from licet.reports.live import LiveSession
from licet.reports.options.queue import Waiting, queue_of
from licet.setup.change import POOL_FIRST
from licet.setup.holds import free
from licet.setup.nouns import CLIENT, TENANT
from licet.setup.tenant import TenantSetup
from licet.testing.server import ServerUnderTest

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_USERS_MAX: Final = len(_DIGITS) ** 3  # initials have three characters
_TIMEOUT_S: Final = 10.0


class LicetTenant:
    """A tenant with its pool `full`, of a `server`. `LicetServer.tenant` makes it."""

    def __init__(self, server: ServerUnderTest, name: str, pepper: bytes) -> None:
        self.name = name
        self.server = server
        self._client_secrets = ClientSecrets(pepper)
        self._secrets: dict[str, str] = {}
        self._users = 0

    def __repr__(self) -> str:
        return f"LicetTenant({self.url!r})"

    # Where it is

    @property
    def url(self) -> str:
        """The base URL of its endpoints, which is its issuer."""
        return f"{self.server.url}/{self.name}"

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return f"{self.url}/token"

    @property
    def logoff_url(self) -> str:
        """The logoff endpoint."""
        return f"{self.url}/logoff"

    @property
    def introspect_url(self) -> str:
        """The introspection endpoint."""
        return f"{self.url}/introspect"

    @property
    def metadata_url(self) -> str:
        """The URL of its metadata (RFC 8414)."""
        return f"{self.url}/.well-known/oauth-authorization-server"

    # Its clients

    @property
    def secrets(self) -> dict[str, str]:
        """The clients that were added, and the secret of each."""
        return self._secrets.copy()

    def credentials(self, client_id: str) -> tuple[str, str]:
        """The id of a client and its secret, as a pair for HTTP libraries.

        Raises LookupError.
        """
        if client_id not in self._secrets:
            there = ", ".join(sorted(self._secrets)) or "none"
            raise LookupError(f"tenant {self.name} has no client {client_id}; there is: {there}")
        return client_id, self._secrets[client_id]

    def auth(self, client_id: str, *, api: str, **options: Any) -> LicetAuth:
        """Authentication for an httpx client that calls an API; `options` are those of LicetAuth.

        It is closed at the end of the test, unless it was before.
        """
        return self.server.watch(LicetAuth(self.url, *self.credentials(client_id), api=api, **options))

    def token(self, client_id: str, scope: str | None = None) -> str:
        """An access token of this client, got at the token endpoint.

        Raises RuntimeError when it is refused.
        """
        name, secret = self.credentials(client_id)
        form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
        form |= {} if scope is None else {"scope": scope}
        answer = httpx.post(self.token_url, data=form, timeout=_TIMEOUT_S)
        if answer.status_code != httpx.codes.OK:
            raise RuntimeError(f"{client_id} got no token: {answer.status_code} {answer.text}")
        token: str = answer.json()["access_token"]
        return token

    def introspect(self, token: str, client_id: str = "Api") -> dict[str, Any]:
        """The answer to an API's introspection of a token (RFC 7662).

        Raises RuntimeError when the API is refused.
        """
        name, secret = self.credentials(client_id)
        form = {"token": token, "client_id": name, "client_secret": secret}
        answer = httpx.post(self.introspect_url, data=form, timeout=_TIMEOUT_S)
        if answer.status_code != httpx.codes.OK:
            raise RuntimeError(f"{client_id} may not ask: {answer.status_code} {answer.text}")
        content: dict[str, Any] = answer.json()
        return content

    def add_client(self, client_id: str, secret: str | None = None, **settings: Any) -> tuple[str, str]:
        """Add a client; return its id and secret.

        Without a secret it gets a generated one. `user` are the initials of its user, by default a new one.
        All settings have the names of the admin API. Raises SetupError, InvalidValue.
        """
        self.add_clients({client_id: secret}, **settings)
        return self.credentials(client_id)

    def add_clients(self, secrets: Mapping[str, str | None], **settings: Any) -> None:
        """Add several clients, as `add_client`."""
        # Hash before the transaction, which keeps grants waiting.
        hashes = {name: Passwords().hash(secret) for name, secret in secrets.items() if secret is not None}
        made = {name: self._client_secrets.generate() for name, secret in secrets.items() if secret is None}
        with self.changing() as setup:
            for client_id in secrets:
                initials = settings.get("user") or self._next_initials(setup.users)
                if initials not in setup.users:
                    setup.add_user(initials, name=client_id[:100], password_hash=hashes.get(client_id))
                elif client_id in hashes:
                    text = f"user {initials} has a password already: {client_id} cannot have one"
                    raise InvalidValue(text, code=Code.NOT_TOGETHER, field="password")
                own = CLIENT.by_field(settings)
                own["user"] = initials
                setup.add_client(client_id, made.get(client_id), **own)
        self._secrets |= {client_id: secret for client_id, secret in secrets.items() if secret is not None}
        self._secrets |= {client_id: new.secret for client_id, new in made.items()}

    def set_client(self, client_id: str, **changes: Any) -> None:
        """Change a client, such as `enabled=False`; sessions that it could no longer get are ended.

        Raises SetupError, InvalidValue.
        """
        with self.changing() as setup:
            setup.set_client(client_id, **CLIENT.by_field(changes))

    # Seats, sessions and denials

    @property
    def seats_in_use(self) -> int:
        """How many seats of the pool `full` are in use now."""
        store, tenant = self.server.store, self._tenant()
        with store.reading() as connection:
            found = live.seats(connection, tenant, store.clock.now_ms())
        return next(len(pool.in_use_by) for pool in found.pools if pool.pool == POOL_FIRST)

    def sessions(self, client_id: str | None = None) -> tuple[LiveSession, ...]:
        """The live sessions, oldest first; of one client, if given."""
        store, tenant = self.server.store, self._tenant()
        with store.reading() as connection:
            return live.sessions(connection, tenant, store.clock.now_ms(), client=client_id)

    def denials(self) -> tuple[DenialRange, ...]:
        """Who was denied a seat and why, the latest first; equal denials are one range, with its `times`."""
        tenant = self._tenant()
        with self.server.store.reading() as connection:
            return denials.denials(connection, tenant).ranges

    def waiting(self) -> tuple[Waiting, ...]:
        """Who waits in the queue of the pool `full`, the first in line first."""
        pool = self._pool()
        with self.server.store.reading() as connection:
            return queue_of(connection, pool, self.server.store.clock.now_ms())

    # Its switches

    @contextmanager
    def full_pool(self) -> Iterator[None]:
        """Other clients take every free seat of the pool `full`, until the end of the block.

        Clients with a seat keep it. The sessions of the others expire like any.
        """
        taken = self._take(self._seats_free())
        try:
            yield
        finally:
            self._give_back(taken)

    @contextmanager
    def licence_expired(self) -> Iterator[None]:
        """The licence of the pool `full` has expired, until the end of the block; its sessions have ended."""
        before = self._pool().expires_at_ms
        self.set_pool(expires_at_ms=self.server.store.clock.now_ms())
        try:
            yield
        finally:
            self.set_pool(expires_at_ms=before)

    def set_pool(self, **changes: Any) -> None:
        """Change the pool `full`, such as `seats=3` or `queue=5`; fewer seats end no session (L6).

        Raises InvalidValue.
        """
        with self.changing() as setup:
            setup.set_pool(POOL_FIRST, **changes)

    def end_session(self, session: LiveSession, *, reason: str = "") -> None:
        """End a session, as an administrator does."""
        with self.changing() as setup:
            setup.end_sessions([bytes.fromhex(session.sid)], reason=reason)

    def end_sessions(self, client_id: str | None = None, *, reason: str = "") -> int:
        """End all sessions, or those of one client, as an administrator does; return how many."""
        sids = [bytes.fromhex(session.sid) for session in self.sessions(client_id)]
        with self.changing() as setup:
            return setup.end_sessions(sids, reason=reason).sessions

    def suspend(self, client_id: str, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Suspend a client: for so long it gets no new seat (L12); seats that it holds stay.

        Raises SetupError, InvalidValue.
        """
        for_ms = round(((hours * 60 + minutes) * 60 + seconds) * 1000)
        with self.changing() as setup:
            setup.suspend(client_id, self.server.store.clock.now_ms() + for_ms)

    def resume(self, client_id: str) -> None:
        """Lift the suspension of a client.

        Raises SetupError.
        """
        with self.changing() as setup:
            setup.suspend(client_id, None)

    @contextmanager
    def changing(self) -> Iterator[TenantSetup]:
        """Change the set-up of this tenant in one transaction.

        Raises SetupError, InvalidValue.
        """
        with self.server.changing() as change:
            yield change.tenant(self.name)

    def _give_back(self, taken: list[Session]) -> None:
        """End these sessions; their seats are free at once, even where the pool has a hold."""
        self._commit([End(tenant_id=old.tenant_id, sid=old.sid, reason=EndReason.LOGOFF) for old in taken])
        with self.server.store.transaction() as transaction:
            free(transaction, self._pool().id, [old.holder for old in taken if old.holder is not None])

    def _take(self, seats: int) -> list[Session]:
        """Take seats for new clients; return the sessions that hold them."""
        names = [f"somebody else {number}" for number in range(1, seats + 1)]
        there = self._tenant().clients
        with self.changing() as setup:
            for name in names:
                if name not in there:
                    initials = self._next_initials(setup.users)
                    setup.add_user(initials, name=name)
                    setup.add_client(name, user=initials)
        tenant, pool = self._tenant(), self._pool()
        grants = [
            Grant(
                tenant_id=tenant.id,
                client_key=tenant.clients[name].key,
                sid=new_sid(self.server.store.clock.now_ms()),
                scope=Scope.ALL,
                pool_id=pool.id,
                address="127.0.0.1",
            )
            for name in names
        ]
        return [outcome.session for outcome in self._commit(grants) if isinstance(outcome, Granted)]

    def _seats_free(self) -> int:
        return max(0, room_of(self._pool(), self.server.store.clock.now_ms()) - self.seats_in_use)

    def _commit(self, commands: Sequence[Command]) -> Sequence[Outcome]:
        """The outcomes of these commands, decided as the server decides them."""
        outcomes: list[Outcome] = []
        for outcome in commit(self.server.store, commands) if commands else ():
            if isinstance(outcome, Exception):
                raise outcome
            outcomes.append(outcome)
        return outcomes

    def _tenant(self) -> Tenant:
        store = self.server.store
        store.refresh_tenants()
        tenant = store.tenant(self.name)
        if tenant is None:
            raise RuntimeError(f"the tenant {self.name} was removed: it was of another test")
        return tenant

    def _pool(self) -> Pool:
        pool = self._tenant().pool_named(POOL_FIRST)
        if pool is None:
            raise RuntimeError(f"the tenant {self.name} has no pool {POOL_FIRST} any more")
        return pool

    def _next_initials(self, taken: Container[str]) -> str:
        """Initials that no user of the tenant has, `001` first."""
        for number in range(self._users + 1, _USERS_MAX):
            high, low = divmod(number, len(_DIGITS))
            initials = "".join(_DIGITS[digit] for digit in (*divmod(high, len(_DIGITS)), low))
            if initials not in taken:
                self._users = number
                return initials
        raise RuntimeError(f"the tenant {self.name} has more than {_USERS_MAX} users")


class LicetServer(ServerUnderTest):
    """A server for tests, which makes tenants for them."""

    def tenant(
        self,
        name: str = "Jim_Test",
        *,
        seats: int = 5,
        clients: Iterable[str] | Mapping[str, str] = ("TestClientId",),
        apis: Iterable[str] = ("Api",),
        duplicates: Duplicates | str = Duplicates.CLIENT,
        **settings: Any,
    ) -> LicetTenant:
        """Add a tenant with a pool `full` of so many seats, clients, and clients that may introspect.

        Clients have the secrets that the test gives, or generated ones. `settings` are those of a tenant, as
        the admin API names them: `session_ttl_s`, `access_ttl_s`, `no_seat_status` and others. In the fixture
        it is removed at the end of the test. Raises SetupError, InvalidValue.
        """
        with self.changing() as change:
            setup = change.add_tenant(name, seats=seats, **TENANT.by_field(settings))
            setup.set_pool("full", duplicates=Duplicates(duplicates))
        tenant = LicetTenant(self, name, self._pepper)
        secrets = clients if isinstance(clients, Mapping) else dict.fromkeys(clients)
        tenant.add_clients(secrets)
        tenant.add_clients(dict.fromkeys(apis), introspects=True)
        return tenant


class LicetServerFactory(Protocol):
    """The type of the fixture `licet_server_factory`."""

    def __call__(self, *, manual_clock: bool = True, **settings: object) -> LicetServer:
        """Start a server with these settings of licet.toml; it ends with the test session, if not before."""
