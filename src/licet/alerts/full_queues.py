"""Raises an alert for a queue that is full: whoever asks now gets no place in it (L19).

The rules:

- Of each pool that has a queue and any alert, the places that have not lapsed are counted.
- It is reported once, when an evaluation finds as many as the queue has. One that was full only between two
  evaluations, as places were taken and served within seconds, is not reported.
- It is cleared when for `QUIET_MS` more than `MARGIN` per cent of the places were free, as a threshold of the
  seats is. Nobody keeps the peaks of places, so the row has the last minute in which they were not free.
- What is reported is a row that is written in the transaction which queues the message.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, func, or_, select, update

from licet.alerts.notices import MARGIN, QUEUE_FULL, QUIET_MS
from licet.alerts.pool_seats import seats_now
from licet.model import Tenant
from licet.store import schema
from licet.store.upserts import insert_into
from licet.units import MINUTE_MS

QUEUE_IS_FULL = "pool.queue_full"


class FullQueue(NamedTuple):
    """What becomes of the alert of one pool. `before` is its row, if it has one.

    `is_over`: it is to be cleared. `data`: what the message says; none where it is reported already, and only
    the minute is to be kept in which the queue was still full.
    """

    pool_id: int
    tenant_id: int
    before: Row[Any] | None
    is_over: bool = False
    data: Mapping[str, object] = {}

    @property
    def type(self) -> str:
        """The type of the message; empty where there is none."""
        return QUEUE_IS_FULL if self.data else ""


def full_queues(connection: Connection, tenants: Mapping[int, Tenant], now_ms: int) -> Iterator[FullQueue]:
    """What has to be reported, and what is no longer true."""
    pool, alert = schema.pool.c, schema.alert.c
    of_queues = select(schema.alert).where(alert.threshold == QUEUE_FULL)
    reported = {row.pool_id: row for row in connection.execute(of_queues)}
    raised = [key for key, row in reported.items() if row.cleared_at_ms is None]
    query = (
        select(schema.pool, schema.tenant.c.name.label("tenant"))
        .join(schema.tenant, schema.tenant.c.id == pool.tenant_id)
        .where(or_(and_(pool.queue > 0, pool.alerts + pool.alerts_more != ""), pool.id.in_(raised)))
    )
    rows = connection.execute(query.order_by(pool.id)).all()
    waiting = _waiting(connection, now_ms) if rows else {}
    for row in rows:
        before = reported.get(row.id)
        full, near = _is_full(row, waiting.get(row.id, 0))
        this = FullQueue(row.id, row.tenant_id, before)
        if before is None or before.cleared_at_ms is not None:
            if full:
                seats = seats_now(row, tenants, now_ms)
                yield this._replace(data=_data(row, seats, waiting[row.id]))
            continue
        since_ms = now_ms - before.told_times
        if near and since_ms >= MINUTE_MS:
            yield this
        elif not near and (since_ms >= QUIET_MS + MINUTE_MS or not _is_wanted(row)):
            yield this._replace(is_over=True)


def _is_full(pool: Row[Any], waiting: int) -> tuple[bool, bool]:
    """Whether a queue is full, and whether it is nearly."""
    if not _is_wanted(pool):
        return False, False
    return waiting >= pool.queue, waiting * 100 >= (100 - MARGIN) * pool.queue


def _is_wanted(pool: Row[Any]) -> bool:
    return bool(pool.queue and (pool.alerts or pool.alerts_more))


def _waiting(connection: Connection, now_ms: int) -> dict[int, int]:
    """How many wait in line for each pool."""
    place = schema.queue_place.c
    query = select(place.pool_id, func.count().label("places")).where(place.until_ms > now_ms)
    return {row.pool_id: row.places for row in connection.execute(query.group_by(place.pool_id))}


def _data(pool: Row[Any], seats: int, waiting: int) -> dict[str, object]:
    return {
        "tenant": pool.tenant,
        "pool": pool.name,
        "seats": seats,
        "in_use": pool.in_use,
        "queue": pool.queue,
        "waiting": waiting,
    }


def note_queue(connection: Connection, found: FullQueue, now_ms: int) -> bool:
    """Write what is reported, or that it is over; return whether no other node wrote it first."""
    alert, before = schema.alert.c, found.before
    if found.data:
        values = {"raised_at_ms": now_ms, "cleared_at_ms": None, "told_at_ms": now_ms, "told_times": now_ms}
        statement = insert_into(connection, schema.alert).values(
            pool_id=found.pool_id, threshold=QUEUE_FULL, tenant_id=found.tenant_id, **values
        )
        # Where two nodes insert it at once, one succeeds.
        statement = statement.on_conflict_do_update(
            index_elements=[alert.pool_id, alert.threshold],
            set_=values,
            where=alert.cleared_at_ms.is_not(None),
        )
        return connection.execute(statement.returning(alert.pool_id)).first() is not None
    assert before is not None
    as_seen = and_(
        alert.pool_id == found.pool_id,
        alert.threshold == QUEUE_FULL,
        alert.raised_at_ms == before.raised_at_ms,
        alert.told_times == before.told_times,
        alert.cleared_at_ms.is_(None),
    )
    values = {"cleared_at_ms": now_ms} if found.is_over else {"told_times": now_ms}
    return connection.execute(update(schema.alert).where(as_seen).values(values)).rowcount == 1


def queue_subject(type_: str, data: Mapping[str, Any]) -> str | None:
    """What happened, in one line of an e-mail; None for an alert of something else."""
    if type_ != QUEUE_IS_FULL:
        return None
    taken = f"{data['waiting']} of {data['queue']} places taken"
    return f"{data.get('tenant')}, pool {data.get('pool')}: the queue is full, {taken}"
