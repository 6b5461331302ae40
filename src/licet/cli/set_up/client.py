"""Runs `licet client`: sets OAuth clients, and generates their secrets.

A generated secret is shown once: on a terminal with a word about it, alone on stdout when that is piped.
"""

import sys
from datetime import tzinfo
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from licet.cli import completing
from licet.cli.change import change_tenant
from licet.cli.errors import WrongUse
from licet.cli.noun import Noun
from licet.cli.options import (
    AsJson,
    Data,
    TenantName,
    Yes,
    exclusive,
    given,
    read_duration,
    read_end,
    required,
)
from licet.cli.output import Absent, AnyOf, Instant, Record, ends, note, show_json, show_list, show_one, when
from licet.cli.pasting import of_tenant
from licet.cli.set_up.client_key import found_client, found_with_zone, key_app
from licet.cli.stores import chosen_tenant, data_directory, opened
from licet.clock import SystemClock
from licet.credentials.generated import ClientSecrets, NewClientSecret
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.formats import duration
from licet.model import Client, ClientSecret, GrantType
from licet.setup.check import authenticates_by
from licet.setup.noun import Settings
from licet.setup.tenant import TenantSetup

app = Noun(
    "OAuth clients. Each stands for one user, and authenticates with that user's password, a secret or a key."
)
secret_app = Noun("Generated secrets of a client: several, so that a new one and an old one overlap.")
app.add_typer(secret_app, name="secret")
app.add_typer(key_app, name="key")

ClientId = Annotated[
    str,
    typer.Argument(metavar="CLIENT_ID", help="The client's client_id.", autocompletion=completing.clients),
]
Initials = Annotated[
    str | None,
    typer.Option(
        "--user", metavar="INITIALS", help="The user it stands for.", autocompletion=completing.users
    ),
]
Scopes = Annotated[
    list[str] | None,
    typer.Option(
        "--scope", metavar="SCOPE", help="A scope it may have; repeatable.", autocompletion=completing.scopes
    ),
]
GrantTypes = Annotated[
    list[GrantType] | None,
    typer.Option("--grant-type", metavar="GRANT", help="client_credentials or refresh_token; repeatable."),
]
SessionsMax = Annotated[
    int | None, typer.Option("--max-sessions", metavar="N", help="One session more ends its oldest.")
]
Introspects = Annotated[bool, typer.Option("--introspects", help="It may ask about tokens: an API.")]

Expires = Annotated[
    str | None,
    typer.Option("--expires", metavar="DATE", help="Its last day, like 2027-01-31, or never."),
]

_HEADINGS = {
    "client_id": "client",
    "user": "user",
    "enabled": "enabled",
    "scopes": "scopes",
    "introspects": "introspects",
    "authenticates_by": "authenticates by",
}
_SECRET_HEADINGS = {
    "secret_id": "secret",
    "created_at": "created",
    "expires_at": "expires",
    "last_used_at": "last used",
}


@app.verb("add")
def add(
    client_id: ClientId,
    *,
    user: Annotated[
        str,
        typer.Option(
            "--user", metavar="INITIALS", help="The user it stands for.", autocompletion=completing.users
        ),
    ],
    scope: Scopes = None,
    grant_type: GrantTypes = None,
    max_sessions: SessionsMax = None,
    introspects: Introspects = False,
    secret: Annotated[bool, typer.Option("--secret", help="Generate a secret, and show it once.")] = False,
    secret_expires: Annotated[
        str | None,
        typer.Option("--secret-expires", metavar="DATE", help="Its last day, like 2027-01-31, or never."),
    ] = None,
    password: Annotated[
        bool, typer.Option("--password", help="With --secret: the user's password works as well.")
    ] = False,
    tenant: TenantName = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add a client. It authenticates with its user's password, or with a generated secret.

    Example: [bold]licet client add TestClientId --user TC --secret[/]
    """
    settings = _changes(user, scope, grant_type, max_sessions)
    settings["introspects"] = introspects
    if password:
        settings["password_allowed"] = True
    done = f"Client {client_id} added"
    if secret:
        expires_at_ms = read_end("--secret-expires", secret_expires, data, tenant)
        made = _generated(data)
        change_tenant(
            data,
            tenant,
            done,
            lambda setup: setup.add_client(client_id, made, expires_at_ms, **settings),
            tell=note,
        )
        _show_secret(client_id, made, expires_at_ms, as_json=as_json)
    elif secret_expires is not None or as_json:
        raise WrongUse("--secret-expires and --json are about a generated secret; say --secret with them")
    else:
        change_tenant(data, tenant, done, lambda setup: setup.add_client(client_id, **settings))


@app.verb("set")
def set_(
    client_id: ClientId,
    *,
    user: Initials = None,
    scope: Scopes = None,
    every_scope: Annotated[bool, typer.Option("--every-scope", help="It may have every scope.")] = False,
    grant_type: GrantTypes = None,
    max_sessions: SessionsMax = None,
    introspects: Introspects = False,
    no_introspection: Annotated[
        bool, typer.Option("--no-introspection", help="It may not ask about tokens.")
    ] = False,
    password: Annotated[bool, typer.Option("--password", help="Its user's password works for it.")] = False,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Only generated secrets work for it.")
    ] = False,
    tenant: TenantName = None,
    data: Data = None,
    yes: Yes = False,
) -> None:
    """Change a client. Sessions that the new settings would not allow are ended; it asks first.

    Example: [bold]licet client set TestClientId --scope view --scope all[/]
    """
    changes = _changes(user, scope, grant_type, max_sessions)
    exclusive(("--scope", bool(scope)), ("--every-scope", every_scope))
    exclusive(("--introspects", introspects), ("--no-introspection", no_introspection))
    exclusive(("--password", password), ("--no-password", no_password))
    if every_scope:
        changes["scopes"] = None
    if introspects or no_introspection:
        changes["introspects"] = introspects
    if password or no_password:
        changes["password_allowed"] = password
    _change(data, tenant, client_id, "changed", required(changes), yes=yes)


@app.verb("enable")
def enable(client_id: ClientId, *, tenant: TenantName = None, data: Data = None) -> None:
    """Let a client in again.

    Example: [bold]licet client enable TestClientId[/]
    """
    _change(data, tenant, client_id, "enabled", {"enabled": True})


@app.verb("disable")
def disable(client_id: ClientId, *, tenant: TenantName = None, data: Data = None, yes: Yes = False) -> None:
    """Shut a client out, and end its sessions at once; it asks first.

    Example: [bold]licet client disable TestClientId[/]
    """
    _change(data, tenant, client_id, "disabled", {"enabled": False}, yes=yes)


@app.verb("resume")
def resume(client_id: ClientId, *, tenant: TenantName = None, data: Data = None) -> None:
    """Let a client have a seat again before its cool-down is over.

    Example: [bold]licet client resume TestClientId[/]
    """
    done = f"Client {client_id} may have a seat again"
    change_tenant(data, tenant, done, lambda setup: setup.suspend(client_id, None))


@app.verb("list")
def list_(*, tenant: TenantName = None, data: Data = None, as_json: AsJson = False) -> None:
    """List the clients, and what each authenticates by.

    Example: [bold]licet client list[/]
    """
    with opened(data) as store:
        found = chosen_tenant(store, tenant)
    records = [_record(client) for _, client in sorted(found.clients.items())]
    line = f"licet client add CLIENT_ID --user INITIALS{of_tenant(tenant, data)}"
    show_list(records, _HEADINGS, as_json=as_json, empty=f"No client yet. Add the first one: {line}")


@app.verb("show")
def show(
    client_id: ClientId, *, tenant: TenantName = None, data: Data = None, as_json: AsJson = False
) -> None:
    """Show one client.

    Example: [bold]licet client show TestClientId[/]
    """
    show_one(_record(found_client(data, tenant, client_id)), as_json=as_json)


@app.verb("remove")
def remove(client_id: ClientId, *, tenant: TenantName = None, data: Data = None, yes: Yes = False) -> None:
    """Remove a client with its secrets, and end its sessions.

    Example: [bold]licet client remove TestClientId[/]
    """
    change_tenant(
        data,
        tenant,
        f"Client {client_id} removed",
        lambda setup: setup.remove_client(client_id),
        ask=f"Remove client {client_id}?",
        yes=yes,
    )


@secret_app.verb("add")
def add_secret(
    client_id: ClientId,
    *,
    expires: Expires = None,
    tenant: TenantName = None,
    data: Data = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="From now on the user's password does not work for it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Generate one more secret, and show it once. The others go on working.

    Example: [bold]licet client secret add TestClientId --expires 2027-01-31[/]
    """
    expires_at_ms = read_end("--expires", expires, data, tenant)
    made = _generated(data)

    def change(setup: TenantSetup) -> bool:
        if no_password:
            setup.set_client(client_id, password_allowed=False)
        return setup.add_secret(client_id, made, expires_at_ms)

    change_tenant(data, tenant, f"Secret {made.secret_id} of client {client_id} added", change, tell=note)
    _show_secret(client_id, made, expires_at_ms, as_json=as_json)


@secret_app.verb("rotate")
def rotate_secret(
    client_id: ClientId,
    *,
    overlap: Annotated[
        str, typer.Option("--overlap", metavar="TIME", help="How long the others work on: 24h, 7d, 0s.")
    ] = "24h",
    expires: Expires = None,
    tenant: TenantName = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Generate a secret in the place of all others, and show it once. They end with the overlap.

    Example: [bold]licet client secret rotate TestClientId --overlap 24h[/]
    """
    overlap_s = read_duration("--overlap", overlap)
    expires_at_ms = read_end("--expires", expires, data, tenant)
    made = _generated(data)
    done = (
        f"Secret {made.secret_id} of client {client_id} added; the others work for {duration(overlap_s)} more"
    )
    change_tenant(
        data,
        tenant,
        done,
        lambda setup: setup.rotate_secret(client_id, made, overlap_s, expires_at_ms),
        tell=note,
    )
    _show_secret(client_id, made, expires_at_ms, as_json=as_json)


@secret_app.verb("list")
def list_secrets(
    client_id: ClientId, *, tenant: TenantName = None, data: Data = None, as_json: AsJson = False
) -> None:
    """List a client's secrets by their ids: what they are is not kept.

    Example: [bold]licet client secret list TestClientId[/]
    """
    client, zone = found_with_zone(data, tenant, client_id)
    records = [
        _secret_record(secret, zone) for secret in sorted(client.secrets, key=lambda kept: kept.created_at_ms)
    ]
    empty = f"No secret yet. Add one: licet client secret add {quote(client_id)}{of_tenant(tenant, data)}"
    show_list(records, _SECRET_HEADINGS, as_json=as_json, empty=empty)


@secret_app.verb("remove")
def remove_secret(
    client_id: ClientId,
    secret_id: Annotated[str, typer.Argument(metavar="SECRET_ID", help="As the list shows it.")],
    *,
    tenant: TenantName = None,
    data: Data = None,
    yes: Yes = False,
) -> None:
    """Remove a secret. Its sessions go on until they have to be renewed.

    Example: [bold]licet client secret remove TestClientId ApfHy2FNBhRl[/]
    """
    change_tenant(
        data,
        tenant,
        f"Secret {secret_id} of client {client_id} removed",
        lambda setup: setup.remove_secret(client_id, secret_id),
        ask=f"Remove secret {secret_id} of client {client_id}?",
        yes=yes,
    )


def _changes(
    user: str | None,
    scope: list[str] | None,
    grant_type: list[GrantType] | None,
    max_sessions: int | None,
) -> Settings:
    changes: Settings = given(user=user, sessions_max=max_sessions)
    if scope:
        changes["scopes"] = frozenset(scope)
    if grant_type:
        changes["grant_types"] = frozenset(grant_type)
    return changes


def _change(
    data: Path | None,
    tenant: str | None,
    client_id: str,
    done: str,
    changes: Settings,
    *,
    yes: bool = False,
) -> None:
    change_tenant(
        data,
        tenant,
        f"Client {client_id} {done}",
        lambda setup: setup.set_client(client_id, **changes),
        yes=yes,
    )


def _generated(data: Path | None) -> NewClientSecret:
    return ClientSecrets(read_keyring(data_directory(data) / FILE_NAME).pepper).generate()


def _show_secret(client_id: str, made: NewClientSecret, expires_at_ms: int | None, *, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "client_id": client_id,
                "secret_id": made.secret_id,
                "client_secret": made.secret,
                "expires_at": when(expires_at_ms),
            }
        )
        return
    if sys.stdout.isatty():
        note("Its secret, which nobody can show again:")
    typer.echo(made.secret)


def _record(client: Client) -> Record:
    now_ms = SystemClock().now_ms()
    suspended_until_ms = client.suspended_at(now_ms)
    return {
        "client_id": client.client_id,
        "user": client.user.initials,
        "enabled": client.enabled,
        "scopes": Absent("every") if client.scopes is None else sorted(client.scopes),
        "grant_types": sorted(grant_type.value for grant_type in client.grant_types),
        "max_sessions": client.sessions_max,
        "introspects": client.introspects,
        "password_allowed": client.password_allowed,
        "secrets": len(client.secrets),
        "keys": len(client.keys),
        "authenticates_by": AnyOf(authenticates_by(client, now_ms)),
        "suspended_until": None if suspended_until_ms is None else Instant(suspended_until_ms),
    }


def _secret_record(secret: ClientSecret, zone: tzinfo) -> Record:
    expires_at_ms = secret.expires_at_ms
    return {
        "secret_id": secret.secret_id,
        "created_at": Instant(secret.created_at_ms),
        "expires_at": ends(expires_at_ms, zone),
        "last_used_at": when(secret.last_used_at_ms),
        "expired": expires_at_ms is not None and expires_at_ms <= SystemClock().now_ms(),
    }
