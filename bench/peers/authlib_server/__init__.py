"""Authlib's example server for Flask under gunicorn, on PostgreSQL."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx

from bench.peers.contract import SECRET, Peer, Work, Works, form_rows, grant_rows, granted, live
from bench.peers.running import (
    INSTALLED,
    POSTGRES_WORDS,
    answers,
    copy_rows,
    count,
    free_ports,
    fresh,
    keep,
    kept,
    make_environment,
    postgres,
    run,
    running,
)

NAME = "authlib"
NEEDS = ()
VERSION = "1.9.10"
SETTINGS = f"""\
Authlib's example for Flask and SQLAlchemy, without the parts that client credentials do not need, plus
introspection; the same Python as Licet. gunicorn with two processes of four threads, because only its
threaded worker keeps connections open. {POSTGRES_WORDS}; psycopg 3 in C, with a pool of connections. Secrets
are stored and compared in clear, as in the example. Opaque tokens, the default. Clients are rows copied in
SQL, because the example has only a web page to add one."""
_HERE = Path(__file__).parent


def install() -> None:
    """Fetch the packages into a separate environment."""
    directory = fresh(NAME)
    make_environment(directory, _HERE / "requirements.txt")
    shutil.copy(_HERE / "server.py", directory)
    keep(directory, VERSION)


def peers() -> list[Peer]:
    """Its one set-up, if it is installed."""
    version = kept(NAME)
    if version is None:
        return []
    durable = "a row for every access token, in PostgreSQL, synced at commit"
    return [Peer(NAME, version, SETTINGS, durable, _start, granted)]


@contextmanager
def _start(clients: int) -> Iterator[Works]:
    directory = INSTALLED / NAME
    programs = directory / "venv" / "bin"
    with postgres() as server:
        database = server.create_database("authlib").replace("postgresql:", "postgresql+psycopg:")
        env = {"DATABASE": database, "SECRET": SECRET}
        run([programs / "python", "server.py"], cwd=directory, env=env)
        changes = {"id": "1 + n", "client_id": "'client' || n"}
        copy_rows(server, "authlib", "oauth2_client", changes, clients)
        [port] = free_ports(1)
        url = f"http://127.0.0.1:{port}"
        command: list[str | Path] = [
            programs / "gunicorn",
            f"--bind=127.0.0.1:{port}",
            "--workers=2",
            "--threads=4",
        ]
        command += [
            "--worker-class=gthread",
            "--keep-alive=60",
            "--timeout=0",
            "--log-level=error",
            "server:app",
        ]
        # Authlib refuses requests without TLS; this setting says that a proxy in front ends TLS.
        env |= {"AUTHLIB_INSECURE_TRANSPORT": "1"}
        with running(command, partial(_ready, url), cwd=directory, env=env):
            grant = Work(url, grant_rows("/oauth/token", clients), granted)
            yield Works(
                url,
                grant,
                _introspect,
                stored=partial(count, server, "authlib", "oauth2_token"),
                database_pid=server.pid,
            )


def _ready(url: str) -> None:
    httpx.get(f"{url}/oauth/token")  # any answer will do, also that GET is not allowed


def _introspect(grant: Work) -> Work:
    forms = [(0, {"token": answer["access_token"]}) for answer in answers(grant)]
    return Work(grant.url, form_rows("/oauth/introspect", forms), live)
