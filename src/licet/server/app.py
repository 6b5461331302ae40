"""The wiring of a server: settings in; clock, store, lanes and web application together; a listener out.

This is the only place that knows all of them. It also keeps house: it looks several times a second whether
the set-up or the keys changed, and clears away what has expired, off the path of any request.
"""

import asyncio
import contextlib
import errno
import os
import secrets
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import uvicorn

from licet.accounts.sign_ins import Lives
from licet.alerts.destinations import MailServer
from licet.alerts.sender import Alerting
from licet.clock import Clock, SystemClock, wall_ms
from licet.credentials.generated import ClientSecrets
from licet.credentials.jwt_access_tokens import JwtTokens
from licet.credentials.jwt_signing_keys import JwtKeys
from licet.credentials.keyring import FILE_NAME as KEYRING_NAME
from licet.credentials.keyring import KeyringUnusable, fingerprint, read_keyring
from licet.credentials.passwords import Passwords, Remembered
from licet.credentials.tokens import Tokens
from licet.credentials.webhook_signatures import WebhookSecrets
from licet.journal.folding import ENTRIES_MAX, fold_journal
from licet.journal.retention import SPENT_MAX, remove_aged, remove_history, remove_spent
from licet.journal.summary import summarise
from licet.lanes.commit import commit
from licet.lanes.contract import QueueFull
from licet.lanes.process import Committer
from licet.lanes.process_main import COMMAND as COMMITTER
from licet.lanes.process_main import spare_the_collector
from licet.lanes.process_main import start as start_committer
from licet.lanes.thread import Lane
from licet.ledger.commands import Command, Outcome, Sweep, Swept
from licet.model import Tenant, User
from licet.protocol.errors import Refusal
from licet.server.admin import AdminListener
from licet.settings.model import Settings
from licet.setup.last_used import keep_password_hash, note_keys_used, note_secrets_used
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable
from licet.store.migrate import HEAD
from licet.store.nodes import NOTE_EVERY_S, Node, key_marks, note_node, remove_node
from licet.store.opening import StoreAt
from licet.telemetry.measures import Measures
from licet.telemetry.traces import begin as begin_traces
from licet.web.authentication import Authenticator
from licet.web.forwarded import Forwarded
from licet.web.http.connection import GuardedHttpProtocol
from licet.web.http.connections import Limits, share_of
from licet.web.public import PublicApp, Read
from licet.web.recording import Recorder
from licet.web.refusals import Kind, LogRateLimit
from licet.web.tarpit import Tarpit
from licet.web.throttle import Throttle

if TYPE_CHECKING:
    from licet.admin.context import Desk
    from licet.telemetry.metrics import Metrics

Committing = Lane[Command, Outcome] | Committer
Reading = Lane[bytes, Read]
Used = TypeVar("Used")

LOOK_EVERY_S = 0.25  # a change of the set-up counts within a second, with room for a slow look
SWEEP_EVERY_S = 1.0
RECORD_EVERY_S = 1.0  # of failed authentications a crash loses so much
UPKEEP_EVERY_S = 5.0  # more often it would write the same pages again and again
FOLD_EVERY_S = 5.0  # so long a client in a loop adds to the disk
PAUSE_S = 0.02  # between two transactions that follow each other: grants have the store for most of the time
WRITE_DOWN_EVERY_S = 30.0
LOOK_FOR_ALERTS_EVERY_S = 5.0
SEND_ALERTS_EVERY_S = 1.0
PIECES_MAX = 1000  # of what is removed, in one turn; the history of a large tenant takes many turns
SUMMED_HOURS_MAX = 100  # in one turn; a year that was never summed is, within an hour
DAY_MS = 86_400_000

_NO_ROOM = 503  # what the listener answers when there are too many connections


class AddressInUse(Exception):
    """Nobody can listen there; the text says why. `is_foreign`: the address is not one of this machine."""

    is_foreign = False


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any that is free.

    Raises AddressInUse.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with ExitStack() as closing:
            listening = closing.enter_context(socket.socket(family, kind, protocol))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            # Only now the address is taken: two that start at once may both have bound it.
            listening.listen()
            closing.pop_all()
    except OSError as fault:
        refused = AddressInUse(f"cannot listen on {host} port {port}: {fault.strerror or fault}")
        refused.is_foreign = isinstance(fault, socket.gaierror) or fault.errno == errno.EADDRNOTAVAIL
        raise refused from None
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
        *,
        admin_listening: socket.socket | None = None,
    ) -> None:
        self._settings = settings
        self._committer = committer
        self._version_sought = 0
        self._is_writable = True  # as far as it is known; in doubt, it is written to
        self._looking: asyncio.Task[None] | None = None
        self._listening = listening
        self._port = listening.getsockname()[1]  # also when it is closed, and the house is still kept
        self._admin_listening = admin_listening
        self._log = log
        self._wall_ms = clock.now_ms if clock else wall_ms
        self._node_id, self._version = secrets.token_hex(8), version("licet")
        self._keyring_path = settings.data / KEYRING_NAME
        self._keyring = read_keyring(self._keyring_path)
        self._keyring_seen = _modified(self._keyring_path)
        self._jwt_keys = JwtKeys()
        self._store_at = StoreAt(settings.data, settings.store_url())
        self._store: Store = self._store_at.open(clock or SystemClock())
        self._clock = self._store.clock
        self._answered_at_ms = self._clock.now_ms()
        self._measures = Measures()
        self._refusals = LogRateLimit(log)
        self._recorder = Recorder(self._clock, ClientSecrets(self._keyring.pepper), self._measures.failures)
        self._per_source_max = settings.connections_per_source_max or share_of(settings.connections_max)
        self._traces = begin_traces(os.environ, self._version, log)
        self._passwords = Passwords(
            memory_kib=settings.hash_memory_mib * 1024, time_cost=settings.hash_time_cost
        )

    async def run(self, on_started: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM or SIGINT; then answer what is under way and commit the last batch."""
        settings = self._settings
        commits = await self._commits()
        reads: Reading = Lane(
            self._read,
            name="licet-read",
            queue_max=settings.queue_commands_max,
            answer_within_s=self._store.differences.answer_within_s,
        )
        authenticator = self._authenticator()
        await authenticator.recall(self._store)
        public = PublicApp(
            clock=self._clock,
            find_tenant=self._store.tenant,
            commits=self._traced(commits, "commit"),
            reads=self._traced(reads, "read"),
            authenticator=authenticator,
            tokens=self._tokens(),
            public_url=self._public_url(),
            is_ready=partial(self._is_ready, commits),
            store_failed=self._doubt,
            measures=self._measures,
            refusals=self._refusals,
            dashboard_url=self._dashboard_url(),
            tarpit=Tarpit(
                per_source_max=self._per_source_max,
                waiting_max=settings.connections_max // 2,
            ),
            recorder=self._recorder,
        )
        spare_the_collector()
        self._store.watch()
        # Who answers is known: `licet migrate --finish` counts on it.
        with contextlib.suppress(StoreUnavailable):
            await self._note_node()
        self._alerting = self._alerts()
        house = asyncio.create_task(self._keep_house(public, commits, authenticator))
        try:
            await self._listen(public, self._admin(commits, reads, authenticator), on_started)
        finally:
            house.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await house
            await self._alerting.close()
            await commits.close()
            await reads.close()
            with contextlib.suppress(StoreUnavailable):
                await self._recorder.write_down(self._store)
                await self._note_secrets(authenticator)
                await asyncio.to_thread(remove_node, self._store, self._node_id)
            authenticator.close()
            if self._traces is not None:
                await self._traces.close()
            self._store.close()
            self._refusals.report()
            self._log.info("stopped")

    async def _commits(self) -> Committing:
        """The commit lane: a process of its own where there is a processor for it, else a thread."""
        settings, within_s = self._settings, self._store.differences.answer_within_s
        if not settings.commit_process:
            return Lane(
                self._commit,
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
            tell=self._committer_ended,
            saw_version=self._must_not_lag,
            committed=self._measures.committed,
            queue_max=settings.queue_commands_max,
            answer_within_s=within_s,
        )
        try:
            await committer.open()
        except OSError as fault:  # no memory or no process to be had
            raise StoreUnavailable(f"the committing process cannot be started: {fault}") from None
        return committer

    def _commit(self, batch: Sequence[Command]) -> Sequence[Outcome | Exception]:
        """The commit of a lane in a thread; what happened, the server's own store counts."""
        began_s = perf_counter()
        try:
            return commit(self._store, batch)
        finally:
            self._measures.committed(len(batch), perf_counter() - began_s, {})

    def _committer_ended(self, why: str) -> None:
        self._measures.restarts += 1
        self._log.error("committing_process_ended", detail=why)

    def _must_not_lag(self, version: int) -> None:
        """What the committing process decides on, who proves a client should know as well."""
        if version > max(self._store.setup_version, self._version_sought):
            self._version_sought = version
            self._looking = asyncio.create_task(asyncio.to_thread(self._refresh_tenants))

    def _refresh_tenants(self) -> None:
        with contextlib.suppress(StoreUnavailable):  # then the next look does it
            self._store.refresh_tenants()

    async def _listen(
        self, public: PublicApp, admin: AdminListener | None, on_started: Callable[[], None]
    ) -> None:
        def announce() -> None:
            self._log.info("started", url=self._public_url())
            on_started()
            if admin is not None:
                admin.start()

        # uvicorn raises the signal again when it is done; it has done what it asked for.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        stop = admin.stop if admin is not None else lambda: None
        try:
            await _Announcing(self._uvicorn(public), announce, stop).serve(sockets=[self._listening])
        finally:
            if admin is not None:
                await admin.ended()

    def _admin(
        self, commits: Committing, reads: Reading, authenticator: Authenticator
    ) -> AdminListener | None:
        """The admin listener; None where it is switched off."""
        listening = self._admin_listening
        if listening is None:
            return None
        return AdminListener(
            listening,
            partial(self._desk, commits, reads, authenticator),
            trusted_proxies=self._trusted_proxies(),
            log=self._log,
        )

    def _desk(self, commits: Committing, reads: Reading, authenticator: Authenticator) -> "Desk":
        """What the admin listener works with."""
        from licet.admin.context import Desk  # noqa: PLC0415 - as above
        from licet.admin.sign_in import Access  # noqa: PLC0415 - not before the public listener answers

        access = Access(
            store=self._store,
            passwords=self._passwords,
            hashing=authenticator.hashing,
            pepper=self._keyring.pepper,
            log=self._log,
            refusals=self._refusals,
            recorder=self._recorder,
            lives=Lives(idle_s=self._settings.admin_idle_s, longest_s=self._settings.admin_sign_in_s),
        )
        return Desk(
            store=self._store,
            access=access,
            commits=commits,
            passwords=self._passwords,
            keyring_path=self._keyring_path,
            base_url=self._dashboard_url(),
            public_url=self._public_url(),
            webhook_http=self._settings.webhook_http,
            webhook_private=self._settings.webhook_private,
            log=self._log,
            refusals=self._refusals,
            metrics=self._metrics(commits, reads, authenticator),
        )

    def _metrics(self, commits: Committing, reads: Reading, authenticator: Authenticator) -> "Metrics":
        from licet.telemetry.metrics import Metrics, Queue  # noqa: PLC0415 - not before the public listener answers

        settings = self._settings
        return Metrics(
            store=self._store,
            measures=self._measures,
            queues={
                "commit": Queue(lambda: commits.queue_length, settings.queue_commands_max),
                "read": Queue(lambda: reads.queue_length, settings.queue_commands_max),
                "hash": Queue(lambda: authenticator.queue_length, authenticator.hashing.queue_max),
            },
            is_ready=partial(self._is_ready, commits),
            commit_pid=(lambda: commits.pid) if isinstance(commits, Committer) else None,
            tenants_max=settings.metrics_tenants_max,
            build={"version": self._version, "store": "sqlite" if self._store_at.url is None else "postgres"},
            is_public=settings.metrics_public,
        )

    def _trusted_proxies(self) -> list[str]:
        return [str(network) for network in self._settings.trusted_proxies]

    def _uvicorn(self, public: PublicApp) -> uvicorn.Config:
        trusted = self._trusted_proxies()
        application: Any = public
        if self._traces is not None:
            application = self._traces.application(public, self._store.tenant)
        if trusted:
            application = Forwarded(application, trusted)
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
        refusals, measures, settings = self._refusals, self._measures, self._settings
        per_source_max = self._per_source_max

        class HttpProtocol(GuardedHttpProtocol):
            limits = Limits(
                connections_max=settings.connections_max,
                per_source_max=per_source_max,
                trusted=settings.trusted_proxies,
            )

            @staticmethod
            def tell(request_id: str, status: int, description: str, address: str) -> None:
                measures.refused(status)
                error = Refusal.UNAVAILABLE.error if status == _NO_ROOM else Refusal.INVALID_REQUEST.error
                kind = Kind("info", "refused", status, error)
                if refusals.admits(kind):
                    refusals.write(
                        kind,
                        request_id=request_id,
                        status=status,
                        error=error,
                        detail=description,
                        address=address,
                    )

        return HttpProtocol

    def _traced(self, lane: Any, name: str) -> Any:
        return lane if self._traces is None else self._traces.submitter(lane, name)

    def _authenticator(self) -> Authenticator:
        settings = self._settings
        made = Authenticator(
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
            hashed=self._measures.hashed,
        )
        if self._traces is not None:
            made.hashing = self._traces.hashing(made.hashing)
        return made

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

    def _is_ready(self, commits: Committing) -> bool:
        silent_ms = self._clock.now_ms() - self._answered_at_ms
        return commits.is_open and self._is_writable and silent_ms < 8 * LOOK_EVERY_S * 1000

    async def _keep_house(self, public: PublicApp, commits: Committing, authenticator: Authenticator) -> None:
        await asyncio.gather(
            self._every(LOOK_EVERY_S, "look", partial(self._look, public)),
            self._every(SWEEP_EVERY_S, "sweep", partial(self._sweep, commits)),
            self._every(NOTE_EVERY_S, "note_node", self._note_node),
            self._every(LOOK_EVERY_S, "note_node", self._dispel_doubt),
            self._every(RECORD_EVERY_S, "record", partial(self._recorder.write_down, self._store)),
            self._every(UPKEEP_EVERY_S, "upkeep", partial(asyncio.to_thread, self._store.upkeep)),
            self._every(FOLD_EVERY_S, "fold_journal", self._fold_journal),
            self._every(WRITE_DOWN_EVERY_S, "write_down", partial(self._write_down, authenticator)),
            self._every(LOOK_FOR_ALERTS_EVERY_S, "look_for_alerts", self._alerting.look),
            self._every(SEND_ALERTS_EVERY_S, "send_alerts", self._alerting.send),
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
        tokens = self._tokens()
        if tokens.made_with != public.tokens.made_with:  # else they go on, with what they remember
            public.tokens = tokens
        if is_changed:  # `licet check` should not take it for a difference between nodes.
            await self._note_node()

    def _tokens(self) -> Tokens:
        now_ms = self._clock.now_ms()
        jwts = JwtTokens(self._jwt_keys, self._keyring, self._public_url(), now_ms)
        return Tokens(self._keyring, self._keyring.signing(now_ms), jwts)

    def _dashboard_url(self) -> str:
        """How administrators reach the dashboard; '' where there is none."""
        listening = self._admin_listening
        return "" if listening is None else self._settings.admin_base_url(listening.getsockname()[1])

    def _public_url(self) -> str:
        return self._settings.base_url(self._port)

    def _probe(self) -> None:
        self._store.refresh_tenants()
        self._store.probe()

    async def _dispel_doubt(self) -> None:
        """A store that answers questions may still take nothing in: a full disk, a standby that is gone."""
        if not self._is_writable:
            await self._note_node()

    async def _note_node(self) -> None:
        port = self._port
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

    async def _fold_journal(self) -> None:
        while self._store.keeps_house():
            if await asyncio.to_thread(fold_journal, self._store) < ENTRIES_MAX:
                return
            await asyncio.sleep(PAUSE_S)

    def _alerts(self) -> Alerting:
        settings = self._settings
        return Alerting(
            store=self._store,
            secrets=WebhookSecrets(self._keyring.pepper),
            refused=settings.webhook_refused,
            http_allowed=settings.webhook_http,
            private_allowed=settings.webhook_private,
            mail_server=self._mail_server(),
            user_agent=f"Licet/{self._version}",
            log=self._log,
        )

    def _mail_server(self) -> MailServer | None:
        settings = self._settings
        if not settings.alert_mail_to:
            return None
        return MailServer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            security=settings.smtp_security,
            user=settings.smtp_user,
            password_file=settings.smtp_password_file,
            sender=settings.smtp_from,
            receivers=settings.alert_mail_to,
        )

    async def _write_down(self, authenticator: Authenticator) -> None:
        await self._note_secrets(authenticator)
        await self._remove_spent()
        if not self._store.keeps_house():
            return
        keep_ms = self._settings.journal_retention_days * DAY_MS
        keep_usage_ms = self._settings.usage_retention_days * DAY_MS
        for _ in range(SUMMED_HOURS_MAX):
            if not await asyncio.to_thread(summarise, self._store, keep_ms):
                break
            await asyncio.sleep(PAUSE_S)
        else:
            return  # What is not summed yet is not to be removed.
        for _ in range(PIECES_MAX):
            if not self._store.keeps_house():
                return
            removed = await asyncio.to_thread(remove_aged, self._store, keep_ms, keep_usage_ms)
            if not removed + await asyncio.to_thread(remove_history, self._store):
                return
            await asyncio.sleep(PAUSE_S)

    async def _remove_spent(self) -> None:
        while self._store.keeps_house():
            if await asyncio.to_thread(remove_spent, self._store) < SPENT_MAX:
                return
            await asyncio.sleep(PAUSE_S)

    async def _note_secrets(self, authenticator: Authenticator) -> None:
        await self._note_used(authenticator.secrets_used, note_secrets_used)
        await self._note_used(authenticator.keys_used, note_keys_used)

    async def _note_used(
        self, collected: dict[Used, int], note: Callable[[Store, Mapping[Used, int]], None]
    ) -> None:
        used = collected.copy()
        if used:
            await asyncio.to_thread(note, self._store, used)
        for it, at_ms in used.items():
            if collected[it] == at_ms:
                del collected[it]


class _Announcing(uvicorn.Server):
    """uvicorn's server, which says when it listens, and when it begins to stop."""

    def __init__(
        self, config: uvicorn.Config, announce: Callable[[], None], stopping: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._announce = announce
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and say so."""
        self._stopping()
        await super().shutdown(sockets)


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0  # Reading it says why.
