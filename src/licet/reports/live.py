"""Reads the live seats and sessions of a tenant, all at once: who holds which seat now.

What has expired is over from that instant on, swept or not (L4). The module only reads.
"""

from collections import defaultdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, func, or_, select

from licet.journal.uses import SEAT_USED, SESSION_USED, last_used_ms
from licet.model import Tenant, TokenFormat, Value
from licet.options import names_counted, rule_of
from licet.reports.effective_seats import effective_seats
from licet.reports.options.now import NOTHING, OptionsNow, options_now
from licet.seat_sources import addresses
from licet.store import schema
from licet.store.seats_now import SEAT, lives

# The columns of a session's client and of the client's user, and when it was last used.
WHOSE = (schema.client.c.client_id, schema.client.c.initials, schema.user.c.name, SESSION_USED)


class LiveSession(Value, frozen=True, kw_only=True):
    """A live session: whose it is, and when it began, got its last token, was last used, and expires.

    `last_used_at_ms` is as `licet.journal.uses` says.
    """

    sid: str
    client_id: str
    initials: str
    name: str
    scope: str
    started_at_ms: int
    renewed_at_ms: int
    last_used_at_ms: int
    expires_at_ms: int
    address: str


class SeatInUse(Value, frozen=True, kw_only=True):
    """A seat, who took it, and the sessions that share it, oldest first; without a session it is on hold.

    `addresses` is how many asked for its tokens in a day: 17 is more than 16, 0 is unknown. `counted_by` are
    the options of its pool by which it is counted, as `reserve group:sales` (L16, L17).
    """

    holder: str
    client_id: str
    initials: str
    name: str
    taken_at_ms: int
    issued_at_ms: int
    last_used_at_ms: int
    expires_at_ms: int
    addresses: int
    counted_by: tuple[str, ...]
    sessions: tuple[LiveSession, ...]


class PoolNow(Value, frozen=True, kw_only=True):
    """A pool at one instant. One of its seats in use is free at `next_free_at_ms` at the latest.

    `seats` are those that count. Of those in use, `overdraft_in_use` are overdraft that licences allow, and
    `overuse` too many. `reserved` seats are for whom its options say alone, and `waiting` clients stand in
    line for one.
    """

    pool: str
    seats: int
    in_use: int
    overdraft_in_use: int
    overuse: int
    reserved: int
    reserved_in_use: int
    waiting: int
    next_free_at_ms: int | None
    expires_at_ms: int | None
    in_use_by: tuple[SeatInUse, ...]


class SeatsNow(Value, frozen=True, kw_only=True):
    """All pools of a tenant at one instant, and the sessions that need no seat."""

    tenant: str
    at_ms: int
    pools: tuple[PoolNow, ...]
    unlicensed: tuple[LiveSession, ...]


def seats(connection: Connection, tenant: Tenant, now_ms: int) -> SeatsNow:
    """Who holds what, as of `now_ms`."""
    of_seat: defaultdict[tuple[int, str] | None, list[LiveSession]] = defaultdict(list)
    for row in connection.execute(_live_sessions(tenant, now_ms)):
        of_seat[None if row.pool_id is None else (row.pool_id, row.holder)].append(
            live_session(row, tenant.token_format)
        )
    in_use: defaultdict[int, list[SeatInUse]] = defaultdict(list)
    for row in connection.execute(_live_seats(tenant, now_ms)):
        in_use[row.pool_id].append(_seat(row, tenant, of_seat[row.pool_id, row.holder]))
    pools = connection.execute(_all_of(schema.pool, tenant).order_by(schema.pool.c.name))
    by_options = options_now(connection, [tenant], now_ms)
    return SeatsNow(
        tenant=tenant.name,
        at_ms=now_ms,
        pools=tuple(
            _pool_now(row, in_use[row.id], tenant, now_ms, by_options.get(row.id, NOTHING)) for row in pools
        ),
        unlicensed=tuple(of_seat[None]),
    )


def sessions(
    connection: Connection,
    tenant: Tenant,
    now_ms: int,
    *,
    sid: bytes | None = None,
    client: str | None = None,
    user: str | None = None,
    after: tuple[int, bytes] | None = None,
    limit: int | None = None,
) -> tuple[LiveSession, ...]:
    """The sessions alive at `now_ms`, oldest first; of one client or user (its initials), if given.

    A page of them begins after `after`, the start and sid of a session.
    """
    session = schema.session.c
    query = _live_sessions(tenant, now_ms).limit(limit)
    if sid is not None:
        query = query.where(session.sid == sid)
    if after is not None:
        started_at_ms, last = after
        same = and_(session.started_at_ms == started_at_ms, session.sid > last)
        query = query.where(or_(session.started_at_ms > started_at_ms, same))
    if client is not None:
        query = query.where(schema.client.c.client_id == client)
    if user is not None:
        query = query.where(schema.client.c.initials == user)
    return tuple(live_session(row, tenant.token_format) for row in connection.execute(query))


def _all_of(table: Table, tenant: Tenant) -> Select[Any]:
    return select(table).where(table.c.tenant_id == tenant.id)


def live(tenant: Tenant, now_ms: int, query: Select[Any]) -> Select[Any]:
    """This query, over the tenant's live sessions with their clients and users."""
    session, client, user = schema.session, schema.client, schema.user
    joined = session.join(client, client.c.key == session.c.client_key).join(user, same_user(client))
    # By the client's tenant, too: sessions have an index by client, and none by tenant.
    mine = (client.c.tenant_id == tenant.id, session.c.tenant_id == tenant.id)
    return query.select_from(joined).where(*mine, session.c.expires_at_ms > now_ms)


def _live_sessions(tenant: Tenant, now_ms: int) -> Select[Any]:
    session = schema.session
    return live(tenant, now_ms, select(session, *WHOSE)).order_by(session.c.started_at_ms, session.c.sid)


def _live_seats(tenant: Tenant, now_ms: int) -> Select[Any]:
    seat, user = schema.seat, schema.user
    return (
        select(*SEAT, SEAT_USED, func.coalesce(user.c.name, "").label("name"))
        .select_from(seat.outerjoin(user, same_user(seat)))
        .where(seat.c.tenant_id == tenant.id, lives(now_ms))
        .order_by(seat.c.taken_at_ms, seat.c.holder)
    )


def same_user(table: Table) -> ColumnElement[bool]:
    """The condition that a row of `user` is the user that a row of this table names."""
    return (schema.user.c.tenant_id == table.c.tenant_id) & (schema.user.c.initials == table.c.initials)


def live_session(row: Row[Any], token_format: TokenFormat) -> LiveSession:
    """A row of `session` of a tenant, with the columns of `WHOSE`."""
    return LiveSession(
        sid=row.sid.hex(),
        client_id=row.client_id,
        initials=row.initials,
        name=row.name,
        scope=row.scope,
        started_at_ms=row.started_at_ms,
        renewed_at_ms=row.renewed_at_ms,
        last_used_at_ms=last_used_ms(token_format, row.renewed_at_ms, row.used_at_ms),
        expires_at_ms=row.expires_at_ms,
        address=row.address,
    )


def _seat(row: Row[Any], tenant: Tenant, sharing: list[LiveSession]) -> SeatInUse:
    issued_at_ms = row.issued_at_ms or row.taken_at_ms
    return SeatInUse(
        holder=row.holder,
        client_id=row.client_id,
        initials=row.initials,
        name=row.name,
        taken_at_ms=row.taken_at_ms,
        issued_at_ms=issued_at_ms,
        last_used_at_ms=last_used_ms(tenant.token_format, issued_at_ms, row.used_at_ms),
        expires_at_ms=row.expires_at_ms,
        addresses=addresses(row.sources),
        counted_by=tuple(map(rule_of, names_counted(row.counted))),
        sessions=tuple(sharing),
    )


def _pool_now(
    row: Row[Any], in_use_by: list[SeatInUse], tenant: Tenant, now_ms: int, options: OptionsNow
) -> PoolNow:
    has = effective_seats(row, tenant, now_ms)
    return PoolNow(
        pool=row.name,
        seats=has.seats,
        in_use=len(in_use_by),
        overdraft_in_use=has.overdraft_in_use(len(in_use_by)),
        overuse=has.overuse(len(in_use_by)),
        reserved=options.reserved,
        reserved_in_use=options.reserved_in_use,
        waiting=options.waiting,
        next_free_at_ms=min((seat.expires_at_ms for seat in in_use_by), default=None),
        expires_at_ms=row.expires_at_ms,
        in_use_by=tuple(in_use_by),
    )
