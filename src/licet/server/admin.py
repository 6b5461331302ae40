"""Starts and ends the admin listener beside the public one, in the same event loop.

The rules:

- It starts when the public listener answers. Until then a connection to its port waits, because the port is
  bound already.
- The dashboard and the API are imported at the first request to them, in a thread: a grant never waits for
  FastAPI, and a server at which no administrator looks does without its memory. `is_eager` is for a server
  whose dashboard will be opened first of all.
- It ends with the server, and does not delay it: event streams are ended first.
- Where it fails, that is logged, and the public listener goes on.
"""

import asyncio
import contextlib
import gc
import importlib
import socket
from collections.abc import Iterator
from ipaddress import ip_network
from time import perf_counter
from typing import TYPE_CHECKING, Any

import uvicorn

from licet.lanes.process import Committer
from licet.server.late import Application, Late
from licet.server.parts import Parts
from licet.web.forwarded import Forwarded
from licet.web.http.connection import GuardedHttpProtocol
from licet.web.http.tls import GuardedServer
from licet.web.log_rate_limit import Kind

if TYPE_CHECKING:
    from licet.admin.context import AdminContext
    from licet.telemetry.metrics import Metrics

STARTS_AFTER_S = 0.1  # so that the first answers of the public listener are not delayed
WRITE_DOWN_EVERY_S = 30.0
STOPS_WITHIN_S = 5  # requests still under way then are cut off


class AdminListener:
    """The admin listener of one server, made of its parts."""

    def __init__(self, listening: socket.socket, parts: Parts, *, is_eager: bool = False) -> None:
        self._listening = listening
        self._is_eager = is_eager
        self._parts = parts
        self._trusted_proxies = [str(network) for network in parts.settings.trusted_proxies]
        self._log = parts.log
        self._late = Late(self._application, parts.log)
        self._context: AdminContext | None = None
        self._server: _Quiet | None = None
        self._serving: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._noting: asyncio.Task[None] | None = None
        self._is_stopping = False

    def start(self) -> None:
        """Begin to serve, in a moment."""
        self._serving = asyncio.create_task(self._serve())

    def stop(self) -> None:
        """Let streams end and take no more requests; `ended` waits for the last of them."""
        self._is_stopping = True
        if self._context is not None:
            self._context.closing.set()
        if self._server is not None:
            self._server.should_exit = True

    async def ended(self) -> None:
        """Return when no request is under way any more."""
        self.stop()
        if self._serving is not None:
            if self._server is None:  # It was never started.
                self._serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._serving
        await self._late.settled()
        if self._noting is not None:
            self._noting.cancel()
        if self._context is not None:
            await self._context.close()
        self._listening.close()

    async def _serve(self) -> None:
        try:
            await asyncio.sleep(STARTS_AFTER_S)
            config = await asyncio.to_thread(self._configured)
            if not self._is_stopping:
                self._server = _Quiet(config, self._parts.certificate)
                self._log.info("admin_started", url=self._parts.dashboard_url)
                if self._is_eager:
                    self._preparing = asyncio.create_task(self._late.prepare())
                await self._server.serve(sockets=[self._listening])
        except Exception as fault:  # noqa: BLE001 - grants go on without it
            self._log.error("admin_listener_failed", exc_info=fault)

    async def _application(self) -> Application:
        """The dashboard and the API; importing them is done in a thread."""
        began_s = perf_counter()
        await asyncio.to_thread(importlib.import_module, "licet.admin.app")
        from licet.admin.app import admin_application  # noqa: PLC0415 - not before a request needs it

        context = _context(self._parts)
        try:
            made = await asyncio.to_thread(admin_application, context)
        except BaseException:
            await context.close()
            raise
        self._context = context
        if self._is_stopping:
            context.closing.set()
        gc.freeze()  # What exists now stays, and need not be scanned again and again.
        self._noting = asyncio.create_task(self._note_keys_used(context))
        self._log.info("admin_loaded", took_s=round(perf_counter() - began_s, 3))
        return made

    async def _note_keys_used(self, context: "AdminContext") -> None:
        """Write now and then which API keys were used."""
        while True:
            await asyncio.sleep(WRITE_DOWN_EVERY_S)
            await context.write_down()

    def _configured(self) -> uvicorn.Config:
        """How the application is served."""
        from licet.admin.http import KEEP_ALIVE_S  # noqa: PLC0415 - not before the public listener answers

        application: Any = self._late
        if self._trusted_proxies:
            application = Forwarded(application, self._trusted_proxies)
        config = uvicorn.Config(
            application,
            http=self._http_protocol(),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOPS_WITHIN_S,
        )
        config.load()
        return config

    def _http_protocol(self) -> type[GuardedHttpProtocol]:
        from licet.admin.http import AdminHttpProtocol, kind_of  # noqa: PLC0415 - as above

        refusals = self._parts.refusals

        class HttpProtocol(AdminHttpProtocol):
            limits = AdminHttpProtocol.limits._replace(
                trusted=tuple(ip_network(name) for name in self._trusted_proxies)
            )

            @staticmethod
            def report(request_id: str, status: int, description: str, address: str) -> None:
                kind = Kind("info", "admin_refused", status, kind_of(status))
                if refusals.admits(kind):
                    refusals.write(
                        kind,
                        request_id=request_id,
                        status=status,
                        problem=kind.error,
                        detail=description,
                        address=address,
                    )

        return HttpProtocol


def _context(parts: Parts) -> "AdminContext":
    """The context of the admin listener."""
    from licet.accounts.sign_ins import Lives  # noqa: PLC0415 - not before a request needs it
    from licet.admin.authentication import Access  # noqa: PLC0415 - not before the public listener answers
    from licet.admin.context import AdminContext  # noqa: PLC0415 - as above

    settings = parts.settings
    access = Access(
        store=parts.store,
        passwords=parts.passwords,
        hashing=parts.authenticator.hashing,
        pepper=parts.keys.pepper,
        log=parts.log,
        refusals=parts.refusals,
        recorder=parts.recorder,
        lives=Lives(idle_s=settings.admin_idle_s, longest_s=settings.admin_sign_in_s),
    )
    return AdminContext(
        store=parts.store,
        access=access,
        commits=parts.commits,
        passwords=parts.passwords,
        keyring_path=parts.keys.path,
        base_url=parts.dashboard_url,
        public_url=parts.public_url,
        webhook_http=settings.webhook_http,
        webhook_private=settings.webhook_private,
        by_mail=bool(settings.alert_mail_to),
        log=parts.log,
        refusals=parts.refusals,
        metrics=_metrics(parts),
        is_ready=lambda: parts.is_ready,
    )


def _metrics(parts: Parts) -> "Metrics":
    from licet.telemetry.metrics import Metrics, Queue  # noqa: PLC0415 - not before the public listener answers

    settings, commits, reads, authenticator = parts.settings, parts.commits, parts.reads, parts.authenticator
    certificate = parts.certificate
    return Metrics(
        store=parts.store,
        measures=parts.measures,
        queues={
            "commit": Queue(lambda: commits.queue_length, settings.queue_commands_max),
            "read": Queue(lambda: reads.queue_length, settings.queue_commands_max),
            "hash": Queue(lambda: authenticator.queue_length, authenticator.hashing.queue_max),
        },
        is_ready=lambda: parts.is_ready,
        commit_pid=(lambda: commits.pid) if isinstance(commits, Committer) else None,
        tenants_max=settings.metrics_tenants_max,
        build={"version": parts.version, "store": "postgres" if settings.store_url() else "sqlite"},
        is_public=settings.metrics_public,
        waiting=lambda: len(parts.waiting),
        certificate_expires_at_s=(lambda: certificate.expires_at_s) if certificate is not None else None,
    )


class _Quiet(GuardedServer):
    """A server beside another one, which handles the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the other server."""
        yield
