"""Serves the pools of a tenant: lists, adds, shows, changes and removes them."""

from typing import Any

from licet.admin.api import requests, responses
from licet.admin.api.call import LICENSING, OWNING, Call
from licet.admin.api.collection import OfTenant, Owner
from licet.admin.api.noun_endpoints import Endpoints, Given
from licet.formats import NEVER, read_end_ms
from licet.model import InvalidValue, Tenant
from licet.refusal import Code, of_field
from licet.setup.nouns import POOL
from licet.setup.tenant import TenantSetup


def _pools(of: Tenant | TenantSetup) -> dict[str, responses.Pool]:
    """The pools of a tenant as they are shown, which takes the tenant too."""
    tenant = of if isinstance(of, Tenant) else of.tenant
    return {pool.name: responses.pool(pool, tenant) for pool in of.pools.values()}


async def _one_end(_: Call, __: Owner, ___: str, given: Given) -> Given:
    """Raises InvalidValue."""
    if "expires_at" in given and "expires_at_ms" in given:
        text = "say expires_at or expires_at_ms, and not both"
        raise InvalidValue(text, code=Code.NOT_TOGETHER, field="expires")
    return given


def _add(setup: TenantSetup, name: str, **given: Any) -> None:
    setup.add_pool(name, **_with_end(given, setup.tenant))


def _set(setup: TenantSetup, name: str, **given: Any) -> None:
    setup.set_pool(name, **_with_end(given, setup.tenant))


def _with_end(given: Given, of: Tenant) -> Given:
    """A date or time that names no zone is meant in the tenant's."""
    if "expires_at" not in given:
        return given
    rest = {name: value for name, value in given.items() if name != "expires_at"}
    with of_field("expires"):
        return {**rest, "expires_at_ms": read_end_ms(given["expires_at"] or NEVER, of.zone)}


pools = Endpoints(
    "Pool",
    OfTenant(_pools),
    path="/tenants/{tenant}/pools",
    tag="Pools",
    key="pool",
    word="pool",
    shape=responses.Pool,
    show=lambda _, pool: pool,
    noun=POOL,
)
pools.lists("The pools of a tenant.")
pools.adds("Add a pool.", LICENSING, requests.PoolNew, _add, prepare=_one_end)
pools.shows("A pool.")
pools.changes(
    "Change a pool. Fewer seats end no session; an earlier expiry does. A tenant's owner sets `alerts`.",
    OWNING,
    requests.PoolPatch,
    _set,
    prepare=_one_end,
)
pools.removes("Remove it, when no scope draws on it.", LICENSING, TenantSetup.remove_pool)
