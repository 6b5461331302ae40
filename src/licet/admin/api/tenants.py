"""Serves the tenants: lists, adds, shows, changes and removes them.

The model and `licet.setup.change` decide what may be, and what ends with a change. An owner changes, and
everybody looks. Who is of one tenant adds and removes none, and does not change its licence.
"""

from fastapi import APIRouter
from fastapi.responses import Response

from licet.admin.api import openapi, requests, responses
from licet.admin.api.call import Owning, OwningAll, Paged, Reading, TenantPath, at, created
from licet.admin.api.conditional import must_match, represent
from licet.admin.api.dry_run import rehearsable
from licet.admin.api.queries import Matching, has_part
from licet.model import Tenant
from licet.setup.change import SetupChange
from licet.setup.nouns import TENANT

tenants = APIRouter(prefix="/tenants", tags=["Tenants"])


@tenants.get("", operation_id="listTenants", **openapi.listed(responses.Tenant))
async def list_tenants(call: Reading, page: Paged, matching: Matching = None) -> Response:
    """The tenants that you see."""

    def found() -> list[Tenant]:
        every = call.desk.tenants_now(call.identity)
        return [tenant for tenant in every if has_part(tenant.name, matching)]

    return await call.show_list(found, lambda tenant: tenant.name, responses.tenant, page)


@tenants.post("", operation_id="addTenant", **rehearsable(openapi.added(responses.Tenant)))
async def add_tenant(call: OwningAll, body: requests.TenantNew) -> Response:
    """Add a tenant."""
    given = call.given(body)

    def work(change: SetupChange) -> Tenant:
        return change.add_tenant(given.pop("name"), **given).tenant

    made = await call.change_setup(work)
    return created(represent(responses.tenant(made)), at("tenants", made.name))


@tenants.get("/{tenant}", operation_id="getTenant", **openapi.shown(responses.Tenant))
async def get_tenant(call: Reading, tenant: TenantPath) -> Response:
    """A tenant itself."""
    return await call.show_edited(lambda: (responses.tenant(call.tenant(tenant)), b""))


@tenants.patch("/{tenant}", operation_id="changeTenant", **rehearsable(openapi.edited(responses.Tenant)))
async def change_tenant(call: Owning, tenant: TenantPath, body: requests.TenantPatch) -> Response:
    """Change it. An owner of one tenant changes neither a life nor the token format."""
    given = TENANT.by_field(call.given(body))
    return await call.edit(
        tenant, lambda setup: (responses.tenant(setup.tenant), b""), lambda setup: setup.set(**given)
    )


@tenants.delete(
    "/{tenant}",
    operation_id="removeTenant",
    **rehearsable(openapi.removed()),
)
async def remove_tenant(call: OwningAll, tenant: TenantPath) -> Response:
    """Remove it with all that it has, its journal too."""
    condition = call.condition()

    def work(change: SetupChange) -> None:
        if (there := change.tenants().get(tenant)) is not None:
            must_match(condition, represent(responses.tenant(there)))
            change.remove_tenant(tenant)

    await call.change_setup(work)
    return Response(status_code=204)
