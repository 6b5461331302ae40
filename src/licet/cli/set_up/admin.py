"""Runs `licet admin`: sets the administrators of the dashboard and the API keys of programs.

Works on the store itself, and needs no administrator: whoever may read the data directory is one.
"""

import sys
from collections.abc import Callable
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated

import typer

from licet.accounts.account import check_name, there_already
from licet.accounts.administrators import (
    AccountsChange,
    Admin,
    AdminChanges,
    changing,
    find_admin,
    read_admins,
)
from licet.accounts.api_keys import ApiKey, read_api_keys
from licet.cli import completing
from licet.cli.noun import Noun
from licet.cli.options import (
    AsJson,
    Data,
    PasswordStdin,
    Yes,
    actor,
    ask_password,
    confirm,
    exclusive,
    given,
    of_option,
    read_end,
    required,
)
from licet.cli.output import Absent, Instant, Record, ends, note, say, show_json, show_list, when
from licet.cli.pasting import of_data
from licet.cli.stores import chosen_tenant, data_directory, opened
from licet.clock import SystemClock
from licet.credentials.generated import ApiKeys, NewApiKey
from licet.credentials.keyring import FILE_NAME, read_keyring
from licet.credentials.passwords import Passwords
from licet.formats import NEVER, read_end_ms
from licet.model import Role
from licet.refusal import Subject
from licet.store.contract import Store
from licet.store.errors import unknown

app = Noun(
    "Administrators: who may sign in at the dashboard. A viewer looks, an operator also ends sessions, an"
    " owner also changes the set-up and the accounts."
)
key_app = Noun("API keys: what programs send to the admin API instead of a name and a password.")
app.add_typer(key_app, name="key")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it signs in with: ada, ada@example.com.")]
KeyName = Annotated[str, typer.Argument(metavar="NAME", help="What it is for: deploy, grafana.")]
RoleGiven = Annotated[
    Role | None, typer.Option("--role", metavar="ROLE", help="viewer (else), operator or owner.")
]
# No variable: one that is set for other verbs must not make an administrator of one tenant by accident.
OfTenant = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        metavar="NAME",
        help="Of this tenant only; else of all.",
        autocompletion=completing.tenants,
    ),
]
Expires = Annotated[
    str | None,
    typer.Option("--expires", metavar="DATE", help="Its last day, like 2027-01-31, or never."),
]

_HEADINGS = {
    "name": "administrator",
    "role": "role",
    "tenant": "tenant",
    "enabled": "enabled",
    "created_at": "created",
}
_KEY_HEADINGS = {
    "name": "key",
    "key_id": "begins with lck_",
    "role": "role",
    "tenant": "tenant",
    "created_by": "made by",
    "expires_at": "expires",
    "last_used_at": "last used",
}


@app.verb("add")
def add(
    name: Name,
    *,
    role: RoleGiven = None,
    tenant: OfTenant = None,
    data: Data = None,
    password_stdin: PasswordStdin = False,
) -> None:
    """Add an administrator. The password is asked for, twice and hidden.

    Example: [bold]licet admin add ada --role owner[/]
    """
    check_name("administrator", name)
    with opened(data) as store:  # Nobody is asked for a password in vain.
        _tenant_id(store, tenant)
        with store.reading() as connection:
            if find_admin(connection, name) is not None:
                raise there_already("administrator", name)
    hashed = _hashed(name, from_stdin=password_stdin)
    role = role or Role.VIEWER
    with opened(data) as store:
        tenant_id = _tenant_id(store, tenant)
        with changing(store, actor()) as change:
            change.add_admin(name, password_hash=hashed, role=role, tenant_id=tenant_id)
    say(f"Administrator {name} added: {role} of {_told_tenant(tenant)}.")


@app.verb("set")
def set_(
    name: Name,
    *,
    role: RoleGiven = None,
    tenant: OfTenant = None,
    all_tenants: Annotated[bool, typer.Option("--all-tenants", help="Of all tenants from now on.")] = False,
    data: Data = None,
) -> None:
    """Change what an administrator may do. Who may do less than before has to sign in again.

    Example: [bold]licet admin set ada --role operator --tenant Jim_Test[/]
    """
    exclusive(("--tenant", tenant is not None), ("--all-tenants", all_tenants))
    changes: AdminChanges = given(role=role)
    with opened(data) as store:
        if tenant is not None or all_tenants:
            changes["tenant_id"] = _tenant_id(store, tenant)
        _set(store, name, required(changes), "changed")


@app.verb("password")
def password(name: Name, *, data: Data = None, password_stdin: PasswordStdin = False) -> None:
    """Set an administrator's password. Wherever it is signed in, it is signed out.

    Example: [bold]licet admin password ada --password-stdin < password.txt[/]
    """
    with opened(data) as store, store.reading() as connection:
        if find_admin(connection, name) is None:
            raise unknown(Subject("administrator", name))
    hashed = _hashed(name, from_stdin=password_stdin)
    with opened(data) as store, changing(store, actor()) as change:
        change.set_admin(name, password_hash=hashed)
    say(f"Password of administrator {name} set.")


@app.verb("enable")
def enable(name: Name, *, data: Data = None) -> None:
    """Let an administrator sign in again.

    Example: [bold]licet admin enable ada[/]
    """
    with opened(data) as store:
        _set(store, name, {"enabled": True}, "enabled")


@app.verb("disable")
def disable(name: Name, *, data: Data = None) -> None:
    """Let an administrator sign in no more, and sign it out at once.

    Example: [bold]licet admin disable ada[/]
    """
    with opened(data) as store:
        _set(store, name, {"enabled": False}, "disabled")


@app.verb("list")
def list_(*, data: Data = None, as_json: AsJson = False) -> None:
    """List the administrators.

    Example: [bold]licet admin list[/]
    """
    with opened(data) as store:
        with store.reading() as connection:
            found = read_admins(connection)
        records = [_record(store, admin) for admin in found]
    empty = f"No administrator yet. Add the first one: licet admin add NAME --role owner{of_data(data)}"
    show_list(records, _HEADINGS, as_json=as_json, empty=empty)


@app.verb("remove")
def remove(name: Name, *, data: Data = None, yes: Yes = False) -> None:
    """Remove an administrator. The last owner of all tenants stays.

    Example: [bold]licet admin remove ada[/]
    """
    confirm(f"Remove administrator {name}?", yes=yes)
    _change(data, lambda change: change.remove_admin(name))
    say(f"Administrator {name} removed.")


@key_app.verb("add")
def add_key(
    name: KeyName,
    *,
    role: RoleGiven = None,
    tenant: OfTenant = None,
    expires: Expires = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Generate an API key, and show it once.

    Example: [bold]licet admin key add deploy --role owner --tenant Jim_Test --expires 2027-01-31[/]
    """
    if tenant:
        expires_at_ms = read_end("--expires", expires, data, tenant)
    else:
        with of_option("--expires"):
            expires_at_ms = read_end_ms(expires or NEVER, UTC)
    role = role or Role.VIEWER
    made = ApiKeys(read_keyring(data_directory(data) / FILE_NAME).pepper).generate()
    with opened(data) as store:
        tenant_id = _tenant_id(store, tenant)
        with changing(store, actor()) as change:
            change.add_api_key(name, made, role=role, tenant_id=tenant_id, expires_at_ms=expires_at_ms)
    note(f"API key {name} added: {role} of {_told_tenant(tenant)}.")
    _show_key(name, made, expires_at_ms, as_json=as_json)


@key_app.verb("list")
def list_keys(*, data: Data = None, as_json: AsJson = False) -> None:
    """List the API keys: what they are is not kept.

    Example: [bold]licet admin key list[/]
    """
    with opened(data) as store:
        with store.reading() as connection:
            found = read_api_keys(connection)
        records = [_key_record(store, key) for key in found]
    empty = f"No API key yet. Make one: licet admin key add NAME --role viewer{of_data(data)}"
    show_list(records, _KEY_HEADINGS, as_json=as_json, empty=empty)


@key_app.verb("remove")
def remove_key(name: KeyName, *, data: Data = None, yes: Yes = False) -> None:
    """Remove an API key: nothing more is done with it.

    Example: [bold]licet admin key remove deploy[/]
    """
    confirm(f"Remove API key {name}?", yes=yes)
    _change(data, lambda change: change.remove_api_key(name))
    say(f"API key {name} removed.")


def _change(data: Path | None, change_it: Callable[[AccountsChange], bool]) -> None:
    with opened(data) as store, changing(store, actor()) as change:
        change_it(change)


def _set(store: Store, name: str, changes: AdminChanges, done: str) -> None:
    with changing(store, actor()) as change:
        is_changed = change.set_admin(name, **changes)
    say(f"Administrator {name} {done}." if is_changed else "Nothing to change.")


def _hashed(name: str, *, from_stdin: bool) -> str:
    return Passwords().hash_new(ask_password(f"administrator {name}", from_stdin=from_stdin), name)


def _tenant_id(store: Store, tenant: str | None) -> int | None:
    return None if tenant is None else chosen_tenant(store, tenant).id


def _tenant_name(store: Store, tenant_id: int | None) -> str | Absent:
    if tenant_id is None:
        return Absent("all")
    tenant = store.tenants().get(tenant_id)
    return tenant.name if tenant is not None else str(tenant_id)  # removed at this moment


def _zone(store: Store, tenant_id: int | None) -> tzinfo:
    """That in which the end of a key was given."""
    tenant = None if tenant_id is None else store.tenants().get(tenant_id)
    return UTC if tenant is None else tenant.zone


def _told_tenant(tenant: str | None) -> str:
    return "all tenants" if tenant is None else f"tenant {tenant}"


def _show_key(name: str, made: NewApiKey, expires_at_ms: int | None, *, as_json: bool) -> None:
    if as_json:
        show_json(
            {"name": name, "key_id": made.key_id, "api_key": made.key, "expires_at": when(expires_at_ms)}
        )
        return
    if sys.stdout.isatty():
        note("The key, which nobody can show again:")
    typer.echo(made.key)


def _record(store: Store, admin: Admin) -> Record:
    return {
        "name": admin.name,
        "role": admin.role.value,
        "tenant": _tenant_name(store, admin.tenant_id),
        "enabled": admin.enabled,
        "created_at": Instant(admin.created_at_ms),
    }


def _key_record(store: Store, key: ApiKey) -> Record:
    return {
        "name": key.name,
        "key_id": key.id,
        "role": key.role.value,
        "tenant": _tenant_name(store, key.tenant_id),
        "created_by": key.created_by,
        "created_at": Instant(key.created_at_ms),
        "expires_at": ends(key.expires_at_ms, _zone(store, key.tenant_id)),
        "last_used_at": when(key.last_used_at_ms),
        "expired": key.is_expired(SystemClock().now_ms()),
    }
