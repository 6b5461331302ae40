"""Classifies IP addresses: source (IPv4 address or IPv6 /64), public, or private.

The rules:

- Whoever has one IPv6 address has at least the /64 around it (RFC 4291 2.5.4), so a source is an IPv4 address
  or the /64 of an IPv6 address.
- An IPv6 address that embeds an IPv4 address (mapped, 6to4, NAT64) counts as that IPv4 address.
- Public are the unicast addresses that the registries of IANA call global: none of a private network, of this
  machine, of a link or of documentation, and no multicast address.
"""

import ipaddress
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Where clouds serve a machine's own secrets to any program on it; with all link-local addresses.
METADATA: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",  # nearly all
        "fe80::/10",
        "fd00:ec2::/32",  # Amazon
        "fd20:ce::/32",  # Google
        "fd00:c1::/32",  # Oracle
        "192.0.0.192/32",  # Oracle, the older one
        "fd00:42::/32",  # Scaleway
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure
    )
)

ADDRESS_CHARS_MAX = 45  # INET6_ADDRSTRLEN of POSIX, without its NUL
_REMEMBERED_MAX = 4096  # some 1 MB; parsing an IPv6 address takes 5 microseconds
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_UNICAST = ipaddress.IPv6Network("2000::/3")  # RFC 4291 2.4: what IANA has assigned of it is global
_PROTOCOLS = ipaddress.IPv4Network("192.0.0.0/24")  # RFC 6890, which Python calls global in parts


def source_of(address: str) -> str:
    """The source of an address: `192.0.2.1`, or `2001:db8:1:2::/64`; of any other text, its beginning."""
    if ":" not in address:
        return address[:ADDRESS_CHARS_MAX]
    return _source(address[:ADDRESS_CHARS_MAX])


def unfolded(text: str) -> Address:
    """An address, IPv4 in IPv6 as IPv4.

    Raises ValueError.
    """
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(_REMEMBERED_MAX)
def _source(address: str) -> str:
    try:
        found = unfolded(address.partition("%")[0])
    except ValueError:
        return address
    return str(found if found.version == 4 else ipaddress.IPv6Network((int(found), 64), strict=False))  # noqa: PLR2004


def older(address: Address) -> Iterator[Address]:
    """The IPv4 addresses that an IPv6 address embeds."""
    if isinstance(address, ipaddress.IPv6Address):
        yield from filter(None, (address.ipv4_mapped, address.sixtofour))
        if address in _NAT64:
            yield ipaddress.IPv4Address(address.packed[-4:])


def is_within(address: Address, networks: tuple[Network, ...]) -> bool:
    """Whether it, or an address that it embeds, is in one of these networks."""
    return any(
        form in network
        for form in (address, *older(address))
        for network in networks
        if network.version == form.version
    )


def is_public(address: Address) -> bool:
    """Whether it is a public address of the internet: not of a private network or this machine."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and address not in _PROTOCOLS
    if meant := tuple(older(address)):
        return all(map(is_public, meant))
    return address.is_global and address in _UNICAST
