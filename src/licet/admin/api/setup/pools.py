"""Serves the pools of a tenant: lists, adds, shows, changes and removes them."""

from typing import Any

from licet.admin.api import requests
from licet.admin.api.call import LICENSING, OWNING, Call
from licet.admin.api.collection import InTenant, Owner, a_tenant
from licet.admin.api.moments import end_of
from licet.admin.api.noun_endpoints import Endpoints, Given
from licet.admin.api.responses import setup as shapes
from licet.model import Tenant
from licet.setup.nouns import POOL
from licet.setup.tenant import TenantSetup


class _Pools(InTenant[shapes.Pool]):
    """The pools of a tenant as they are shown, which takes the tenant and the time too."""

    owner = staticmethod(a_tenant)

    def parts(self, tenant: Tenant | TenantSetup, _: Owner, now_ms: int = 0) -> dict[str, shapes.Pool]:
        """All of the tenant's."""
        of = tenant if isinstance(tenant, Tenant) else tenant.tenant
        return {pool.name: shapes.pool(pool, of, now_ms) for pool in tenant.pools.values()}

    def all(self, call: Call, owner: Owner) -> dict[str, shapes.Pool]:
        """As they are now."""
        return self.parts(call.tenant(owner[0]), owner, call.context.store.clock.now_ms())

    def find_in(self, change: TenantSetup, call: Call, owner: Owner, name: str) -> shapes.Pool | None:
        """One as it is in a transaction."""
        return self.parts(change, owner, call.context.store.clock.now_ms()).get(name)


def _add(setup: TenantSetup, name: str, **given: Any) -> None:
    setup.add_pool(name, **_with_end(given, setup.tenant))


def _set(setup: TenantSetup, name: str, **given: Any) -> None:
    setup.set_pool(name, **_with_end(given, setup.tenant))


def _with_end(given: Given, of: Tenant) -> Given:
    if "expires_at_ms" not in given:
        return given
    return given | {"expires_at_ms": end_of(given["expires_at_ms"], of.zone)}


pools = Endpoints(
    "Pool",
    _Pools(),
    path="/tenants/{tenant}/pools",
    tag="Pools",
    key="pool",
    word="pool",
    shape=shapes.Pool,
    show=lambda _, pool: pool,
    noun=POOL,
)
pools.lists("The pools of a tenant.")
pools.adds("Add a pool.", LICENSING, requests.PoolNew, _add)
pools.shows("A pool.")
pools.changes(
    "Change a pool. Fewer seats end no session; an earlier expiry does. A tenant's owner sets `alerts`.",
    OWNING,
    requests.PoolPatch,
    _set,
)
pools.removes("Remove it, if no scope uses it.", LICENSING, TenantSetup.remove_pool)
