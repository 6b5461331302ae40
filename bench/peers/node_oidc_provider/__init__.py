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
The npm package oidc-provider under the installed Node.js, NODE_ENV=production. Clients are static, in
memory; it always compares their secrets in clear. Opaque tokens, the default."""
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
    """Its set-ups, if it is installed: with tokens on disk, and with tokens in memory."""
    version = kept(NAME)
    if version is None:
        return []
    return [
        Peer(
            NAME,
            version,
            f"{SETTINGS} An adapter for PostgreSQL of a hundred lines: one prepared statement for a grant. "
            f"{POSTGRES_WORDS}; 20 connections of two processes (node:cluster), one for each processor.",
            "a row for every access token, in PostgreSQL, synced at commit",
            partial(_start, durable=True),
            granted,
        ),
        Peer(
            f"{NAME}, in memory",
            version,
            f"{SETTINGS} Its own adapter keeps the last thousand or so tokens in the memory of one process.",
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
