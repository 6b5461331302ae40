"""APIs as small as they can be, each without a guard and with one, for uvicorn.

They answer every request with the same few bytes. The guard asks the Licet that the variables of the process
name: `TENANT_URL`, and `SECRET`, which is that of the client `Api`.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, FastAPI

from licet.guard import Guard, GuardMiddleware
from licet.guard.dependency import dependency

BODY = b'{"jobs":[]}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]

guard = Guard(os.environ["TENANT_URL"], "Api", os.environ["SECRET"])


async def smallest(_scope: Any, _receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    """Reads nothing, and answers."""
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": BODY})


async def _jobs() -> dict[str, list[str]]:
    return {"jobs": []}


smallest_guarded = GuardMiddleware(smallest, guard)
fastapi, fastapi_guarded = FastAPI(), FastAPI()
fastapi.get("/jobs")(_jobs)
fastapi_guarded.get("/jobs")(_jobs)
fastapi_guarded.add_middleware(GuardMiddleware, guard=guard)
depending, depending_guarded = FastAPI(), FastAPI()
depending.get("/jobs")(_jobs)
depending_guarded.get("/jobs", dependencies=[Depends(dependency(guard))])(_jobs)
