"""Lists the pages of the set-up: `/set-up`, and those of each noun under it."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from licet.admin.context import AdminContext
from licet.admin.pages.frame import link, visiting
from licet.admin.pages.setup.client_and_webhook_pages import ClientPages, WebhookPages
from licet.admin.pages.setup.error_links import ROOT
from licet.admin.pages.setup.noun import Noun
from licet.admin.pages.setup.noun_pages import NounPages
from licet.admin.pages.setup.nouns.administrators import Administrators
from licet.admin.pages.setup.nouns.api_keys import ApiKeys
from licet.admin.pages.setup.nouns.client_keys import ClientKeys
from licet.admin.pages.setup.nouns.client_secrets import ClientSecretRotation, ClientSecrets
from licet.admin.pages.setup.nouns.groups import Groups
from licet.admin.pages.setup.nouns.pools import Pools
from licet.admin.pages.setup.nouns.scopes import Scopes
from licet.admin.pages.setup.nouns.tenants import Tenants
from licet.admin.pages.setup.nouns.users import Users

# Clients and webhooks have pages of their own beside these.
_ALIKE: tuple[type[Noun[Any]], ...] = (
    Tenants,
    Pools,
    Scopes,
    Users,
    Groups,
    ClientSecrets,
    ClientSecretRotation,
    ClientKeys,
    Administrators,
    ApiKeys,
)


def router(context: AdminContext) -> APIRouter:
    """All of them."""
    routes = APIRouter()
    routes.add_api_route(ROOT, _first(context), methods=["GET"])
    for noun in _ALIKE:
        NounPages(context, noun).add_to(routes)
    ClientPages(context).add_to(routes)
    WebhookPages(context).add_to(routes)
    return routes


def _first(context: AdminContext) -> Callable[[Request], Any]:
    seen = visiting(context)

    async def show(request: Request) -> Response:
        visit = await seen(request)
        return RedirectResponse(link(visit, f"{ROOT}/{'pools' if visit.the_tenant else 'tenants'}"), 303)

    return show
