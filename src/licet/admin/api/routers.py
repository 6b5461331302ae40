"""Joins the routers of the admin API under `/api/v1`, and makes the document that describes them."""

from collections.abc import Iterator
from functools import cache
from typing import Any, get_type_hints

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from licet.admin.api import (
    accounts,
    check,
    declaration,
    keys,
    refusals,
    reports,
    webhooks,
)
from licet.admin.api.call import API, Rights
from licet.admin.api.licences import endpoints as licences
from licet.admin.api.licences.shapes import SHOWN
from licet.admin.api.openapi import document
from licet.admin.api.setup import (
    client_secrets_and_keys,
    clients,
    groups,
    pools,
    queue,
    scopes,
    tenants,
    users,
)
from licet.admin.api.usage import reports as usage
from licet.admin.api.usage import statements

PARTS = (
    accounts.me,
    reports.overviews,
    tenants.tenants.router,
    pools.pools.router,
    queue.queues,
    licences.trust,
    licences.licences,
    licences.pools,
    scopes.scopes.router,
    users.users.router,
    clients.clients.router,
    groups.groups.router,
    client_secrets_and_keys.secrets.router,
    client_secrets_and_keys.keys.router,
    reports.live,
    reports.reports,
    usage.usages,
    statements.kept,
    refusals.everywhere,
    refusals.of_tenant,
    accounts.admins.router,
    accounts.api_keys.router,
    keys.keys,
    check.checks,
    declaration.declaration,
    webhooks.now,
    webhooks.webhooks.router,
    webhooks.deliveries,
)


@cache
def router() -> APIRouter:
    """All of the API."""
    every = APIRouter(prefix=API, redirect_slashes=False)
    for part in PARTS:
        every.include_router(part)
    return every


def openapi_document(application: FastAPI) -> dict[str, Any]:
    """What describes an application that has the API."""
    return document(
        application,
        dict(map(_needed, _routes())),
        (*SHOWN, *usage.SHOWN, *statements.SHOWN),
    )


def _routes() -> Iterator[APIRoute]:
    for part in PARTS:
        yield from (route for route in part.routes if isinstance(route, APIRoute))


def _needed(route: APIRoute) -> tuple[str, str]:
    """The id of an operation, and the role that it takes."""
    hint = get_type_hints(route.endpoint, include_extras=True)["call"]
    who: Rights = hint.__metadata__[0].dependency
    return str(route.operation_id), who.words
