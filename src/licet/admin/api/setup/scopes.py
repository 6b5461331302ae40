"""Serves the scopes of a tenant: lists, adds, shows, changes and removes them."""

from licet.admin.api import requests
from licet.admin.api.call import LICENSING
from licet.admin.api.collection import OfTenant
from licet.admin.api.noun_endpoints import Endpoints
from licet.admin.api.responses import setup as shapes
from licet.setup.tenant import TenantSetup

scopes = Endpoints(
    "Scope",
    OfTenant(lambda of: of.scopes),
    path="/tenants/{tenant}/scopes",
    tag="Scopes",
    key="scope",
    word="scope",
    shape=shapes.Scope,
    show=lambda _, scope: shapes.scope(scope),
)
scopes.lists("The scopes of a tenant.")
scopes.adds("Add a scope.", LICENSING, requests.ScopeNew, TenantSetup.add_scope)
scopes.shows("A scope.")
scopes.changes(
    "Change it; with another pool its sessions end.", LICENSING, requests.ScopePatch, TenantSetup.set_scope
)
scopes.removes("Remove it; its sessions end.", LICENSING, TenantSetup.remove_scope)
