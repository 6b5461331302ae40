"""Operates a server as its operator does: starts it as a program, asks for its health, reads its log."""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.credentials.tokens import Tokens
from support.examples import jim_test
from support.server.callers import GRANT
from support.server.running import PATIENCE_S, RunningServer

VIEW = {**GRANT, "scope": "view"}


def unhurried(data: Path) -> RunningServer:
    """A server without limits of failed attempts, with the most detailed log."""
    often = 1_000_000
    return RunningServer(
        data, log_level="debug", login_failures_per_client_max=often, login_failures_per_source_max=often
    )


def events(log: str) -> list[dict[str, Any]]:
    """The lines of a log; each is JSON."""
    return [json.loads(line) for line in log.splitlines()]


def sid_of(server: RunningServer, access_token: str) -> bytes:
    """The session of a token."""
    access = Tokens(read_keyring(server.data / FILE_NAME)).read_access(access_token, jim_test())
    assert access is not None
    return access.sid


def has_read_what_was_sent(server: RunningServer) -> None:
    """Wait until a later request was answered, so that the server has read the earlier ones."""
    for _ in range(2):
        assert server.http.get("/health/live").status_code == 200


def is_closed(url: str) -> bool:
    """Whether no program listens there."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), PATIENCE_S).close()
    except ConnectionError:
        return True
    return False


def command(*arguments: str | Path) -> list[str]:
    """Run a command of Licet in a process in which a warning is an error."""
    return [sys.executable, "-W", "error", "-m", "licet", *map(str, arguments)]


def environment(**variables: str) -> dict[str, str]:
    """The environment without settings of Licet, except these."""
    others = {key: value for key, value in os.environ.items() if not key.startswith("LICET_")}
    return others | {"LICET_ADMIN_PORT": "0"} | variables


def told_of_health(server: RunningServer) -> tuple[int, str]:
    """The HTTP status of `ready`, and what it says is wrong."""
    answer = server.http.get("/health/ready")
    return answer.status_code, answer.json().get("error_description", "")


def health(server: RunningServer, which: str) -> int:
    """The HTTP status of `live` or `ready`."""
    return server.http.get(f"/health/{which}").status_code
