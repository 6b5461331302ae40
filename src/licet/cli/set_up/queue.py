"""Runs `licet queue`: shows who waits for a seat of a pool, and takes a place away."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli import completing
from licet.cli.change import change_set_up
from licet.cli.noun import Noun
from licet.cli.options import AsJson, Data, TenantName, Yes
from licet.cli.output import Instant, Record, show_list
from licet.cli.set_up.owners import OfTenant
from licet.model import Pool, Tenant
from licet.refusal import Subject
from licet.store.contract import Store
from licet.store.errors import unknown

if TYPE_CHECKING:
    from licet.setup.change import SetupChange

_HEADINGS = {
    "pool": "pool",
    "place": "place",
    "client_id": "client",
    "user": "user",
    "level": "level",
    "since": "since",
    "until": "until",
}

PoolName = Annotated[
    str | None,
    typer.Option("--pool", metavar="POOL", help="Only of this pool.", autocompletion=completing.pools),
]

app = Noun("Who waits for a seat. To give a pool a queue: licet pool set full --queue 20.")


@app.verb("list")
def list_(
    *, pool: PoolName = None, tenant: TenantName = None, data: Data = None, as_json: AsJson = False
) -> None:
    """List who waits, in the order in which they get a seat.

    A place is kept until the time shown; each request of its client extends it.

    Example: [bold]licet queue list --pool full[/]
    """
    with OfTenant(data, tenant).parts() as (store, of):
        records = list(_records(store, of, _pools(of, pool)))
    show_list(records, _HEADINGS, as_json=as_json, empty="Nobody waits.")


def _pools(tenant: Tenant, name: str | None) -> list[Pool]:
    """All pools, or the one of this name.

    Raises NotFound.
    """
    pools = {pool.name: pool for pool in tenant.pools.values()}
    if name is None:
        return [pools[name] for name in sorted(pools)]
    if name not in pools:
        raise unknown(Subject("pool", name, tenant.name), pools)
    return [pools[name]]


def _records(store: Store, tenant: Tenant, pools: list[Pool]) -> Iterator[Record]:
    from licet.reports.options.queue import queue_of

    for pool in pools:
        with store.reading() as connection:
            waiting = queue_of(connection, pool, store.clock.now_ms())
        for place in waiting:
            yield {
                "tenant": tenant.name,
                "pool": pool.name,
                "place": place.place,
                "client_id": place.client_id,
                "user": place.initials,
                "level": place.level,
                "since": Instant(place.since_ms),
                "until": Instant(place.until_ms),
            }


@app.verb("remove")
def remove(
    client: Annotated[
        str,
        typer.Argument(metavar="CLIENT_ID", help="The client that waits.", autocompletion=completing.clients),
    ],
    *,
    pool: Annotated[
        str,
        typer.Option(
            "--pool", metavar="POOL", help="The pool for which it waits.", autocompletion=completing.pools
        ),
    ],
    tenant: TenantName = None,
    data: Data = None,
    yes: Yes = False,
) -> None:
    """Remove a client from the queue. If it asks again, it is the last of its priority.

    Example: [bold]licet queue remove TestClientId --pool full[/]
    """
    from licet.setup.queue_places import remove_place

    def change_it(change: "SetupChange", name: str) -> bool:
        return remove_place(change, name, pool, client)

    ask = f"Take away the place of {client} in the queue of pool {pool}?"
    change_set_up(data, tenant, f"Place of {client} taken away", change_it, ask=ask, yes=yes)
