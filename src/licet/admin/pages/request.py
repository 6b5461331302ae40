"""Serves the page of one refused request, found by its id.

Some ids of denials and of failed authentications are kept, for a while: a request that is not found may have
been refused all the same, and the page says where to look.
"""

import re
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from licet.admin.context import AdminContext
from licet.admin.pages.filters import CAUSES, cleaned, reason_text
from licet.admin.pages.frame import Visit, link, page, visiting
from licet.journal.failures import Refused, find_request
from licet.model import FailureCause, Who

HERE = "Denials"
PATH = "/denials/request"
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")  # else it is not put into a command to copy


def is_request_id(text: str) -> bool:
    """Whether a request id may be written like this."""
    return _ID.fullmatch(text) is not None


def router(context: AdminContext) -> APIRouter:
    """`/denials/request`."""
    routes = APIRouter()
    routes.add_api_route(PATH, _show(context), methods=["GET"])
    return routes


def _show(context: AdminContext) -> Callable[[Request], Any]:
    seen = visiting(context)

    async def show(request: Request) -> Response:
        visit = await seen(request)
        request_id = cleaned(request.query_params.get("id", ""))
        found = await context.read(
            lambda connection: find_request(
                connection,
                request_id,
                tenant_id=visit.identity.tenant_id,
                with_administrators=visit.identity.sees_sign_ins,
            )
        )
        return page(
            request,
            visit,
            "request.html",
            here=HERE,
            request_id=request_id,
            is_id=is_request_id(request_id),
            found=found,
            why=_why(found) if found else "",
            is_client=found is not None and found.who is Who.CLIENT,
            list_link=_list_link(visit, found) if found else "",
        )

    return show


def _why(found: Refused) -> str:
    if found.kind == "denied":
        return reason_text(found.reason)
    return CAUSES[FailureCause(found.reason)] if found.reason in set(FailureCause) else found.reason


def _list_link(visit: Visit, found: Refused) -> str:
    """The link to the list of equal refusals."""
    tenant = {"tenant": found.tenant} if found.tenant else {}
    if found.kind == "denied":
        return link(visit, "/denials", **tenant, client=found.name, within="all")
    return link(visit, "/failures", **tenant, client=found.name, cause=found.reason, within="all")
