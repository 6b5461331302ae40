"""The client library gets, renews and gives back tokens for programs that call an API licensed by Licet.

    auth = LicetAuth("https://licence.example.com/Jim_Test", "TestClientId", secret, api="https://api.example.com")
    with auth, httpx.Client(base_url="https://api.example.com", auth=auth) as api:
        api.get("/jobs")

It is in the base install and needs httpx alone; nothing else of Licet is imported. It works with any
server whose token endpoint answers as RFC 6749 says.
"""

from licet.client.auth import LicetAuth
from licet.client.errors import (
    ForeignOrigin,
    LicetError,
    NoSeatAvailable,
    ServerUnreachable,
    SessionClosed,
    TokenRefused,
    UnusableAnswer,
)

__all__ = [
    "ForeignOrigin",
    "LicetAuth",
    "LicetError",
    "NoSeatAvailable",
    "ServerUnreachable",
    "SessionClosed",
    "TokenRefused",
    "UnusableAnswer",
]
