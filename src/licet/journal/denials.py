"""Reads who was denied a seat, when and why, in ranges; and who held the seats then.

The rules:

- Consecutive minutes of one client, pool and reason are one range: 09:41-09:44 Client6, 37 times.
- Newest first, by the minute in which a range ends; then by pool, reason and client (`ranges.py`).
- Denials of the last seconds, which are not folded yet, are added to their row when a page is read.

The module only reads.
"""

from functools import partial
from itertools import chain
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    desc,
    func,
    literal,
    select,
    union_all,
)

from licet.journal.minute_sql import equal, within
from licet.journal.ranges import Key, Most, Range, RangePage, most_of
from licet.journal.summary import DENIED
from licet.journal.waiting import DENIALS, counted, same_row, will_be
from licet.model import NoSeatReason, Tenant, Value
from licet.seat_sources import most_addresses
from licet.store import schema
from licet.store.paging import LIMIT, read_cursor
from licet.store.seats_now import EXPIRES_AT_MS, lives
from licet.units import MINUTE_MS

HOLDERS_MAX = 500


class DenialFilter(Value, frozen=True, kw_only=True):
    """Which denials: those from `from_ms` on and before `until_ms`; None and '' are all."""

    pool: str = ""
    client: str = ""
    user: str = ""  # initials
    reason: NoSeatReason | None = None
    from_ms: int | None = None
    until_ms: int | None = None


class DenialRange(Value, frozen=True, kw_only=True):
    """One client was denied a seat of one pool, for one reason, again and again.

    `seats` and `in_use` are the pool's, `address` is the client's, at the last denial. `name` is the user's,
    '' when the user was removed.
    """

    pool: str
    client_id: str
    initials: str
    name: str
    reason: str
    times: int
    first_at_ms: int
    last_at_ms: int
    seats: int
    in_use: int
    address: str


class DenialPage(Value, frozen=True, kw_only=True):
    """Ranges of a tenant, newest first; `next` is the cursor of the next page, None at the end."""

    tenant: str
    ranges: tuple[DenialRange, ...]
    next: str | None


class Holder(Value, frozen=True, kw_only=True):
    """A client that held a seat, from when until when; `freed_at_ms` is None while it still does.

    Seats that a client took within one minute are one row: `times` is how often it took a seat in that
    minute. `addresses` is the most addresses that used one of them in a day: 17 is more than 16, 0 is
    unknown.
    """

    client_id: str
    initials: str
    name: str
    taken_at_ms: int
    freed_at_ms: int | None
    times: int
    addresses: int


def denials(
    connection: Connection,
    tenant: Tenant,
    *,
    only: DenialFilter | None = None,
    after: str | None = None,
    limit: int = LIMIT,
) -> DenialPage:
    """The denials of a tenant, newest first.

    `after` is the cursor of the page before. Raises InvalidCursor.
    """
    rows = partial(_rows, tenant, only or DenialFilter())
    page = RangePage(connection, rows, _key, _place, after=after, limit=limit)
    return DenialPage(tenant=tenant.name, ranges=tuple(map(_denial_range, page.ranges)), next=page.next)


def denied_most(
    connection: Connection, tenant: Tenant, *, only: DenialFilter | None = None
) -> tuple[Most, ...]:
    """The clients that were denied a seat most often."""
    return most_of(connection, _rows(tenant, only or DenialFilter()), name="client_id", user_name="name")


def _place(cursor: str) -> tuple[int, str, str, str, bool]:
    return read_cursor(cursor, tuple[int, str, str, str, bool])


def _key(row: Row[Any]) -> Key:
    """The key of denials that belong to one range."""
    return (row.pool, row.reason, row.client_id)


def _denial_range(denials: Range) -> DenialRange:
    row = denials.last
    return DenialRange(
        pool=row.pool,
        client_id=row.client_id,
        initials=row.initials,
        name=row.name,
        reason=row.reason,
        times=denials.times,
        first_at_ms=denials.first_at_ms,
        last_at_ms=row.last_at_ms,
        seats=row.seats or 0,
        in_use=row.in_use or 0,
        address=row.address,
    )


def _rows(tenant: Tenant, only: DenialFilter, until_minute: int | None = None) -> CompoundSelect[Any]:
    """The rows of the journal, and those that there will be when the denials that wait are folded."""
    mine = schema.denial_entry.c.tenant_id == tenant.id
    added, folded = counted(DENIALS, mine).subquery("added"), schema.journal
    rows = will_be(DENIALS, mine)
    parts = (
        _wanted(folded, tenant, only, until_minute)
        .outerjoin(added, same_row(folded.c, added.c))
        .where(added.c.number.is_(None)),
        _wanted(rows, tenant, only, until_minute),
    )
    return union_all(*parts).order_by(desc("minute"), "pool", "reason", "client_id")


def _wanted(table: FromClause, tenant: Tenant, only: DenialFilter, until_minute: int | None) -> Select[Any]:
    entry, user = table.c, schema.user
    wanted = [entry.tenant_id == tenant.id, entry.kind == DENIED]
    wanted += equal(
        (entry.pool, only.pool),
        (entry.client_id, only.client),
        (entry.initials, only.user),
        (entry.reason, only.reason),
    )
    wanted += within(entry, only.from_ms, only.until_ms)
    wanted += [] if until_minute is None else [entry.minute <= until_minute]
    same_user = and_(user.c.tenant_id == entry.tenant_id, user.c.initials == entry.initials)
    return (
        select(table, func.coalesce(user.c.name, "").label("name"))
        .join_from(table, user, same_user, isouter=True)
        .where(*wanted)
    )


def holders_at(
    connection: Connection, tenant: Tenant, pool: str, at_ms: int, *, now_ms: int
) -> tuple[Holder, ...]:
    """Who held the seats of a pool at an instant, the longest holder first; `HOLDERS_MAX` of them at most.

    Seats that came back are known for as long as the journal is kept.
    """
    rows = chain(
        connection.execute(_came_back(tenant, pool, at_ms)),
        connection.execute(_still_taken(tenant, pool, at_ms)),
    )
    holders = (_holder(row, now_ms) for row in rows)
    return tuple(sorted(holders, key=lambda holder: (holder.taken_at_ms, holder.client_id))[:HOLDERS_MAX])


def _came_back(tenant: Tenant, pool: str, at_ms: int) -> Select[Any]:
    holding, user = schema.holding.c, schema.user
    same_user = and_(user.c.tenant_id == holding.tenant_id, user.c.initials == holding.initials)
    return (
        select(schema.holding, func.coalesce(user.c.name, "").label("name"), literal("").label("sources"))
        .join_from(schema.holding, user, same_user, isouter=True)
        .where(holding.tenant_id == tenant.id, holding.pool == pool, holding.freed_at_ms > at_ms)
        .where(holding.minute <= at_ms // MINUTE_MS, holding.taken_at_ms <= at_ms)
        .order_by(holding.freed_at_ms)
        .limit(HOLDERS_MAX)
    )


def _still_taken(tenant: Tenant, pool: str, at_ms: int) -> Select[Any]:
    """The seats that did not come back; one that expired was free from then on."""
    seat, user = schema.seat.c, schema.user
    same_user = and_(user.c.tenant_id == seat.tenant_id, user.c.initials == seat.initials)
    of_pool = and_(schema.pool.c.id == seat.pool_id, schema.pool.c.name == pool)
    return (
        select(
            seat.client_id,
            seat.initials,
            func.coalesce(user.c.name, "").label("name"),
            seat.taken_at_ms,
            EXPIRES_AT_MS.label("freed_at_ms"),
            literal(1).label("times"),
            literal(0).label("addresses"),
            seat.sources,
        )
        .join_from(schema.seat, schema.pool, of_pool)
        .outerjoin(user, same_user)
        .where(schema.pool.c.tenant_id == tenant.id, seat.taken_at_ms <= at_ms, lives(at_ms))
        .order_by(seat.taken_at_ms)
        .limit(HOLDERS_MAX)
    )


def _holder(row: Row[Any], now_ms: int) -> Holder:
    return Holder(
        client_id=row.client_id,
        initials=row.initials,
        name=row.name,
        taken_at_ms=row.taken_at_ms,
        freed_at_ms=row.freed_at_ms if row.freed_at_ms <= now_ms else None,
        times=row.times,
        addresses=max(row.addresses, most_addresses(row.sources)),
    )
