"""One default TLS context for all HTTP clients of a test process.

A new context reads the certificates of all authorities, which takes 20 ms of processor time, more than most
tests. A new client makes one even if it never uses TLS.
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
    """Make every client use this context."""
    for module in (httpx, _config, default):
        vars(module)["create_ssl_context"] = _shared


def _shared(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    if verify is True and cert is None and trust_env:
        return _usual(*map(os.environ.get, _SAYS_WHICH))
    return _made(verify, cert, trust_env)


@cache
def _usual(*_: str | None) -> ssl.SSLContext:
    """The context for these values of the environment variables."""
    return _made()
