"""Sums up hours that are over, so that a report of a year need not read its minutes.

The rules:

- An hour is summed once nothing can change it any more: `SETTLED_MS` after its end, and after all that
  expired in it was swept, because an end that is found late is written at its own time (L4, L11).
- Everything before `summed.until_ms` is summed, and sums after it do not count. Rows are written before that
  mark moves, so a step that was interrupted, or that two servers make at once, does no harm.
- When the clock was set back, sums of the future are removed.
- A quarter of an hour is the unit of use and denials, because the hours of every time zone begin with one.

One step is one hour: it is read beside all others, and written in transactions of `ROWS_MAX` rows.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)

from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.units import HOUR_MS, MINUTE_MS, QUARTER_MS

SETTLED_MS = HOUR_MS  # ample: a batch takes seconds
ROWS_MAX = 1000  # a few milliseconds of writing

QUARTER = QUARTER_MS // MINUTE_MS
_HOUR = HOUR_MS // MINUTE_MS
_UNITS = (
    (schema.usage_summary, schema.usage_summary.c.quarter, QUARTER_MS),
    (schema.denial_summary, schema.denial_summary.c.quarter, QUARTER_MS),
    (schema.session_summary, schema.session_summary.c.hour, HOUR_MS),
)
DENIED = schema.DENIED


def summarise(store: Store, keep_ms: int) -> bool:
    """Sum the next hour that has any row, if there is one; return whether there was.

    Minutes are kept for `keep_ms`. Raises StoreUnavailable.
    """
    with store.transaction(Purpose.UPKEEP) as transaction:  # by the store's own clock
        now_ms = transaction.now_ms
    with store.reporting() as connection:
        settled = _settled_ms(connection, now_ms) // HOUR_MS
        until_ms = summed_until_ms(connection)
        until = (now_ms - keep_ms if until_ms is None else until_ms) // HOUR_MS
        hour = min(settled, _next_hour(connection, until, settled))
        rows = [(table, connection.execute(query).all()) for table, query in _queries(hour) if hour < settled]
    if until > settled:
        _forget(store, settled * HOUR_MS)
        return False
    for table, found in rows:
        _write(store, table, found)
    if (done := min(settled, hour + 1)) > until or until_ms is None:
        _mark(store, done * HOUR_MS)
    return hour < settled


def summed_until_ms(connection: Connection) -> int | None:
    """The instant up to which all is summed; None when nothing is."""
    until_ms: int | None = connection.execute(select(func.max(schema.summed.c.until_ms))).scalar()
    return until_ms


def _settled_ms(connection: Connection, now_ms: int) -> int:
    """The instant before which nothing is written any more."""
    ends: list[int | None] = [
        connection.execute(select(func.min(table.c.expires_at_ms))).scalar()
        for table in (schema.session, schema.seat)
    ]
    return min([now_ms - SETTLED_MS, *(end for end in ends if end is not None)])


def _next_hour(connection: Connection, hour: int, at_most: int) -> int:
    """The first hour from this one on that has any row."""
    first = [
        connection.execute(select(func.min(column)).where(column >= hour * _HOUR)).scalar()
        for column in (
            schema.usage_minute.c.minute,
            schema.journal.c.minute,
            schema.entry_minute,
            schema.denial_minute,
        )
    ]
    return min((minute // _HOUR for minute in first if minute is not None), default=at_most)


def _queries(hour: int) -> Sequence[tuple[Table, Select[Any]]]:
    minutes = range(hour * _HOUR, (hour + 1) * _HOUR)
    return (
        (schema.usage_summary, _use(minutes)),
        (schema.denial_summary, denials_by_quarter(minutes)),
        (schema.session_summary, _sessions(minutes, hour)),
    )


def _use(minutes: range) -> Select[Any]:
    """The last row of each quarter, with its highest peak."""
    table, usage = schema.usage_minute, schema.usage_minute.c
    quarter = (usage.minute // QUARTER).label("quarter")
    top = (
        select(
            usage.tenant_id,
            usage.pool,
            quarter,
            func.max(usage.minute).label("last"),
            func.max(usage.peak).label("peak"),
        )
        .where(_within(usage.minute, minutes))
        .group_by(usage.tenant_id, usage.pool, "quarter")
        .subquery()
    )
    return select(
        usage.tenant_id, usage.pool, top.c.quarter, usage.seats, top.c.peak, usage.in_use
    ).join_from(
        top,
        table,
        (usage.tenant_id == top.c.tenant_id) & (usage.pool == top.c.pool) & (usage.minute == top.c.last),
    )


def denials_by_quarter(minutes: range, *only: ColumnElement[bool]) -> Select[Any]:
    """The denials of each client in each quarter, as `denial_summary` has them."""
    entry = schema.whole_denials.c
    quarter = (entry.minute // QUARTER).label("quarter")
    key = (entry.tenant_id, entry.reason, entry.pool, entry.client_id)
    return (
        select(
            *key,
            quarter,
            func.max(entry.initials).label("initials"),
            func.sum(entry.times).label("times"),
            func.min(entry.first_at_ms).label("first_at_ms"),
            func.max(entry.last_at_ms).label("last_at_ms"),
            func.max(entry.seats).label("seats"),
        )
        .where(_within(entry.minute, minutes), *only)
        .group_by(*key, "quarter")
    )


def _sessions(minutes: range, hour: int) -> Select[Any]:
    whole = schema.whole_journal.c
    key = (whole.tenant_id, whole.kind, whole.reason, whole.pool)
    whole_hour: ColumnElement[int] = literal_column(str(hour))
    return (
        select(*key, whole_hour.label("hour"), func.sum(whole.times).label("times"))
        .where(whole.kind != DENIED, _within(whole.minute, minutes))
        .group_by(*key)
    )


def _within(column: ColumnElement[int], units: range) -> ColumnElement[bool]:
    return (column >= units.start) & (column < units.stop)


def _write(store: Store, table: Table, rows: Sequence[Row[Any]]) -> None:
    """Write rows that do not exist yet. Rows of a tenant that was removed meanwhile are dropped."""
    names = [column.name for column in table.columns]
    places = ", ".join(f":{name}" for name in names)
    statement = text(
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608
    )
    for at in range(0, len(rows), ROWS_MAX):
        with store.transaction(Purpose.UPKEEP) as transaction:
            connection = transaction.connection
            tenants = set(connection.execute(select(schema.tenant.c.id).where(schema.is_there)).scalars())
            part = [_values(row) for row in rows[at : at + ROWS_MAX] if row.tenant_id in tenants]
            if part:
                connection.execute(statement, part)


def _values(row: Row[Any]) -> dict[str, Any]:
    """The values of a row, with whole numbers: a database may return sums as decimals."""
    values = dict(row._mapping)  # noqa: SLF001 - its name in SQLAlchemy
    if "times" in values:
        values["times"] = int(values["times"])
    return values


def _mark(store: Store, until_ms: int) -> None:
    with store.transaction(Purpose.UPKEEP) as transaction:
        _set_mark(transaction.connection, until_ms)


def _set_mark(connection: Connection, until_ms: int) -> None:
    if not connection.execute(update(schema.summed).values(until_ms=until_ms)).rowcount:
        connection.execute(insert(schema.summed).values(until_ms=until_ms))


def _forget(store: Store, from_ms: int) -> None:
    """Remove sums from then on."""
    with store.transaction(Purpose.UPKEEP) as transaction:
        _set_mark(transaction.connection, from_ms)
        for table, column, unit_ms in _UNITS:
            transaction.connection.execute(delete(table).where(column >= from_ms // unit_ms))
