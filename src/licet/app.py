"""The wiring of a server: settings in; clock, store, lanes and web application together; a listener out.

This is the only place that knows all of them. It also keeps house: it looks several times a second whether
the set-up or the keys changed, and clears away what has expired, off the path of any request.
"""

import asyncio
import contextlib
import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from licet.clock import Clock, SystemClock, wall_ms
from licet.committing import COMMAND as COMMITTER
from licet.committing import spare_the_collector
from licet.committing import start as start_committer
from licet.credentials import ClientSecrets, Passwords, Remembered
from licet.keyring import FILE_NAME as KEYRING_NAME
from licet.keyring import KeyringUnusable, fingerprint, read_keyring
from licet.ledger import Command, Outcome, Sweep, Swept
from licet.model import Tenant, User
from licet.protocol.errors import Refusal
from licet.settings import Settings
from licet.store.commit import commit
from licet.store.committer import Committer
from licet.store.contract import QueueFull, Store, StoreUnavailable
from licet.store.housekeeping import keep_password_hash, note_secrets_used, remove_aged
from licet.store.lane import Lane
from licet.store.migrate import HEAD
from licet.store.nodes import NOTE_EVERY_S, Node, key_marks, note_node, remove_node
from licet.store.opening import StoreAt
from licet.tokens import Tokens
from licet.web.authentication import Authenticator
from licet.web.listener import GuardedHttpProtocol
from licet.web.public import PublicApp, Read
from licet.web.throttle import Throttle

Committing = Lane[Command, Outcome] | Committer

LOOK_EVERY_S = 0.25  # a change of the set-up counts within a second, with room for a slow look
SWEEP_EVERY_S = 1.0
UPKEEP_EVERY_S = 1.0
WRITE_DOWN_EVERY_S = 30.0
DAY_MS = 86_400_000

_NO_ROOM = 503  # what the listener answers when there are too many connections


class AddressInUse(Exception):
    """Nobody can listen there; the text says why."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any that is free.

    Raises AddressInUse.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()  # Only now the address is taken: two that start at once may both have bound it.
    except OSError as fault:
        raise AddressInUse(f"cannot listen on {host} port {port}: {fault.strerror or fault}") from None
    return listening


class Server:
    """One running Licet. Make it, `await run()`, and it is over when that returns.

    Raises StoreUnavailable, SchemaOutdated, KeyringUnusable when it is made.
    """

    def __init__(
        self,
        settings: Settings,
        listening: socket.socket,
        log: Any,
        clock: Clock | None = None,
        committer: Sequence[str] = COMMITTER,
    ) -> None:
        self._settings = settings
        self._committer = committer
        self._version_sought = 0
        self._is_writable = True  # as far as it is known; in doubt, it is written to
        self._looking: asyncio.Task[None] | None = None
        self._listening = listening
        self._log = log
        self._wall_ms = clock.now_ms if clock else wall_ms
        self._node_id, self._version = secrets.token_hex(8), version("licet")
        self._keyring_path = settings.data / KEYRING_NAME
        self._keyring = read_keyring(self._keyring_path)
        self._keyring_seen = _modified(self._keyring_path)
        self._store_at = StoreAt(settings.data, settings.store_url())
        self._store: Store = self._store_at.open(clock or SystemClock())
        self._clock = self._store.clock
        self._answered_at_ms = self._clock.now_ms()
        self._passwords = Passwords(
            memory_kib=settings.hash_memory_mib * 1024, time_cost=settings.hash_time_cost
        )

    async def run(self, on_started: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM or SIGINT; then answer what is under way and commit the last batch."""
        settings = self._settings
        commits = await self._commits()
        reads: Lane[bytes, Read] = Lane(
            self._read,
            name="licet-read",
            queue_max=settings.queue_commands_max,
            answer_within_s=self._store.differences.answer_within_s,
        )
        authenticator = self._authenticator()
        public = PublicApp(
            clock=self._clock,
            find_tenant=self._store.tenant,
            commits=commits,
            reads=reads,
            authenticator=authenticator,
            tokens=self._tokens(),
            public_url=settings.base_url(self._listening.getsockname()[1]),
            is_ready=lambda: commits.is_open and self._is_ready(),
            store_failed=self._doubt,
            log=self._log,
        )
        spare_the_collector()
        self._store.watch()
        # Who answers is known: `licet migrate --finish` counts on it.
        with contextlib.suppress(StoreUnavailable):
            await self._note_node()
        house = asyncio.create_task(self._keep_house(public, commits, authenticator))
        try:
            await self._listen(public, on_started)
        finally:
            house.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await house
            await commits.close()
            await reads.close()
            with contextlib.suppress(StoreUnavailable):
                await self._note_secrets(authenticator)
                await asyncio.to_thread(remove_node, self._store, self._node_id)
            authenticator.close()
            self._store.close()
            self._log.info("stopped")

    async def _commits(self) -> Committing:
        """The commit lane: a process of its own where there is a processor for it, else a thread."""
        settings, within_s = self._settings, self._store.differences.answer_within_s
        if not settings.commit_process:
            return Lane(
                partial(commit, self._store),
                name="licet-commit",
                batch_max=settings.batch_commands_max,
                queue_max=settings.queue_commands_max,
                answer_within_s=within_s,
            )
        committer = Committer(
            partial(
                start_committer,
                self._committer,
                self._store_at,
                self._store.identity,
                settings.batch_commands_max,
            ),
            tell=lambda why: self._log.error("committing_process_ended", detail=why),
            saw_version=self._must_not_lag,
            queue_max=settings.queue_commands_max,
            answer_within_s=within_s,
        )
        try:
            await committer.open()
        except OSError as fault:  # no memory or no process to be had
            raise StoreUnavailable(f"the committing process cannot be started: {fault}") from None
        return committer

    def _must_not_lag(self, version: int) -> None:
        """What the committing process decides on, who proves a client should know as well."""
        if version > max(self._store.setup_version, self._version_sought):
            self._version_sought = version
            self._looking = asyncio.create_task(asyncio.to_thread(self._refresh_tenants))

    def _refresh_tenants(self) -> None:
        with contextlib.suppress(StoreUnavailable):  # then the next look does it
            self._store.refresh_tenants()

    async def _listen(self, public: PublicApp, on_started: Callable[[], None]) -> None:
        def announce() -> None:
            self._log.info("started", url=self._settings.base_url(self._listening.getsockname()[1]))
            on_started()

        # uvicorn raises the signal again when it is done; it has done what it asked for.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        await _Announcing(self._uvicorn(public), announce).serve(sockets=[self._listening])

    def _uvicorn(self, public: PublicApp) -> uvicorn.Config:
        trusted = [str(network) for network in self._settings.trusted_proxies]
        application: Any = ProxyHeadersMiddleware(public, trusted_hosts=trusted) if trusted else public  # type: ignore[arg-type]
        return uvicorn.Config(
            application,
            http=self._http_protocol(),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=self._settings.shutdown_grace_s,
        )

    def _http_protocol(self) -> type[GuardedHttpProtocol]:
        log = self._log

        class HttpProtocol(GuardedHttpProtocol):
            connections_max = self._settings.connections_max

            @staticmethod
            def tell(request_id: str, status: int, description: str, address: str) -> None:
                error = Refusal.UNAVAILABLE.error if status == _NO_ROOM else Refusal.INVALID_REQUEST.error
                log.info(
                    "refused",
                    request_id=request_id,
                    status=status,
                    error=error,
                    detail=description,
                    address=address,
                )

        return HttpProtocol

    def _authenticator(self) -> Authenticator:
        settings = self._settings
        return Authenticator(
            clock=self._clock,
            passwords=self._passwords,
            client_secrets=ClientSecrets(self._keyring.pepper),
            remembered=Remembered(
                self._clock,
                ttl_s=settings.remember_passwords_s,
                entries_max=settings.remember_passwords_max,
            ),
            throttle=Throttle(
                self._clock,
                per_client_max=settings.login_failures_per_client_max,
                per_source_max=settings.login_failures_per_source_max,
            ),
            upgrade=self._upgrade_password,
            workers=settings.hash_workers,
            queue_max=settings.hash_queue_max,
        )

    def _read(self, sids: Sequence[bytes]) -> list[Read]:
        now_ms, sessions = self._store.read_sessions(sids)
        return [(now_ms, sessions.get(sid)) for sid in sids]

    def _upgrade_password(self, tenant: Tenant, user: User, password: str) -> None:
        assert user.password_hash is not None
        new = self._passwords.hash(password)
        with contextlib.suppress(StoreUnavailable):  # then the next good login does it
            keep_password_hash(self._store, tenant.id, user.initials, old=user.password_hash, new=new)

    def _doubt(self) -> None:
        self._is_writable = False

    def _is_ready(self) -> bool:
        return self._is_writable and self._clock.now_ms() - self._answered_at_ms < 8 * LOOK_EVERY_S * 1000

    async def _keep_house(self, public: PublicApp, commits: Committing, authenticator: Authenticator) -> None:
        await asyncio.gather(
            self._every(LOOK_EVERY_S, "look", partial(self._look, public)),
            self._every(SWEEP_EVERY_S, "sweep", partial(self._sweep, commits)),
            self._every(NOTE_EVERY_S, "note_node", self._note_node),
            self._every(LOOK_EVERY_S, "note_node", self._dispel_doubt),
            self._every(UPKEEP_EVERY_S, "upkeep", partial(asyncio.to_thread, self._store.upkeep)),
            self._every(WRITE_DOWN_EVERY_S, "write_down", partial(self._write_down, authenticator)),
        )

    async def _every(self, seconds: float, what: str, work: Callable[[], Any]) -> None:
        """Do this again and again; a fault is logged once, until it works again or fails another way."""
        told = ""
        while True:
            try:
                await work()
                told = ""
            except Exception as fault:  # noqa: BLE001 - the house is kept whatever happens
                detail = f"{type(fault).__name__}: {fault}"
                if detail != told:
                    expected = isinstance(fault, StoreUnavailable | QueueFull | KeyringUnusable)
                    bug = None if expected else fault
                    self._log.error("housekeeping_failed", what=what, detail=detail, exc_info=bug)
                told = detail
            await asyncio.sleep(seconds)

    async def _look(self, public: PublicApp) -> None:
        await asyncio.to_thread(self._probe)
        self._answered_at_ms = self._clock.now_ms()
        seen = _modified(self._keyring_path)
        is_changed = seen != self._keyring_seen
        if is_changed:
            self._keyring = await asyncio.to_thread(read_keyring, self._keyring_path)
            self._keyring_seen = seen
            self._log.info("keys_changed", keys=len(self._keyring.token_keys))
        public.tokens = self._tokens()
        if is_changed:  # `licet check` should not take it for a difference between nodes.
            await self._note_node()

    def _tokens(self) -> Tokens:
        return Tokens(self._keyring, self._keyring.signing(self._clock.now_ms()))

    def _probe(self) -> None:
        self._store.refresh_tenants()
        self._store.probe()

    async def _dispel_doubt(self) -> None:
        """A store that answers questions may still take nothing in: a full disk, a standby that is gone."""
        if not self._is_writable:
            await self._note_node()

    async def _note_node(self) -> None:
        port = self._listening.getsockname()[1]
        node = Node(
            id=self._node_id,
            name=f"{socket.gethostname()}:{port}",
            version=self._version,
            schema=HEAD,
            url=self._settings.base_url(port),
            token_keys=key_marks(self._keyring),
            pepper=fingerprint(self._keyring.pepper),
        )
        await asyncio.to_thread(note_node, self._store, node, self._wall_ms)
        self._is_writable = True

    async def _sweep(self, commits: Committing) -> None:
        if not self._store.keeps_house():
            return
        sessions_max = self._settings.sweep_sessions_max
        while True:
            swept = await commits.submit(Sweep(sessions_max=sessions_max))
            assert isinstance(swept, Swept)
            if swept.sessions < sessions_max:
                return

    async def _write_down(self, authenticator: Authenticator) -> None:
        await self._note_secrets(authenticator)
        if not self._store.keeps_house():
            return
        keep_ms = self._settings.journal_retention_days * DAY_MS
        while await asyncio.to_thread(remove_aged, self._store, keep_ms):
            pass

    async def _note_secrets(self, authenticator: Authenticator) -> None:
        used = authenticator.secrets_used.copy()
        if used:
            await asyncio.to_thread(note_secrets_used, self._store, used)
        for secret_id, at_ms in used.items():
            if authenticator.secrets_used[secret_id] == at_ms:
                del authenticator.secrets_used[secret_id]


class _Announcing(uvicorn.Server):
    """uvicorn's server, which says when it listens."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._announce()


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0  # Reading it says why.
