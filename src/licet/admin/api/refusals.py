"""Serves failed authentications, and what became of a request by its id.

Who sees what: a tenant's administrators that tenant's; those of all tenants also what is of none of ours; and
owners of all tenants the sign-ins of administrators and the API keys that failed.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from fastapi.responses import Response
from msgspec.structs import replace
from sqlalchemy import Connection

from licet.admin.api import openapi
from licet.admin.api.call import Call, Reading
from licet.admin.api.moments import Span, Within
from licet.admin.api.parameters import Page, Paged, TenantPath, Text
from licet.admin.problems import not_found
from licet.journal.failures import (
    NOT_KEPT,
    FailureFilter,
    FailurePage,
    FailureRange,
    Refused,
    failures,
    find_request,
)
from licet.model import FailureCause, Tenant

everywhere = APIRouter(tags=["Reports"])
of_tenant = APIRouter(prefix="/tenants/{tenant}", tags=["Reports"])

RequestId = Annotated[
    str, Path(max_length=64, pattern=r"^[0-9A-Za-z-]+$", examples=["43e14aae-23"], description="As answered.")
]


async def _wanted(
    cause: FailureCause | None = None,
    client: Text = "",
    user: Text = "",
) -> FailureFilter:
    return FailureFilter(cause=cause, client=client, user=user)


Wanted = Annotated[FailureFilter, Depends(_wanted)]


@everywhere.get("/failures", operation_id="listAllFailures", **openapi.listed(FailureRange))
async def list_all_failures(call: Reading, only: Wanted, within: Within, page: Paged) -> Response:
    """Failed authentications with time and cause, in all tenants that you can see; newest first."""
    only = replace(only, with_administrators=call.identity.sees_sign_ins)
    return await _failures(call, None, only, within, page)


@of_tenant.get("/failures", operation_id="listFailures", **openapi.listed(FailureRange, 404))
async def list_failures(
    call: Reading, tenant: TenantPath, only: Wanted, within: Within, page: Paged
) -> Response:
    """Failed authentications of a tenant with time and cause, folded into ranges, newest first."""
    return await _failures(call, tenant, only, within, page)


async def _failures(
    call: Call, tenant: str | None, only: FailureFilter, within: Span, page: Page
) -> Response:
    def read(connection: Connection, known: Tenant | None, **part: Any) -> FailurePage:
        return failures(connection, known, only=replace(only, **within.of(known)), **part)

    return await call.show_page_of(tenant, page, "ranges", read)


@everywhere.get(
    "/refused-requests/{request_id}", operation_id="getRefusedRequest", **openapi.one(Refused, 404)
)
async def get_refused_request(call: Reading, request_id: RequestId) -> Response:
    """How a request was refused: a denial, or a failed authentication. Not all are kept."""

    def make() -> Refused:
        found = call.context.read_now(
            lambda connection: find_request(
                connection,
                request_id,
                tenant_id=call.identity.tenant_id,
                with_administrators=call.identity.sees_sign_ins,
            )
        )
        if found is None:
            raise not_found(f"{NOT_KEPT[0].upper()}{NOT_KEPT[1:]}.")
        return found

    return await call.show(make)
