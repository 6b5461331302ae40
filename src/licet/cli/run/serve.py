"""Runs `licet serve`: the server of a data directory.

It starts the process that commits first of all, where there is a processor for it. Only then it reads the
settings and imports the server: on two processors both import at the same time.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli.options import Data
from licet.lanes.begun import Begun, beginning
from licet.platforms.processes import HANDS_OVER_SOCKETS, processors

if TYPE_CHECKING:
    from licet.settings.model import Settings

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

    It then answers the open requests, and commits the last batch. All settings are in
    docs/reference/configuration.md.

    Example: [bold]licet serve --data /var/lib/licet --port 8080[/]
    """
    overrides = {"host": host, "port": port, "admin_port": admin_port, "data": data}
    overrides |= {"tls_certificate": tls_certificate, "tls_key": tls_key}
    with beginning() if HANDS_OVER_SOCKETS and processors() > 1 else nullcontext() as begun:
        from licet.settings.load import load_settings

        settings = load_settings(config, overrides=overrides)
        is_wanted = begun is not None and _told(begun, settings)
        from licet.cli.run.serving import run

        run(settings, begun=begun if is_wanted else None)


def _told(begun: Begun, settings: "Settings") -> bool:
    """Say to the process that has begun which store to expect, or end it where the settings want none."""
    if settings.commit_process:
        begun.expect(for_postgres=settings.store_url() is not None)
    else:
        begun.close()
    return settings.commit_process
