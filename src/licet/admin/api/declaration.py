"""Serves the set-up as a TOML file: shows it, and applies another with a plan of the changes."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from starlette.requests import Request

from licet.admin.api import openapi
from licet.admin.api.call import API, Call, OwningAll, Reading, answer
from licet.admin.api.conditional import Condition, Shown, must_match, represent_text
from licet.admin.api.dry_run import asked, is_asked
from licet.admin.api.responses import upkeep as shapes
from licet.admin.problems import Problem
from licet.model import Tenant
from licet.setup.file import read, write
from licet.setup.plan import apply

DECLARATION = f"{API}/declaration"
DECLARATION_BYTES_MAX = 4 * 1024 * 1024  # of some twenty thousand clients

declaration = APIRouter(tags=["Upkeep"])


_TOML_BODY = openapi.sent(
    openapi.TOML,
    "A set-up as `licet export` writes it.",
    {"type": "string"},
    "[tenant.Jim_Test.pool.full]\nseats = 5\n",
)


@declaration.get(
    "/declaration",
    operation_id="getDeclaration",
    **openapi.shown(None, media=openapi.TOML),
)
async def get_declaration(
    call: Reading,
    tenant: Annotated[str | None, Query(max_length=64, description="Of this tenant only.")] = None,
) -> Response:
    """The set-up as a TOML file, without passwords and secrets."""

    def work() -> Response:
        found = call.context.tenants_now(call.identity) if tenant is None else [call.tenant(tenant)]
        return call.shown(represent_text(write(found)), f"{openapi.TOML}; charset=utf-8")

    return await call.context.run(work)


@declaration.put(
    "/declaration",
    operation_id="applyDeclaration",
    **openapi.edited(shapes.Plan, also=_TOML_BODY),
    dependencies=[Depends(asked)],
)
async def apply_declaration(
    call: OwningAll,
    condition: Condition,
    request: Request,
    *,
    prune: Annotated[bool, Query(description="Also remove what the file does not name.")] = False,
    rehearse: Annotated[bool, Query(description="The same as dry_run.")] = False,
) -> Response:
    """Make the store match a TOML file, all of it or nothing; passwords and secrets stay unchanged."""
    rehearse = rehearse or is_asked(request)
    sent = await request.body()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != openapi.TOML:
        raise Problem(415, "wrong-media-type", f"A declaration is {openapi.TOML}.")

    def must_be_meant(tenants: Mapping[str, Tenant]) -> None:
        must_match(condition, represent_text(write(tenants.values())))

    def work() -> Response:
        wanted = read(_text(sent), "the declaration")
        done = apply(
            call.context.store,
            wanted,
            call.identity.actor,
            prune=prune,
            rehearse=rehearse,
            must_be_meant=must_be_meant,
        )
        call.context.store.refresh_tenants()
        return answer(shapes.plan(done, is_done=not rehearse), headers={"ETag": _declared(call).etag})

    return await call.context.run(work)


def _declared(call: Call) -> Shown:
    return represent_text(write(call.context.tenants_now(call.identity)))


def _text(sent: bytes) -> str:
    """Raises Problem."""
    try:
        return sent.decode()
    except UnicodeDecodeError:
        raise Problem(400, "malformed-request", "The declaration is not UTF-8.") from None
