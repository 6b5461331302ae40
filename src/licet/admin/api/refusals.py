"""Serves failed authentications, and what became of a request by its id.

Who sees what: a tenant's administrators that tenant's; those of all tenants also what is of none of ours; and
owners of all tenants the sign-ins of administrators and the API keys that failed.
"""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.responses import Response
from msgspec.structs import replace

from licet.admin.api import openapi
from licet.admin.api.call import Reading
from licet.admin.api.parameters import Moment, Paged, TenantPath, Text
from licet.admin.problems import not_found
from licet.journal.failures import NOT_KEPT, FailureFilter, FailurePage, Refused, failures, find_request
from licet.model import FailureCause

everywhere = APIRouter(tags=["Reports"])
of_tenant = APIRouter(prefix="/tenants/{tenant}", tags=["Reports"])

RequestId = Annotated[
    str, Path(max_length=64, pattern=r"^[0-9A-Za-z-]+$", examples=["43e14aae-23"], description="As answered.")
]


async def _wanted(
    cause: FailureCause | None = None,
    client: Text = "",
    user: Text = "",
    from_ms: Moment = None,
    until_ms: Moment = None,
) -> FailureFilter:
    return FailureFilter(cause=cause, client=client, user=user, from_ms=from_ms, until_ms=until_ms)


Wanted = Annotated[FailureFilter, Depends(_wanted)]


@everywhere.get("/failures", operation_id="listAllFailures", **openapi.paged(FailurePage))
async def list_all_failures(call: Reading, only: Wanted, page: Paged) -> Response:
    """Whose authentication failed, when and why, in all tenants that you see, and of none; newest first."""
    only = replace(only, with_administrators=call.identity.sees_sign_ins)
    return await call.show_page_of(None, page, partial(failures, only=only))


@of_tenant.get("/failures", operation_id="listFailures", **openapi.paged(FailurePage, 404))
async def list_failures(call: Reading, tenant: TenantPath, only: Wanted, page: Paged) -> Response:
    """Whose authentication failed in a tenant, when and why, folded into ranges, newest first."""
    return await call.show_page_of(tenant, page, partial(failures, only=only))


@everywhere.get(
    "/refused-requests/{request_id}", operation_id="getRefusedRequest", **openapi.one(Refused, 404)
)
async def get_refused_request(call: Reading, request_id: RequestId) -> Response:
    """What became of a request that was refused: a denial, or a failed authentication. Not all are kept."""

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
