"""Serves the queue of a pool: who waits for a seat, and takes a place away."""

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.api import openapi
from licet.admin.api.call import Operating, Reading, there
from licet.admin.api.dry_run import rehearsable
from licet.admin.api.parameters import NamePath, Paged, TenantPath
from licet.model import Pool, Tenant
from licet.reports.options.queue import Waiting, queue_of
from licet.setup.change import SetupChange
from licet.setup.queue_places import remove_place

queues = APIRouter(prefix="/tenants/{tenant}/pools/{pool}/queue", tags=["Pools"])


@queues.get("", operation_id="listQueue", **openapi.listed(Waiting, 404))
async def list_queue(call: Reading, tenant: TenantPath, pool: NamePath, page: Paged) -> Response:
    """Who waits for a seat of the pool, the first in line first."""

    def found() -> dict[str, Waiting]:
        of = _pool_of(call.tenant(tenant), pool)

        def read(connection: Connection) -> tuple[Waiting, ...]:
            return queue_of(connection, of, call.now_ms())

        return {f"{it.place:06}": it for it in call.context.read_now(read)}

    return await call.show_list(found, lambda it: it, page)


@queues.delete("/{client_id}", operation_id="removePlace", **rehearsable(openapi.one(None, 404, status=204)))
async def remove(call: Operating, tenant: TenantPath, pool: NamePath, client_id: NamePath) -> Response:
    """Remove a client from the queue; 204 even if it is not in it. If it asks again, it is the last."""

    def work(change: SetupChange) -> None:
        setup = call.setup(change, tenant)
        there(setup.pools.get(pool), "pool", pool, setup.pools)
        there(setup.clients.get(client_id), "client", client_id, setup.clients)
        remove_place(change, tenant, pool, client_id)

    await call.change_setup(work)
    return Response(status_code=204)


def _pool_of(tenant: Tenant, name: str) -> Pool:
    """Raises NotThere."""
    return there(tenant.pool_named(name), "pool", name, (pool.name for pool in tenant.pools.values()))
