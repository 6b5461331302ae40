"""Runs `licet group`: manages groups of users and clients, which the options of pools can name."""

from collections.abc import Iterator
from typing import Annotated

import typer

from licet.cli import completing
from licet.cli.output import Record
from licet.cli.set_up.owners import OfTenant
from licet.cli.set_up.settings import shown
from licet.cli.set_up.verbs import SetUpNoun, method
from licet.model import Tenant
from licet.options import all_rules_of
from licet.setup.nouns import GROUP
from licet.store.contract import Store

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The group's name.", autocompletion=completing.groups)
]

app = SetUpNoun(
    GROUP.word,
    OfTenant,
    Name,
    "Users and clients that the options of a pool can name together, as group:NAME.",
)
app.adds(
    GROUP,
    method("add_group"),
    "Add a group, to use in options of pools: licet pool set --reserve 2:group:sales.",
    "sales --user TC --client App",
)
app.sets(
    GROUP,
    method("set_group"),
    "Change the members of a group: a given list replaces the present one. Seats in use are kept.",
    "sales --user TC --user AB --no-clients",
    ends_sessions=False,
)


@app.lists("name users clients rules", first="NAME --user INITIALS", headings={"rules": "named by"})
def records(_: Store, tenant: Tenant) -> Iterator[Record]:
    """List the groups, who is in them, and which options of which pools name them.

    Example: [bold]licet group list[/]
    """
    for name, group in sorted(tenant.groups.items()):
        yield {
            "name": name,
            **shown(GROUP, group, tenant.zone),
            "rules": [
                f"{pool.name}:{option}"
                for pool in tenant.pools.values()
                for option, who in all_rules_of(pool)
                if who == f"group:{name}"
            ],
        }


app.shows("sales")
app.removes(method("remove_group"), "Remove a group that no option of a pool names.", "sales")
