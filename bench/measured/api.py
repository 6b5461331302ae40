"""Defines the smallest possible APIs, each without a guard and with one, for uvicorn.

They answer every request with the same few bytes. The guards introspect at the tenants that the environment
names, as the client `Api` with the secret beside the URL:

- `TENANT_URL` and `SECRET`: the pool has a hold;
- `ASKING_URL` and `ASKING_SECRET`: the pool has none;
- `SIGNED_URL` and `SIGNED_SECRET`: the pool is signed by the vendor of `VENDOR`. Two guards use this tenant,
  and one of them counts its seats. A request to their APIs needs a scope that takes a seat.
"""

import os
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

from fastapi import Depends, FastAPI

from licet.guard import Guard, GuardMiddleware, Licence, OneProcess
from licet.guard.fastapi import dependency

BODY = b'{"jobs":[]}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]

guard = Guard(os.environ["TENANT_URL"], "Api", os.environ["SECRET"])
asking = Guard(os.environ["ASKING_URL"], "Api", os.environ["ASKING_SECRET"])
_signed = os.environ["SIGNED_URL"], "Api", os.environ["SIGNED_SECRET"]
seated = Guard(*_signed, scopes=["all"])
counting = Guard(
    *_signed,
    scopes=["all"],
    licence=Licence(
        vendor=os.environ["VENDOR"].encode(),
        product="api",
        built=date(2026, 1, 1),
        installation=None,
        memory=OneProcess(),
    ),
)


async def smallest(_scope: Any, _receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    """Answer without reading the request."""
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": BODY})


async def _jobs() -> dict[str, list[str]]:
    return {"jobs": []}


smallest_guarded, smallest_asking = GuardMiddleware(smallest, guard), GuardMiddleware(smallest, asking)
smallest_seated, smallest_counting = GuardMiddleware(smallest, seated), GuardMiddleware(smallest, counting)
fastapi, fastapi_guarded, fastapi_asking = FastAPI(), FastAPI(), FastAPI()
fastapi.get("/jobs")(_jobs)
fastapi_guarded.get("/jobs")(_jobs)
fastapi_guarded.add_middleware(GuardMiddleware, guard=guard)
fastapi_asking.get("/jobs")(_jobs)
fastapi_asking.add_middleware(GuardMiddleware, guard=asking)
depending, depending_guarded = FastAPI(), FastAPI()
depending.get("/jobs")(_jobs)
depending_guarded.get("/jobs", dependencies=[Depends(dependency(guard))])(_jobs)
