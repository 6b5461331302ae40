"""Runs `licet tenant`: manages tenants, each with its own users, clients, scopes and pools."""

from collections.abc import Iterator
from typing import Annotated

import typer

from licet.cli import completing
from licet.cli.change import and_ended, change_tenant, make
from licet.cli.options import Data, Yes, actor, required
from licet.cli.output import Record, note, say
from licet.cli.set_up.owners import OfStore
from licet.cli.set_up.settings import Given, read, sets, shown
from licet.cli.set_up.verbs import SetUpNoun
from licet.cli.stores import chosen_tenant, opened
from licet.cli.suggested_options import of_data, of_tenant
from licet.clock import SystemClock
from licet.formats import counted
from licet.ledger.signed_pools import seats_of
from licet.platforms.shells import quoted
from licet.setup.nouns import TENANT
from licet.setup.signed_limits import why_no_seats
from licet.store.contract import Store

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The tenant's name.", autocompletion=completing.tenants)
]

app = SetUpNoun(
    TENANT.word, OfStore, Name, "Customer databases: a tenant is the first segment of a token's URL."
)


@app.verb("add")
@sets(TENANT, without=("scope_default",))
def add(
    name: Name,
    *,
    seats: Annotated[int, typer.Option("--seats", metavar="N", help="Seats of its pool `full`.")],
    settings: Given,
    data: Data = None,
) -> None:
    """Add a tenant with the pool `full` and the scopes `view` and `all`.

    Example: [bold]licet tenant add Jim_Test --seats 5[/]
    """
    from licet.setup.change import changing

    tenant = read(TENANT, settings, data, None)
    with opened(data) as store, changing(store, actor()) as change:
        change.add_tenant(name, seats=seats, **tenant)
        is_alone = len(change.tenants()) == 0
    say(f"Tenant {name} added, with a pool full of {counted(seats, 'seat')}.")
    of = of_tenant(None if is_alone else name, data)
    note(
        "What is next:\n"
        f'  licet user add TC --name "Test Client" --no-password{of}\n'
        f"  licet client add TestClientId --user TC --secret{of}"
    )


@app.verb("set")
@sets(TENANT)
def set_(
    name: Name,
    *,
    settings: Given,
    data: Data = None,
) -> None:
    """Change a tenant. A shorter life counts for the next sessions.

    Example: [bold]licet tenant set Jim_Test --session-ttl 30m[/]
    """
    changes = required(read(TENANT, settings, data, None))
    change_tenant(data, name, f"Tenant {name} changed", lambda setup: setup.set(**changes))
    if "token_format" in settings and "access_ttl_s" not in settings:
        line = f"licet tenant show {quoted(name)}{of_data(data)}"
        note(f"How long its access tokens live goes with what they are: {line}")


@app.lists(
    "name seats users clients session_ttl_s access_ttl_s",
    first="NAME --seats 5",
    headings={"session_ttl_s": "session", "access_ttl_s": "access"},
)
def records(store: Store) -> Iterator[Record]:
    """List the tenants.

    Example: [bold]licet tenant list[/]
    """
    now_ms = SystemClock().now_ms()
    for tenant in sorted(store.tenants().values(), key=lambda one: one.name):
        yield {
            "name": tenant.name,
            **shown(TENANT, tenant, tenant.zone),
            "seats": sum(
                seats_of(pool, now_ms) for pool in tenant.pools.values() if not why_no_seats(tenant, pool)
            ),
            "pools": len(tenant.pools),
            "scopes": len(tenant.scopes),
            "users": len(tenant.users),
            "clients": len(tenant.clients),
        }


app.shows("Jim_Test")


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
