"""Serves with the settings of a data directory until a signal ends it: what `licet serve` and `demo` do."""

import asyncio
import ipaddress
import sys
from collections.abc import Callable
from contextlib import ExitStack
from socket import socket

from licet.cli.errors import WrongUse
from licet.cli.stores import advising, store_of
from licet.lanes.begun import Begun
from licet.platforms.loops import new_event_loop
from licet.platforms.processes import open_files_max
from licet.server.sockets import AddressInUse, bind
from licet.server.wiring import Server
from licet.settings.model import Settings
from licet.telemetry.logs import configure_logs
from licet.web.http.certificate import CertificateUnusable


def run(
    settings: Settings,
    on_started: Callable[[int, int | None], None] = lambda *_: None,
    *,
    loads_dashboard: bool = False,
    begun: Begun | None = None,
) -> None:
    """Serve with these settings; `on_started` gets the ports that were bound, None for no admin listener.

    `loads_dashboard`: at the start, for who opens it at once; else its first page takes a moment.
    Raises WrongUse, StoreUnavailable, SchemaOutdated, KeyringUnusable.
    """
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    log = configure_logs(level=settings.log_level, as_json=as_json)
    with ExitStack() as bound:
        listening = bound.enter_context(_bound(settings.host, settings.port, "choose another with --port"))
        admin = bound.enter_context(_bound_for_admin(settings)) if settings.admin else None
        try:
            with advising(store_of(settings)):  # the same advice as by every other verb
                server = Server(
                    settings,
                    listening,
                    log,
                    admin_listening=admin,
                    loads_dashboard=loads_dashboard,
                    begun=begun,
                )
        except CertificateUnusable as unusable:
            raise WrongUse(str(unusable)) from None
        if not _is_private(settings.base_url(), settings.host):
            log.warning(
                "no_tls",
                detail=f"secrets and tokens travel in clear: {_TLS} public_url",
            )
        for problem, advice in store_of(settings).weaknesses():
            log.warning("no_tls", detail=f"the connection to the database is not secure: {problem}; {advice}")
        if admin is not None and not _is_private(settings.admin_base_url(), settings.admin_host):
            log.warning(
                "no_tls",
                detail=f"administrators' passwords travel in clear: {_TLS} admin_url",
            )
        wanted = settings.connections_max + _OTHER_FILES
        if (allowed := open_files_max(wanted)) < wanted:
            log.warning(
                "few_open_files",
                detail=f"{allowed} open files are allowed, and connections_max wants {wanted}: {_MORE_FILES}",
            )
        ports = (listening.getsockname()[1], admin.getsockname()[1] if admin else None)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(server.run(lambda: on_started(*ports)))


def _bound(host: str, port: int, advice: str) -> socket:
    try:
        return bind(host, port)
    except AddressInUse as fault:
        raise WrongUse(f"{fault}; {_OTHER_HOST if fault.is_foreign else advice}") from None


_OTHER_FILES = 192  # those that are turned away, the admin listener's, and some 30 of the store
_MORE_FILES = "raise LimitNOFILE or `ulimit -n`, or lower connections_max"
_TLS = "set tls_certificate, or put TLS in front and set"
_OTHER_HOST = (
    "choose an address of this machine with --host (of the dashboard: admin_host), or 0.0.0.0 for all"
)


def _bound_for_admin(settings: Settings) -> socket:
    advice = "choose another for the dashboard with --admin-port; licet serve can do without: admin = false"
    return _bound(settings.admin_host, settings.admin_port, advice)


def _is_private(url: str, host: str) -> bool:
    """Whether nothing leaves this machine unencrypted."""
    if url.startswith("https://"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
