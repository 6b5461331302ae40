"""Reads what trusted proxies say of their client: its address, and whether it used TLS.

`X-Forwarded-For` is read from its end, past the trusted proxies. An entry that is no address is ignored: the
request counts as the proxy's own, and nothing of the entry gets into the log or the store.
"""

from collections.abc import Sequence
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from licet.protocol.message import Response
from licet.web.request import Answering, Exchange
from licet.web.source import parsed

_PEER = "licet.peer"


class Forwarded:
    """An ASGI application behind proxies. `trusted` are the addresses and networks of those it believes."""

    def __init__(self, application: Any, trusted: Sequence[str]) -> None:
        self._application = application
        self._forwarded = ProxyHeadersMiddleware(self._checked, trusted_hosts=list(trusted))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, with the address of the client."""
        scope[_PEER] = scope.get("client")
        await self._forwarded(scope, receive, send)

    async def _checked(self, scope: Any, receive: Any, send: Any) -> None:
        peer, client = scope.pop(_PEER), scope.get("client")
        if client is not None and client is not peer:
            host = parsed(client[0])
            scope["client"] = peer if host is None else (host, client[1])
        await self._application(scope, receive, send)


def behind_proxies(answering: Answering, trusted: Sequence[str]) -> Answering:
    """The same for what answers without ASGI."""

    async def found(*_: Any) -> None:
        """The scope has what was sought."""

    forwarded = Forwarded(found, trusted)

    async def answer(exchange: Exchange) -> Response:
        scope: dict[str, Any] = {
            "type": "http",
            "client": (exchange.address, 0),
            "headers": exchange.headers,
            "scheme": exchange.scheme,
        }
        await forwarded(scope, None, None)
        exchange.address, exchange.scheme = scope["client"][0], scope["scheme"]
        return await answering(exchange)

    return answer
