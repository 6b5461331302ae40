"""Which network a request comes from: what limits count instead of its address.

Whoever has one IPv6 address has at least the /64 around it (RFC 4291 2.5.4), and usually a /56 or /48 (RFC
6177). So a source is an IPv4 address or the /64 of an IPv6 address, and a limit can count the wider networks
too.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

ADDRESS_CHARS_MAX = 45  # INET6_ADDRSTRLEN of POSIX, without its NUL
_REMEMBERED_MAX = 4096  # some 1 MB; parsing an IPv6 address takes 5 microseconds


def source_of(address: str) -> str:
    """The source of an address: `192.0.2.1`, or `2001:db8:1:2::/64`; of what is no address, its beginning."""
    if ":" not in address:
        return address[:ADDRESS_CHARS_MAX]
    return _source(address[:ADDRESS_CHARS_MAX])


def networks_around(source: str) -> tuple[str, ...]:
    """The /56 and the /48 around an IPv6 source; none around any other."""
    return _around(source) if source.endswith("/64") else ()


def parsed(text: str) -> str | None:
    """An address as it is written usually (RFC 5952), IPv4 in IPv6 as IPv4; None when it is no address."""
    if len(text) > ADDRESS_CHARS_MAX or "%" in text:  # A zone means something on its own machine only.
        return None
    try:
        return str(_unfolded(text))
    except ValueError:
        return None


def _unfolded(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(_REMEMBERED_MAX)
def _source(address: str) -> str:
    try:
        found = _unfolded(address.partition("%")[0])
    except ValueError:
        return address
    return str(found) if found.version == 4 else str(IPv6Network((int(found), 64), strict=False))  # noqa: PLR2004


@lru_cache(_REMEMBERED_MAX)
def _around(source: str) -> tuple[str, ...]:
    network = IPv6Network(source)
    return tuple(str(network.supernet(new_prefix=length)) for length in (56, 48))
