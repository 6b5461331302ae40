"""How much of what was sent the other side has taken: Linux counts it for each connection, others do not."""

import socket
from struct import Struct
from typing import Any, Final, NamedTuple

_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_INFO_BYTES: Final = 148  # of `struct tcp_info`, up to the last member that is read
_UNACKNOWLEDGED: Final = Struct("=24xI")  # tcpi_unacked, in segments
_ACKNOWLEDGED: Final = Struct("=120xQ")  # tcpi_bytes_acked, since Linux 4.1
_NOT_SENT: Final = Struct("=144xI")  # tcpi_notsent_bytes, since Linux 4.6


class Taken(NamedTuple):
    """How many bytes the other side has acknowledged, and whether there are more that it has not."""

    acknowledged: int
    are_more: bool


def taken_of(connected: Any) -> Taken | None:
    """How much of what was sent on a socket is taken; None where the system does not count it."""
    if _TCP_INFO is None:
        return None
    try:
        info = connected.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _INFO_BYTES)
    except OSError:
        return None
    if len(info) < _INFO_BYTES:
        return None
    (unacknowledged,), (not_sent,) = _UNACKNOWLEDGED.unpack_from(info), _NOT_SENT.unpack_from(info)
    return Taken(_ACKNOWLEDGED.unpack_from(info)[0], unacknowledged > 0 or not_sent > 0)
