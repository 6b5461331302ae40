"""Describes the list of seats, or of sessions without one, as a file with a row for each."""

from collections.abc import Iterable, Sequence
from functools import partial

from fastapi import Request
from sqlalchemy import Connection

from licet.admin.pages.downloads import all_pages, moment
from licet.admin.pages.files.listed import Columns, Listed, chosen
from licet.admin.pages.frame import Visit
from licet.admin.pages.reader_zone import zone_of
from licet.admin.pages.seats import WITHOUT, search_in
from licet.model import Tenant
from licet.reports.live import LiveSession
from licet.reports.seats import HolderFilter, SeatHeld, SeatPage, seats_held, sessions_without_seat
from licet.store.paging import LIMIT_MAX

Held = SeatHeld | LiveSession


def seats_listed(request: Request, visit: Visit) -> Listed:
    """The seats that `/seats` shows at the same filters."""
    tenant, search = chosen(visit), search_in(tuple(request.query_params.multi_items()))
    is_without = search.kind == WITHOUT
    rows = partial(_rows, tenant=tenant, only=search.filter, now_ms=visit.now_ms, is_without=is_without)
    words = ("licet", tenant.name, "sessions-without-seat" if is_without else "seats")
    return Listed(words, _columns(tenant.name, zone_of(request)), rows)


def _rows(
    connection: Connection, tenant: Tenant, only: HolderFilter, now_ms: int, *, is_without: bool
) -> Iterable[Held]:
    read = sessions_without_seat if is_without else seats_held

    def page_after(after: str | None) -> tuple[Sequence[Held], str | None]:
        found = read(connection, tenant, now_ms, only=only, after=after, limit=LIMIT_MAX)
        return (found.seats if isinstance(found, SeatPage) else found.sessions), found.next

    return all_pages(page_after)


def _columns(tenant: str, zone: str) -> Columns:
    return (
        ("tenant", lambda _: tenant),
        ("pool", lambda it: it.pool if isinstance(it, SeatHeld) else ""),
        ("client_id", lambda it: it.client_id),
        ("user", lambda it: it.initials),
        ("user_name", lambda it: it.name),
        ("state", _state),
        ("scope", lambda it: " ".join(dict.fromkeys(session.scope for session in _sessions(it)))),
        ("since", lambda it: moment(_since_ms(it), zone)),
        ("last_token", lambda it: moment(it.renewed_at_ms, zone)),
        ("last_used", lambda it: moment(it.last_used_at_ms, zone)),
        ("expires", lambda it: moment(it.expires_at_ms, zone)),
        ("address", lambda it: " ".join(dict.fromkeys(session.address for session in _sessions(it)))),
        ("addresses", lambda it: it.addresses if isinstance(it, SeatHeld) else ""),
        ("counted_by", lambda it: ", ".join(it.counted_by) if isinstance(it, SeatHeld) else ""),
        ("sessions", lambda it: it.sessions_count if isinstance(it, SeatHeld) else 1),
        ("session", lambda it: " ".join(session.sid for session in _sessions(it))),
    )


def _state(held: Held) -> str:
    if isinstance(held, LiveSession):
        return "no seat"
    return "on hold" if held.on_hold else "in use"


def _since_ms(held: Held) -> int:
    return held.taken_at_ms if isinstance(held, SeatHeld) else held.started_at_ms


def _sessions(held: Held) -> Sequence[LiveSession]:
    return held.sessions if isinstance(held, SeatHeld) else (held,)
