"""What a trusted proxy says of the one for whom it asks: the address, and whether TLS was spoken.

`X-Forwarded-For` is read from its end, past the proxies that are trusted. What stands there and is no address
changes nothing: the request counts as the proxy's own, and nothing of it gets into the log or the store.
"""

from collections.abc import Sequence
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from licet.web.source import parsed

_PEER = "licet.peer"


class Forwarded:
    """An application behind proxies, of which it believes those that are trusted: addresses and networks."""

    def __init__(self, application: Any, trusted: Sequence[str]) -> None:
        self._application = application
        self._forwarded = ProxyHeadersMiddleware(self._checked, trusted_hosts=list(trusted))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let a request through, with the address that it comes from."""
        scope[_PEER] = scope.get("client")
        await self._forwarded(scope, receive, send)

    async def _checked(self, scope: Any, receive: Any, send: Any) -> None:
        peer, client = scope.pop(_PEER), scope.get("client")
        if client is not None and client is not peer:
            host = parsed(client[0])
            scope["client"] = peer if host is None else (host, client[1])
        await self._application(scope, receive, send)
