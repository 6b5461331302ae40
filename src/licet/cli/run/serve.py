"""Runs `licet serve`: the server of a data directory.

It starts the process that commits as soon as the settings are known, and imports the server only then: on two
processors both import at the same time.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from licet.cli.options import Data
from licet.lanes.begun import beginning

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
    from licet.settings.load import load_settings

    settings = load_settings(config, overrides=overrides)
    for_postgres = settings.store_url() is not None
    with beginning(for_postgres=for_postgres) if settings.commit_process else nullcontext() as begun:
        from licet.cli.run.serving import run

        run(settings, begun=begun)
