"""glewlwyd from Debian's packages, on PostgreSQL."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx

from bench.peers.contract import SECRET, Peer, Work, Works, form_rows, grant_rows, granted, live, shuffled
from bench.peers.running import (
    INSTALLED,
    POSTGRES_WORDS,
    Database,
    answers,
    copy_rows,
    count,
    free_ports,
    fresh,
    keep,
    kept,
    postgres,
    run,
    running,
    scratch,
    tool,
)

NAME = "glewlwyd"
NEEDS = ("apt-get", "dpkg")
SETTINGS = f"""\
Debian's package, with its OpenID Connect plugin. {POSTGRES_WORDS}; its only connection. Each of two tables
of clients without an index gets one. Tokens are signed with HMAC (HS256), its cheapest algorithm. Secrets are
the property `client_secret`, which it stores and compares in clear, because it would hash a password in the
database. Log level error. Each client introspects its own tokens, because others are not allowed. The plugin
and the clients are rows made in SQL, because its administrative interface is for a browser."""
_GRANT = {"grant_type": "client_credentials", "scope": "bench"}  # a grant without a scope is refused
_HERE = Path(__file__).parent
_PLUGIN = {
    "iss": "http://127.0.0.1/",
    "jwt-type": "sha",
    "jwt-key-size": "256",
    "key": SECRET,
    "access-token-duration": 1200,
    "allow-non-oidc": True,
    "auth-type-client-enabled": True,
    "introspection-revocation-allowed": True,
    "introspection-revocation-allow-target-client": True,
}
_CLIENT_MODULE = {
    "use-glewlwyd-connection": True,
    "data-format": {
        "authorization_type": {"multiple": True, "read": True, "write": True},
        "client_secret": {"multiple": False, "read": True, "write": True},
        "token_endpoint_auth_method": {"multiple": True, "read": True, "write": True},
    },
}


def install() -> None:
    """Fetch the package and its missing dependencies, without changing the system."""
    directory = fresh(NAME)
    packages = directory / "packages"
    (packages / "partial").mkdir(parents=True)
    fetch = [tool("apt-get"), "install", "--yes", "--quiet", "--download-only", "--no-install-recommends"]
    run([*fetch, "-o", f"Dir::Cache::archives={packages}", NAME])
    for package in packages.glob("*.deb"):
        run([tool("dpkg"), "--extract", package, directory / "root"])
    [own] = packages.glob(f"{NAME}_*.deb")
    keep(directory, run([tool("dpkg-deb"), "--field", own, "Version"]).strip())


def peers() -> list[Peer]:
    """Its one set-up, if it is installed."""
    version = kept(NAME)
    if version is None:
        return []
    durable = "a row for every access token and one for its scope, in PostgreSQL, each synced at commit"
    return [Peer(NAME, version, SETTINGS, durable, _start, granted)]


@contextmanager
def _start(clients: int) -> Iterator[Works]:
    root = INSTALLED / NAME / "root"
    with scratch() as directory, postgres() as server:
        server.create_database("glewlwyd")
        _set_up(server, root, clients)
        [port] = free_ports(1)
        configuration = Path(directory) / "glewlwyd.conf"
        template = (_HERE / "glewlwyd.conf").read_text(encoding="utf-8")
        configuration.write_text(
            template.format(port=port, modules=root / "usr/lib/glewlwyd", database_port=server.port),
            encoding="utf-8",
        )
        url = f"http://127.0.0.1:{port}"
        env = {
            "LD_LIBRARY_PATH": ":".join(str(path) for path in sorted((root / "usr/lib").glob("*-linux-gnu*")))
        }
        command: list[str | Path] = [root / "usr/bin/glewlwyd", f"--config-file={configuration}"]
        with running(command, partial(_ready, url), env=env):
            grant = Work(url, grant_rows("/api/oidc/token", clients, _GRANT), granted)
            yield Works(
                url,
                grant,
                partial(_introspect, clients),
                stored=partial(count, server, "glewlwyd", "gpo_access_token"),
                database_pid=server.pid,
            )


def _ready(url: str) -> None:
    httpx.get(f"{url}/api/oidc/.well-known/openid-configuration").raise_for_status()


def _set_up(server: Database, root: Path, clients: int) -> None:
    """Create the tables, the plugin, a scope, and one client whose rows are copied for all others."""
    tables = root / "usr/share/dbconfig-common/data/glewlwyd/install/pgsql"
    rows = (_HERE / "rows.sql").read_text(encoding="utf-8")
    filled = rows.format(plugin=json.dumps(_PLUGIN), client_module=json.dumps(_CLIENT_MODULE), secret=SECRET)
    server.execute(tables.read_text(encoding="utf-8"), "glewlwyd")
    server.execute(filled, "glewlwyd")
    for table, changes in (
        ("g_client", {"gc_id": "1 + n", "gc_client_id": "'client' || n"}),
        ("g_client_scope_client", {"gcsu_id": "1 + n", "gc_id": "1 + n"}),
        ("g_client_property", {"gcp_id": "3 * n + row.gcp_id", "gc_id": "1 + n"}),
    ):
        copy_rows(server, "glewlwyd", table, changes, clients)


def _introspect(clients: int, grant: Work) -> Work:
    tokens = answers(grant)
    forms = [
        (client, {"token": answer["access_token"]})
        for client, answer in zip(shuffled(clients), tokens, strict=False)
    ]
    return Work(grant.url, form_rows("/api/oidc/introspect", forms), live)
