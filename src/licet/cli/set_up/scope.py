"""Runs `licet scope`: sets what a token may do, and which pool its seat comes from."""

from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli import completing
from licet.cli.change import change_tenant
from licet.cli.noun import Noun
from licet.cli.options import AsJson, Data, TenantName, Yes, exclusive, given, required
from licet.cli.output import Record, show_list, show_one
from licet.cli.stores import chosen_tenant, opened
from licet.model import Scope, Tenant
from licet.refusal import Subject
from licet.store.errors import unknown

if TYPE_CHECKING:
    from licet.setup.noun import Settings

app = Noun("What a token may do. A scope with a pool is licensed: its token holds a seat.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The scope.", autocompletion=completing.scopes)]
PoolName = Annotated[
    str | None,
    typer.Option(
        "--pool", metavar="POOL", help="The pool that its seats come from.", autocompletion=completing.pools
    ),
]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="Its tokens are read-only.")]

_HEADINGS = {
    "name": "scope",
    "licensed": "licensed",
    "pool": "pool",
    "read_only": "read-only",
    "default": "default",
}


@app.verb("add")
def add(
    name: Name,
    *,
    pool: PoolName = None,
    read_only: ReadOnly = False,
    tenant: TenantName = None,
    data: Data = None,
) -> None:
    """Add a scope: with a pool it is licensed, without one it needs no seat.

    Example: [bold]licet scope add orders --pool mobile[/]
    """
    settings: Settings = given(pool=pool, read_only=read_only)
    change_tenant(data, tenant, f"Scope {name} added", lambda setup: setup.add_scope(name, **settings))


@app.verb("set")
def set_(
    name: Name,
    *,
    pool: PoolName = None,
    unlicensed: Annotated[bool, typer.Option("--unlicensed", help="Without a pool.")] = False,
    read_only: ReadOnly = False,
    read_write: Annotated[bool, typer.Option("--read-write", help="It may change data.")] = False,
    tenant: TenantName = None,
    data: Data = None,
    yes: Yes = False,
) -> None:
    """Change a scope. With another pool, or none, its sessions end; it asks first.

    Example: [bold]licet scope set orders --pool full[/]
    """
    changes: Settings = given(pool=pool)
    exclusive(("--pool", pool is not None), ("--unlicensed", unlicensed))
    exclusive(("--read-only", read_only), ("--read-write", read_write))
    if unlicensed:
        changes["pool"] = None
    if read_only or read_write:
        changes["read_only"] = read_only
    required(changes)
    change_tenant(
        data, tenant, f"Scope {name} changed", lambda setup: setup.set_scope(name, **changes), yes=yes
    )


@app.verb("list")
def list_(*, tenant: TenantName = None, data: Data = None, as_json: AsJson = False) -> None:
    """List the scopes.

    Example: [bold]licet scope list[/]
    """
    with opened(data) as store:
        found = chosen_tenant(store, tenant)
    records = [_record(found, scope) for _, scope in sorted(found.scopes.items())]
    show_list(records, _HEADINGS, as_json=as_json, empty="No scope.")


@app.verb("show")
def show(name: Name, *, tenant: TenantName = None, data: Data = None, as_json: AsJson = False) -> None:
    """Show one scope.

    Example: [bold]licet scope show all[/]
    """
    with opened(data) as store:
        found = chosen_tenant(store, tenant)
    if name not in found.scopes:
        raise unknown(Subject("scope", name, found.name), found.scopes)
    show_one(_record(found, found.scopes[name]), as_json=as_json)


@app.verb("remove")
def remove(name: Name, *, tenant: TenantName = None, data: Data = None, yes: Yes = False) -> None:
    """Remove a scope, and end the sessions that have it.

    Example: [bold]licet scope remove orders[/]
    """
    change_tenant(
        data,
        tenant,
        f"Scope {name} removed",
        lambda setup: setup.remove_scope(name),
        ask=f"Remove scope {name}?",
        yes=yes,
    )


def _record(tenant: Tenant, scope: Scope) -> Record:
    return {
        "name": scope.name,
        "licensed": scope.licensed,
        "pool": scope.pool,
        "read_only": scope.read_only,
        "default": scope.name == tenant.scope_default,
        "clients": [
            client.client_id for client in tenant.clients.values() if scope.name in (client.scopes or ())
        ],
    }
