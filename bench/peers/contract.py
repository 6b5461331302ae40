"""The interface of a peer to the benchmark: its settings in words, and its requests."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol
from urllib.parse import urlencode

# The same for every client of a run: a peer that hashes secrets does so for each request anyway.
SECRET = "kD3vXh8sQ2mZp7RwTn5bYc9LfJ4gAe6UuKi1oPxWyMz"
FORM = "application/x-www-form-urlencoded"
GRANT = {"grant_type": "client_credentials"}


class Row(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str


class Work(NamedTuple):
    """Requests of one kind, which may be sent repeatedly, and the check of an answer."""

    url: str
    rows: Sequence[Row]
    check: Callable[[bytes], bool]


class Works(NamedTuple):
    """The requests that a running peer supports.

    `grant` has a request for each client. `introspect` and `refresh` take such grants or some of them, and
    first obtain the tokens for their requests, which takes a while. They are None if the peer does not
    support them for such a client. `stored` counts the grants in the database, at least as many as were
    answered; it is None if the peer stores none. `database_pid` is the first process of its database.
    """

    url: str
    grant: Work
    introspect: Callable[[Work], Work] | None = None
    refresh: Callable[[Work], Work] | None = None
    stored: Callable[[], int] | None = None
    database_pid: int | None = None


class Source(Protocol):
    """A module that installs one server, and defines the set-ups to measure."""

    @property
    def NAME(self) -> str:  # noqa: N802  a module's constant
        """The name of the server."""

    @property
    def NEEDS(self) -> tuple[str, ...]:  # noqa: N802  a module's constant
        """The programs that must be installed on the machine."""

    def install(self) -> None:
        """Download and build the server."""

    def peers(self) -> "list[Peer]":
        """The set-ups of the server; none if it is not installed."""


class Peer(NamedTuple):
    """A server to measure, in one set-up of it.

    `settings` says how it is set up and why. `durable` says what is on disk when a grant is answered; it is
    empty if that is nothing. `start` takes the number of clients. `warm_up_s` is how long the peer must be
    under load before it reaches its full speed: long if code is compiled while it runs. `round_s` is the
    least length of a round, for a peer that spends nearly all its time on a slow hash: a short round would
    have too few answers. Such a peer is measured with many clients only, as one client gets the same rate.
    """

    name: str
    version: str
    settings: str
    durable: str
    start: Callable[[int], AbstractContextManager[Works]]
    check: Callable[[bytes], bool]
    warm_up_s: int = 3
    round_s: int = 0


def granted(answer: bytes) -> bool:
    """Whether an answer has a bearer token with a lifetime."""
    content = _object(answer)
    lives = isinstance(content.get("expires_in"), int)
    return bool(content.get("access_token")) and str(content.get("token_type")).lower() == "bearer" and lives


def refreshed(answer: bytes) -> bool:
    """Whether an answer has a new access token and a refresh token."""
    return granted(answer) and bool(_object(answer).get("refresh_token"))


def live(answer: bytes) -> bool:
    """Whether an answer of introspection has an active token."""
    return _object(answer).get("active") is True


def client_name(number: int) -> str:
    """The name of the client with this number, counted from 0."""
    return f"client{number}"


def basic(number: int) -> dict[str, str]:
    """The headers of a form from this client."""
    proof = b64encode(f"{client_name(number)}:{SECRET}".encode()).decode()
    return {"Authorization": f"Basic {proof}", "Content-Type": FORM, "Accept": "application/json"}


def shuffled(clients: int) -> list[int]:
    """The clients in another order than in the tables, so that no peer profits from the order."""
    step = 7 if clients % 7 else 11
    return [number * step % clients for number in range(clients)]


def form_rows(
    path: str,
    forms: Sequence[tuple[int, Mapping[str, str]]],
    more_headers: Mapping[str, str] | None = None,
) -> list[Row]:
    """A request for each client and form."""
    extra = more_headers or {}
    return [Row("POST", path, basic(client) | dict(extra), urlencode(form)) for client, form in forms]


def grant_rows(
    path: str, clients: int, form: Mapping[str, str] = GRANT, more_headers: Mapping[str, str] | None = None
) -> list[Row]:
    """One grant of each client."""
    return form_rows(path, [(number, form) for number in shuffled(clients)], more_headers)


def _object(answer: bytes) -> dict[str, object]:
    try:
        content = json.loads(answer)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
