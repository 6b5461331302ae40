"""Serves reports: live sessions and seats, denials and the journal; and ends sessions.

The figures are those of the pages and the command line: `licet.store` makes them, and they are shown as they
are.
"""

from datetime import UTC
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from msgspec.structs import replace
from sqlalchemy import Connection

from licet.admin.api import openapi, requests
from licet.admin.api.call import Call, Operating, Reading, answer, there
from licet.admin.api.dry_run import rehearsable
from licet.admin.api.moments import Moment, Span, Within, instant_of
from licet.admin.api.parameters import INITIALS, LINE, Page, Paged, Sid, TenantPath, Text, Zone
from licet.admin.api.usage.spans import zone_of
from licet.journal.denials import DenialFilter, DenialPage, DenialRange, Holder, denials, holders_at
from licet.journal.history import EventEntry, HistoryFilter, HistoryPage, JournalEntry, Kind, history
from licet.model import NoSeatReason, Tenant
from licet.reports.live import LiveSession, SeatsNow, seats, sessions
from licet.reports.overview import TenantOverview, overview
from licet.setup.change import SetupChange
from licet.setup.end_sessions import SessionsEnded
from licet.store.paging import InvalidCursor, read_cursor, write_cursor

overviews = APIRouter(tags=["Reports"])
reports = APIRouter(prefix="/tenants/{tenant}", tags=["Reports"])
live = APIRouter(prefix="/tenants/{tenant}/sessions", tags=["Sessions"])


async def _wanted(  # noqa: PLR0917 - what is looked for
    kind: Annotated[list[Kind] | None, Query(max_length=len(Kind))] = None,
    reason: Text = "",
    pool: Text = "",
    client: Text = "",
    user: Text = "",
    actor: Text = "",
    action: Text = "",
    licence: Text = "",
) -> HistoryFilter:
    return HistoryFilter(
        kinds=frozenset(kind or ()),
        reason=reason,
        pool=pool,
        client=client,
        user=user,
        actor=actor,
        action=action,
        licence=licence,
    )


Wanted = Annotated[HistoryFilter, Depends(_wanted)]


@overviews.get("/overview", operation_id="getOverview", **openapi.listed(TenantOverview))
async def get_overview(call: Reading, page: Paged, matching: Text = "", zone: Zone = None) -> Response:
    """Every tenant at a glance: its pools now and in the last 24 hours, its denials today."""
    within, where = call.identity.tenant_id, zone_of(zone) or UTC
    only = partial(overview, tenant_id=within, matching=matching, zone=where)
    return await call.show_page(
        page, "tenants", lambda connection, **part: only(connection, call.now_ms(), **part)
    )


@overviews.get("/journal", operation_id="getWholeJournal", **openapi.listed(JournalEntry | EventEntry))
async def get_whole_journal(call: Reading, only: Wanted, within: Within, page: Paged) -> Response:
    """What happened, newest first, in all tenants that you can see, and events of no tenant."""
    return await _history(call, None, only, within, page)


@reports.get("/journal", operation_id="getJournal", **openapi.listed(JournalEntry | EventEntry, 404))
async def get_journal(
    call: Reading, tenant: TenantPath, only: Wanted, within: Within, page: Paged
) -> Response:
    """What happened in a tenant, newest first: grants, denials, endings, failures, administrators' acts."""
    return await _history(call, tenant, only, within, page)


async def _history(call: Call, tenant: str | None, only: HistoryFilter, within: Span, page: Page) -> Response:
    only = replace(only, with_administrators=call.identity.sees_sign_ins)

    def read(connection: Connection, known: Tenant | None, **part: Any) -> HistoryPage:
        return history(connection, known, only=replace(only, **within.of(known)), **part)

    return await call.show_page_of(tenant, page, "entries", read)


@reports.get("/seats", operation_id="getSeats", **openapi.one(SeatsNow, 404))
async def get_seats(call: Reading, tenant: TenantPath) -> Response:
    """Who holds which seat, since when and until when."""
    return await call.show_of(tenant, lambda connection, known: seats(connection, known, call.now_ms()))


@reports.get("/denials", operation_id="listDenials", **openapi.listed(DenialRange, 404))
async def list_denials(  # noqa: PLR0917 - what is looked for
    call: Reading,
    tenant: TenantPath,
    within: Within,
    page: Paged,
    reason: NoSeatReason | None = None,
    pool: Text = "",
    client: Text = "",
    user: Text = "",
) -> Response:
    """Who was denied a seat, when and why, folded into ranges, newest first."""
    only = DenialFilter(pool=pool, client=client, user=user, reason=reason)

    def read(connection: Connection, known: Tenant, **part: Any) -> DenialPage:
        return denials(connection, known, only=replace(only, **within.of(known)), **part)

    return await call.show_page_of(tenant, page, "ranges", read)


@reports.get("/holders", operation_id="listHolders", **openapi.listed(Holder, 404))
async def list_holders(
    call: Reading,
    tenant: TenantPath,
    pool: Annotated[str, Query(min_length=1, max_length=64, pattern=LINE)],
    moment: Annotated[Moment, Query(alias="at", description="When.", examples=["2027-01-31T18:00"])],
    page: Paged,
) -> Response:
    """Who held the seats of a pool at an instant, such as that of a denial; the longest holder first."""

    def found() -> dict[str, Holder]:
        known = call.tenant(tenant)
        at_ms = instant_of(moment, known.zone, "at")
        every = call.context.read_now(
            lambda connection: holders_at(connection, known, pool, at_ms, now_ms=call.now_ms())
        )
        return {f"{it.taken_at_ms:020} {it.client_id} {n:04}": it for n, it in enumerate(every)}

    return await call.show_list(found, lambda it: it, page)


@live.get("", operation_id="listSessions", **openapi.listed(LiveSession, 404))
async def list_sessions(  # noqa: PLR0917 - what is looked for
    call: Reading,
    tenant: TenantPath,
    page: Paged,
    client: Annotated[str | None, Query(max_length=128, pattern=LINE)] = None,
    user: Annotated[str | None, Query(pattern=INITIALS)] = None,
    scope: Annotated[str | None, Query(max_length=64, pattern=LINE)] = None,
) -> Response:
    """The active sessions, oldest first; filtered by scope, a page may have fewer than its limit."""
    after = read_cursor(page.cursor, tuple[int, str]) if page.cursor is not None else None
    place = (after[0], _sid(after[1])) if after is not None else None

    def work() -> Response:
        known = call.tenant(tenant)
        found = call.context.read_now(
            lambda connection: sessions(
                connection,
                known,
                call.now_ms(),
                client=client,
                user=user,
                after=place,
                limit=page.limit + 1,
            )
        )
        items = found[: page.limit]
        next_ = write_cursor(items[-1].started_at_ms, items[-1].sid) if len(found) > len(items) else None
        of_scope = [item for item in items if scope is None or scope in item.scope.split(" ")]
        return call.page(of_scope, next_)

    return await call.context.run(work)


def _sid(text: str) -> bytes:
    """Raises InvalidCursor."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InvalidCursor("this is not a cursor of this list") from None


@live.get("/{sid}", operation_id="getSession", **openapi.one(LiveSession, 404))
async def get_session(call: Reading, tenant: TenantPath, sid: Sid) -> Response:
    """A session."""

    def read(connection: Connection, known: Tenant) -> LiveSession:
        found = sessions(connection, known, call.now_ms(), sid=bytes.fromhex(sid))
        return there(found[0] if found else None, "session", sid)

    return await call.show_of(tenant, read)


@live.post("/end", operation_id="endSessions", **rehearsable(openapi.one(SessionsEnded, 404, 413, 415)))
async def end_sessions(call: Operating, tenant: TenantPath, body: requests.Ending) -> Response:
    """End sessions: their tokens stop working at once; sessions that have ended are no error."""
    call.given(body)

    def work(change: SetupChange) -> SessionsEnded:
        setup = call.setup(change, tenant)
        if body.client is not None:
            there(setup.clients.get(body.client), "client", body.client, setup.clients)
        if body.user is not None:
            there(setup.users.get(body.user), "user", body.user, setup.users)
        sids = body.sids
        if sids is None:  # Those that live in this very transaction.
            connection, now_ms = change.transaction.connection, change.transaction.now_ms
            found = sessions(connection, setup.tenant, now_ms, client=body.client, user=body.user)
            sids = [session.sid for session in found]
        return setup.end_sessions(
            [bytes.fromhex(sid) for sid in dict.fromkeys(sids)],
            reason=body.reason,
            cool_down_s=body.cool_down_s,
        )

    return answer(await call.change_setup(work))
