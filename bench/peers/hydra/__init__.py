"""Ory Hydra, built from its Go module, on PostgreSQL."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx

from bench.peers.contract import SECRET, Peer, Work, Works, client_name, form_rows, grant_rows, granted, live
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
    tool,
)

NAME = "hydra"
NEEDS = ("go",)
VERSION = "v2.3.0"
DURABLE = "a row for every access token, in PostgreSQL, synced at commit"
SETTINGS = f"""\
Built from the Go module without SQLite. {POSTGRES_WORDS}; up to 20 connections, because its default on a
small machine, two, makes requests wait. Production mode (not --dev), as behind a proxy that ends TLS, so
requests have X-Forwarded-Proto. Opaque tokens, the default. Log level error and telemetry off. Clients are
rows copied in SQL, because one call of the administrative interface for each would take long."""
_CONNECTIONS = 20
_PROXIED = {"X-Forwarded-Proto": "https"}
_HERE = Path(__file__).parent


def install() -> None:
    """Build the program."""
    directory = fresh(NAME)
    for source in ("go.mod", "go.sum", "main.go"):
        shutil.copy(_HERE / source, directory)
    flags = f"-s -w -X github.com/ory/hydra/v2/driver/config.Version={VERSION}"
    run(
        [tool("go"), "build", "-mod=readonly", "-trimpath", f"-ldflags={flags}", "-o", "hydra"], cwd=directory
    )
    keep(directory, VERSION)


def peers() -> list[Peer]:
    """Its set-ups, if it is installed: the default, and one with its cheapest hash of secrets."""
    version = kept(NAME)
    if version is None:
        return []
    return [
        Peer(
            NAME,
            version,
            f"{SETTINGS} Secrets are hashed by the default: PBKDF2, 25,000 rounds.",
            DURABLE,
            partial(_start, 25_000),
            granted,
        ),
        Peer(
            f"{NAME}, cheapest hash",
            version,
            f"{SETTINGS} Secrets are hashed with a single round of PBKDF2, its minimum: enough for a "
            "generated secret, which Licet hashes once as well.",
            DURABLE,
            partial(_start, 1),
            granted,
        ),
    ]


@contextmanager
def _start(rounds: int, clients: int) -> Iterator[Works]:
    program = kept_program()
    with postgres() as server:
        server.create_database("hydra")
        public, admin = free_ports(2)
        env = _environment(server, rounds, public, admin)
        run([program, "migrate", "sql", "--read-from-env", "--yes"], env=env)
        admin_url, url = f"http://127.0.0.1:{admin}", f"http://127.0.0.1:{public}"
        ready = partial(_ready, f"{admin_url}/health/ready", f"{url}/health/ready")
        with running([program, "serve", "all"], ready, env=env):
            _set_up(server, admin_url, clients)
            grant = Work(url, grant_rows("/oauth2/token", clients, more_headers=_PROXIED), granted)
            stored = partial(count, server, "hydra", "hydra_oauth2_access")
            yield Works(url, grant, partial(_introspect, admin_url), stored=stored, database_pid=server.pid)


def _environment(server: Database, rounds: int, public: int, admin: int) -> dict[str, str]:
    pool = f"max_conns={_CONNECTIONS}&max_idle_conns={_CONNECTIONS}"
    return {
        "DSN": f"{server.url('hydra')}?sslmode=disable&{pool}",
        "SECRETS_SYSTEM": SECRET,
        "URLS_SELF_ISSUER": f"https://127.0.0.1:{public}/",
        "SERVE_PUBLIC_HOST": "127.0.0.1",
        "SERVE_PUBLIC_PORT": str(public),
        "SERVE_ADMIN_HOST": "127.0.0.1",
        "SERVE_ADMIN_PORT": str(admin),
        "SERVE_TLS_ALLOW_TERMINATION_FROM": "127.0.0.1/32",
        "OAUTH2_HASHERS_PBKDF2_ITERATIONS": str(rounds),
        "LOG_LEVEL": "error",
        "SQA_OPT_OUT": "true",
    }


def kept_program() -> Path:
    """The program that was built."""
    return INSTALLED / NAME / "hydra"


def _ready(*urls: str) -> None:
    for url in urls:
        httpx.get(url, headers=_PROXIED).raise_for_status()


def _set_up(server: Database, admin_url: str, clients: int) -> None:
    first = {
        "client_id": client_name(0),
        "client_secret": SECRET,
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_basic",
    }
    httpx.post(f"{admin_url}/admin/clients", json=first, headers=_PROXIED).raise_for_status()
    copy_rows(server, "hydra", "hydra_client", {"id": "'client' || n", "pk": "gen_random_uuid()"}, clients)


def _introspect(admin_url: str, grant: Work) -> Work:
    """Introspections at the administrative port, which requires no credentials."""
    forms = [(0, {"token": answer["access_token"]}) for answer in answers(grant)]
    return Work(admin_url, form_rows("/admin/oauth2/introspect", forms, _PROXIED), live)
