"""Runs `licet user`: sets the persons and services behind the clients, and their passwords."""

from pathlib import Path
from typing import Annotated

import typer

from licet.cli import completing
from licet.cli.change import change_tenant
from licet.cli.noun import Noun
from licet.cli.options import (
    AsJson,
    Data,
    PasswordStdin,
    TenantName,
    Yes,
    ask_password,
    exclusive,
    given,
    required,
)
from licet.cli.output import Record, note, show_list, show_one
from licet.cli.pasting import of_tenant
from licet.cli.stores import chosen_tenant, opened
from licet.model import Tenant, User
from licet.refusal import Subject
from licet.setup.noun import Settings
from licet.store.errors import unknown

app = Noun("Persons and services, known by initials. A client authenticates with its user's password.")

Initials = Annotated[
    str,
    typer.Argument(
        metavar="INITIALS", help="Two or three letters, digits or dots.", autocompletion=completing.users
    ),
]
FullName = Annotated[str | None, typer.Option("--name", metavar="NAME", help="The name in full.")]
NoPassword = Annotated[bool, typer.Option("--no-password", help="Without a password: none works.")]

_HEADINGS = {
    "initials": "user",
    "name": "name",
    "enabled": "enabled",
    "has_password": "password",
    "clients": "clients",
}


@app.verb("add")
def add(
    initials: Initials,
    *,
    name: FullName = None,
    tenant: TenantName = None,
    data: Data = None,
    password_stdin: PasswordStdin = False,
    no_password: NoPassword = False,
) -> None:
    """Add a user. The password is asked for, twice and hidden.

    Example: [bold]licet user add TC --name "Test Client"[/]
    """
    settings: Settings = given(name=name)
    settings["password_hash"] = _hashed(
        data, tenant, initials, name, from_stdin=password_stdin, none=no_password
    )
    change_tenant(data, tenant, f"User {initials} added", lambda setup: setup.add_user(initials, **settings))
    if no_password:
        line = f"licet client add CLIENT_ID --user {initials} --secret{of_tenant(tenant, data)}"
        note(f"{initials} has no password; its clients need a secret: {line}")


@app.verb("set")
def set_(initials: Initials, *, name: FullName = None, tenant: TenantName = None, data: Data = None) -> None:
    """Change a user's name.

    Example: [bold]licet user set TC --name "Test Client 2"[/]
    """
    changes: Settings = required(given(name=name))
    _change(data, tenant, initials, "changed", changes)


@app.verb("password")
def password(
    initials: Initials,
    *,
    tenant: TenantName = None,
    data: Data = None,
    password_stdin: PasswordStdin = False,
    no_password: NoPassword = False,
) -> None:
    """Set a user's password. Sessions go on until they have to be renewed.

    Example: [bold]licet user password TC --password-stdin < password.txt[/]
    """
    hashed = _hashed(data, tenant, initials, None, from_stdin=password_stdin, none=no_password)
    done = f"Password of user {initials} {'taken away' if no_password else 'set'}"
    change_tenant(data, tenant, done, lambda setup: setup.set_user(initials, password_hash=hashed))


@app.verb("enable")
def enable(initials: Initials, *, tenant: TenantName = None, data: Data = None) -> None:
    """Let a user's clients in again.

    Example: [bold]licet user enable TC[/]
    """
    _change(data, tenant, initials, "enabled", {"enabled": True})


@app.verb("disable")
def disable(initials: Initials, *, tenant: TenantName = None, data: Data = None, yes: Yes = False) -> None:
    """Shut a user's clients out, and end their sessions at once; it asks first.

    Example: [bold]licet user disable TC[/]
    """
    _change(data, tenant, initials, "disabled", {"enabled": False}, yes=yes)


@app.verb("list")
def list_(*, tenant: TenantName = None, data: Data = None, as_json: AsJson = False) -> None:
    """List the users.

    Example: [bold]licet user list[/]
    """
    with opened(data) as store:
        found = chosen_tenant(store, tenant)
    records = [_record(found, user) for _, user in sorted(found.users.items())]
    empty = f'No user yet. Add the first one: licet user add TC --name "Test Client"{of_tenant(tenant, data)}'
    show_list(records, _HEADINGS, as_json=as_json, empty=empty)


@app.verb("show")
def show(
    initials: Initials, *, tenant: TenantName = None, data: Data = None, as_json: AsJson = False
) -> None:
    """Show one user.

    Example: [bold]licet user show TC[/]
    """
    with opened(data) as store:
        found = chosen_tenant(store, tenant)
    if initials not in found.users:
        raise unknown(Subject("user", initials, found.name), found.users)
    show_one(_record(found, found.users[initials]), as_json=as_json)


@app.verb("remove")
def remove(initials: Initials, *, tenant: TenantName = None, data: Data = None, yes: Yes = False) -> None:
    """Remove a user for whom no client stands.

    Example: [bold]licet user remove TC[/]
    """
    change_tenant(
        data,
        tenant,
        f"User {initials} removed",
        lambda setup: setup.remove_user(initials),
        ask=f"Remove user {initials}?",
        yes=yes,
    )


def _change(
    data: Path | None,
    tenant: str | None,
    initials: str,
    done: str,
    changes: Settings,
    *,
    yes: bool = False,
) -> None:
    change_tenant(
        data, tenant, f"User {initials} {done}", lambda setup: setup.set_user(initials, **changes), yes=yes
    )


def _hashed(
    data: Path | None, tenant: str | None, initials: str, name: str | None, *, from_stdin: bool, none: bool
) -> str | None:
    """The hash of the password that was typed in; hashed before the store is locked."""
    exclusive(("--no-password", none), ("--password-stdin", from_stdin))
    if none:
        return None
    from licet.credentials.passwords import Passwords, about_user  # noqa: PLC0415 - hashing, which only this needs

    with opened(data) as store:  # Nobody is asked for a password in vain.
        about = about_user(chosen_tenant(store, tenant), initials, name)
    return Passwords().hash_new(ask_password(f"user {initials}", from_stdin=from_stdin), *about)


def _record(tenant: Tenant, user: User) -> Record:
    return {
        "initials": user.initials,
        "name": user.name,
        "enabled": user.enabled,
        "has_password": user.password_hash is not None,
        "clients": [
            client.client_id for client in tenant.clients.values() if client.user.initials == user.initials
        ],
    }
