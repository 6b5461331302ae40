"""A guard of an introspection endpoint whose answers a test chooses."""

from datetime import timedelta
from typing import Any

from licet.guard import Guard
from support.guard.calling import CONTEXT
from support.guard.guarded import Api, token_of
from support.web.http_site import PATIENCE_S

TOKEN = token_of("abc")
LIVE = {
    "active": True,
    "scope": "all",
    "client_id": "TestClientId",
    "username": "TC",
    "token_type": "Bearer",
    "read_only": False,
    "cache_for": 5,
}
PATIENCE = timedelta(seconds=PATIENCE_S)


class Now:
    """The guard's clock, which a test moves."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        """The time in seconds."""
        return self.s


def guard_at(url: str, now: Now | None = None, **options: Any) -> Guard:
    """A guard of the tenant `Jim_Test` at this URL."""
    options = {"timeout": PATIENCE, "ssl_context": CONTEXT, "now_s": now or Now(), **options}
    return Guard(f"{url}/Jim_Test", "Api", "password", **options)


def status(api: Api, guard: Guard, token: str = TOKEN, method: str = "POST") -> int:
    """The status of the answer to a request with this token."""
    found = api(guard, method, {"Authorization": f"Bearer {token}"}).status_code
    guard.close()
    return found
