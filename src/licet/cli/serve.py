"""`licet serve`: run the server on a data directory."""

import asyncio
import ipaddress
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from licet.app import AddressInUse, Server, bind
from licet.cli.console import Data, opened, store_of
from licet.cli.errors import WrongUse
from licet.settings import Settings, load_settings
from licet.web.logs import configure_logs

Host = Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="Where to listen: 127.0.0.1.")]
Port = Annotated[
    int | None, typer.Option("--port", metavar="N", help="Its port: 8080; 0 takes any free one.")
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


def serve(*, host: Host = None, port: Port = None, config: Config = None, data: Data = None) -> None:
    """Run the server until it is told to stop (SIGTERM, or Ctrl-C).

    What is under way is then answered, and the last batch committed. All settings are in
    docs/reference/configuration.md.

    Example: [bold]licet serve --data /var/lib/licet --port 8080[/]
    """
    settings = load_settings(config, overrides={"host": host, "port": port, "data": data})
    with opened(store_of(settings)):
        pass  # The same errors, with what to do, as every other verb.
    run(settings)


def run(settings: Settings, on_started: Callable[[int], None] = lambda _: None) -> None:
    """Serve with these settings; `on_started` gets the port that was bound.

    Raises WrongUse, StoreUnavailable, SchemaOutdated, KeyringUnusable.
    """
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    log = configure_logs(level=settings.log_level, as_json=as_json)
    try:
        listening = bind(settings.host, settings.port)
    except AddressInUse as fault:
        raise WrongUse(f"{fault}; choose another with --port") from None
    with listening:
        server = Server(settings, listening, log)
        if not _is_private(settings):
            log.warning(
                "no_tls", detail="secrets and tokens travel in clear: put TLS in front, set public_url"
            )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.run(lambda: on_started(listening.getsockname()[1])))


def _is_private(settings: Settings) -> bool:
    """Whether nothing leaves this machine in clear."""
    if settings.base_url().startswith("https://"):
        return True
    try:
        return ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        return settings.host == "localhost"
