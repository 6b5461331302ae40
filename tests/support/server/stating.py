"""Requests and answers for tests of statements about an authorization server."""

from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress

import httpx

from licet.credentials.generated import ClientSecrets, NewClientSecret
from licet.credentials.keyring import FILE_NAME, read_keyring
from support.server.running import RunningServer

GRANT = "grant_type=client_credentials&scope=view"
BASIC = "Basic " + b64encode(b"TestClientId:password").decode()

SESSION_S, ACCESS_S = 1200, 600


def basic(pair: str | bytes) -> str:
    """The header of these credentials."""
    return "Basic " + b64encode(pair.encode() if isinstance(pair, str) else pair).decode()


def told(response: httpx.Response) -> tuple[int, str]:
    """The status and error of a refusal."""
    return response.status_code, response.json()["error"]


def secret_of(server: RunningServer) -> NewClientSecret:
    """A new generated secret of this server."""
    return ClientSecrets(read_keyring(server.data / FILE_NAME).pepper).generate()


OFF_RELEASED = {"logged_off": True, "seat_released": True}


def stored(server: RunningServer) -> Iterable[bytes]:
    """All bytes that the server keeps on disk, except its own secrets."""
    for path in server.data.iterdir():
        if path.name.startswith("licet.db"):
            with suppress(FileNotFoundError):
                yield path.read_bytes()
