"""Spring Authorization Server with its JDBC stores, on PostgreSQL."""

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
    java_home,
    java_words,
    keep,
    kept,
    postgres,
    run,
    running,
    tool,
)

NAME = "spring-authorization-server"
NEEDS = ("mvn", "java")
VERSION = "7.0.6 (Spring Boot 4.0.7)"
DURABLE = "a row for every access token, in PostgreSQL, synced at commit"
SETTINGS = f"""\
Spring Boot on its embedded Tomcat, with virtual threads where Java has them, and the library's own JDBC
stores. {POSTGRES_WORDS}; 20 connections, open from the start. The library's tables as its documentation has
them for PostgreSQL, plus indexes, which it lacks. A cache in front of the store of clients: it saves a query
per request, and without it introspection deadlocks once there are as many requests as connections, as each
holds one and waits for a second. Opaque tokens, as in Licet. No HTTP sessions. A heap of 1 GB, log level
warn. Clients are rows copied in SQL, because hashing a secret for each would take long."""
_HERE = Path(__file__).parent


def install() -> None:
    """Build the server as one jar."""
    directory = fresh(NAME)
    shutil.copy(_HERE / "pom.xml", directory)
    shutil.copytree(_HERE / "src", directory / "src")
    run([tool("mvn"), "-B", "-q", "package"], cwd=directory, env={"JAVA_HOME": str(java_home())})
    keep(directory, VERSION)


def peers() -> list[Peer]:
    """Its set-ups, if it is installed: the default, and one with a cheap hash of secrets."""
    version = kept(NAME)
    if version is None:
        return []
    settings = f"{java_words()}. {SETTINGS}"
    return [
        Peer(
            NAME,
            version,
            f"{settings} Secrets are hashed by the default: bcrypt, 2^10 rounds.",
            DURABLE,
            partial(_start, cheap=False),
            granted,
            warm_up_s=20,
            round_s=6,
        ),
        Peer(
            f"{NAME}, cheap hash",
            version,
            f"{settings} Secrets are hashed with a single round of PBKDF2: enough for a generated secret, "
            "which Licet hashes once as well.",
            DURABLE,
            partial(_start, cheap=True),
            granted,
            warm_up_s=30,
        ),
    ]


@contextmanager
def _start(clients: int, *, cheap: bool) -> Iterator[Works]:
    with postgres() as server:
        server.create_database("spring")
        [port] = free_ports(1)
        url = f"http://127.0.0.1:{port}"
        command: list[str | Path] = [java_home() / "bin" / "java", "-Xms1g", "-Xmx1g", "-jar", _jar()]
        options = {
            "server.port": port,
            "spring.datasource.url": f"jdbc:postgresql://127.0.0.1:{server.port}/spring",
            "bench.cheap-hash": str(cheap).lower(),
            "bench.secret": SECRET,
        }
        command += [f"--{name}={value}" for name, value in options.items()]
        with running(command, partial(_ready, url)):
            changes = {"id": "'id-' || n", "client_id": "'client' || n"}
            copy_rows(server, "spring", "oauth2_registered_client", changes, clients)
            grant = Work(url, grant_rows("/oauth2/token", clients), granted)
            yield Works(
                url,
                grant,
                _introspect,
                stored=partial(count, server, "spring", "oauth2_authorization"),
                database_pid=server.pid,
            )


def _jar() -> Path:
    return INSTALLED / NAME / "target" / "server.jar"


def _ready(url: str) -> None:
    httpx.get(f"{url}/.well-known/oauth-authorization-server").raise_for_status()


def _introspect(grant: Work) -> Work:
    forms = [(0, {"token": answer["access_token"]}) for answer in answers(grant)]
    return Work(grant.url, form_rows("/oauth2/introspect", forms), live)
