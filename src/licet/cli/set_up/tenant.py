"""Runs `licet tenant`: sets customer databases, each with users, clients, scopes and pools of its own."""

from typing import Annotated

import typer

from licet.cli import completing
from licet.cli.change import and_ended, change_tenant, make
from licet.cli.errors import WrongUse
from licet.cli.noun import Noun
from licet.cli.options import AsJson, Data, Yes, actor, given, required
from licet.cli.output import Duration, Record, note, say, show_list, show_one
from licet.cli.stores import chosen_tenant, opened
from licet.formats import counted, read_duration_s
from licet.model import Tenant, TokenFormat
from licet.setup.change import changing
from licet.setup.changes import TenantChanges

app = Noun("Customer databases: a tenant is the first segment of a token's URL.")

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The tenant's name.", autocompletion=completing.tenants)
]
SessionTtl = Annotated[
    str | None,
    typer.Option("--session-ttl", metavar="TIME", help="A session's life after its last token, like 20m."),
]
AccessTtl = Annotated[
    str | None, typer.Option("--access-ttl", metavar="TIME", help="An access token's life at most, like 10m.")
]
NoSeatStatus = Annotated[
    int | None,
    typer.Option("--no-seat-status", metavar="CODE", help="400, 429 or 503: when no seat is free."),
]
AccessTokens = Annotated[
    str | None,
    typer.Option(
        "--token-format",
        metavar="FORMAT",
        help="What access tokens are: reference, or jwt, which live 60 s unless --access-ttl says otherwise.",
    ),
]
StrictAssertions = Annotated[
    bool | None,
    typer.Option(
        "--strict-assertions/--lax-assertions",
        help="Whether an assertion names the issuer alone as its audience, and RS256 is refused.",
    ),
]
TimeZone = Annotated[
    str | None,
    typer.Option(
        "--time-zone", metavar="ZONE", help="In which dates without a zone are meant, like Australia/Sydney."
    ),
]

_HEADINGS = {
    "name": "tenant",
    "seats": "seats",
    "users": "users",
    "clients": "clients",
    "session_ttl_s": "session",
    "access_ttl_s": "access",
}


@app.verb("add")
def add(
    name: Name,
    *,
    seats: Annotated[int, typer.Option("--seats", metavar="N", help="Seats of its pool `full`.")],
    session_ttl: SessionTtl = None,
    access_ttl: AccessTtl = None,
    no_seat_status: NoSeatStatus = None,
    token_format: AccessTokens = None,
    strict_assertions: StrictAssertions = None,
    time_zone: TimeZone = None,
    data: Data = None,
) -> None:
    """Add a tenant with the pool `full` and the scopes `view` and `all`.

    Example: [bold]licet tenant add Jim_Test --seats 5[/]
    """
    settings = given(strict_assertions=strict_assertions) | _settings(
        session_ttl, access_ttl, no_seat_status, token_format, time_zone
    )
    with opened(data) as store, changing(store, actor()) as change:
        change.add_tenant(name, seats=seats, **settings)
    say(f"Tenant {name} added, with a pool full of {counted(seats, 'seat')}.")


@app.verb("set")
def set_(
    name: Name,
    *,
    session_ttl: SessionTtl = None,
    access_ttl: AccessTtl = None,
    default_scope: Annotated[
        str | None,
        typer.Option("--default-scope", metavar="SCOPE", help="What a client gets that asks for none."),
    ] = None,
    no_seat_status: NoSeatStatus = None,
    token_format: AccessTokens = None,
    strict_assertions: StrictAssertions = None,
    time_zone: TimeZone = None,
    data: Data = None,
) -> None:
    """Change a tenant. A shorter life counts for the next sessions.

    Example: [bold]licet tenant set Jim_Test --session-ttl 30m[/]
    """
    changes = given(scope_default=default_scope, strict_assertions=strict_assertions) | _settings(
        session_ttl, access_ttl, no_seat_status, token_format, time_zone
    )
    required(changes)
    change_tenant(data, name, f"Tenant {name} changed", lambda setup: setup.set(**changes))
    if token_format is not None and access_ttl is None:
        note(f"How long its access tokens live goes with what they are: licet tenant show {name}")


@app.verb("list")
def list_(*, data: Data = None, as_json: AsJson = False) -> None:
    """List the tenants.

    Example: [bold]licet tenant list[/]
    """
    with opened(data) as store:
        tenants = sorted(store.tenants().values(), key=lambda tenant: tenant.name)
    show_list(
        map(_record, tenants),
        _HEADINGS,
        as_json=as_json,
        empty="No tenant yet. Add the first one: licet tenant add NAME --seats 5",
    )


@app.verb("show")
def show(name: Name, *, data: Data = None, as_json: AsJson = False) -> None:
    """Show one tenant.

    Example: [bold]licet tenant show Jim_Test[/]
    """
    with opened(data) as store:
        show_one(_record(chosen_tenant(store, name)), as_json=as_json)


@app.verb("remove")
def remove(name: Name, *, data: Data = None, yes: Yes = False) -> None:
    """Remove a tenant with everything it has: sessions, users, clients, journal.

    Example: [bold]licet tenant remove Jim_Test[/]
    """
    with opened(data) as store:
        tenant = chosen_tenant(store, name)
        parts = f"{counted(len(tenant.clients), 'client')} and its journal"
        ending = make(
            store,
            lambda change: change.remove_tenant(name),
            ask=f"Remove tenant {name} with {parts}?",
            yes=yes,
        )
    say(f"Tenant {name} removed{and_ended(ending)}.")


def _settings(
    session_ttl: str | None,
    access_ttl: str | None,
    no_seat_status: int | None,
    token_format: str | None,
    time_zone: str | None,
) -> TenantChanges:
    settings: TenantChanges = given(no_seat_status=no_seat_status, time_zone=time_zone)
    if session_ttl is not None:
        settings["session_ttl_s"] = read_duration_s(session_ttl)
    if access_ttl is not None:
        settings["access_ttl_s"] = read_duration_s(access_ttl)
    if token_format is not None:
        settings["token_format"] = _token_format(token_format)
    return settings


def _token_format(text: str) -> TokenFormat:
    try:
        return TokenFormat(text)
    except ValueError:
        raise WrongUse(f"--token-format is {' or '.join(TokenFormat)}, not {text[:40]!r}") from None


def _record(tenant: Tenant) -> Record:
    return {
        "name": tenant.name,
        "session_ttl_s": Duration(tenant.session_ttl_s),
        "access_ttl_s": Duration(tenant.access_ttl_s),
        "default_scope": tenant.scope_default,
        "no_seat_status": tenant.no_seat_status,
        "token_format": tenant.token_format.value,
        "strict_assertions": tenant.strict_assertions,
        "time_zone": tenant.time_zone,
        "seats": sum(pool.seats for pool in tenant.pools.values()),
        "pools": len(tenant.pools),
        "scopes": len(tenant.scopes),
        "users": len(tenant.users),
        "clients": len(tenant.clients),
    }
