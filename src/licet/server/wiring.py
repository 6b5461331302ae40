"""Wires a server: makes clock, store, lanes and listeners of the settings, and ends them in order.

Only this module knows all of them. It does nothing by itself: the listeners answer requests, and `upkeep.py`
does the work beside them.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from importlib.metadata import version

from licet.clock import Clock, SystemClock, wall_ms
from licet.credentials.generated import ClientSecrets
from licet.credentials.keyring import FILE_NAME as KEYRING_NAME
from licet.credentials.passwords import Passwords, Remembered
from licet.lanes.begun import COMMAND as COMMITTER
from licet.lanes.begun import Begun
from licet.lanes.process_main import spare_the_collector
from licet.lanes.thread import Lane
from licet.log import Log
from licet.model import Tenant, User
from licet.platforms.loops import watches_sockets
from licet.platforms.processes import STOP_SIGNALS
from licet.server.admin import AdminListener
from licet.server.commits import Commits, process_of, thread_of
from licet.server.keys import Keys
from licet.server.latest_setup import LatestSetup
from licet.server.node import ThisNode
from licet.server.parts import Parts
from licet.server.public import PublicServer, per_source_max, public_config
from licet.server.upkeep import Upkeep
from licet.settings.model import Settings
from licet.store.errors import StoreUnavailable
from licet.store.opening import StoreAt
from licet.telemetry.measures import Measures
from licet.telemetry.traces import begin as begin_traces
from licet.web.authentication import Authenticator
from licet.web.forwarded import behind_proxies
from licet.web.http.certificate import Certificate
from licet.web.log_rate_limit import LogRateLimit
from licet.web.public import PublicApp
from licet.web.recording import Recorder
from licet.web.request import Answering
from licet.web.sessions_read import Read, StartedRead, reads_of
from licet.web.tarpit import Tarpit
from licet.web.throttle import Throttle
from licet.web.waiting import WaitingRequests


class Server:
    """One running Licet: construct it and `await run()`, which returns when the server has ended.

    `loads_dashboard`: at the start, and not at the first request to it. `begun` will commit, where it runs
    already. The constructor raises StoreUnavailable, SchemaOutdated, KeyringUnusable, CertificateUnusable.
    """

    def __init__(
        self,
        settings: Settings,
        listening: socket.socket,
        log: Log,
        clock: Clock | None = None,
        committer: Sequence[str] = COMMITTER,
        *,
        admin_listening: socket.socket | None = None,
        loads_dashboard: bool = False,
        begun: Begun | None = None,
    ) -> None:
        self._begun = begun
        self._loads_dashboard = loads_dashboard
        self._settings = settings
        self._listening = listening
        self._admin_listening = admin_listening
        self._log = log
        self._committer = committer
        self._version = version("licet")
        port = listening.getsockname()[1]
        self._public_url = settings.base_url(port)
        self._certificate = self._certificate_of(settings)
        self._store_at = StoreAt(settings.data, settings.store_url())
        self._store = self._store_at.open(clock or SystemClock(), writes_soon=True)
        try:
            self._keys = Keys(settings.data / KEYRING_NAME, self._public_url)
        except BaseException:
            self._store.close()
            raise
        self._clock = self._store.clock
        self._latest_setup = LatestSetup(self._store.refresh_tenants)
        self._node = ThisNode(
            self._store,
            self._keys,
            version=self._version,
            url=self._public_url,
            port=port,
            wall_ms=clock.now_ms if clock else wall_ms,
        )
        self._is_asked_to_stop = False
        self._measures = Measures()
        self._refusals = LogRateLimit(log)
        self._traces = begin_traces(os.environ, self._version, log)
        self._passwords = Passwords(
            memory_kib=settings.hash_memory_mib * 1024, time_cost=settings.hash_time_cost
        )

    async def run(self, on_started: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM or SIGINT; then answer requests under way and commit the last batch."""
        # From now on, and not by an exception: one that is raised within the event loop may be lost. uvicorn
        # looks for signals as soon as it serves, and raises them again at its end.
        for number in STOP_SIGNALS:
            signal.signal(number, self._note_stop)
        parts = await self._parts()
        await parts.authenticator.recall(self._store)
        public = self._public(parts)
        spare_the_collector()
        self._store.watch()
        # A node that answers has its row: `licet migrate --finish` relies on it.
        with contextlib.suppress(StoreUnavailable):
            await self._node.note()
        upkeep = Upkeep(parts, public.endpoints)
        keeping_up = asyncio.create_task(upkeep.run())
        try:
            await self._listen(public, parts, on_started)
        finally:
            keeping_up.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping_up
            await upkeep.close()
            await parts.waiting.ended()
            await self._latest_setup.close()
            await parts.commits.close()
            await parts.reads.close()
            with contextlib.suppress(StoreUnavailable):
                await parts.recorder.write_down(self._store)
                await upkeep.note_used()
                await self._node.remove()
            parts.authenticator.close()
            if self._traces is not None:
                await self._traces.close()
            self._store.close()
            self._refusals.report()
            self._log.info("stopped")

    async def _parts(self) -> Parts:
        listening = self._admin_listening
        return Parts(
            settings=self._settings,
            version=self._version,
            public_url=self._public_url,
            certificate=self._certificate,
            dashboard_url=self._settings.admin_base_url(listening.getsockname()[1]) if listening else "",
            log=self._log,
            refusals=self._refusals,
            measures=self._measures,
            keys=self._keys,
            store=self._store,
            node=self._node,
            recorder=Recorder(self._clock, ClientSecrets(self._keys.pepper), self._measures.failures),
            passwords=self._passwords,
            authenticator=self._authenticator(),
            commits=await self._commits(),
            reads=Lane(
                self._read,
                name="licet-read",
                queue_max=self._settings.queue_commands_max,
                answer_within_s=self._store.differences.answer_within_s,
                start=self._start_reading if watches_sockets(asyncio.get_running_loop()) else lambda _: None,
            ),
            waiting=WaitingRequests(
                self._store,
                waiting_max=min(self._settings.waiting_requests_max, self._settings.connections_max // 2),
                per_source_max=per_source_max(self._settings),
                measures=self._measures,
                log=self._log,
                store_failed=self._node.store_failed,
            ),
        )

    # Deciding and reading

    async def _commits(self) -> Commits:
        if not self._settings.commit_process:
            return thread_of(self._store, self._settings, self._measures)
        return await process_of(
            self._store,
            self._settings,
            self._measures,
            at=self._store_at,
            command=self._committer,
            log=self._log,
            begun=self._begun,
        )

    def _read(self, sids: Sequence[bytes]) -> list[Read]:
        return reads_of(sids, self._store.read_sessions(sids))

    def _start_reading(self, sids: Sequence[bytes]) -> StartedRead | None:
        reading = self._store.start_reading(sids)
        return None if reading is None else StartedRead(sids, reading)

    # Authentication

    def _authenticator(self) -> Authenticator:
        settings = self._settings
        made = Authenticator(
            clock=self._clock,
            passwords=self._passwords,
            client_secrets=ClientSecrets(self._keys.pepper),
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

    def _upgrade_password(self, tenant: Tenant, user: User, password: str) -> None:
        from licet.setup.last_used import keep_password_hash  # noqa: PLC0415 - not before it answers

        assert user.password_hash is not None
        new = self._passwords.hash(password)
        with contextlib.suppress(StoreUnavailable):  # then the next successful authentication does it
            keep_password_hash(self._store, tenant.id, user.initials, old=user.password_hash, new=new)

    # The listeners

    def _certificate_of(self, settings: Settings) -> Certificate | None:
        certificate, key = settings.tls_certificate, settings.tls_key
        if certificate is None or key is None:
            return None
        return Certificate(certificate, key, changed=self._certificate_changed)

    def _certificate_changed(self, objection: str | None) -> None:
        if objection is None:
            self._log.info("certificate_renewed")
        else:
            self._log.error("certificate_unusable", detail=objection)

    def _public(self, parts: Parts) -> PublicApp:
        commits, reads = parts.commits, parts.reads
        if self._traces is not None:
            commits = self._traces.submitter(commits, "commit")
            reads = self._traces.submitter(reads, "read")
        return PublicApp(
            clock=self._clock,
            find_tenant=self._store.tenant,
            commits=commits,
            reads=reads,
            authenticator=parts.authenticator,
            tokens=self._keys.tokens(self._clock.now_ms()),
            public_url=self._public_url,
            trouble=lambda: parts.trouble,
            store_failed=self._node.store_failed,
            measures=self._measures,
            refusals=self._refusals,
            dashboard_url=parts.dashboard_url,
            tarpit=Tarpit(
                per_source_max=per_source_max(self._settings),
                waiting_max=self._settings.connections_max // 2,
            ),
            recorder=parts.recorder,
            waiting=parts.waiting,
            latest_setup=self._latest_setup,
        )

    def _note_stop(self, *_: object) -> None:
        self._is_asked_to_stop = True

    async def _listen(self, public: PublicApp, parts: Parts, on_started: Callable[[], None]) -> None:
        listening = self._admin_listening
        admin = None
        if listening is not None:
            admin = AdminListener(listening, parts, is_eager=self._loads_dashboard)

        def started() -> None:
            self._log.info("started", url=self._public_url)
            on_started()
            if admin is not None:
                admin.start()

        def stopping() -> None:
            parts.waiting.close()
            if admin is not None:
                admin.stop()

        # A span for each request takes a coroutine around it; what proxies say is kept with a request.
        quick = public if self._traces is None else None
        config = public_config(self._application(public), parts, quick)
        serving = PublicServer(
            config, self._certificate, started, stopping, is_asked_to_stop=lambda: self._is_asked_to_stop
        )
        try:
            await serving.serve(sockets=[self._listening])
        finally:
            if admin is not None:
                await admin.ended()

    def _application(self, public: Answering) -> Answering:
        """The public application, with traces and trusted proxies where they are set."""
        answering = public
        if self._traces is not None:
            answering = self._traces.application(answering, self._store.tenant)
        trusted = self._settings.trusted_proxies
        return behind_proxies(answering, [str(network) for network in trusted]) if trusted else answering
