"""Reads the tables of a store for the history: the pools while the load runs, and everything at the end."""

from collections import Counter, defaultdict

from sqlalchemy import Connection, func, literal, select, union_all

from chaos.history import (
    CountRow,
    Final,
    JournalRow,
    LineRow,
    LiveRow,
    PoolRow,
    Sample,
    SeatRow,
    SessionRow,
    now_us,
)
from licet.options import names_counted
from licet.store import schema
from licet.store.contract import Store


def sample(store: Store) -> Sample:
    """The pools, counters, lines and live sessions, while the load runs.

    Raises StoreUnavailable.
    """
    begun_us = now_us()
    with store.reading() as connection:
        pools, counts = _pools(connection), _counts(connection)
        lines = _lines(store, connection)
        live = _live(store, connection)
    return Sample(begun_us=begun_us, ended_us=now_us(), pools=pools, counts=counts, lines=lines, live=live)


def final(store: Store) -> Final:
    """Everything that the checker compares, after the end of the load.

    Raises StoreUnavailable.
    """
    begun_us = now_us()
    with store.reading() as connection:
        # Read before the rows: the checker leaves out what has expired since then.
        now_ms = store.read_sessions(()).now_ms
        return Final(
            begun_us=begun_us,
            ended_us=now_us(),
            now_ms=now_ms,
            pools=_pools(connection),
            sessions=_sessions(connection),
            seats=_seats(connection),
            journal=_journal(connection),
            counts=_counts(connection),
            lines=_lines(store, connection),
        )


def _pools(connection: Connection) -> tuple[PoolRow, ...]:
    pool, seat, minute = schema.pool.c, schema.seat.c, schema.usage_minute.c
    rows = select(func.count()).where(seat.pool_id == pool.id).scalar_subquery()
    of_pool = (minute.tenant_id == pool.tenant_id) & (minute.pool == pool.name)
    last = select(minute.in_use).where(of_pool).order_by(minute.minute.desc()).limit(1).scalar_subquery()
    peak = select(func.max(minute.peak)).where(of_pool).scalar_subquery()
    query = select(
        schema.tenant.c.name,
        pool.seats,
        pool.overuse,
        pool.in_use,
        rows.label("rows"),
        func.coalesce(last, 0).label("last"),
        func.coalesce(peak, 0).label("peak"),
    ).join_from(schema.pool, schema.tenant)
    return tuple(
        PoolRow(
            tenant=row.name,
            seats=row.seats,
            overuse=row.overuse,
            in_use=row.in_use,
            rows=row.rows,
            minute_in_use=row.last,
            minute_peak=row.peak,
        )
        for row in connection.execute(query)
    )


def _counts(connection: Connection) -> tuple[CountRow, ...]:
    """Read counters and seats in one statement, so that both are of one moment."""
    tenant, seat, count = schema.tenant.c.name, schema.seat.c, schema.seat_count.c
    of_seats = select(tenant, literal(True).label("is_seat"), seat.counted, func.count().label("rows"))
    of_seats = of_seats.join_from(schema.seat, schema.tenant, seat.tenant_id == schema.tenant.c.id)
    of_counts = select(tenant, literal(False), count.what, count.in_use).join_from(
        schema.seat_count, schema.tenant, count.tenant_id == schema.tenant.c.id
    )
    seats, counted = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in connection.execute(union_all(of_seats.group_by(tenant, seat.counted), of_counts)):
        for what in names_counted(row.counted):
            (seats if row.is_seat else counted)[row.name, what] += int(row.rows)
    return tuple(
        CountRow(tenant=name, what=what, in_use=counted[name, what], rows=seats[name, what])
        for name, what in sorted(seats.keys() | counted.keys())
    )


def _lines(store: Store, connection: Connection) -> tuple[LineRow, ...]:
    place, pool, seat = schema.queue_place.c, schema.pool.c, schema.seat.c
    query = (
        select(schema.tenant.c.name, pool.queue, place.holder, seat.expires_at_ms)
        .join_from(schema.queue_place, schema.pool, place.pool_id == pool.id)
        .join(schema.tenant, pool.tenant_id == schema.tenant.c.id)
        .join(schema.seat, (seat.pool_id == pool.id) & (seat.holder == place.holder), isouter=True)
        .order_by(place.number)
    )
    found: dict[tuple[str, int], list[tuple[str, int]]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.name, row.queue].append((row.holder, row.expires_at_ms or 0))
    # Read after the rows: a seat that lives now lived then as well.
    now_ms = store.read_sessions(()).now_ms if found else 0
    return tuple(
        LineRow(
            tenant=name,
            queue=queue,
            places=tuple(holder for holder, _ in places),
            seated=tuple(holder for holder, until_ms in places if until_ms > now_ms),
        )
        for (name, queue), places in found.items()
    )


def _live(store: Store, connection: Connection) -> tuple[LiveRow, ...]:
    session, client = schema.session, schema.client
    now_ms = store.read_sessions(()).now_ms
    query = (
        select(session.c.sid, schema.tenant.c.name, client.c.client_id, session.c.started_at_ms)
        .join_from(session, schema.tenant, session.c.tenant_id == schema.tenant.c.id)
        .join(client, session.c.client_key == client.c.key)
        .join(schema.pool, session.c.pool_id == schema.pool.c.id)
        .where(schema.pool.c.queue > 0, session.c.expires_at_ms > now_ms)
    )
    return tuple(
        LiveRow(sid=row.sid.hex(), tenant=row.name, client=row.client_id, started_ms=row.started_at_ms)
        for row in connection.execute(query)
    )


def _sessions(connection: Connection) -> tuple[SessionRow, ...]:
    session, client = schema.session, schema.client
    query = (
        select(schema.tenant.c.name, client.c.client_id, session)
        .join_from(session, schema.tenant, session.c.tenant_id == schema.tenant.c.id)
        .join(client, session.c.client_key == client.c.key)
    )
    return tuple(
        SessionRow(
            sid=row.sid.hex(),
            tenant=row.name,
            client=row.client_id,
            holder=row.holder or "",
            expires_at_ms=row.expires_at_ms,
        )
        for row in connection.execute(query)
    )


def _seats(connection: Connection) -> tuple[SeatRow, ...]:
    seat = schema.seat
    columns = (seat.c.holder, seat.c.expires_at_ms, seat.c.issued_at_ms, seat.c.number, seat.c.counted)
    query = select(schema.tenant.c.name, *columns).join_from(
        seat, schema.tenant, seat.c.tenant_id == schema.tenant.c.id
    )
    return tuple(
        SeatRow(
            tenant=row.name,
            holder=row.holder,
            expires_at_ms=row.expires_at_ms,
            issued_at_ms=row.issued_at_ms,
            number=row.number,
            counted=tuple(names_counted(row.counted)),
        )
        for row in connection.execute(query)
    )


def _journal(connection: Connection) -> tuple[JournalRow, ...]:
    journal = schema.whole_journal.c
    query = (
        select(schema.tenant.c.name, journal.client_id, journal.kind, func.sum(journal.times).label("times"))
        .join_from(schema.whole_journal, schema.tenant, schema.tenant.c.id == journal.tenant_id)
        .group_by(schema.tenant.c.name, journal.client_id, journal.kind)
    )
    return tuple(
        JournalRow(tenant=row.name, client=row.client_id, kind=row.kind, times=int(row.times))
        for row in connection.execute(query)
    )
