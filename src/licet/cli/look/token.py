"""Runs `licet token`: gets a token like a client, over HTTP, and explains the answer.

It is only a client: it opens no store, and knows only the answers of the server.
A client secret comes from a prompt or standard input, never from an argument.
"""

import sys
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import quote_plus, urlsplit

import typer

from licet.cli import completing
from licet.cli.errors import Refused, WrongUse
from licet.cli.options import AsJson
from licet.cli.output import Duration, Instant, Shown, note, on_terminal, say, show_json, show_one
from licet.formats import duration, printable
from licet.model import NoSeatReason, Value
from licet.store.errors import StoreUnavailable

if TYPE_CHECKING:
    import httpx

SERVER = "http://127.0.0.1:8080"
WAIT_S_MAX = 60  # as the server's
TIMEOUT_S = 10.0  # a guess: a commit takes milliseconds, a password's hash some 15 of them

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_SHOWN_CHARS_MAX = 300  # of a server's text

Answer = Mapping[str, Any]


class ServerUnreachable(StoreUnavailable):
    """A server does not answer, or cannot work: for the caller the same as a store out of reach."""


class _Credentials(Value, frozen=True, kw_only=True):
    """What a client sends, and how: HTTP Basic, or the body."""

    client_id: str
    secret: str
    in_body: bool

    def __repr__(self) -> str:
        return f"_Credentials({self.client_id!r})"

    def headers(self) -> dict[str, str]:
        if self.in_body:
            return {}
        # RFC 6749 2.3.1: id and secret are form-encoded within the header.
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret)}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode('ascii')}"}

    def form(self) -> dict[str, str]:
        return {"client_id": self.client_id, "client_secret": self.secret} if self.in_body else {}


Where = Annotated[
    str,
    typer.Argument(
        metavar="TENANT|URL",
        help=f"A tenant of {SERVER}, or a tenant's URL.",
        autocompletion=completing.tenants,
    ),
]
ClientId = Annotated[
    str,
    typer.Option(
        "--client-id",
        metavar="ID",
        help="The client to authenticate as.",
        autocompletion=completing.clients,
    ),
]
SecretStdin = Annotated[
    bool, typer.Option("--secret-stdin", help="Read the secret from standard input, one line.")
]
Scope = Annotated[
    str | None,
    typer.Option("--scope", metavar="SCOPES", help="The scope to ask for, such as 'view' or 'view all'."),
]
BodyCredentials = Annotated[
    bool, typer.Option("--body-credentials", help="Send the credentials in the body, not in the header.")
]
Queue = Annotated[
    bool, typer.Option("--queue", help="Stand in line if no seat is free and the pool has a queue.")
]
Wait = Annotated[
    int | None,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        min=1,
        max=WAIT_S_MAX,
        help=f"Wait in line for this time, at most {WAIT_S_MAX} seconds; implies --queue.",
    ),
]
Introspect = Annotated[
    bool, typer.Option("--introspect", help="Also introspect the token, if the client is allowed to.")
]
Logoff = Annotated[bool, typer.Option("--logoff", help="Log off at the end, which frees the seat.")]


def token(
    where: Where,
    *,
    client_id: ClientId,
    secret_stdin: SecretStdin = False,
    scope: Scope = None,
    body_credentials: BodyCredentials = False,
    queue: Queue = False,
    wait: Wait = None,
    introspect: Introspect = False,
    logoff: Logoff = False,
    as_json: AsJson = False,
) -> None:
    """Get a token like a client, and show it.

    Without --logoff its session stays active and keeps its seat.

    Example: [bold]licet token Jim_Test --client-id TestClientId --scope view[/]
    """
    url = _tenant_url(where)
    secret = _secret(client_id, from_stdin=secret_stdin)
    credentials = _Credentials(client_id=client_id, secret=secret, in_body=body_credentials)
    form = {"grant_type": "client_credentials", **({"queue": "true"} if queue or wait else {})}
    with _connection(url, longer_s=wait or 0) as server:
        answer = _post(server, "token", credentials, form, scope=scope, wait_s=wait)
        access_token = _text(answer, "access_token")
        try:
            introspected = (
                _post(server, "introspect", credentials, {"token": access_token}) if introspect else None
            )
        finally:
            ended = _log_off(server, access_token) if logoff else None
    (_show_as_json if as_json else _show)(answer, introspected, ended)


def _tenant_url(where: str) -> str:
    """The URL of the tenant, before `token` and `logoff`, with a slash at its end.

    Raises WrongUse.
    """
    if "://" not in where:
        return f"{SERVER}/{quote_plus(where)}/"
    try:
        parts = urlsplit(where)
        is_usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or parts.query or parts.fragment or parts.username is not None:
        raise WrongUse(f"a tenant is written Jim_Test or {SERVER}/Jim_Test")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        note("http:// carries the secret where others may read it; use https://")
    return f"{where.rstrip('/').removesuffix('/token')}/"


def _secret(client_id: str, *, from_stdin: bool) -> str:
    """The secret of a client.

    Raises WrongUse where none can be read.
    """
    if from_stdin:
        if secret := sys.stdin.readline().rstrip("\r\n"):
            return secret
        raise WrongUse("there is no secret on standard input")
    if not sys.stdin.isatty():
        raise WrongUse("the secret is asked for on a terminal; elsewhere say --secret-stdin")
    return str(typer.prompt(f"Secret of {client_id}", hide_input=True, err=True))


def _connection(url: str, *, longer_s: float) -> "httpx.Client":
    import httpx

    # A server on this machine is not behind a proxy.
    is_near = urlsplit(url).hostname in _LOOPBACK
    return httpx.Client(base_url=url, timeout=TIMEOUT_S + longer_s, trust_env=not is_near)


def _post(
    server: "httpx.Client",
    endpoint: str,
    credentials: _Credentials,
    form: Mapping[str, str],
    *,
    scope: str | None = None,
    wait_s: int | None = None,
) -> Answer:
    asked = {} if scope is None else {"scope": scope}
    prefer = {} if wait_s is None else {"Prefer": f"wait={wait_s}"}  # RFC 7240 4.3
    headers = {**credentials.headers(), **prefer}
    return _answer(server, endpoint, headers, {**form, **asked, **credentials.form()})


def _log_off(server: "httpx.Client", access_token: str) -> Answer:
    return _answer(server, "logoff", {"Authorization": f"Bearer {access_token}"}, None)


def _answer(
    server: "httpx.Client", endpoint: str, headers: Mapping[str, str], form: Mapping[str, str] | None
) -> Answer:
    """The answer of the server, when it is no error.

    Raises Refused when it is one, and ServerUnreachable.
    """
    import httpx

    try:
        response = server.post(endpoint, headers=headers, data=form)
    except httpx.TransportError as fault:
        why = printable(str(fault)) or type(fault).__name__
        raise ServerUnreachable(f"{server.base_url} does not answer: {why}") from None
    except (httpx.InvalidURL, UnicodeError):
        raise WrongUse(f"{server.base_url} is not a URL that can be asked") from None
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Refused(f"{server.base_url}{endpoint} is not of an OAuth server (HTTP {response.status_code})")
    if not response.is_success:
        _refuse(response.status_code, content)
    return content


def _refuse(status: int, content: Answer) -> NoReturn:
    """Raise Refused with the reason and advice."""
    why = _no_seat(content) or _described(content)
    wait = content.get("retry_after")
    if isinstance(wait, int):
        why = f"{why}, try again in {wait} s"
    if status >= 500 and content.get("error") == "server_error":  # noqa: PLR2004 - RFC 9110 15.6
        raise ServerUnreachable(why)
    raise Refused(why)


def _no_seat(content: Answer) -> str | None:
    """Why there is no seat; None when the refusal is about something else."""
    pool, seats, in_use = (
        printable(str(content.get(key)))[:_SHOWN_CHARS_MAX] for key in ("pool", "seats", "in_use")
    )
    match content.get("reason"):
        case NoSeatReason.QUEUED if isinstance(position := content.get("queue_position"), int):
            return f"this client is number {position} in the line for pool {pool}"
        case NoSeatReason.ALL_IN_USE:
            if seats == "1":
                return f"the only seat of pool {pool} is in use"
            counts = f"all {seats}" if seats == in_use else f"{in_use} of {seats}"
            return f"{counts} seats of pool {pool} are in use"
        case str(reason) if reason in _NO_SEAT_FOR:
            return _NO_SEAT_FOR[reason].format(pool=pool)
        case _:
            return None


_NO_SEAT_FOR: dict[str, str] = {
    NoSeatReason.NO_SEATS: "pool {pool} has no seats",
    NoSeatReason.LICENCE_EXPIRED: "the licence of pool {pool} has expired;"
    " a scope that needs no seat still works",
    NoSeatReason.LICENCE_MISSING: "no licence that counts now gives a seat of pool {pool} for this scope",
    NoSeatReason.SUSPENDED: "an administrator suspended this client from the seats of pool {pool}"
    " for a while",
    NoSeatReason.EXCLUDED: "pool {pool} excludes this client",
    NoSeatReason.NOT_INCLUDED: "pool {pool} is not for this client",
    NoSeatReason.MAX_REACHED: "this client, its user or its group has as many seats of pool {pool} as it may",
    NoSeatReason.RESERVED: "the free seats of pool {pool} are reserved for others",
    NoSeatReason.QUEUED: "others are before this client in the line for pool {pool}",
}


def _described(content: Answer) -> str:
    error, description, request = (
        printable(str(content.get(key, "")))[:_SHOWN_CHARS_MAX].rstrip(".")
        for key in ("error", "error_description", "request_id")
    )
    text = f"{error or 'refused'}: {description}" if description else error or "refused without a reason"
    return f"{text} (request {request})" if request else text


def _text(answer: Answer, key: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str):
        raise Refused(f"the server's answer has no {key}")
    return value


def _show_as_json(answer: Answer, introspected: Answer | None, ended: Answer | None) -> None:
    more = {"introspection": introspected, "logoff": ended}
    show_json({**answer, **{key: value for key, value in more.items() if value is not None}})


def _show(answer: Answer, introspected: Answer | None, ended: Answer | None) -> None:
    _show_answer(answer)
    if introspected is not None:
        say("\nintrospection")
        _show_answer(introspected)
    if ended is not None:
        say(f"\nLogged off; {_of_seat(ended)}.")
    elif on_terminal() and isinstance(life_s := answer.get("refresh_expires_in"), int):
        note(f"\nThe session lives for {duration(life_s)}; --logoff would have ended it.")


def _of_seat(ended: Answer) -> str:
    if ended.get("seat_released"):
        return "its seat is free"
    if isinstance(seconds := ended.get("seat_released_in"), int):
        return f"its seat is on hold, and free in {duration(seconds)}"
    return "no seat came back"


def _show_answer(answer: Answer) -> None:
    show_one({key: _shown(key, value) for key, value in answer.items()}, as_json=False)


def _shown(key: str, value: object) -> Shown:
    match key, value:
        case (("expires_in" | "refresh_expires_in"), int()):
            return Duration(value)
        case (("exp" | "iat"), int()):
            return Instant(value * 1000)
        case _, bool():
            return value
        case _, list():
            return ", ".join(map(str, value))
        case _:
            return str(value)
