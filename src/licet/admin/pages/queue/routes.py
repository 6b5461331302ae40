"""Serves the queue of a pool: `/queue`, with `pool` in the query, and the question before a place is removed.

Removing a place needs the role of an operator, as ending a session does. Its client may ask again, and is
then the last of its level.
"""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.context import AdminContext
from licet.admin.pages.frame import Visit, link, page, posting, see, visiting
from licet.admin.problems import not_found
from licet.formats import counted
from licet.model import Pool, Role, Tenant
from licet.reports.options.queue import Waiting, queue_of
from licet.reports.seats import mark
from licet.setup.queue_places import remove_place

PATH = "/queue"
ROWS_MAX = 200  # of a page; the file has all


def router(context: AdminContext) -> APIRouter:
    """`/queue` and `/queue/remove`."""
    routes = APIRouter()
    routes.add_api_route(PATH, _show(context), methods=["GET"])
    routes.add_api_route(f"{PATH}/remove", _ask(context), methods=["GET"])
    routes.add_api_route(f"{PATH}/remove", _remove(context), methods=["POST"])
    return routes


def pool_in(request: Request, visit: Visit) -> tuple[Tenant, Pool]:
    """The pool that an address names, and its tenant.

    Raises Problem.
    """
    if (tenant := visit.the_tenant) is None:
        raise not_found("Say of which tenant.")
    name = request.query_params.get("pool", "")
    if (pool := tenant.pool_named(name)) is None:
        raise not_found(f"There is no pool {name[:64]} in {tenant.name}.")
    return tenant, pool


def _show(context: AdminContext) -> Callable[[Request], Any]:
    visit_of = visiting(context)

    async def show(request: Request) -> Response:
        visit = await visit_of(request)
        tenant, pool = pool_in(request, visit)

        def read(connection: Connection) -> tuple[Sequence[Waiting], str]:
            return queue_of(connection, pool, visit.now_ms), mark(connection, tenant.id, visit.now_ms)

        line, seen = await context.read(read)
        return page(
            request,
            visit,
            "queue/show.html",
            here="Seats",
            tenant=tenant,
            pool=pool,
            line=line[:ROWS_MAX],
            count=len(line),
            headline=f"{_waiting(len(line))} for a seat of {pool.name} in {tenant.name}",
            mark=seen,
            may_remove=visit.may(Role.OPERATOR),
            removal=lambda it: _link(visit, pool, "/remove", client=it.client_id),
            back=link(visit, "/seats", pool=pool.name),
            download=_link(visit, pool, "/download.csv"),
        )

    return show


def _ask(context: AdminContext) -> Callable[[Request], Any]:
    visit_of = visiting(context, Role.OPERATOR)

    async def ask(request: Request) -> Response:
        visit = await visit_of(request)
        tenant, pool = pool_in(request, visit)
        client_id = request.query_params.get("client", "")
        line = await context.read(lambda connection: queue_of(connection, pool, visit.now_ms))
        found = next((it for it in line if it.client_id == client_id), None)
        return page(
            request,
            visit,
            "queue/remove.html",
            here="Seats",
            tenant=tenant,
            pool=pool,
            found=found,
            count=len(line),
            back=_link(visit, pool),
        )

    return ask


def _remove(context: AdminContext) -> Callable[[Request], Any]:
    poster = posting(context, Role.OPERATOR)

    async def remove(request: Request) -> Response:
        visit = (await poster(request)).visit
        tenant, pool = pool_in(request, visit)
        client_id = request.query_params.get("client", "")
        if client_id not in tenant.clients:
            raise not_found(
                f"There is no client {client_id[:64]} in {tenant.name}. It may have been removed."
            )
        was_there = await context.change(
            visit.identity, lambda change: remove_place(change, tenant.name, pool.name, client_id)
        )
        done = (
            f"{client_id} has no place in line any more."
            if was_there
            else f"{client_id} had no place in line."
        )
        return see(request, _link(visit, pool), done)

    return remove


def _link(visit: Visit, pool: Pool, end: str = "", **more: object) -> str:
    return link(visit, f"{PATH}{end}", pool=pool.name, **more)


def _waiting(count: int) -> str:
    return f"{counted(count, 'client')} {'waits' if count == 1 else 'wait'}" if count else "Nobody waits"
