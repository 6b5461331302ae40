"""The guard as a dependency of FastAPI; import this only where FastAPI is installed.

licensed = dependency(guard)

@app.post("/jobs")
async def add(who: Annotated[Identity, Depends(licensed)]) -> ...:
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from licet.guard.caller import KEY, Identity
from licet.guard.guard import OVERRIDING, Guard
from licet.guard.refusal import Refused, malformed

_IN_DOCS = HTTPBearer(auto_error=False, scheme_name="licet", description="An access token of Licet.")


def dependency(guard: Guard, scopes: Iterable[str] = ()) -> Callable[..., Awaitable[Identity]]:
    """Who makes a request, which needs these scopes beside those of the guard; else it is refused."""
    needed = tuple(scopes)

    async def licensed(
        request: Request,
        _: Annotated[HTTPAuthorizationCredentials | None, Security(_IN_DOCS)],
    ) -> Identity:
        try:
            found = await guard.acheck(
                request.method,
                _authorization(guard, request),
                scopes=needed,
                is_overridden=any(name.lower().replace("_", "-") in OVERRIDING for name in request.headers),
            )
        except Refused as refused:
            headers = {name: value for name, value in refused.headers.items() if name != "Content-Type"}
            raise HTTPException(refused.status, refused.description, headers) from None
        request.scope[KEY] = found
        return found

    return licensed


def _authorization(guard: Guard, request: Request) -> str | None:
    found = request.headers.getlist("authorization")
    if len(found) > 1:
        raise malformed(guard.realm)
    return found[0] if found else None
