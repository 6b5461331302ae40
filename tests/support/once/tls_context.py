"""One TLS context for all HTTP clients of a process of tests that ask for no other.

To make one reads the certificates of all authorities: that takes 20 ms of the processor, more than most tests
take, and a new client makes one also where it never meets TLS.
"""

import os
import ssl
from functools import cache
from typing import Any

import httpx
from httpx import _config
from httpx._transports import default

_SAYS_WHICH = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_made = _config.create_ssl_context


def share() -> None:
    """Have every client use it."""
    for module in (httpx, _config, default):
        vars(module)["create_ssl_context"] = _shared


def _shared(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    if verify is True and cert is None and trust_env:
        return _usual(*map(os.environ.get, _SAYS_WHICH))
    return _made(verify, cert, trust_env)


@cache
def _usual(*_: str | None) -> ssl.SSLContext:
    """That of these certificates."""
    return _made()
