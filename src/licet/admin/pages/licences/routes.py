"""Lists the pages of licences: what counts, to install, to remove, and whom to trust."""

from fastapi import APIRouter

from licet.admin.context import AdminContext
from licet.admin.pages.licences import show
from licet.admin.pages.licences.install import InstallPages
from licet.admin.pages.licences.removal import RemovalPages
from licet.admin.pages.licences.trust import TrustPages


def router(context: AdminContext) -> APIRouter:
    """All of them."""
    routes = show.router(context)
    for pages in (InstallPages(context), TrustPages(context), RemovalPages(context)):
        pages.add_to(routes)
    return routes
