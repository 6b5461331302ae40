"""Serves an API of a run, behind a guard for each signed tenant, which counts the seats again.

`python -m chaos.site.guarded_api SPEC` serves until it is killed: `POST /TENANT` answers 200 to a client that
is let in. It uses what a vendor's API uses: `GuardMiddleware`, `Guard` or `JwtGuard`, and a memory.
"""

import sqlite3
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import uvicorn

from chaos.site.plans import ASKER
from chaos.site.vendor import PRODUCT
from licet.guard import Guard, JwtGuard, Licence, OneProcess, SeatMemory, SqlMemory
from licet.guard.asgi import GuardMiddleware

ONE, SQL = "one", "sql"
TIMEOUT = timedelta(seconds=5)  # long enough for a machine that is busy with faults
READ_ONLY = ("view",)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class GuardedTenant(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant as an API knows it: its URL, the secret of `ASKER`, and the issuer of its JWTs, if any."""

    name: str
    url: str
    secret: str
    issuer: str = ""


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """An API: its port, the file of its vendor, its tenants, and its memory.

    `database` is a SQLite file or the URL of a PostgreSQL database; '' is the memory of one process.
    `overlap_s` is how long a shared memory may rely on its cache. If `is_blind`, it has a deliberate defect.
    """

    port: int
    vendor: bytes
    tenants: tuple[GuardedTenant, ...]
    database: str = ""
    is_blind: bool = False
    overlap_s: float = 0.0


def memory_of(spec: Spec) -> SeatMemory:
    """The memory that the guards of an API share."""
    if not spec.database:
        return OneProcess()
    where = spec.database
    is_postgres = where.startswith("postgresql://")
    cache = timedelta(seconds=spec.overlap_s)
    return SqlMemory(
        (lambda: psycopg.connect(where))
        if is_postgres
        else lambda: sqlite3.connect(where, timeout=TIMEOUT.seconds),
        cache=cache,
        timeout=TIMEOUT,
    )


def guard_of(tenant: GuardedTenant, spec: Spec, memory: SeatMemory) -> Guard:
    """The guard of an API for one tenant."""
    licence = Licence(
        vendor=spec.vendor, product=PRODUCT, built=date(2026, 1, 1), installation=None, memory=memory
    )
    if tenant.issuer:
        return JwtGuard(
            tenant.url,
            issuer=tenant.issuer,
            client_id=ASKER,
            client_secret=tenant.secret,
            read_only_scopes=READ_ONLY,
            timeout=TIMEOUT,
            licence=licence,
        )
    return Guard(
        tenant.url, ASKER, tenant.secret, read_only_scopes=READ_ONLY, timeout=TIMEOUT, licence=licence
    )


class Api:
    """The ASGI application."""

    def __init__(self, spec: Spec) -> None:
        memory = memory_of(spec)
        self._behind = {
            f"/{tenant.name}": GuardMiddleware(_work, guard_of(tenant, spec, memory))
            for tenant in spec.tenants
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._behind.get(scope["path"], _nothing)(scope, receive, send)


async def _work(_scope: Scope, _receive: Receive, send: Send) -> None:
    await _answer(send, 200)


async def _nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
    await _answer(send, 404)


async def _answer(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


def main() -> None:
    """Serve the API whose specification is the only argument."""
    spec = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Spec)
    if spec.is_blind:
        from chaos.site.mistakes import BLIND, break_it  # noqa: PLC0415 - only where it is wanted

        break_it(BLIND)
    uvicorn.run(
        Api(spec), host="127.0.0.1", port=spec.port, lifespan="off", access_log=False, log_level="error"
    )


if __name__ == "__main__":
    main()
