"""Serves reports: live sessions and seats, usage, denials and the journal; and ends sessions.

The figures are those of the pages and the command line: `licet.store` makes them, and they are shown as they
are.
"""

from datetime import UTC, tzinfo
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from msgspec.structs import replace
from sqlalchemy import Connection

from licet.admin.api import openapi, requests
from licet.admin.api.call import Call, Operating, Reading, answer, there
from licet.admin.api.dry_run import rehearsable
from licet.admin.api.parameters import INITIALS, LINE, Moment, Paged, Sid, TenantPath, Text, Zone
from licet.admin.problems import FieldError, invalid
from licet.formats import INSTANT_MS_MAX
from licet.journal.denials import DenialFilter, DenialPage, Holder, denials, holders_at
from licet.journal.history import HistoryFilter, HistoryPage, Kind, history
from licet.model import NoSeatReason, Tenant
from licet.refusal import Code
from licet.reports.live import LiveSession, SeatsNow, seats, sessions
from licet.reports.overview import Overview, overview
from licet.reports.usage import Usage, usage
from licet.reports.usage_queries import Reach
from licet.setup.change import SetupChange
from licet.setup.end_sessions import SessionsEnded
from licet.store.paging import InvalidCursor, read_cursor, write_cursor
from licet.units import DAY_MS
from licet.zones import find_zone

SPAN_MS_MAX = 400 * DAY_MS  # as long as the journal is kept, by default

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
    from_ms: Moment = None,
    until_ms: Moment = None,
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
        from_ms=from_ms,
        until_ms=until_ms,
    )


Wanted = Annotated[HistoryFilter, Depends(_wanted)]


@overviews.get("/overview", operation_id="getOverview", **openapi.paged(Overview))
async def get_overview(call: Reading, page: Paged, matching: Text = "", zone: Zone = "UTC") -> Response:
    """Every tenant at a glance: its pools now and in the last 24 hours, its denials today."""
    within, where = call.identity.tenant_id, _zone(zone)
    only = partial(overview, tenant_id=within, matching=matching, zone=where)
    return await call.show_page(page, lambda connection, **part: only(connection, call.now_ms(), **part))


@overviews.get("/journal", operation_id="getWholeJournal", **openapi.paged(HistoryPage))
async def get_whole_journal(call: Reading, only: Wanted, page: Paged) -> Response:
    """What happened, newest first, in all tenants that you see, and what belongs to none."""
    return await _history(call, None, only, page)


@reports.get("/journal", operation_id="getJournal", **openapi.paged(HistoryPage, 404))
async def get_journal(call: Reading, tenant: TenantPath, only: Wanted, page: Paged) -> Response:
    """What happened in a tenant, newest first: grants, denials, endings, failures, administrators' acts."""
    return await _history(call, tenant, only, page)


async def _history(call: Call, tenant: str | None, only: HistoryFilter, page: Paged) -> Response:
    only = replace(only, with_administrators=call.identity.sees_sign_ins)
    return await call.show_page_of(tenant, page, partial(history, only=only))


@reports.get("/seats", operation_id="getSeats", **openapi.one(SeatsNow, 404))
async def get_seats(call: Reading, tenant: TenantPath) -> Response:
    """Who holds which seat, since when and until when."""
    return await call.show_of(tenant, lambda connection, known: seats(connection, known, call.now_ms()))


@reports.get("/usage", operation_id="getUsage", **openapi.one(Usage, 404))
async def get_usage(  # noqa: PLR0917 - a span has two ways to be said
    call: Reading,
    tenant: TenantPath,
    reach: Annotated[
        Reach | None, Query(description="A span that ends now, instead of from and until.")
    ] = None,
    from_ms: Moment = None,
    until_ms: Moment = None,
    zone: Zone = "UTC",
) -> Response:
    """Peaks, seat-hours, denials, and what more seats would have changed."""
    where = _zone(zone)
    now_ms = call.now_ms()
    if reach is not None and (from_ms is not None or until_ms is not None):
        message = "Either a reach, or from_ms and until_ms."
        raise invalid(FieldError(pointer="query:reach", code=Code.NOT_TOGETHER, message=message))
    begins_ms = from_ms if from_ms is not None else (reach or Reach.DAY).from_ms(now_ms, where)
    ends_ms = until_ms if until_ms is not None else now_ms
    if not begins_ms <= ends_ms <= begins_ms + SPAN_MS_MAX:
        message = "A span ends behind its beginning, and within 400 days of it."
        raise invalid(FieldError(pointer="query:until_ms", code=Code.OUT_OF_RANGE, message=message))

    return await call.show_of(
        tenant, partial(usage, from_ms=begins_ms, until_ms=ends_ms, now_ms=now_ms, zone=where)
    )


@reports.get("/denials", operation_id="listDenials", **openapi.paged(DenialPage, 404))
async def list_denials(  # noqa: PLR0917 - what is looked for
    call: Reading,
    tenant: TenantPath,
    page: Paged,
    reason: NoSeatReason | None = None,
    pool: Text = "",
    client: Text = "",
    user: Text = "",
    from_ms: Moment = None,
    until_ms: Moment = None,
) -> Response:
    """Who was denied a seat, when and why, folded into ranges, newest first."""
    only = DenialFilter(
        pool=pool, client=client, user=user, reason=reason, from_ms=from_ms, until_ms=until_ms
    )
    return await call.show_page_of(tenant, page, partial(denials, only=only))


@reports.get("/holders", operation_id="listHolders", **openapi.many(Holder, 404))
async def list_holders(
    call: Reading,
    tenant: TenantPath,
    pool: Annotated[str, Query(min_length=1, max_length=64, pattern=LINE)],
    at_ms: Annotated[int, Query(ge=0, lt=INSTANT_MS_MAX)],
) -> Response:
    """Who held the seats of a pool at an instant, as that of a denial."""
    return await call.show_of(
        tenant,
        lambda connection, known: holders_at(connection, known, pool, at_ms, now_ms=call.now_ms()),
    )


@live.get("", operation_id="listSessions", **openapi.listed(LiveSession, 404))
async def list_sessions(  # noqa: PLR0917 - what is looked for
    call: Reading,
    tenant: TenantPath,
    page: Paged,
    client: Annotated[str | None, Query(max_length=128, pattern=LINE)] = None,
    user: Annotated[str | None, Query(pattern=INITIALS)] = None,
    scope: Annotated[str | None, Query(max_length=64, pattern=LINE)] = None,
) -> Response:
    """The sessions that live, oldest first; of a scope, a page may have fewer than its limit."""
    after = read_cursor(page.after, tuple[int, str]) if page.after is not None else None
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
        return call.page({"items": of_scope, "next": next_}, next_)

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
    """End sessions: their tokens stop working at once; those that live no more are no error."""
    call.given(body)

    def work(change: SetupChange) -> SessionsEnded:
        setup = call.setup(change, tenant)
        if body.client is not None:
            there(setup.clients.get(body.client), "client", body.client)
        if body.user is not None:
            there(setup.users.get(body.user), "user", body.user)
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


def _zone(name: str) -> tzinfo:
    """Raises Problem."""
    if name == "UTC":
        return UTC
    if (zone := find_zone(name)) is None:
        message = f"There is no time zone {name}."
        raise invalid(FieldError(pointer="query:zone", code=Code.UNKNOWN_CHOICE, message=message))
    return zone
