"""Serves the usage statements of a tenant: lists and shows those that are kept, makes the next."""

from datetime import UTC, date
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.api import openapi
from licet.admin.api.call import API, NotThere, Owning, Reading, answer
from licet.admin.api.moments import instant_of
from licet.admin.api.parameters import Paged, SeqPath, TenantPath
from licet.admin.api.wire import shape_of
from licet.credentials.keyring import read_keyring
from licet.reports.usage_statements.kept import KeptStatement, make_statement, statement_text, statements
from licet.store.paging import bounded, read_cursor, write_cursor
from licet.vendor.statements import armoured

SHOWN = (shape_of(KeptStatement),)

kept = APIRouter(prefix="/tenants/{tenant}/usage/statements", tags=["Usage"])

FirstDay = Annotated[
    date | None,
    Query(alias="from", description="The first day, of a first statement.", examples=["2026-06-01"]),
]
LastDay = Annotated[
    date | None, Query(description="The last day; by default the last that is over.", examples=["2026-06-30"])
]


@kept.get("", operation_id="listStatements", **openapi.listed(KeptStatement, 404))
async def list_statements(call: Reading, tenant: TenantPath, page: Paged) -> Response:
    """The stored usage statements, by number."""

    def work() -> Response:
        known = call.tenant(tenant)
        after = read_cursor(page.cursor, tuple[int])[0] if page.cursor is not None else 0
        limit = bounded(page.limit)

        def read(connection: Connection) -> list[KeptStatement]:
            return statements(connection, known.id, after=after, limit=limit + 1)

        found = call.context.read_now(read)
        next_ = write_cursor(found[limit - 1].seq) if len(found) > limit else None
        return call.page(found[:limit], next_)

    return await call.context.run(work)


@kept.post("", operation_id="makeStatement", **openapi.added(KeptStatement))
async def make(call: Owning, tenant: TenantPath, begins: FirstDay = None, until: LastDay = None) -> Response:
    """Make a usage statement for a vendor about the days since the last one, signed by the tenant's key."""

    def work() -> Response:
        days = [
            None if day is None else instant_of(day, UTC, name)
            for name, day in (("from", begins), ("until", until))
        ]
        known, keyring = call.tenant(tenant), read_keyring(call.context.keyring_path)
        made, _ = make_statement(call.context.store, keyring, known, call.identity.actor, *days)
        location = f"{API}/tenants/{known.name}/usage/statements/{made.seq}"
        return answer(made, 201, {"Location": location})

    return await call.context.run(work)


@kept.get("/{seq}", operation_id="getStatement", **openapi.text(404))
async def get_statement(call: Reading, tenant: TenantPath, seq: SeqPath) -> Response:
    """A usage statement as the file that goes to the vendor."""

    def work() -> Response:
        known = call.tenant(tenant)
        text = call.context.read_now(lambda connection: statement_text(connection, known.id, seq))
        if text is None:
            raise NotThere("statement", str(seq))
        return Response(armoured(text), media_type=openapi.TEXT)

    return await call.context.run(work)
