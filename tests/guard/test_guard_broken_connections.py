"""`licet.guard` answers 503 where a connection breaks in the very moment in which it is made."""

import httpx
import pytest

from support.guard.issuing import UNAVAILABLE, refused
from support.guard.seat_memories import Time
from support.guard.signed_server import Kind, SignedServer
from support.web.http_site import Site


async def _breaks(*_: object, **__: object) -> httpx.Response:
    """What anyio raises then."""
    raise AttributeError("'NoneType' object has no attribute 'getpeername'")


@pytest.mark.parametrize("kind", ["introspection", "jwt"])
@pytest.mark.parametrize("is_known", [False, True])
def test_whatever_is_asked_for_is_unknown_then(
    kind: Kind, is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the token lives, with which key it is signed, or, where that is known, what is licensed."""
    with Site() as site:
        server = SignedServer(site, Time(), kind)
        guard, token = server.guard(), server.token()
        if is_known:  # a safe request needs no licence; those that are fetched beside it are none yet
            server.licences = []
            guard.check("GET", f"Bearer {token}")
        with monkeypatch.context() as broken:
            broken.setattr(httpx.AsyncClient, "send", _breaks)
            assert refused(guard, token) == UNAVAILABLE
        guard.close()
