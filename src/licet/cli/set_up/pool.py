"""Runs `licet pool`: manages pools, each a counted licence with its seats and expiry."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli import completing
from licet.cli.change import change_set_up
from licet.cli.options import Data, TenantName, Yes, required
from licet.cli.output import Duration, Record, note
from licet.cli.set_up.owners import OfTenant
from licet.cli.set_up.settings import Given, read, sets, shown
from licet.cli.set_up.verbs import SetUpNoun, method
from licet.clock import SystemClock
from licet.formats import counted
from licet.model import Tenant
from licet.setup.noun import Settings
from licet.setup.nouns import POOL, said
from licet.setup.signed_limits import beyond_signed, why_no_seats
from licet.store.contract import Store

if TYPE_CHECKING:
    from licet.setup.change import SetupChange

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The pool's name.", autocompletion=completing.pools)
]

_OPTIONS = ("exclude", "include", "named", "reserve", "max", "max_per_user", "max_per_client", "queue")

app = SetUpNoun(POOL.word, OfTenant, Name, "Pools: how many seats there are, and how they are counted.")
app.adds(
    POOL,
    method("add_pool"),
    "Add a pool. To use it in a scope: licet scope add, or scope set.",
    "mobile --seats 3 --duplicates user",
    needed=["seats"],
)


@app.verb("set")
@sets(POOL)
def set_(
    name: Name,
    *,
    settings: Given,
    unsigned: Annotated[
        bool,
        typer.Option(
            "--unsigned",
            help="Make it unsigned after its licences were removed: it has the seats that you set.",
        ),
    ] = False,
    tenant: TenantName = None,
    data: Data = None,
    yes: Yes = False,
) -> None:
    """Change a pool. Fewer seats end no session; an earlier expiry does, and asks first.

    A given list replaces the present one: --exclude user:TC --exclude user:AB.

    In a signed pool the lesser of the seats set and signed counts; --seats all uses all that are signed.

    Example: [bold]licet pool set full --seats 7 --expires 2027-01-31[/]
    """
    from licet.setup.licences import unsign

    changes = read(POOL, settings, data, tenant)

    def change_it(change: "SetupChange", name_of_tenant: str) -> bool:
        setup = change.tenant(name_of_tenant)
        is_changed = bool(changes) and setup.set_pool(name, **changes)
        return unsign(change, name_of_tenant, name) or is_changed if unsigned else is_changed

    if not unsigned:
        required(changes)
    change_set_up(
        data,
        tenant,
        f"Pool {name} changed",
        change_it,
        warning=_warning(changes, settings.get("expires_at_ms", "")),
        yes=yes,
    )
    with OfTenant(data, tenant).parts() as (store, of):
        record = next(it for it in records(store, of) if it["name"] == name)
        for text in _notes(store, of, name, overuse=int(str(record["overuse"]))):
            note(text)


def _notes(store: Store, tenant: Tenant, name: str, *, overuse: int) -> Iterator[str]:
    """What to know of a pool after it was changed."""
    pool = tenant.pool_named(name)
    assert pool is not None
    text = why_no_seats(tenant, pool) or beyond_signed(pool, store.clock.now_ms())
    if not text and pool.signed is None and pool.overdraft is not None:
        text = "it is in no licence: an overdraft counts only where a licence allows one"
    if text:
        yield f"{text[0].upper()}{text[1:]}."
    if overuse:
        yield (
            f"{counted(overuse, 'seat')} too many in use. Sessions go on;"
            f" no new seat is given until {overuse} came back."
        )


def _warning(changes: Settings, typed: str) -> str:
    """What to say before a pool gets an end that is over: a wrong digit would have all sessions end."""
    expires_at_ms = changes.get("expires_at_ms")
    if expires_at_ms is None or expires_at_ms > SystemClock().now_ms():
        return ""
    return f"{typed} is in the past: the licence would be over at once."


@app.lists(
    "name effective_seats in_use overdraft_in_use overuse duplicates effective_hold_s scopes expires_at"
    " alerts options",
    first="full --seats 5",
    headings={
        "effective_seats": "seats",
        "overdraft_in_use": "overdraft",
        "overuse": "over",
        "duplicates": "shared by",
        "effective_hold_s": "held for",
    },
)
def records(store: Store, tenant: Tenant) -> Iterator[Record]:
    """List the pools, and how many of their seats are in use.

    Example: [bold]licet pool list --json[/]
    """
    from licet.reports import live

    with store.reading() as connection:
        now = live.seats(connection, tenant, SystemClock().now_ms())
    for pool_now in now.pools:
        if (pool := tenant.pool_named(pool_now.pool)) is not None:
            yield {
                "name": pool.name,
                **shown(POOL, pool, tenant.zone),
                "effective_seats": 0 if why_no_seats(tenant, pool) else pool_now.seats,
                "signed_seats": None if pool.signed is None else pool.signed.at(now.at_ms).seats,
                "in_use": pool_now.in_use,
                "overdraft_in_use": pool_now.overdraft_in_use,
                "overuse": pool_now.overuse,
                "effective_hold_s": Duration(tenant.hold_s_of(pool)),
                "options": [name for name in _OPTIONS if name in said(pool)],
                "scopes": [scope.name for scope in tenant.scopes.values() if pool.name in scope.pools],
            }


app.shows("full")
app.removes(method("remove_pool"), "Remove a pool that no scope uses.", "mobile")
