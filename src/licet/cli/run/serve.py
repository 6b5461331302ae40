"""Runs `licet serve`: the server of a data directory."""

import asyncio
import ipaddress
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from socket import socket
from typing import Annotated

import typer

from licet.cli.errors import WrongUse
from licet.cli.options import Data
from licet.cli.stores import opened, store_of
from licet.platforms.loops import new_event_loop
from licet.server.sockets import AddressInUse, bind
from licet.server.wiring import Server
from licet.settings.load import load_settings
from licet.settings.model import Settings
from licet.telemetry.logs import configure_logs
from licet.web.http.certificate import CertificateUnusable

Host = Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="Where to listen: 127.0.0.1.")]
Port = Annotated[
    int | None, typer.Option("--port", metavar="N", help="Its port: 8080; 0 takes any free one.")
]
AdminPort = Annotated[
    int | None,
    typer.Option("--admin-port", metavar="N", help="The dashboard's port: 8081; 0 takes any free one."),
]
TlsCertificate = Annotated[
    Path | None,
    typer.Option("--tls-certificate", metavar="FILE", help="Speak TLS: the certificate, in PEM."),
]
TlsKey = Annotated[
    Path | None, typer.Option("--tls-key", metavar="FILE", help="The key of the certificate, in PEM.")
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        envvar="LICET_CONFIG",
        help="The settings: licet.toml in the data directory.",
    ),
]


def serve(
    *,
    host: Host = None,
    port: Port = None,
    admin_port: AdminPort = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Run the server until SIGTERM or Ctrl-C.

    It then answers the requests under way, and commits the last batch. All settings are in
    docs/reference/configuration.md.

    Example: [bold]licet serve --data /var/lib/licet --port 8080[/]
    """
    overrides = {"host": host, "port": port, "admin_port": admin_port, "data": data}
    overrides |= {"tls_certificate": tls_certificate, "tls_key": tls_key}
    settings = load_settings(config, overrides=overrides)
    with opened(store_of(settings)):
        pass  # The same errors, with the same advice, as every other verb.
    run(settings)


def run(
    settings: Settings,
    on_started: Callable[[int, int | None], None] = lambda *_: None,
    *,
    loads_dashboard: bool = False,
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
            server = Server(settings, listening, log, admin_listening=admin, loads_dashboard=loads_dashboard)
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
        ports = (listening.getsockname()[1], admin.getsockname()[1] if admin else None)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(server.run(lambda: on_started(*ports)))


def _bound(host: str, port: int, advice: str) -> socket:
    try:
        return bind(host, port)
    except AddressInUse as fault:
        raise WrongUse(f"{fault}; {_OTHER_HOST if fault.is_foreign else advice}") from None


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
