"""Joins the pages of usage: peaks, true-up, idle seats, costs, what if, and export."""

from fastapi import APIRouter

from licet.admin.context import AdminContext
from licet.admin.pages.reports import export, tables, usage, what_if


def router(context: AdminContext) -> APIRouter:
    """All of them."""
    routes = APIRouter()
    for part in (usage, tables, what_if, export):
        routes.include_router(part.router(context))
    return routes
