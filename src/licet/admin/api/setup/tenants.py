"""Serves the tenants: lists, adds, shows, changes and removes them.

The model and `licet.setup.change` decide what may be, and what ends with a change. An owner changes, and
everybody looks. Who is of one tenant adds and removes none, and does not change its licence.
"""

from collections.abc import Callable
from typing import Any

from licet.admin.api import requests
from licet.admin.api.call import OWNING, OWNING_ALL
from licet.admin.api.collection import Tenants
from licet.admin.api.noun_endpoints import Endpoints
from licet.admin.api.parameters import Matching, has_part
from licet.admin.api.responses import setup as shapes
from licet.model import Tenant
from licet.setup.change import SetupChange
from licet.setup.nouns import TENANT


async def _wanted(matching: Matching = None) -> Callable[[Tenant], bool]:
    return lambda tenant: has_part(tenant.name, matching)


def _set(change: SetupChange, name: str, **given: Any) -> None:
    change.tenant(name).set(**given)


tenants = Endpoints(
    "Tenant",
    Tenants(),
    path="/tenants",
    tag="Tenants",
    key="tenant",
    word="tenant",
    shape=shapes.Tenant,
    show=lambda _, tenant: shapes.tenant(tenant),
    noun=TENANT,
)
tenants.lists("The tenants that you can see.", only=_wanted)
tenants.adds("Add a tenant.", OWNING_ALL, requests.TenantNew, SetupChange.add_tenant)
tenants.shows("A tenant.")
tenants.changes(
    "Change it. An owner of one tenant cannot change lifetimes or the token format.",
    OWNING,
    requests.TenantPatch,
    _set,
)
tenants.removes(
    "Remove it with everything in it, including its journal.", OWNING_ALL, SetupChange.remove_tenant
)
