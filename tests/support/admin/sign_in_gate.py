"""Sign-ins and API keys of the admin listener on a store with two administrators; hashes are counted."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from licet.accounts.administrators import changing
from licet.accounts.sign_ins import Lives
from licet.admin.authentication import Access, SignInRefused, TooManyAttempts
from licet.credentials.generated import ApiKeys, ClientSecrets, NewApiKey
from licet.credentials.passwords import Passwords
from licet.lanes.contract import QueueFull
from licet.lanes.hashing import Hashing
from licet.model import Role
from licet.web.log_rate_limit import LogRateLimit
from licet.web.recording import Recorder
from support.store.kinds import Place
from support.store.setup_site import Site

PATIENCE_S = 60.0
HERE, THERE = "192.0.2.1", "198.51.100.1"
PASSWORD, WRONG, NEW = "pass+word", "wrong word", "another one"
PEPPER = b"p" * 32


class CountingPasswords(Passwords):
    """Argon2id with its lowest cost. It counts checks; a check ends only while the gate is open."""

    def __init__(self, *, time_cost: int = 1) -> None:
        super().__init__(memory_kib=8, time_cost=time_cost)
        self.checks = 0
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def verify_hash(self, kept: str | None, password: str) -> bool:
        """Whether the password matches the hash."""
        self.checks += 1
        self.begun.set()
        assert self.gate.wait(PATIENCE_S)
        return super().verify_hash(kept, password)


class Log:
    """A log that keeps its lines in memory."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        """Keep one line."""
        self.lines.append((event, fields))

    warning = error = exception = info


class Gate:
    """An `Access` with two administrators: `ada`, owner of all tenants, and `gone`, who is disabled."""

    def __init__(self, site: Site, **options: Any) -> None:
        self.site, self.store = site, site.store
        self.clock = site.clock
        self.passwords = options.pop("passwords", None) or CountingPasswords()
        self.log = Log()
        self._hashing = Hashing(workers=2, queue_max=options.pop("queue_max", 100))
        self.recorder = Recorder(self.clock, ClientSecrets(PEPPER))
        self.access = Access(
            store=self.store,
            passwords=self.passwords,
            hashing=self._hashing,
            pepper=PEPPER,
            log=self.log,
            refusals=LogRateLimit(self.log),
            recorder=self.recorder,
            lives=Lives(idle_s=1800, longest_s=43_200),
            **options,
        )

    async def tried(self, name: str = "ada", password: str = WRONG, source: str = HERE) -> str:
        """Try to sign in; return `in`, or the name of the error."""
        try:
            await self.access.sign_in(name, password, source)
        except (SignInRefused, TooManyAttempts, QueueFull) as refused:
            return type(refused).__name__
        return "in"

    def key(self, name: str = "deploy", expires_at_ms: int | None = None) -> NewApiKey:
        """A new API key with the role operator in the tenant."""
        made = ApiKeys(PEPPER).generate()
        with changing(self.store, "ada") as change:
            change.add_api_key(
                name, made, role=Role.OPERATOR, tenant_id=self.site.tenant.id, expires_at_ms=expires_at_ms
            )
        return made

    async def close(self) -> None:
        """Let the checks go on, and close everything."""
        self.passwords.gate.set()
        await self.access.close()
        self._hashing.close()


OLD_HASH = Passwords(memory_kib=8, time_cost=1).hash(PASSWORD)
Open = Callable[..., Gate]


@asynccontextmanager
async def gates(place: Place) -> AsyncIterator[Open]:
    """A function that makes gates on a store at this place."""
    opened: list[Gate] = []
    site = Site(place)
    site.begin(seats=1, clients=1)
    with changing(site.store, "a test") as change:
        change.add_admin("ada", password_hash=OLD_HASH, role=Role.OWNER)
        change.add_admin("gone", password_hash=OLD_HASH, role=Role.OWNER, enabled=False)

    def make(**options: Any) -> Gate:
        opened.append(Gate(site, **options))
        return opened[-1]

    yield make
    for gate in opened:
        await gate.close()
    site.close()
