"""Reads what trusted proxies say of their client: its address, and whether it used TLS.

`X-Forwarded-For` is read from its end, past the trusted proxies. An entry that is no address is ignored: the
request counts as the proxy's own, and nothing of the entry gets into the log or the store.

A proxy that is trusted by its IPv4 address is trusted as well where a socket of both versions shows that
address as one of IPv6 (`::ffff:192.0.2.10`, RFC 4291 section 2.5.5.2).
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, ip_network
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from licet.protocol.message import Response
from licet.web.request import Answering, Exchange
from licet.web.source import parsed

_PEER = "licet.peer"
_MAPPED_BITS = 96  # before the 32 of an IPv4 address


class Forwarded:
    """An ASGI application behind proxies. `trusted` are the addresses and networks of those it believes."""

    def __init__(self, application: Any, trusted: Sequence[str]) -> None:
        self._application = application
        of_ipv4 = [found for found in map(ip_network, trusted) if isinstance(found, IPv4Network)]
        hosts = [*trusted, *map(_mapped, of_ipv4)]
        self._forwarded = ProxyHeadersMiddleware(self._checked, trusted_hosts=hosts)

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


def _mapped(network: IPv4Network) -> str:
    """The same network among the addresses of IPv6."""
    return f"::ffff:{network.network_address}/{_MAPPED_BITS + network.prefixlen}"


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
