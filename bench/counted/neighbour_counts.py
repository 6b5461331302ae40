"""Counts what a request costs beside Licet: an API for its guard, and a program for its `LicetAuth`.

Both have a valid token or introspection in memory, as is usual, so that nothing is sent.
"""

import asyncio
import time
from typing import Any

import httpx

from bench.counted.counting import REQUESTS, Counts, Tracer, tracing
from licet.client import LicetAuth
from licet.client.tokens import Secret as ClientSecret
from licet.client.tokens import tokens
from licet.guard import Guard, GuardMiddleware, Identity
from licet.guard.introspection import Live, Secret

_TENANT = "http://127.0.0.1:1/Jim_Test"
_API = "http://127.0.0.1:2"
_TOKEN = "lca_" + "a" * 88
_DAY_S = 86_400.0


def count_neighbours() -> dict[str, Counts]:
    """The counts of both; neither uses SQLite."""
    with tracing() as tracer, asyncio.Runner() as runner:
        return {"guarded": runner.run(_guarded(tracer)), "client": _client(tracer)}


async def _guarded(tracer: Tracer) -> Counts:
    guard = Guard(_TENANT, "Api", "secret")
    who = Identity(
        tenant="Jim_Test", client="Client1", user="C1", scopes=frozenset({"all"}), session="s", pool="full"
    )
    found = Live(identity=who, left_s=None, believed_s=60.0)
    guard._cache.keep(Secret(_TOKEN), found, time.monotonic())  # noqa: SLF001 - as if it had introspected
    app = GuardMiddleware(_nothing, guard)
    headers = [
        (b"host", b"api"),
        (b"accept", b"*/*"),
        (b"authorization", b"Bearer " + _TOKEN.encode()),
        (b"user-agent", b"a program"),
        (b"x-forwarded-proto", b"https"),
    ]
    scopes = [_scope(headers) for _ in range(REQUESTS)]
    await app(_scope(headers), None, None)  # type: ignore[arg-type]  # they are not used
    tracer.begin()
    for scope in scopes:
        await app(scope, None, None)  # type: ignore[arg-type]
    return tracer.end(REQUESTS)


def _client(tracer: Tracer) -> Counts:
    auth = LicetAuth(_TENANT, "Client1", "secret", api=_API)
    held = tokens(
        ClientSecret(_TOKEN),
        None,
        sent_s=time.monotonic(),
        expires_in_s=_DAY_S,
        refresh_expires_in_s=None,
    )
    auth._session._tokens = held  # noqa: SLF001 - as if it had asked for a token
    requests = [httpx.Request("GET", f"{_API}/jobs") for _ in range(REQUESTS)]
    answers = [httpx.Response(200, request=it) for it in requests]
    tracer.begin()
    for request, answer in zip(requests, answers, strict=True):
        flow = auth.sync_auth_flow(request)
        next(flow)
        try:
            flow.send(answer)
        except StopIteration:
            continue
    found = tracer.end(REQUESTS)
    auth._session._tokens = None  # noqa: SLF001 - there is no server to log off at
    return found


def _scope(headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/jobs", "headers": headers}


async def _nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    pass
