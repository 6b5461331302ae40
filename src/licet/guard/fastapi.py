"""Makes the guard a dependency of FastAPI; import this only where FastAPI is installed.

licensed = dependency(guard)

@app.post("/jobs")
async def add(who: Annotated[Identity, Depends(licensed)]) -> ...:
"""

import json
from collections.abc import Awaitable, Callable, Iterable

from fastapi import HTTPException, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from licet.guard.asgi import check, recall
from licet.guard.guard import Guard
from licet.guard.identity import KEY, Identity
from licet.guard.refusal import Refused


def dependency(guard: Guard, scopes: Iterable[str] = ()) -> Callable[..., Awaitable[Identity]]:
    """A dependency that gives the caller; the request needs these scopes and the guard's, or is refused."""
    return _Licensed(guard, tuple(scopes))


class _Licensed(SecurityBase):
    """A security scheme of FastAPI: so it is in the OpenAPI document, and one step of a request, not two."""

    def __init__(self, guard: Guard, scopes: tuple[str, ...]) -> None:
        self.model = HTTPBearer(description="An access token of Licet.")
        self.scheme_name = "licet"
        self._guard = guard
        self._scopes = scopes

    async def __call__(self, request: Request) -> Identity:
        try:
            found = recall(self._guard, request.scope, self._scopes)
            if found is None:
                found = await check(self._guard, request.scope, self._scopes)
        except Refused as refused:
            headers = {name: value for name, value in refused.headers.items() if name != "Content-Type"}
            said = refused.description if not refused.reason else json.loads(refused.body)
            raise HTTPException(refused.status, said, headers) from None
        request.scope[KEY] = found
        return found
