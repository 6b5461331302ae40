"""Runs `licet pool`: sets pools, which are counted licences."""

from pathlib import Path
from typing import Annotated

import typer

from licet.cli import completing
from licet.cli.change import change_tenant
from licet.cli.noun import Noun
from licet.cli.options import AsJson, Data, TenantName, Yes, required
from licet.cli.output import Duration, Record, note, show_list, show_one
from licet.cli.pasting import of_tenant
from licet.cli.set_up.settings import Given, read, sets, shown
from licet.cli.stores import chosen_tenant, opened
from licet.clock import SystemClock
from licet.formats import counted
from licet.model import Pool, Tenant
from licet.refusal import Subject
from licet.reports import live
from licet.setup.noun import Settings
from licet.setup.nouns import POOL
from licet.store.errors import unknown

app = Noun("Counted licences: how many seats there are, and how they are counted.")

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The pool's name.", autocompletion=completing.pools)
]
_HEADINGS = {
    "name": "pool",
    "seats": "seats",
    "in_use": "in use",
    "overuse": "over",
    "duplicates": "shared by",
    "effective_hold_s": "held for",
    "scopes": "scopes",
    "expires_at": "expires",
    "alerts": "alerts",
}


@app.verb("add")
@sets(POOL, needed=("seats",))
def add(
    name: Name,
    *,
    settings: Given,
    tenant: TenantName = None,
    data: Data = None,
) -> None:
    """Add a pool. No scope draws on it yet: licet scope add, or scope set.

    Example: [bold]licet pool add mobile --seats 3 --duplicates user[/]
    """
    pool = read(POOL, settings, data, tenant)
    change_tenant(data, tenant, f"Pool {name} added", lambda setup: setup.add_pool(name, **pool))


@app.verb("set")
@sets(POOL)
def set_(
    name: Name,
    *,
    settings: Given,
    tenant: TenantName = None,
    data: Data = None,
    yes: Yes = False,
) -> None:
    """Change a pool. Fewer seats end no session; an earlier expiry does, and asks first.

    Example: [bold]licet pool set full --seats 7 --expires 2027-01-31[/]
    """
    changes = required(read(POOL, settings, data, tenant))
    change_tenant(
        data,
        tenant,
        f"Pool {name} changed",
        lambda setup: setup.set_pool(name, **changes),
        warning=_warning(changes, settings.get("expires_at_ms", "")),
        yes=yes,
    )
    overuse = next((record["overuse"] for record in _records(data, tenant) if record["name"] == name), 0)
    if overuse:
        note(
            f"{counted(int(str(overuse)), 'seat')} too many in use. Sessions go on;"
            f" no new seat is given until {overuse} came back."
        )


@app.verb("list")
def list_(*, tenant: TenantName = None, data: Data = None, as_json: AsJson = False) -> None:
    """List the pools, and how many of their seats are in use.

    Example: [bold]licet pool list --json[/]
    """
    show_list(
        _records(data, tenant),
        _HEADINGS,
        as_json=as_json,
        empty=f"No pool yet. Add the first one: licet pool add full --seats 5{of_tenant(tenant, data)}",
    )


@app.verb("show")
def show(name: Name, *, tenant: TenantName = None, data: Data = None, as_json: AsJson = False) -> None:
    """Show one pool.

    Example: [bold]licet pool show full[/]
    """
    records = {str(record["name"]): record for record in _records(data, tenant)}
    if name not in records:
        raise unknown(Subject("pool", name), records)
    show_one(records[name], as_json=as_json)


@app.verb("remove")
def remove(name: Name, *, tenant: TenantName = None, data: Data = None, yes: Yes = False) -> None:
    """Remove a pool that no scope draws on.

    Example: [bold]licet pool remove mobile[/]
    """
    change_tenant(
        data,
        tenant,
        f"Pool {name} removed",
        lambda setup: setup.remove_pool(name),
        ask=f"Remove pool {name}?",
        yes=yes,
    )


def _warning(changes: Settings, typed: str) -> str:
    """What to say before a pool gets an end that is over: a wrong digit would have all sessions end."""
    expires_at_ms = changes.get("expires_at_ms")
    if expires_at_ms is None or expires_at_ms > SystemClock().now_ms():
        return ""
    return f"{typed} is in the past: the licence would be over at once."


def _records(data: Path | None, tenant: str | None) -> list[Record]:
    with opened(data) as store:
        found = chosen_tenant(store, tenant)
        with store.reading() as connection:
            now = live.seats(connection, found, SystemClock().now_ms())
    return [
        _record(found, pool, pool_now)
        for pool_now in now.pools
        if (pool := found.pool_named(pool_now.pool)) is not None
    ]


def _record(tenant: Tenant, pool: Pool, now: live.PoolNow) -> Record:
    return {
        "name": pool.name,
        **shown(POOL, pool, tenant.zone),
        "in_use": now.in_use,
        "overuse": now.overuse,
        "effective_hold_s": Duration(tenant.hold_s_of(pool)),
        "scopes": [scope.name for scope in tenant.scopes.values() if scope.pool == pool.name],
    }
