"""Serves the pools of a tenant: lists, adds, shows, changes and removes them."""

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from licet.admin.api import openapi, requests, responses
from licet.admin.api.call import Content, Licensing, NamePath, Owning, Paged, Reading, TenantPath, at, there
from licet.admin.api.dry_run import rehearsable
from licet.formats import NEVER, read_end_ms
from licet.model import InvalidValue, Pool, Tenant, read_alerts
from licet.refusal import Code, of_field
from licet.setup.tenant import TenantSetup

pools = APIRouter(prefix="/tenants/{tenant}/pools", tags=["Pools"])


@pools.get("", operation_id="listPools", **openapi.listed(responses.Pool, 404))
async def list_pools(call: Reading, tenant: TenantPath, page: Paged) -> Response:
    """The pools of a tenant."""

    def found() -> Iterable[responses.Pool]:
        of = call.tenant(tenant)
        return [responses.pool(pool, of) for pool in of.pools.values()]

    return await call.show_list(found, lambda pool: pool.name, lambda pool: pool, page)


@pools.post("", operation_id="addPool", **rehearsable(openapi.added(responses.Pool)))
async def add_pool(call: Licensing, tenant: TenantPath, body: requests.PoolNew) -> Response:
    """Add a pool."""
    given = _of_pool(call.given(body))
    name = given.pop("name")

    def do(setup: TenantSetup) -> TenantSetup:
        setup.add_pool(name, **_with_end(given, setup.tenant))
        return setup

    return await call.add(tenant, do, _pool(name), at("tenants", tenant, "pools", name))


@pools.get("/{pool}", operation_id="getPool", **openapi.shown(responses.Pool))
async def get_pool(call: Reading, tenant: TenantPath, pool: NamePath) -> Response:
    """A pool."""

    def found() -> Content:
        of = call.tenant(tenant)
        return _shown_pool(of, of.pool_named(pool), pool)

    return await call.show_edited(found)


@pools.patch(
    "/{pool}",
    operation_id="changePool",
    **rehearsable(openapi.edited(responses.Pool)),
)
async def change_pool(call: Owning, tenant: TenantPath, pool: NamePath, body: requests.PoolPatch) -> Response:
    """Change a pool. Fewer seats end no session; an earlier expiry does. A tenant's owner sets `alerts`."""
    given = _of_pool(call.given(body))
    return await call.edit(
        tenant, _pool(pool), lambda setup: setup.set_pool(pool, **_with_end(given, setup.tenant))
    )


@pools.delete(
    "/{pool}",
    operation_id="removePool",
    **rehearsable(openapi.removed()),
)
async def remove_pool(call: Licensing, tenant: TenantPath, pool: NamePath) -> Response:
    """Remove it, when no scope draws on it."""
    return await call.remove(tenant, _pool(pool), lambda setup: setup.remove_pool(pool))


def _pool(name: str) -> Callable[[TenantSetup], Content]:
    return lambda setup: _shown_pool(setup.tenant, setup.pools.get(name), name)


def _shown_pool(of: Tenant, found: Pool | None, name: str) -> Content:
    return responses.pool(there(found, "pool", name), of), b""


def _of_pool(given: dict[str, Any]) -> dict[str, Any]:
    if "alerts" in given:
        given["alerts"] = read_alerts(" ".join(given["alerts"]))
    if "expires_at" in given and "expires_at_ms" in given:
        text = "say expires_at or expires_at_ms, and not both"
        raise InvalidValue(text, code=Code.NOT_TOGETHER, field="expires")
    return given


def _with_end(given: dict[str, Any], of: Tenant) -> dict[str, Any]:
    """A date or time that names no zone is meant in the tenant's."""
    if "expires_at" not in given:
        return given
    rest = {name: value for name, value in given.items() if name != "expires_at"}
    with of_field("expires"):
        return {**rest, "expires_at_ms": read_end_ms(given["expires_at"] or NEVER, of.zone)}
