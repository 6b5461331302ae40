"""Reads the live seats of a tenant in pages, with a filter, and the sessions that hold no seat.

The rules:

- A row of seats is one holder with its sessions, the oldest seat first; a session without a seat is a row.
- What has expired is over, swept or not (L4).
- Of one holder's sessions the oldest `SESSIONS_SHOWN_MAX` are listed, and all are counted.
- Each page costs three queries, however many seats there are; `mark` shows in one whether anything changed.

The module only reads.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)

from licet.journal.minute_sql import equal
from licet.journal.uses import SEAT_USED, last_used_ms
from licet.ledger.holders import USER_HOLDER
from licet.model import Tenant, Value
from licet.options import names_counted, rule_of
from licet.reports.live import WHOSE, LiveSession, live, live_session, same_user
from licet.seat_sources import addresses
from licet.setup.holds import until_held
from licet.store import schema
from licet.store.paging import LIMIT, bounded, read_cursor, write_cursor
from licet.store.seats_now import SEAT, lives

SESSIONS_SHOWN_MAX = 20
SEATS_NAMED_MAX = 200  # parameters of one statement, well below the limit of any engine
TEXT_CHARS_MAX = 128  # the longest that is searched for, a client_id


class HolderFilter(Value, frozen=True, kw_only=True):
    """Which seats: `text` occurs in the user, client or address, whatever the case; '' is all.

    `client` and `user` (its initials) are exact: the seats that it took, and those that its sessions share.
    """

    text: str = ""
    pool: str = ""
    scope: str = ""
    client: str = ""
    user: str = ""


class SeatHeld(Value, frozen=True, kw_only=True):
    """A seat and who took it.

    `renewed_at_ms` is when one of its sessions last got a token, and `last_used_at_ms` when one was last
    used, as `licet.journal.uses` says. `sessions_count` counts all sessions that share it, `sessions` are the
    oldest of them. Without a session the seat is on hold until `expires_at_ms` (L18). `addresses` is how many
    asked for its tokens on the last day on which one did: 17 is more than 16, 0 is unknown. `counted_by` are
    the options of its pool by which it is counted (L16, L17).
    """

    pool: str
    holder: str
    client_id: str
    initials: str
    name: str
    taken_at_ms: int
    renewed_at_ms: int
    last_used_at_ms: int
    expires_at_ms: int
    addresses: int
    sessions_count: int
    sessions: tuple[LiveSession, ...]
    on_hold: bool
    counted_by: tuple[str, ...]


class SeatPage(Value, frozen=True, kw_only=True):
    """Seats of a tenant, the oldest first: `count` fit the filter; `next` is the cursor, None at the end."""

    tenant: str
    at_ms: int
    count: int
    seats: tuple[SeatHeld, ...]
    next: str | None


class SessionPage(Value, frozen=True, kw_only=True):
    """Sessions of a tenant that need no seat, the oldest first, as a page of seats."""

    tenant: str
    at_ms: int
    count: int
    sessions: tuple[LiveSession, ...]
    next: str | None


class SessionToEnd(Value, frozen=True, kw_only=True):
    """A session that an administrator chose to end, and whether its seat comes back when all chosen end."""

    sid: bytes
    client_id: str
    initials: str
    frees_seat: bool
    seat: tuple[int, str] | None


def seats_held(
    connection: Connection,
    tenant: Tenant,
    now_ms: int,
    *,
    only: HolderFilter | None = None,
    after: str | None = None,
    limit: int = LIMIT,
) -> SeatPage:
    """The seats in use. `after` is the cursor of the page before.

    Raises InvalidCursor.
    """
    seat, user = schema.seat, schema.user
    fits = _seats_that_fit(tenant, now_ms, only or HolderFilter())
    joined = seat.outerjoin(user, same_user(seat))
    count: int = connection.execute(select(func.count()).select_from(joined).where(*fits)).scalar_one()
    if after is not None:
        place = tuple_(seat.c.taken_at_ms, seat.c.pool_id, seat.c.holder)
        fits.append(place > tuple_(*map(literal, read_cursor(after, tuple[int, int, str]))))
    query: Select[Any] = (
        select(*SEAT, SEAT_USED, func.coalesce(user.c.name, "").label("name"))
        .select_from(joined)
        .where(*fits)
        .order_by(seat.c.taken_at_ms, seat.c.pool_id, seat.c.holder)
        .limit(bounded(limit) + 1)
    )
    rows, following = _page(connection.execute(query).all(), limit, ("taken_at_ms", "pool_id", "holder"))
    of_seat = _sessions_of(connection, tenant, now_ms, rows)
    return SeatPage(
        tenant=tenant.name,
        at_ms=now_ms,
        count=count,
        seats=tuple(_held(tenant, row, of_seat[row.pool_id, row.holder]) for row in rows),
        next=following,
    )


def sessions_without_seat(
    connection: Connection,
    tenant: Tenant,
    now_ms: int,
    *,
    only: HolderFilter | None = None,
    after: str | None = None,
    limit: int = LIMIT,
) -> SessionPage:
    """The sessions that need no seat. `after` is the cursor of the page before.

    Raises InvalidCursor.
    """
    only = only or HolderFilter()
    session = schema.session
    fits = [session.c.pool_id.is_(None), *_that_fit(only)]
    count: int = connection.execute(live(tenant, now_ms, select(func.count())).where(*fits)).scalar_one()
    if after is not None:
        began_ms, number = read_cursor(after, tuple[int, int])
        fits.append(
            tuple_(session.c.started_at_ms, session.c.number) > tuple_(literal(began_ms), literal(number))
        )
    query = (
        live(tenant, now_ms, select(session, *WHOSE))
        .where(*fits)
        .order_by(session.c.started_at_ms, session.c.number)
        .limit(bounded(limit) + 1)
    )
    rows, following = _page(connection.execute(query).all(), limit, ("started_at_ms", "number"))
    return SessionPage(
        tenant=tenant.name,
        at_ms=now_ms,
        count=count,
        sessions=tuple(live_session(row, tenant.token_format) for row in rows),
        next=following,
    )


def sessions_on_seats(
    connection: Connection, tenant: Tenant, now_ms: int, places: Collection[tuple[str, str]]
) -> list[SessionToEnd]:
    """All sessions on these seats, which are named by pool and holder."""
    seat = schema.seat.c
    wanted = {(pool.id, holder) for name, holder in places if (pool := tenant.pool_named(name))}
    if not wanted:
        return []
    fits = [seat.tenant_id == tenant.id, lives(now_ms)]
    named = tuple_(seat.pool_id, seat.holder).in_(wanted)
    return _on_seats(connection, tenant, now_ms, select(seat.pool_id, seat.holder).where(*fits, named))


def sessions_that_fit(
    connection: Connection, tenant: Tenant, now_ms: int, only: HolderFilter, *, have_seat: bool
) -> list[SessionToEnd]:
    """All sessions on the seats that match a filter, or all sessions without a seat that match it."""
    if not have_seat:
        fits = [schema.session.c.pool_id.is_(None), *_that_fit(only)]
        query = live(tenant, now_ms, select(schema.session, *WHOSE)).where(*fits)
        return [_to_end(row, frees_seat=False) for row in connection.execute(query)]
    seat = schema.seat
    joined = seat.outerjoin(schema.user, same_user(seat))
    fitting = select(seat.c.pool_id, seat.c.holder).select_from(joined)
    return _on_seats(connection, tenant, now_ms, fitting.where(*_seats_that_fit(tenant, now_ms, only)))


def sessions_named(
    connection: Connection, tenant: Tenant, now_ms: int, sids: Collection[bytes]
) -> list[SessionToEnd]:
    """Those of these sessions that are alive; a seat comes back when no session that shares it is left."""
    session = schema.session.c
    query = live(tenant, now_ms, select(schema.session, *WHOSE)).where(session.sid.in_(sids))
    rows = connection.execute(query).all()
    seats = {(row.pool_id, row.holder) for row in rows if row.pool_id is not None}
    sharing = (
        live(tenant, now_ms, select(session.pool_id, session.holder, session.sid))
        .where(session.client_key.in_({row.client_key for row in rows}) | _of_users(seats))
        .where(session.pool_id.in_({pool for pool, _ in seats}), session.sid.not_in(sids))
    )
    kept = {(row.pool_id, row.holder) for row in connection.execute(sharing)} if seats else set()
    return [_to_end(row, frees_seat=(row.pool_id, row.holder) not in kept) for row in rows]


def free_at_ms(
    connection: Connection, tenant: Tenant, now_ms: int, ending: Collection[SessionToEnd]
) -> int | None:
    """When the last of the seats that come back with these is free; None where all are free at once.

    Of many seats the answer may be too late.
    """
    seat = schema.seat.c
    seats = {session.seat for session in ending if session.frees_seat and session.seat is not None}
    pools = {pool_id for pool_id, _ in seats if tenant.hold_s_of(tenant.pools[pool_id])}
    if not pools:
        return None
    query = select(func.max(until_held(tenant, now_ms))).where(
        seat.pool_id.in_(pools), seat.expires_at_ms > now_ms
    )
    if len(seats) <= SEATS_NAMED_MAX:
        query = query.where(tuple_(seat.pool_id, seat.holder).in_(seats))
    until_ms: int | None = connection.execute(query).scalar()
    return until_ms if until_ms is not None and until_ms > now_ms else None


def mark(connection: Connection, tenant_id: int, now_ms: int) -> str:
    """A text that changes whenever something of the tenant does that the lists of seats and queues show.

    A session begins, goes on or ends, a seat comes back, somebody begins to wait or waits no more.
    """
    session, client = schema.session.c, schema.client.c
    query = select(func.count(), func.max(session.number), func.sum(session.expires_at_ms))
    found = connection.execute(
        query.join_from(schema.client, schema.session, session.client_key == client.key).where(
            client.tenant_id == tenant_id, session.expires_at_ms > now_ms
        )
    ).one()
    pool, seat = schema.pool.c, schema.seat.c
    in_use = (
        select(func.count())
        .join_from(schema.pool, schema.seat, seat.pool_id == pool.id)
        .where(pool.tenant_id == tenant_id, lives(now_ms))
    )
    place = schema.queue_place.c
    line = select(func.count(), func.sum(place.number)).where(
        place.tenant_id == tenant_id, place.until_ms > now_ms
    )
    counts = (*found, connection.execute(in_use).scalar(), *connection.execute(line).one())
    return "-".join(str(count or 0) for count in counts)


def _seats_that_fit(tenant: Tenant, now_ms: int, only: HolderFilter) -> list[ColumnElement[bool]]:
    seat, session = schema.seat.c, schema.session.c
    fits = [seat.tenant_id == tenant.id, lives(now_ms)]
    if only.pool:
        pool = tenant.pool_named(only.pool)
        fits.append(seat.pool_id == (pool.id if pool else -1))
    of_sessions = live(tenant, now_ms, select(session.pool_id, session.holder)).where(
        session.pool_id.is_not(None)
    )
    place = tuple_(seat.pool_id, seat.holder)
    if only.client or only.user:
        own = schema.pool.c
        fits.append(seat.pool_id.in_(select(own.id).where(own.tenant_id == tenant.id)))  # has an index
        taken = equal((seat.client_id, only.client), (seat.initials, only.user))
        fits.append(or_(and_(*taken), place.in_(of_sessions.where(*_is_of(only)))))
    if only.text:
        of_text = of_sessions.where(_has_text(only.text, session.address))
        fits.append(or_(_has_text(only.text, seat.client_id, seat.initials), place.in_(of_text)))
    if only.scope:
        fits.append(place.in_(of_sessions.where(_has_scope(only.scope))))
    return fits


def _that_fit(only: HolderFilter) -> list[ColumnElement[bool]]:
    fits = _is_of(only)
    if only.pool:
        fits.append(literal(False))
    if only.text:
        fits.append(_has_text(only.text, schema.session.c.address))
    if only.scope:
        fits.append(_has_scope(only.scope))
    return fits


def _is_of(only: HolderFilter) -> list[ColumnElement[bool]]:
    """Whether a session is one of this client or user."""
    client = schema.client.c
    return equal((client.client_id, only.client), (client.initials, only.user))


def _has_text(text: str, *more: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the text occurs in one of these columns or the user's name; for a session, the client's too."""
    columns = [schema.user.c.name, *more]
    if schema.session.c.address in more:
        columns += [schema.client.c.client_id, schema.client.c.initials]
    return or_(*(column.icontains(text[:TEXT_CHARS_MAX], autoescape=True) for column in columns))


def _has_scope(name: str) -> ColumnElement[bool]:
    padded = literal(" ") + schema.session.c.scope + " "
    return padded.contains(f" {name} ", autoescape=True)


def _page(
    rows: Sequence[Row[Any]], limit: int, place: tuple[str, ...]
) -> tuple[Sequence[Row[Any]], str | None]:
    """The rows of a page, where one more was read, and the cursor of the next page."""
    if len(rows) <= bounded(limit):
        return rows, None
    shown = rows[: bounded(limit)]
    return shown, write_cursor(*(getattr(shown[-1], name) for name in place))


def _sessions_of(
    connection: Connection, tenant: Tenant, now_ms: int, seats: Sequence[Row[Any]]
) -> defaultdict[tuple[int, str], list[Row[Any]]]:
    """The sessions on these seats, oldest first.

    Those on a seat that is a client's or a session's are found by their client, others by the seat.
    """
    found: defaultdict[tuple[int, str], list[Row[Any]]] = defaultdict(list)
    if not seats:
        return found
    session = schema.session.c
    keys = {tenant.clients[held.client_id].key for held in seats if held.client_id in tenant.clients}
    of_users = _of_users({(it.pool_id, it.holder) for it in seats})
    seat = (session.pool_id, session.holder)
    number = func.row_number().over(partition_by=seat, order_by=(session.started_at_ms, session.number))
    of_these = (
        live(
            tenant,
            now_ms,
            select(
                schema.session,
                *WHOSE,
                number.label("place"),
                func.count().over(partition_by=seat).label("sharing"),
                func.max(session.renewed_at_ms).over(partition_by=seat).label("last_ms"),
            ),
        )
        .where(session.pool_id.in_({it.pool_id for it in seats}))
        .where(session.client_key.in_(keys) | of_users)
        .subquery()
    )
    shown = select(of_these).where(of_these.c.place <= SESSIONS_SHOWN_MAX).order_by(of_these.c.place)
    for row in connection.execute(shown):
        found[row.pool_id, row.holder].append(row)
    return found


def _of_users(seats: Collection[tuple[int, str]]) -> ColumnElement[bool]:
    """The sessions on those of these seats that are a user's, by the condition of the partial index."""
    of_users = [seat for seat in seats if seat[1].startswith(USER_HOLDER)]
    if not of_users:
        return literal(False)
    session = schema.session.c
    is_users = func.substr(session.holder, 1, 5) == literal_column("'user:'")
    return is_users & tuple_(session.pool_id, session.holder).in_(of_users)


def _on_seats(connection: Connection, tenant: Tenant, now_ms: int, seats: Select[Any]) -> list[SessionToEnd]:
    session = schema.session.c
    query = live(tenant, now_ms, select(schema.session, *WHOSE)).where(
        tuple_(session.pool_id, session.holder).in_(seats)
    )
    return [_to_end(row, frees_seat=True) for row in connection.execute(query)]


def _to_end(row: Row[Any], *, frees_seat: bool) -> SessionToEnd:
    return SessionToEnd(
        sid=row.sid,
        client_id=row.client_id,
        initials=row.initials,
        frees_seat=frees_seat and row.pool_id is not None,
        seat=None if row.pool_id is None else (row.pool_id, row.holder),
    )


def _held(tenant: Tenant, seat: Row[Any], sessions: Sequence[Row[Any]]) -> SeatHeld:
    pool = tenant.pools.get(seat.pool_id)
    renewed_at_ms = sessions[0].last_ms if sessions else seat.issued_at_ms or seat.taken_at_ms
    return SeatHeld(
        pool=pool.name if pool else "",
        holder=seat.holder,
        client_id=seat.client_id,
        initials=seat.initials,
        name=seat.name,
        taken_at_ms=seat.taken_at_ms,
        renewed_at_ms=renewed_at_ms,
        last_used_at_ms=last_used_ms(tenant.token_format, renewed_at_ms, seat.used_at_ms),
        expires_at_ms=seat.expires_at_ms,
        addresses=addresses(seat.sources),
        sessions_count=sessions[0].sharing if sessions else 0,
        sessions=tuple(live_session(row, tenant.token_format) for row in sessions),
        on_hold=not sessions,
        counted_by=tuple(map(rule_of, names_counted(seat.counted))),
    )
