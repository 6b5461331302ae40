"""Parses client addresses, and finds the wider IPv6 networks around a source, for rate limits.

Whoever has one IPv6 address has at least the /64 around it (RFC 4291 2.5.4), and usually a /56 or /48 (RFC
6177). So a source is an IPv4 address or the /64 of an IPv6 address, and a limit can count the wider networks
too.
"""

from functools import lru_cache
from ipaddress import IPv6Network

from licet.networks import ADDRESS_CHARS_MAX, source_of, unfolded

__all__ = ["ADDRESS_CHARS_MAX", "networks_around", "parsed", "source_of"]

_REMEMBERED_MAX = 4096  # some 1 MB


def networks_around(source: str) -> tuple[str, ...]:
    """The /56 and the /48 around an IPv6 source; none around any other."""
    return _around(source) if source.endswith("/64") else ()


def parsed(text: str) -> str | None:
    """The canonical text of an address (RFC 5952), IPv4 in IPv6 as IPv4; None when it is no address."""
    if len(text) > ADDRESS_CHARS_MAX or "%" in text:  # A zone has a meaning on its own machine only.
        return None
    try:
        return str(unfolded(text))
    except ValueError:
        return None


@lru_cache(_REMEMBERED_MAX)
def _around(source: str) -> tuple[str, ...]:
    network = IPv6Network(source)
    return tuple(str(network.supernet(new_prefix=length)) for length in (56, 48))
