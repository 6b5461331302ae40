"""Runs `licet why`: says what would happen if a client asked for a seat now, and why, without asking."""

from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli import completing
from licet.cli.options import AsJson, Data, TenantName
from licet.cli.output import say, show_json
from licet.cli.stores import chosen_tenant, opened
from licet.cli.terminal import plain
from licet.formats import duration
from licet.refusal import Subject
from licet.store.errors import unknown

if TYPE_CHECKING:
    from licet.reports.options.why import Why

_MARKS = {True: "+", False: "-"}

ClientId = Annotated[
    str, typer.Argument(metavar="CLIENT_ID", help="The client.", autocompletion=completing.clients)
]
ScopeNames = Annotated[
    str | None,
    typer.Option(
        "--scope",
        metavar="SCOPE",
        help="What it would ask for: a scope, or several separated by spaces; the tenant's default.",
        autocompletion=completing.scopes,
    ),
]


def why(
    client: ClientId,
    *,
    scope: ScopeNames = None,
    tenant: TenantName = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Why a client would get a seat now, or not: rule by rule, without asking for one.

    Exit code 1 when it would be denied. Nothing is taken, and nothing is in the journal.

    Example: [bold]licet why TestClientId[/]
    """
    from licet.reports.options.why import explain

    with opened(data) as store:
        chosen = chosen_tenant(store, tenant)
        found = chosen.clients.get(client)
        if found is None:
            raise unknown(Subject("client", client, chosen.name), chosen.clients)
        explained = explain(store, chosen, found, tuple((scope or "").split()))
    if as_json:
        show_json(plain(explained))
    else:
        _print(explained)
    if not explained.granted:
        raise typer.Exit(1)


def _print(why: "Why") -> None:
    say(_headline(why))
    width = max(len(step.rule.value.replace("_", " ")) for step in why.steps)
    pool: str | None = None
    for step in why.steps:
        if step.pool != pool:
            pool = step.pool
            say(f"pool {pool}")
        say(f"  {_MARKS[step.passed]} {step.rule.value.replace('_', ' '):{width}}  {step.text}")
    if why.retry_after_s is not None:
        say(f"It may ask again in {duration(why.retry_after_s)}.")


def _headline(why: "Why") -> str:
    who = f"{why.client_id} of user {why.initials}"
    if why.granted and why.pool is None:
        return f"{who} would be granted {why.scope}, which needs no seat."
    if why.granted:
        what = "share the seat of its holder" if why.shares else "get a seat"
        return f"{who} would {what} in pool {why.pool}."
    return f"{who} would be denied: {why.reason}."
