"""Runs `licet user`: manages the persons and services that clients act for, and their passwords."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from licet.cli import completing
from licet.cli.change import change_tenant
from licet.cli.options import Data, PasswordStdin, TenantName, ask_password, exclusive
from licet.cli.output import Record, note
from licet.cli.set_up.owners import OfTenant
from licet.cli.set_up.settings import Given, read, sets, shown
from licet.cli.set_up.verbs import SetUpNoun, method
from licet.cli.stores import chosen_tenant, opened
from licet.cli.suggested_options import of_tenant
from licet.model import Tenant
from licet.setup.nouns import USER
from licet.store.contract import Store

Initials = Annotated[
    str,
    typer.Argument(
        metavar="INITIALS", help="Two or three letters, digits or dots.", autocompletion=completing.users
    ),
]
NoPassword = Annotated[bool, typer.Option("--no-password", help="Without a password.")]

app = SetUpNoun(
    USER.word,
    OfTenant,
    Initials,
    "Persons and services, known by initials. A client authenticates with its user's password.",
)


@app.verb("add")
@sets(USER)
def add(
    initials: Initials,
    *,
    settings: Given,
    tenant: TenantName = None,
    data: Data = None,
    password_stdin: PasswordStdin = False,
    no_password: NoPassword = False,
) -> None:
    """Add a user. The password is asked for, twice and hidden.

    Example: [bold]licet user add TC --name "Test Client"[/]
    """
    values = read(USER, settings, data, tenant)
    values["password_hash"] = _hashed(
        data, tenant, initials, values.get("name"), from_stdin=password_stdin, none=no_password
    )
    change_tenant(data, tenant, f"User {initials} added", lambda setup: setup.add_user(initials, **values))
    if no_password:
        line = f"licet client add CLIENT_ID --user {initials} --secret{of_tenant(tenant, data)}"
        note(f"{initials} has no password; its clients need a secret: {line}")


app.sets(
    USER,
    method("set_user"),
    "Change a user's name and cost centre.",
    'TC --name "Test Client 2"',
    ends_sessions=False,
)


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


def _hashed(
    data: Path | None, tenant: str | None, initials: str, name: str | None, *, from_stdin: bool, none: bool
) -> str | None:
    """The hash of the password that was typed in; hashed before the store is locked."""
    exclusive(("--no-password", none), ("--password-stdin", from_stdin))
    if none:
        return None
    from licet.credentials.passwords import Passwords, about_user

    with opened(data) as store:  # Nobody is asked for a password in vain.
        about = about_user(chosen_tenant(store, tenant), initials, name)
    return Passwords().hash_new(ask_password(f"user {initials}", from_stdin=from_stdin), *about)


app.enables(method("set_user"), "Let a user's clients authenticate again.", "TC")
app.disables(
    method("set_user"),
    "Stop a user's clients from authenticating, and end their sessions at once; it asks first.",
    "TC",
)


@app.lists(
    "initials name enabled has_password cost_centre clients",
    first='TC --name "Test Client"',
    headings={"has_password": "password", "cost_centre": "cost centre"},
)
def records(_: Store, tenant: Tenant) -> Iterator[Record]:
    """List the users.

    Example: [bold]licet user list[/]
    """
    for initials, user in sorted(tenant.users.items()):
        yield {
            "initials": initials,
            **shown(USER, user, tenant.zone),
            "has_password": user.password_hash is not None,
            "clients": [
                client.client_id for client in tenant.clients.values() if client.user.initials == initials
            ],
        }


app.shows("TC")
app.removes(method("remove_user"), "Remove a user that has no clients.", "TC")
