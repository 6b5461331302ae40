"""django-oauth-toolkit under gunicorn, on PostgreSQL."""

import shutil
from collections.abc import Iterator, Sequence
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
    make_environment,
    postgres,
    run,
    running,
)

NAME = "django-oauth-toolkit"
NEEDS = ()
VERSION = "3.4.1"
DURABLE = "a row for every access token, in PostgreSQL, synced at commit"
SETTINGS = f"""\
A Django project with nothing else in it: no middleware, no sessions, DEBUG off; the same Python as Licet.
gunicorn with two processes of four threads, because only its threaded worker keeps connections open.
{POSTGRES_WORDS}; psycopg 3 in C, with a persistent connection for each thread. Opaque tokens, the default.
Clients are rows copied in SQL, because hashing a secret for each would take long."""
_HERE = Path(__file__).parent


def install() -> None:
    """Fetch the packages into a separate environment."""
    directory = fresh(NAME)
    make_environment(directory, _HERE / "requirements.txt")
    for source in ("settings.py", "urls.py"):
        shutil.copy(_HERE / source, directory)
    keep(directory, VERSION)


def peers() -> list[Peer]:
    """Its set-ups, if it is installed: the default, and one without a hash of secrets."""
    version = kept(NAME)
    if version is None:
        return []
    return [
        Peer(
            NAME,
            version,
            f"{SETTINGS} Secrets are hashed by the default: PBKDF2, 1,000,000 rounds.",
            DURABLE,
            partial(_start, ()),
            granted,
            round_s=6,
        ),
        Peer(
            f"{NAME}, no hash",
            version,
            f"{SETTINGS} Secrets are stored and compared in clear (--no-hash-client-secret), its cheapest "
            "option; Licet hashes them.",
            DURABLE,
            partial(_start, ("--no-hash-client-secret",)),
            granted,
        ),
    ]


@contextmanager
def _start(options: Sequence[str], clients: int) -> Iterator[Works]:
    directory = INSTALLED / NAME
    programs = directory / "venv" / "bin"
    with postgres() as server:
        server.create_database("django")
        env = {
            "DATABASE_PORT": str(server.port),
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": str(directory),
            "SECRET": SECRET,
        }
        run([programs / "django-admin", "migrate", "--verbosity=0"], env=env)
        first = [f"--client-id={client_name(0)}", f"--client-secret={SECRET}", "confidential"]
        create: list[str | Path] = [programs / "django-admin", "createapplication", *options, *first]
        run([*create, "client-credentials"], env=env)
        _copy_client(server, clients)
        [port] = free_ports(1)
        url = f"http://127.0.0.1:{port}"
        command: list[str | Path] = [
            programs / "gunicorn",
            f"--bind=127.0.0.1:{port}",
            "--workers=2",
            "--threads=4",
        ]
        command += ["--worker-class=gthread", "--keep-alive=60", "--timeout=0", "--log-level=error"]
        command += ["django.core.wsgi:get_wsgi_application()"]
        with running(command, partial(_ready, url), env=env):
            grant = Work(url, grant_rows("/o/token/", clients), granted)
            yield Works(
                url,
                grant,
                _introspect,
                stored=partial(count, server, "django", "oauth2_provider_accesstoken"),
                database_pid=server.pid,
            )


def _copy_client(server: Database, clients: int) -> None:
    changes = {"id": "1000 + n", "client_id": "'client' || n"}
    copy_rows(server, "django", "oauth2_provider_application", changes, clients)


def _ready(url: str) -> None:
    httpx.get(f"{url}/o/token/")  # any answer will do, also that GET is not allowed


def _introspect(grant: Work) -> Work:
    forms = [(0, {"token": answer["access_token"]}) for answer in answers(grant)]
    return Work(grant.url, form_rows("/o/introspect/", forms), live)
