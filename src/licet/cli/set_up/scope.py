"""Runs `licet scope`: manages scopes: what a token may do, and which pool its seat comes from."""

from collections.abc import Iterator
from typing import Annotated

import typer

from licet.cli import completing
from licet.cli.output import Record
from licet.cli.set_up.owners import OfTenant
from licet.cli.set_up.settings import shown
from licet.cli.set_up.verbs import SetUpNoun, method
from licet.model import Tenant
from licet.setup.nouns import SCOPE
from licet.store.contract import Store

Name = Annotated[str, typer.Argument(metavar="NAME", help="The scope.", autocompletion=completing.scopes)]

app = SetUpNoun(
    SCOPE.word,
    OfTenant,
    Name,
    "What a token may do. A scope with a pool is licensed: its token holds a seat.",
)
app.adds(
    SCOPE,
    method("add_scope"),
    "Add a scope: with a pool it is licensed, without one it needs no seat.",
    "orders --pool mobile",
)
app.sets(
    SCOPE,
    method("set_scope"),
    "Change a scope. With another pool, or none, its sessions end; it asks first.",
    "orders --pool full",
)


@app.lists(
    "name licensed pools read_only default",
    first="NAME",
    headings={"read_only": "read-only", "pools": "pool"},
)
def records(_: Store, tenant: Tenant) -> Iterator[Record]:
    """List the scopes.

    Example: [bold]licet scope list[/]
    """
    for name, scope in sorted(tenant.scopes.items()):
        yield {
            "name": name,
            "licensed": scope.licensed,
            **shown(SCOPE, scope, tenant.zone),
            "default": name == tenant.scope_default,
            "clients": [
                client.client_id for client in tenant.clients.values() if name in (client.scopes or ())
            ],
        }


app.shows("all")
app.removes(method("remove_scope"), "Remove a scope, and end the sessions that have it.", "orders")
