"""Serves the page of one client and the page of one user: `/client` and `/user`, with `name` in the query.

One that was removed has a page for as long as anything is known of it; its settings are gone.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from licet.admin.context import AdminContext
from licet.admin.pages.denials import lasted
from licet.admin.pages.filters import CAUSES, cleaned, reason_text
from licet.admin.pages.frame import Visit, link, page, visiting
from licet.admin.pages.journal import did_text
from licet.admin.pages.profiles.if_asked import RULE_NAMES, if_asked, why_command
from licet.admin.pages.profiles.reading import Profile, Who, clients_of, profile
from licet.admin.pages.setup.cells import Row
from licet.admin.pages.setup.error_links import ROOT
from licet.admin.pages.setup.noun import capital
from licet.admin.pages.setup.nouns.clients import Clients
from licet.admin.problems import not_found
from licet.formats import counted
from licet.ledger.signed_pools import seats_of
from licet.model import Client, Role, Tenant
from licet.reports.options.rules_of_client import rules_of_client
from licet.setup.check import authenticates_by
from licet.store.paging import InvalidCursor

PATHS = {Who.CLIENT: "/client", Who.USER: "/user"}
CLIENTS_SHOWN = 20  # of a user; the set-up has all
_SETTINGS = {Who.CLIENT: f"{ROOT}/clients/edit", Who.USER: f"{ROOT}/users/edit"}


def router(context: AdminContext) -> APIRouter:
    """`/client` and `/user`."""
    routes = APIRouter()
    for who, path in PATHS.items():
        routes.add_api_route(path, _show(context, who), methods=["GET"])
    return routes


def _show(context: AdminContext, who: Who) -> Callable[[Request], Any]:
    seen = visiting(context)

    async def show(request: Request) -> Response:
        visit = await seen(request)
        if visit.the_tenant is None:
            raise not_found("Say of which tenant.")
        tenant = await context.tenant(visit.identity, visit.the_tenant.name)
        there = tenant.clients if who is Who.CLIENT else tenant.users
        asked, after = request.query_params.get("name", ""), request.query_params.get("after")
        name = asked if asked in there else cleaned(asked)
        if not name:
            raise not_found(f"Say which {who}.")
        try:
            found = await context.read(
                partial(profile, tenant=tenant, who=who, name=name, now_ms=visit.now_ms, after=after or None)
            )
        except InvalidCursor:
            raise not_found("This page of the list is not there; begin with the first.") from None
        if name not in there and not found.is_known:
            raise not_found(f"There is no {who} {name[:64]} in {tenant.name}, and nothing is known of one.")
        values = await context.run(_values, context, visit, tenant, who, name, found)
        if who is Who.CLIENT and name in there:
            scope = cleaned(request.query_params.get("scope", ""))
            values["asked"] = await context.run(if_asked, context.store, tenant, tenant.clients[name], scope)
        return page(
            request,
            visit,
            f"profiles/{who}.html",
            tenant=tenant,
            who=who,
            name=name,
            is_there=name in there,
            newer=link(visit, PATHS[who], tenant=tenant.name, name=name) if after else None,
            **values,
        )

    return show


def _values(  # noqa: PLR0917 - all that a page is made of
    context: AdminContext, visit: Visit, tenant: Tenant, who: Who, name: str, found: Profile
) -> dict[str, Any]:
    """What the templates of both pages are given."""
    own = {"tenant": tenant.name, who.value: name, "within": "all"}
    older = {"tenant": tenant.name, "name": name, "after": found.held.next}
    values: dict[str, Any] = {
        "found": found,
        "asked": None,
        "headline": _headline(who, name, found),
        "why_denied": lambda denial: reason_text(denial.reason, denial.seats),
        "why_failed": lambda failure: CAUSES[failure.cause],
        "did": did_text,
        "lasted": lasted,
        "settings": link(visit, _SETTINGS[who], tenant=tenant.name, name=name),
        "may_change": visit.may(Role.OWNER),
        "may_end": visit.may(Role.OPERATOR),
        "lists": {path: link(visit, path, **own) for path in ("/denials", "/failures", "/journal")},
        "seats_list": link(visit, "/seats", tenant=tenant.name, q=name),
        "changes_list": link(visit, "/journal", **own, kind="event"),
        "held_file": link(visit, f"{PATHS[who]}/download.csv", tenant=tenant.name, name=name),
        "older": link(visit, PATHS[who], **older) if found.held.next else None,
    }
    clients = clients_of(tenant, who, name)
    if who is Who.USER:
        return values | _of_user(context, visit, tenant, name, clients)
    return values | _of_client(tenant, clients, visit.now_ms)


def _headline(who: Who, name: str, found: Profile) -> str:
    """The answer in one sentence, without the time of the last use."""
    held, open_ = found.seats.count, found.without.count
    said = f"{capital(who.value)} {name} holds {counted(held, 'seat') if held else 'no seat'}"
    return f"{said}, and has {counted(open_, 'session')} without one" if open_ else said


def _of_client(tenant: Tenant, clients: Sequence[Client], now_ms: int) -> dict[str, Any]:
    part = clients[0] if clients else None
    if part is None:
        return {"part": None}
    names = sorted(tenant.scopes if part.scopes is None else part.scopes & tenant.scopes.keys())
    scopes = [
        (tenant.scopes[name], [pool for it in tenant.scopes[name].pools if (pool := tenant.pool_named(it))])
        for name in names
    ]
    return {
        "part": part,
        "rule_names": RULE_NAMES,
        "rules_command": why_command(tenant, part, "--rules "),
        "groups": groups_of(tenant, part),
        "proof": authenticates_by(part, now_ms),
        "pool_rules": rules_of_client(tenant, part),
        "scopes": [(scope, [(it, seats_of(it, now_ms)) for it in pools]) for scope, pools in scopes],
    }


def groups_of(tenant: Tenant, client: Client) -> list[str]:
    """The groups that a client is in, by itself or by its user."""
    return sorted(
        group.name
        for group in tenant.groups.values()
        if client.client_id in group.clients or client.user.initials in group.users
    )


def _of_user(
    context: AdminContext, visit: Visit, tenant: Tenant, initials: str, clients: Sequence[Client]
) -> dict[str, Any]:
    noun = Clients(context, visit, tenant)
    shown = clients[:CLIENTS_SHOWN]
    pools = {
        pool
        for client in clients
        for name, scope in tenant.scopes.items()
        for pool in scope.pools
        if client.scopes is None or name in client.scopes
    }
    return {
        "part": tenant.users.get(initials),
        "groups": sorted(group.name for group in tenant.groups.values() if initials in group.users),
        "pools": sorted(pools),
        "clients_count": len(clients),
        "client_headings": [capital(noun.word), *noun.columns[1:]],
        "client_rows": [
            Row(
                client.client_id,
                link(visit, PATHS[Who.CLIENT], tenant=tenant.name, name=client.client_id),
                noun.row(client)[1:],
            )
            for client in shown
        ],
        "clients_list": link(visit, f"{ROOT}/clients", tenant=tenant.name, q=initials),
    }
