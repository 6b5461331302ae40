"""Serves the scopes of a tenant: lists, adds, shows, changes and removes them."""

from collections.abc import Callable, Iterable

from fastapi import APIRouter
from fastapi.responses import Response

from licet.admin.api import openapi, requests, responses
from licet.admin.api.call import Content, Licensing, NamePath, Paged, Reading, TenantPath, at, there
from licet.admin.api.dry_run import rehearsable
from licet.model import Scope
from licet.setup.tenant import TenantSetup

scopes = APIRouter(prefix="/tenants/{tenant}/scopes", tags=["Scopes"])


@scopes.get("", operation_id="listScopes", **openapi.listed(responses.Scope, 404))
async def list_scopes(call: Reading, tenant: TenantPath, page: Paged) -> Response:
    """The scopes of a tenant."""

    def found() -> Iterable[Scope]:
        return call.tenant(tenant).scopes.values()

    return await call.show_list(found, lambda scope: scope.name, responses.scope, page)


@scopes.post("", operation_id="addScope", **rehearsable(openapi.added(responses.Scope)))
async def add_scope(call: Licensing, tenant: TenantPath, body: requests.ScopeNew) -> Response:
    """Add a scope."""
    given = call.given(body)
    name = given.pop("name")

    def do(setup: TenantSetup) -> Scope:
        setup.add_scope(name, **given)
        return setup.scopes[name]

    return await call.add(
        tenant, do, lambda scope: _shown_scope(scope, name), at("tenants", tenant, "scopes", name)
    )


@scopes.get("/{scope}", operation_id="getScope", **openapi.shown(responses.Scope))
async def get_scope(call: Reading, tenant: TenantPath, scope: NamePath) -> Response:
    """A scope."""
    return await call.show_edited(lambda: _shown_scope(call.tenant(tenant).scopes.get(scope), scope))


@scopes.patch(
    "/{scope}",
    operation_id="changeScope",
    **rehearsable(openapi.edited(responses.Scope)),
)
async def change_scope(
    call: Licensing, tenant: TenantPath, scope: NamePath, body: requests.ScopePatch
) -> Response:
    """Change it; with another pool its sessions end."""
    given = call.given(body)
    return await call.edit(tenant, _scope(scope), lambda setup: setup.set_scope(scope, **given))


@scopes.delete("/{scope}", operation_id="removeScope", **rehearsable(openapi.removed()))
async def remove_scope(call: Licensing, tenant: TenantPath, scope: NamePath) -> Response:
    """Remove it; its sessions end."""
    return await call.remove(tenant, _scope(scope), lambda setup: setup.remove_scope(scope))


def _scope(name: str) -> Callable[[TenantSetup], Content]:
    return lambda setup: _shown_scope(setup.scopes.get(name), name)


def _shown_scope(found: Scope | None, name: str) -> Content:
    return responses.scope(there(found, "scope", name)), b""
