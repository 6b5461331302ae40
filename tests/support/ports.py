"""Reserves ports for programs that cannot inherit a socket, until the program listens.

A port that the system reports as free may be given to a connection at any time. So these ports
are below the ephemeral ones, and each process of tests reserves its own by a name.
"""

import socket
from pathlib import Path
from random import SystemRandom
from typing import Final

_LEAST: Final = 10_000
_MOST: Final = 32_000  # where the system does not say from which one on it gives them out
_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A port of 127.0.0.1 on which no program listens, reserved until this process ends."""
    most = int(_RANGE.read_text(encoding="ascii").split()[0]) if _RANGE.exists() else _MOST
    while True:
        port = SystemRandom().randrange(_LEAST, max(most, _LEAST + 1000))
        if _is_ours(port) and _is_free(port):
            return port


def _is_ours(port: int) -> bool:
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0licet-tests-port-{port}")
    except OSError:
        name.close()
        return False
    name.detach()  # it stays open until the process ends
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
