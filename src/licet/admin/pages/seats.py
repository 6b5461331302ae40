"""Serves the page of seats: who holds which, since when and from where; and ends their sessions.

The rules:

- The list has a row for each holder of a seat, which opens to its sessions; or one for each session without a
  seat. It is read in pages.
- Nothing is ended before a page has said what will happen. What was chosen is ended as it is then: a session
  that the holder of a seat began meanwhile ends with the others.
- Ending sessions needs the role of an operator. Who did it, why, and how long the client is suspended is an
  event.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.context import AdminContext
from licet.admin.pages.filters import cleaned
from licet.admin.pages.frame import Kept, Posted, Visit, link, page, posting, see, visiting
from licet.admin.pages.licence_outlook import notices
from licet.admin.pages.licence_state import LicenceState, licence_state
from licet.admin.problems import not_found
from licet.formats import counted, nearness, sentence, without_controls
from licet.ledger.signed_pools import seats_of
from licet.model import InvalidValue, Pool, Role, Tenant, Value
from licet.reports.options.now import OptionsNow, options_now
from licet.reports.overview import Overview, overview, sessions_of_pools
from licet.reports.seats import (
    HolderFilter,
    SeatPage,
    SessionPage,
    SessionToEnd,
    free_at_ms,
    mark,
    seats_held,
    sessions_named,
    sessions_on_seats,
    sessions_that_fit,
    sessions_without_seat,
)
from licet.setup.end_sessions import COOL_DOWN_S_MAX, REASON_CHARS_MAX, SessionsEnded, check_ending
from licet.store.paging import InvalidCursor

ROWS_A_PAGE = 100
CHOSEN_MAX = 500
CLIENTS_SHOWN = 12
COOL_DOWNS = ((0, "none: it may come back at once"), (300, "5 minutes"), (3600, "1 hour"))
WITHOUT = "without-seat"
_SID_CHARS = 40


class Search(NamedTuple):
    """The part of the list that is chosen."""

    text: str
    pool: str
    scope: str
    kind: str  # '' or WITHOUT

    @property
    def filter(self) -> HolderFilter:
        """The search as a filter for the store."""
        return HolderFilter(text=self.text, pool=self.pool, scope=self.scope)

    @property
    def query(self) -> dict[str, str]:
        """The search as parameters of a link."""
        return {"q": self.text, "pool": self.pool, "scope": self.scope, "kind": self.kind}


class Chosen(Value, frozen=True, kw_only=True):
    """What is chosen to be ended: seats (`pool/holder`), sessions, or all that match a search."""

    seats: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    fitting: Search | None = None

    @property
    def fields(self) -> Kept:
        """The choice as fields of a form."""
        everything = [] if self.fitting is None else [("all", "1"), *self.fitting.query.items()]
        return (
            *(("seat", seat) for seat in self.seats),
            *(("session", session) for session in self.sessions),
            *((name, text) for name, text in everything if text),
        )


def router(context: AdminContext) -> APIRouter:
    """`/seats` and `/seats/end`."""
    made = APIRouter()
    visitor, operator = visiting(context), visiting(context, Role.OPERATOR)
    poster = posting(context, Role.OPERATOR)

    @made.get("/seats")
    async def look(
        request: Request, visit: Annotated[Visit, Depends(visitor)], after: str | None = None
    ) -> Response:
        tenant = visit.the_tenant
        if tenant is None:
            return await _choose(context, request, visit)
        search = search_in(tuple(request.query_params.multi_items()))
        try:
            found, seen, by_options = await context.read(
                lambda connection: _read(connection, tenant, search, visit.now_ms, after)
            )
            ending = await context.read(
                lambda connection: _licences(connection, tenant, search, visit.now_ms)
            )
        except InvalidCursor:
            raise not_found("The list has no such page.") from None
        return page(
            request,
            visit,
            "seats.html",
            here="Seats",
            mark=seen,
            licences=ending,
            by_options=_shown_options(tenant, search, by_options),
            **_context(visit, tenant, search, found, after),
        )

    @made.get("/seats/end")
    async def ask(request: Request, visit: Annotated[Visit, Depends(operator)]) -> Response:
        items = visit.kept or tuple(request.query_params.multi_items())
        return await _ask(context, request, visit, items)

    @made.post("/seats/end")
    async def end(request: Request, posted: Annotated[Posted, Depends(poster)]) -> Response:
        visit, tenant, chosen = posted.visit, _tenant(posted.visit), _chosen(posted.items)
        if not posted.text("sure"):
            return await _ask(context, request, visit, posted.items)
        reason, cool_down_s = posted.text("reason").strip(), _cool_down_s(posted.text("cool_down"))
        try:
            check_ending(reason, cool_down_s)
        except InvalidValue as fault:
            return await _ask(context, request, visit, posted.items, problem=sentence(str(fault)))
        done = await context.run(_end, context, visit, tenant, chosen, reason, cool_down_s)
        text = _result(done, cool_down_s, visit.now_ms)
        return see(request, _back(visit, tenant, posted.text("back")), text)

    return made


async def _choose(context: AdminContext, request: Request, visit: Visit) -> Response:
    """The page to choose a tenant, with the seats in use of each."""
    text = cleaned(request.query_params.get("q", ""))
    after = request.query_params.get("after")

    def read(connection: Connection) -> Overview:
        return overview(
            connection,
            visit.now_ms,
            tenant_id=visit.identity.tenant_id,
            matching=text,
            after=after,
            limit=ROWS_A_PAGE,
            known=context.store.tenant,
        )

    try:
        found = await context.read(read)
    except InvalidCursor:
        raise not_found("The list has no such page.") from None
    return page(
        request,
        visit,
        "seats_tenants.html",
        here="Seats",
        found=found,
        notices={it.tenant: notices(context.store.tenant(it.tenant), visit.now_ms) for it in found.tenants},
        text=text,
        after=after,
    )


def _read(
    connection: Connection, tenant: Tenant, search: Search, now_ms: int, after: str | None
) -> tuple[SeatPage | SessionPage, str, Mapping[int, OptionsNow]]:
    """A page of the list, the mark of its content, and what the options of pools come to."""
    read = sessions_without_seat if search.kind == WITHOUT else seats_held
    found = read(connection, tenant, now_ms, only=search.filter, after=after, limit=ROWS_A_PAGE)
    return found, mark(connection, tenant.id, now_ms), options_now(connection, [tenant], now_ms)


def _shown_options(
    tenant: Tenant, search: Search, found: Mapping[int, OptionsNow]
) -> list[tuple[Pool, OptionsNow]]:
    """The pools with reserved seats or a queue, of those that are looked at."""
    pools = [tenant.pools[pool_id] for pool_id in found if search.pool in {"", tenant.pools[pool_id].name}]
    return [(pool, found[pool.id]) for pool in sorted(pools, key=lambda pool: pool.name)]


def _licences(connection: Connection, tenant: Tenant, search: Search, now_ms: int) -> list[tuple[Pool, int]]:
    """The pools whose licence has expired or ends soon, with their sessions."""
    pools = [
        pool
        for pool in sorted(tenant.pools.values(), key=lambda pool: pool.name)
        if search.pool in {"", pool.name}
        and licence_state(pool.expires_at_ms, now_ms) is not LicenceState.FAR
    ]
    sessions = sessions_of_pools(connection, tenant.id, now_ms) if pools else {}
    return [(pool, sessions.get(pool.id, 0)) for pool in pools]


def _context(
    visit: Visit, tenant: Tenant, search: Search, found: SeatPage | SessionPage, after: str | None
) -> dict[str, Any]:
    chips = [
        (name, text, link(visit, "/seats", **(search.query | {key: ""})))
        for key, name, text in (
            ("q", "has", search.text),
            ("pool", "pool", search.pool),
            ("scope", "scope", search.scope),
        )
        if text
    ]
    return {
        "tenant": tenant,
        "search": search,
        "found": found,
        "rows": found.seats if isinstance(found, SeatPage) else found.sessions,
        "have_seat": isinstance(found, SeatPage),
        "are_counted": isinstance(found, SeatPage) and any(it.counted_by for it in found.seats),
        "headline": _headline(tenant, search, found),
        "notices": [it for it in notices(tenant, visit.now_ms).values() if search.pool in {"", it.pool}],
        "chips": chips,
        "newer": link(visit, "/seats", **search.query) if after else None,
        "older": link(visit, "/seats", **search.query, after=found.next) if found.next else None,
        "may_end": visit.may(Role.OPERATOR),
        "download": link(visit, "/seats/download.csv", tenant=tenant.name, **search.query),
        "mark_of": _mark_of,
        "WITHOUT": WITHOUT,
    }


def _headline(tenant: Tenant, search: Search, found: SeatPage | SessionPage) -> str:
    """The answer in one sentence."""
    fitting = "matching " if search.text or search.scope else ""
    in_pool = f" in pool {search.pool}" if search.pool else ""
    if isinstance(found, SessionPage):
        return f"{counted(found.count, f'{fitting}session')} without a seat in {tenant.name}"
    of = ""
    if not fitting:
        pools = (pool for pool in tenant.pools.values() if search.pool in {"", pool.name})
        seats = sum(seats_of(pool, found.at_ms) for pool in pools)
        of = f" of {seats:,}"
        return f"{found.count:,}{of} {'seat' if seats == 1 else 'seats'} in use in {tenant.name}{in_pool}"
    return f"{counted(found.count, f'{fitting}seat')} in use in {tenant.name}{in_pool}"


def _mark_of(pool: str, holder: str) -> str:
    """A short id of a seat for the page."""
    return sha256(f"{pool}/{holder}".encode()).hexdigest()[:12]


async def _ask(
    context: AdminContext, request: Request, visit: Visit, items: Kept, *, problem: str = ""
) -> Response:
    """The page that says what will happen, and asks why and for how long."""
    tenant, chosen = _tenant(visit), _chosen(items)
    ending, free_ms = await context.read(
        lambda connection: _ending_and_free(connection, tenant, chosen, visit.now_ms)
    )
    texts = dict(items)
    clients = sorted({(session.client_id, session.initials) for session in ending})
    return page(
        request,
        visit,
        "seats_end.html",
        here="Seats",
        status=422 if problem else 200,
        tenant=tenant,
        chosen=chosen,
        sessions=len(ending),
        seats=len({session.seat for session in ending if session.frees_seat}),
        free_at_ms=free_ms,
        kept_seats=len({session.seat for session in ending if session.seat and not session.frees_seat}),
        clients=clients[:CLIENTS_SHOWN],
        more_clients=max(0, len(clients) - CLIENTS_SHOWN),
        reason=texts.get("reason", ""),
        cool_down_s=_cool_down_s(texts.get("cool_down", "")),
        cool_downs=COOL_DOWNS,
        reason_chars_max=REASON_CHARS_MAX,
        problem=problem,
        back=_back(visit, tenant, texts.get("back", "")),
    )


def _ending_and_free(
    connection: Connection, tenant: Tenant, chosen: Chosen, now_ms: int
) -> tuple[list[SessionToEnd], int | None]:
    """The same, and when their seats are free; None where all are free at once."""
    ending = _ending(connection, tenant, chosen, now_ms)
    return ending, free_at_ms(connection, tenant, now_ms, ending)


def _ending(connection: Connection, tenant: Tenant, chosen: Chosen, now_ms: int) -> list[SessionToEnd]:
    """The sessions that were chosen, as they are now."""
    if chosen.fitting is not None:
        have_seat = chosen.fitting.kind != WITHOUT
        return sessions_that_fit(connection, tenant, now_ms, chosen.fitting.filter, have_seat=have_seat)
    places = [(pool, holder) for pool, _, holder in (seat.partition("/") for seat in chosen.seats)]
    sids = [bytes.fromhex(sid) for sid in chosen.sessions]
    found = sessions_on_seats(connection, tenant, now_ms, places) if places else []
    return [*found, *(sessions_named(connection, tenant, now_ms, sids) if sids else [])]


def _end(  # noqa: PLR0917 - all of what was asked for
    context: AdminContext, visit: Visit, tenant: Tenant, chosen: Chosen, reason: str, cool_down_s: int
) -> SessionsEnded:
    """Read again what was chosen, and end it, in one transaction."""
    return context.change_now(
        visit.identity,
        lambda change: change.tenant(tenant.name).end_sessions(
            [
                session.sid
                for session in _ending(
                    change.transaction.connection, tenant, chosen, change.transaction.now_ms
                )
            ],
            reason=reason,
            cool_down_s=cool_down_s,
        ),
    )


def _result(done: SessionsEnded, cool_down_s: int, now_ms: int) -> str:
    """The result as a sentence."""
    if not done.sessions:
        return "Nothing was ended: what you chose had ended by itself."
    text = f"{counted(done.sessions, 'session')} ended, {counted(done.seats, 'seat')} came back."
    if done.seats_free_at_ms is not None:
        which = "is on hold, and free" if done.seats_on_hold == 1 else "are on hold, and all free"
        left = nearness(done.seats_free_at_ms, now_ms)
        text += f" {counted(done.seats_on_hold, 'seat')} {which} {left}."
    if done.suspended_until_ms is None:
        return text
    who = done.clients[0] if len(done.clients) == 1 else counted(len(done.clients), "client")
    away = dict(COOL_DOWNS).get(cool_down_s, counted(cool_down_s, "second"))
    return f"{text} {who} may not come back for {away}."


def _tenant(visit: Visit) -> Tenant:
    """The tenant whose sessions are to be ended.

    Raises Problem.
    """
    if (tenant := visit.the_tenant) is None:
        raise not_found("Say of which tenant.")
    return tenant


def search_in(items: Kept) -> Search:
    """The search that the parameters of an address, or the fields of a form, describe."""
    texts = dict(items)
    return Search(
        text=cleaned(texts.get("q", "")),
        pool=cleaned(texts.get("pool", "")),
        scope=cleaned(texts.get("scope", "")),
        kind=WITHOUT if texts.get("kind") == WITHOUT else "",
    )


def _chosen(items: Sequence[tuple[str, str]]) -> Chosen:
    """What was chosen, without texts that cannot be names."""
    if dict(items).get("all"):
        return Chosen(fitting=search_in(tuple(items)))
    sids = [text for name, text in items if name == "session" and _is_sid(text)]
    seats = [text for name, text in items if name == "seat" and text == without_controls(text)]
    return Chosen(seats=tuple(seats[:CHOSEN_MAX]), sessions=tuple(sids[:CHOSEN_MAX]))


def _is_sid(text: str) -> bool:
    return len(text) == _SID_CHARS and all(char in "0123456789abcdef" for char in text)


def _cool_down_s(text: str) -> int:
    return min(int(text), COOL_DOWN_S_MAX) if text.isascii() and text.isdecimal() and len(text) < 7 else 0  # noqa: PLR2004


def _back(visit: Visit, tenant: Tenant, query: str) -> str:
    """The link back to the list as it was."""
    return (
        query
        if query.startswith("/seats?") and query.isprintable()
        else (link(visit, "/seats") if visit.tenant else f"/seats?{urlencode({'tenant': tenant.name})}")
    )
