"""Runs `licet why`: says what would happen if a client asked for a seat now, and why, without asking."""

from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli import completing
from licet.cli.options import AsJson, Data, TenantName, exclusive
from licet.cli.output import Record, say, show_json, show_list
from licet.cli.stores import chosen_tenant, opened
from licet.cli.terminal import plain
from licet.formats import duration
from licet.model import NoSeatReason
from licet.refusal import Subject
from licet.store.errors import unknown

if TYPE_CHECKING:
    from licet.model import Client, Tenant
    from licet.reports.options.why import Why

_RULE_HEADINGS = {"pool": "pool", "rule": "rule", "for": "for", "what": "what", "counts": "counts"}
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


Rules = Annotated[
    bool,
    typer.Option(
        "--rules",
        help="Show instead which rules of pools apply to the client, regardless of the present seats.",
    ),
]


def why(
    client: ClientId,
    *,
    scope: ScopeNames = None,
    rules: Rules = False,
    tenant: TenantName = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Why a client would get a seat now, or not: rule by rule, without asking for one.

    Exit code 1 if it would be denied. No seat is taken, and nothing is written to the journal. --rules lists
    the rules for this client, its user and its groups in each pool of its scopes.

    Example: [bold]licet why TestClientId[/]
    """
    from licet.reports.options.why import explain

    exclusive(("--rules", rules), ("--scope", scope is not None))
    with opened(data) as store:
        chosen = chosen_tenant(store, tenant)
        found = chosen.clients.get(client)
        if found is None:
            raise unknown(Subject("client", client, chosen.name), chosen.clients)
        if rules:
            _show_rules(chosen, found, as_json=as_json)
            return
        explained = explain(store, chosen, found, tuple((scope or "").split()))
    if as_json:
        show_json(plain(explained))
    else:
        _print(explained)
    if not explained.granted:
        raise typer.Exit(1)


def _show_rules(tenant: "Tenant", client: "Client", *, as_json: bool) -> None:
    from licet.reports.options.rules_of_client import rules_of_client

    found = rules_of_client(tenant, client)
    if as_json:
        show_json(plain(found))
        return
    records: list[Record] = [
        {"pool": pool.pool, "rule": rule.option, "for": rule.who, "what": rule.text, "counts": rule.counts}
        for pool in found
        for rule in pool.rules
    ]
    empty = f"No rule of a pool applies to {client.client_id}: whoever finds a free seat gets it."
    show_list(records, _RULE_HEADINGS, as_json=False, empty=empty)


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
    if why.reason in set(NoSeatReason):
        return f"{who} would be denied: {why.reason}."
    failed = next(step for step in why.steps if not step.passed)  # no seat was asked about
    return f"{who} would get no token: {failed.text[:1].lower()}{failed.text[1:].removesuffix('.')}."
