"""Runs `licet admin`: manages the administrators of the dashboard and the API keys of programs.

Works on the store itself, and needs no administrator: whoever may read the data directory is one.
"""

from collections.abc import Iterator
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Annotated, Any

import typer

from licet.cli.options import (
    AsJson,
    Data,
    Expires,
    OnlyTenant,
    PasswordStdin,
    actor,
    ask_password,
    exclusive,
    given,
    of_option,
    read_end,
    required,
)
from licet.cli.output import Instant, Record, ends, note, say, show_secret, when
from licet.cli.set_up.owners import OfStore, tenant_id, tenant_name
from licet.cli.set_up.verbs import SetUpNoun, method
from licet.cli.stores import opened, pepper
from licet.clock import SystemClock
from licet.credentials.generated import ApiKeys
from licet.formats import NEVER, read_end_ms
from licet.model import Role
from licet.refusal import Subject
from licet.store.contract import Store
from licet.store.errors import unknown

if TYPE_CHECKING:
    from licet.accounts.administrators import AdminChanges

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name to sign in with: ada, ada@example.com.")]
KeyName = Annotated[str, typer.Argument(metavar="NAME", help="What it is for: deploy, grafana.")]
RoleGiven = Annotated[
    Role | None,
    typer.Option(
        "--role", metavar="ROLE", help="viewer, operator or owner; a new one is a viewer by default."
    ),
]


class OfAccounts(OfStore):
    """Where administrators and API keys are."""

    @staticmethod
    def changing(store: Store, actor: str) -> Any:
        """Begin a change of the accounts."""
        from licet.accounts.administrators import changing

        return changing(store, actor)


app = SetUpNoun(
    "administrator",
    OfAccounts,
    Name,
    "Administrators, who sign in at the dashboard. A viewer only reads, an operator also ends sessions, an"
    " owner also changes the set-up and the accounts.",
    command="admin",
)
key_app = SetUpNoun(
    "API key",
    OfAccounts,
    KeyName,
    "API keys, which programs send to the admin API instead of a name and a password.",
    command="admin key",
)
app.add_typer(key_app, name="key")


@app.verb("add")
def add(
    name: Name,
    *,
    role: RoleGiven = None,
    tenant: OnlyTenant = None,
    data: Data = None,
    password_stdin: PasswordStdin = False,
) -> None:
    """Add an administrator. The password is asked for, twice and hidden.

    Example: [bold]licet admin add ada --role owner[/]
    """
    from licet.accounts.account import check_name, there_already
    from licet.accounts.administrators import changing, find_admin

    check_name("administrator", name)
    with opened(data) as store:  # Nobody is asked for a password in vain.
        tenant_id(store, tenant)
        with store.reading() as connection:
            if find_admin(connection, name) is not None:
                raise there_already("administrator", name)
    hashed = _hashed(name, from_stdin=password_stdin)
    role = role or Role.VIEWER
    with opened(data) as store:
        within = tenant_id(store, tenant)
        with changing(store, actor()) as change:
            change.add_admin(name, password_hash=hashed, role=role, tenant_id=within)
    say(f"Administrator {name} added: {role} of {_told_tenant(tenant)}.")


@app.verb("set")
def set_(
    name: Name,
    *,
    role: RoleGiven = None,
    tenant: OnlyTenant = None,
    all_tenants: Annotated[bool, typer.Option("--all-tenants", help="For all tenants from now on.")] = False,
    data: Data = None,
) -> None:
    """Change the role or tenant of an administrator. With fewer permissions, it has to sign in again.

    Example: [bold]licet admin set ada --role operator --tenant Jim_Test[/]
    """
    from licet.accounts.administrators import changing

    exclusive(("--tenant", tenant is not None), ("--all-tenants", all_tenants))
    changes: AdminChanges = given(role=role)
    with opened(data) as store:
        if tenant is not None or all_tenants:
            changes["tenant_id"] = tenant_id(store, tenant)
        required(changes)
        with changing(store, actor()) as change:
            is_changed = change.set_admin(name, **changes)
    say(f"Administrator {name} changed." if is_changed else "Nothing to change.")


@app.verb("password")
def password(name: Name, *, data: Data = None, password_stdin: PasswordStdin = False) -> None:
    """Set an administrator's password, and sign it out everywhere.

    Example: [bold]licet admin password ada --password-stdin < password.txt[/]
    """
    from licet.accounts.administrators import find_admin

    with opened(data) as store, store.reading() as connection:
        if find_admin(connection, name) is None:
            raise unknown(Subject("administrator", name))
    hashed = _hashed(name, from_stdin=password_stdin)
    OfAccounts(data).change(
        f"Password of administrator {name} set", lambda change: change.set_admin(name, password_hash=hashed)
    )


app.enables(method("set_admin"), "Let an administrator sign in again.", "ada")
app.disables(method("set_admin"), "Stop an administrator from signing in, and sign it out at once.", "ada")


@app.lists("name role tenant enabled created_at", first="NAME --role owner")
def records(store: Store) -> Iterator[Record]:
    """List the administrators.

    Example: [bold]licet admin list[/]
    """
    from licet.accounts.administrators import read_admins

    with store.reading() as connection:
        found = read_admins(connection)
    for admin in found:
        yield {
            "name": admin.name,
            "role": admin.role.value,
            "tenant": tenant_name(store, admin.tenant_id),
            "enabled": admin.enabled,
            "created_at": Instant(admin.created_at_ms),
        }


app.removes(method("remove_admin"), "Remove an administrator, except the last owner of all tenants.", "ada")


@key_app.verb("add")
def add_key(
    name: KeyName,
    *,
    role: RoleGiven = None,
    tenant: OnlyTenant = None,
    expires: Expires = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Generate an API key, and show it once.

    Example: [bold]licet admin key add deploy --role owner --tenant Jim_Test --expires 2027-01-31[/]
    """
    from licet.accounts.administrators import changing

    if tenant:
        expires_at_ms = read_end("--expires", expires, data, tenant)
    else:
        with of_option("--expires"):
            expires_at_ms = read_end_ms(expires or NEVER, UTC)
    role = role or Role.VIEWER
    made = ApiKeys(pepper(data)).generate()
    with opened(data) as store:
        within = tenant_id(store, tenant)
        with changing(store, actor()) as change:
            change.add_api_key(name, made, role=role, tenant_id=within, expires_at_ms=expires_at_ms)
    note(f"API key {name} added: {role} of {_told_tenant(tenant)}.")
    record = {"name": name, "key_id": made.key_id, "api_key": made.key, "expires_at": when(expires_at_ms)}
    show_secret(made.key, record, "The key, which nobody can show again:", as_json=as_json)


@key_app.lists(
    "name key_id role tenant created_by expires_at last_used_at",
    first="NAME --role viewer",
    headings={"key_id": "begins with lck_", "created_by": "made by"},
)
def key_records(store: Store) -> Iterator[Record]:
    """List the API keys. The keys themselves are not stored.

    Example: [bold]licet admin key list[/]
    """
    from licet.accounts.api_keys import read_api_keys

    with store.reading() as connection:
        found = read_api_keys(connection)
    for key in found:
        yield {
            "name": key.name,
            "key_id": key.id,
            "role": key.role.value,
            "tenant": tenant_name(store, key.tenant_id),
            "created_by": key.created_by,
            "created_at": Instant(key.created_at_ms),
            "expires_at": ends(key.expires_at_ms, _zone(store, key.tenant_id)),
            "last_used_at": when(key.last_used_at_ms),
            "expired": key.is_expired(SystemClock().now_ms()),
        }


key_app.removes(method("remove_api_key"), "Remove an API key: it no longer works.", "deploy")


def _hashed(name: str, *, from_stdin: bool) -> str:
    from licet.credentials.passwords import Passwords

    return Passwords().hash_new(ask_password(f"administrator {name}", from_stdin=from_stdin), name)


def _zone(store: Store, tenant_id: int | None) -> tzinfo:
    """That in which the end of a key was given."""
    tenant = None if tenant_id is None else store.tenants().get(tenant_id)
    return UTC if tenant is None else tenant.zone


def _told_tenant(tenant: str | None) -> str:
    return "all tenants" if tenant is None else f"tenant {tenant}"
