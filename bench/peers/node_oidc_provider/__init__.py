"""node-oidc-provider, with tokens in PostgreSQL or in memory."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx

from bench.peers.contract import SECRET, Peer, Work, Works, form_rows, grant_rows, granted, live
from bench.peers.running import (
    INSTALLED,
    POSTGRES_WORDS,
    answers,
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

NAME = "node-oidc-provider"
NEEDS = ("node", "npm")
VERSION = "9.13.3"
SETTINGS = """\
The npm package oidc-provider under the Node.js that is here, NODE_ENV=production. Clients are static, in
memory; their secrets are compared in clear, as always there. Opaque tokens, the default."""
_HERE = Path(__file__).parent


def install() -> None:
    """Fetch the packages."""
    directory = fresh(NAME)
    for source in ("package.json", "package-lock.json", "server.js", "postgres.js"):
        shutil.copy(_HERE / source, directory)
    run([tool("npm"), "ci", "--no-audit", "--no-fund"], cwd=directory)
    node = run([tool("node"), "--version"]).strip()
    keep(directory, f"{VERSION} (Node.js {node.removeprefix('v')})")


def peers() -> list[Peer]:
    """It, with tokens on disk and with tokens in memory, if it is installed."""
    version = kept(NAME)
    if version is None:
        return []
    return [
        Peer(
            NAME,
            version,
            f"{SETTINGS} An adapter for PostgreSQL in a hundred lines: one prepared statement for a grant. "
            f"{POSTGRES_WORDS}; 20 connections among two processes (node:cluster), one for each processor.",
            "a row for every access token, in PostgreSQL, synced at commit",
            partial(_start, durable=True),
            granted,
        ),
        Peer(
            f"{NAME}, in memory",
            version,
            f"{SETTINGS} Tokens in the adapter that comes with it: the last thousand or so, in the memory of "
            "one process.",
            "",
            partial(_start, durable=False),
            granted,
        ),
    ]


@contextmanager
def _start(clients: int, *, durable: bool) -> Iterator[Works]:
    [port] = free_ports(1)
    env = {"PORT": str(port), "CLIENTS": str(clients), "SECRET": SECRET, "NODE_ENV": "production"}
    url = f"http://127.0.0.1:{port}"
    stored = database_pid = None
    with ExitStack() as stack:
        if durable:
            server = stack.enter_context(postgres())
            env |= {"DATABASE": server.create_database("oidc"), "WORKERS": "2"}
            stored, database_pid = partial(count, server, "oidc", "token"), server.pid
        stack.enter_context(
            running([tool("node"), "server.js"], partial(_ready, url), cwd=INSTALLED / NAME, env=env)
        )
        grant = Work(url, grant_rows("/token", clients), granted)
        yield Works(url, grant, _introspect, stored=stored, database_pid=database_pid)


def _ready(url: str) -> None:
    httpx.get(f"{url}/.well-known/openid-configuration").raise_for_status()


def _introspect(grant: Work) -> Work:
    forms = [(0, {"token": answer["access_token"]}) for answer in answers(grant)]
    return Work(grant.url, form_rows("/token/introspection", forms), live)
