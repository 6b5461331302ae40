"""Reads the deliveries of messages to webhooks and mail addresses, in pages, with the state of each."""

from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select, tuple_

from licet.model import Value
from licet.store import schema
from licet.store.paging import LIMIT, bounded, read_cursor, write_cursor

INSTANTS_MAX = 200  # parameters of one statement, well below the limit of any engine


class State(StrEnum):
    """The state of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


class Delivery(Value, frozen=True, kw_only=True):
    """A message and its state. `webhook_id` is None when it goes by e-mail."""

    id: str
    webhook_id: str | None
    tenant_id: int | None
    type: str
    payload: str  # JSON
    state: State
    created_at_ms: int
    attempts: int
    last_at_ms: int | None
    last_error: str
    next_at_ms: int | None
    delivered_at_ms: int | None


class DeliveryPage(Value, frozen=True, kw_only=True):
    """Messages, newest first; `next` is the cursor of the next page, None at the end."""

    deliveries: tuple[Delivery, ...]
    next: str | None


def deliveries(
    connection: Connection,
    *,
    within: int | None = None,
    webhook_id: str | None = None,
    state: State | None = None,
    after: str | None = None,
    limit: int = LIMIT,
) -> DeliveryPage:
    """The messages that were sent or wait, newest first; `after` is the `next` of the page before.

    With `within`, a tenant's id, only those to the webhooks of that tenant. Raises InvalidCursor.
    """
    delivery, limit = schema.delivery.c, bounded(limit)
    query = select(schema.delivery).where(*fitting(within, webhook_id, state))
    if after is not None:
        query = query.where(
            tuple_(delivery.created_at_ms, delivery.id) < tuple_(*read_cursor(after, tuple[int, str]))
        )
    newest_first = query.order_by(delivery.created_at_ms.desc(), delivery.id.desc())
    rows = connection.execute(newest_first.limit(limit + 1)).all()
    page = tuple(_delivery(row) for row in rows[:limit])
    is_end = len(rows) <= limit
    return DeliveryPage(
        deliveries=page, next=None if is_end else write_cursor(page[-1].created_at_ms, page[-1].id)
    )


def counts(connection: Connection, within: int | None = None) -> dict[State, int]:
    """How many messages there are in each state."""
    query = select(func.count()).select_from(schema.delivery)
    return {
        state: int(connection.execute(query.where(*fitting(within, None, state))).scalar_one())
        for state in State
    }


def message_instants(
    connection: Connection, within: int | None, instants: Collection[int]
) -> set[tuple[str, int]]:
    """Of these instants, the newest, those with a message, each with the tenant that it is about.

    Only messages to the webhooks of `within`, a tenant's id, count; None counts all.
    """
    delivery, tenant = schema.delivery.c, schema.tenant.c
    query = (
        select(tenant.name, delivery.created_at_ms)
        .distinct()
        .join(schema.tenant, tenant.id == delivery.tenant_id)
        .where(delivery.created_at_ms.in_(sorted(instants)[-INSTANTS_MAX:]), *fitting(within, None, None))
    )
    return {(row.name, row.created_at_ms) for row in connection.execute(query)}


def of_tenant(within: int | None) -> list[ColumnElement[bool]]:
    """The condition that a webhook is of this tenant; None is all tenants."""
    return [] if within is None else [schema.webhook.c.tenant_id == within]


def fitting(within: int | None, webhook_id: str | None, state: State | None) -> Iterator[ColumnElement[bool]]:
    """The conditions for deliveries of this tenant, to this webhook and in this state; None is any."""
    delivery = schema.delivery.c
    if within is not None:
        theirs: Select[Any] = select(schema.webhook.c.id).where(*of_tenant(within))
        yield delivery.webhook_id.in_(theirs)
    if webhook_id is not None:
        yield delivery.webhook_id == webhook_id
    match state:
        case State.WAITING:
            yield delivery.next_at_ms.is_not(None)
        case State.DELIVERED:
            yield delivery.delivered_at_ms.is_not(None)
        case State.GIVEN_UP:
            yield and_(delivery.next_at_ms.is_(None), delivery.delivered_at_ms.is_(None))
        case None:
            pass


def _delivery(row: Row[Any]) -> Delivery:
    fields = {field: getattr(row, field) for field in Delivery.__struct_fields__ if field != "state"}
    state = State.GIVEN_UP
    if row.next_at_ms is not None:
        state = State.WAITING
    elif row.delivered_at_ms is not None:
        state = State.DELIVERED
    return Delivery(**fields, state=state)
