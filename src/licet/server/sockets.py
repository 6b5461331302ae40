"""Binds the sockets that a server listens on, before anything else is made."""

import errno
import socket
from contextlib import ExitStack

from licet.platforms.processes import take_port_alone


class AddressInUse(Exception):
    """The address cannot be listened on; the text says why. `is_foreign`: it is not one of this machine."""

    is_foreign = False


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free port.

    Raises AddressInUse.
    """
    try:
        # As bytes: the settings let pass ASCII alone, and text has Python import all that IDNA needs.
        found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with ExitStack() as closing:
            listening = closing.enter_context(socket.socket(family, kind, protocol))
            take_port_alone(listening)
            listening.bind(address)
            # Only now the address is taken: two servers that start at once may both have bound it.
            listening.listen()
            closing.pop_all()
    except OSError as fault:
        refused = AddressInUse(f"cannot listen on {host} port {port}: {fault.strerror or fault}")
        refused.is_foreign = isinstance(fault, socket.gaierror) or fault.errno == errno.EADDRNOTAVAIL
        raise refused from None
    return listening
