"""Serves the groups of a tenant: lists, adds, shows, changes and removes them."""

from licet.admin.api import requests
from licet.admin.api.call import OWNING
from licet.admin.api.collection import OfTenant
from licet.admin.api.noun_endpoints import Endpoints
from licet.admin.api.responses import setup as shapes
from licet.setup.nouns import GROUP
from licet.setup.tenant import TenantSetup

groups = Endpoints(
    "Group",
    OfTenant(lambda of: of.groups),
    path="/tenants/{tenant}/groups",
    tag="Groups",
    key="group",
    word="group",
    shape=shapes.Group,
    show=lambda _, group: shapes.group(group),
    noun=GROUP,
)
groups.lists("The groups of a tenant.")
groups.adds("Add a group.", OWNING, requests.GroupNew, TenantSetup.add_group)
groups.shows("A group.")
groups.changes(
    "Change its members. Seats in use are kept.", OWNING, requests.GroupPatch, TenantSetup.set_group
)
groups.removes("Remove it, if no rule of a pool names it.", OWNING, TenantSetup.remove_group)
