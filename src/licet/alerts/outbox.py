"""Queues messages durably in the store, so that any number of servers may deliver them.

A message is written in the transaction in which its alert is raised. A server that sends it claims it first,
in a transaction, so that no two send it at once. The claim of a server that dies expires after a minute, and
the next attempt has the same id. So a message arrives at least once, and a receiver detects repetitions by
the id.

The rules:

- Attempts are made at once and then after the pauses that Standard Webhooks recommends, over three days; a
  receiver may ask for a longer one, of a day at most. A message that failed each time is given up: it stays,
  with the reason, and can be sent again by hand.
- A webhook has one message under way at most, oldest first, so that a slow one keeps no other waiting.
- An answer of 410 disables the webhook. Messages that wait for a disabled webhook are given up.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, func, select, update

from licet.credentials.webhook_signatures import new_message_id
from licet.formats import printable
from licet.model import Value
from licet.store import schema
from licet.store.contract import Purpose, Store

# Standard Webhooks, "Deliverability and reliability": the example of a schedule.
PAUSES_S = (5, 300, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
ATTEMPTS_MAX = len(PAUSES_S) + 1
CLAIM_MS = 60_000  # longer than an attempt may take
CLAIMS_MAX = 32  # a guess: far more webhooks than are slow at once
WAITING_MAX = 1000  # of one webhook; a guess: nobody reads more of them later
ERROR_CHARS_MAX = 200
TEST = "webhook.test"  # a message without news; the person who sent it waits, so it is tried once
BY_MAIL = ""  # the webhook that a message by e-mail counts for


class Attempt(NamedTuple):
    """How an attempt to send ended: '' is delivered. With `is_gone` the receiver wants no more messages.

    `wait_s` is how long the receiver asks us to wait. `detail` is for the log alone, where it says more than
    the readers of the message may know.
    """

    error: str = ""
    is_gone: bool = False
    wait_s: int = 0
    detail: str = ""


class Message(Value, frozen=True, kw_only=True):
    """A message to be sent now; `attempts` counts this one. `url` is None when it goes by e-mail.

    `rotated_at_ms` is when the secret got this number. The message is sent to this machine and to private
    networks only where `private_allowed`.
    """

    id: str
    webhook_id: str
    url: str | None
    private_allowed: bool
    secret_number: int
    rotated_at_ms: int | None
    type: str
    payload: str
    created_at_ms: int
    attempts: int


def put(
    connection: Connection,
    *,
    webhook_ids: Collection[str],
    tenant_id: int | None,
    type: str,  # noqa: A002 - the specification's word
    payload: str,
    now_ms: int,
) -> list[str]:
    """Queue a message for each of these webhooks, which may include `BY_MAIL`; return the ids."""
    rows = [
        {
            "id": new_message_id(),
            "webhook_id": webhook_id or None,
            "tenant_id": tenant_id,
            "type": type,
            "payload": payload,
            "created_at_ms": now_ms,
            "next_at_ms": now_ms,
        }
        for webhook_id in webhook_ids
    ]
    if rows:
        connection.execute(schema.delivery.insert(), rows)
    for webhook_id in webhook_ids:
        _bound(connection, webhook_id)
    return [str(row["id"]) for row in rows]


def claim(store: Store, busy: Collection[str] = (), most: int = CLAIMS_MAX) -> list[Message]:
    """Claim what is due for a minute: one message for each webhook that is not `busy`, and `most` in all.

    Raises StoreUnavailable.
    """
    with store.reading() as connection:
        if not connection.execute(_due(store.clock.now_ms(), busy)).all():
            return []
    with store.transaction(Purpose.UPKEEP) as transaction:
        connection, now_ms = transaction.connection, transaction.now_ms
        rows = connection.execute(_due(now_ms, busy)).all()[:most]
        return [_message(row) for row in rows if _take(connection, row, now_ms)]


def claim_one(store: Store, message_id: str) -> Message | None:
    """Claim this message, due or not, unless it is under way, delivered or given up.

    Raises StoreUnavailable.
    """
    with store.transaction(Purpose.UPKEEP) as transaction:
        query = _messages().where(schema.delivery.c.id == message_id)
        row = transaction.connection.execute(query).one_or_none()
        if row is None or not _take(transaction.connection, row, transaction.now_ms):
            return None
        return _message(row)


def record_attempt(store: Store, message: Message, attempt: Attempt) -> None:
    """Write how an attempt ended. A failed message is tried again later, until all attempts are made.

    Raises StoreUnavailable.
    """
    error, is_gone, wait_s, _ = attempt
    with store.transaction(Purpose.UPKEEP) as transaction:
        now_ms = transaction.now_ms
        values: dict[str, Any] = {"last_at_ms": now_ms, "last_error": _one_line(error), "next_at_ms": None}
        if not error:
            values["delivered_at_ms"] = now_ms
        elif message.attempts < ATTEMPTS_MAX and message.type != TEST and not is_gone:
            pause_s = max(PAUSES_S[message.attempts - 1], min(wait_s, PAUSES_S[-1]))
            values["next_at_ms"] = now_ms + pause_s * 1000
        delivery = schema.delivery.c
        # An attempt that took so long that another one began is not written.
        mine = (delivery.id == message.id) & (delivery.attempts == message.attempts)
        if error:  # A message that was given up meanwhile stays given up.
            mine &= delivery.next_at_ms.is_not(None)
        transaction.connection.execute(update(schema.delivery).where(mine).values(values))
        if is_gone:
            why = f"{_one_line(error)}: no more is sent there"
            disable(transaction.connection, message.webhook_id, why)


def disable(connection: Connection, webhook_id: str, why: str = "") -> None:
    """Disable a webhook, and give up what waits for it. `why` is the reason where no administrator did it."""
    connection.execute(
        update(schema.webhook)
        .where(schema.webhook.c.id == webhook_id)
        .values(enabled=False, disabled_why=why)
    )
    waiting = (schema.delivery.c.webhook_id == webhook_id) & schema.delivery.c.next_at_ms.is_not(None)
    connection.execute(
        update(schema.delivery)
        .where(waiting)
        .values(next_at_ms=None, last_error="given up: the webhook was disabled")
    )


def _messages() -> Select[Any]:
    webhook = schema.webhook.c
    # A webhook for all tenants was set by an owner of all of them.
    private_allowed = webhook.private_allowed | webhook.tenant_id.is_(None)
    return select(
        schema.delivery,
        webhook.url,
        private_allowed.label("private_allowed"),
        webhook.secret_number,
        webhook.rotated_at_ms,
    ).outerjoin(schema.webhook, webhook.id == schema.delivery.c.webhook_id)


def _due(now_ms: int, busy: Collection[str]) -> Select[Any]:
    """The first message of each webhook that is due and not busy."""
    delivery = schema.delivery.c
    place = func.row_number().over(
        partition_by=delivery.webhook_id, order_by=(delivery.next_at_ms, delivery.created_at_ms, delivery.id)
    )
    due = (
        select(delivery.id, place.label("place"))
        .where(
            delivery.next_at_ms <= now_ms,
            func.coalesce(delivery.webhook_id, BY_MAIL).not_in(sorted(busy)),
        )
        .subquery()
    )
    return _messages().join(due, due.c.id == delivery.id).where(due.c.place == 1)


def _take(connection: Connection, row: Row[Any], now_ms: int) -> bool:
    """Claim it; return whether no other server has it."""
    delivery = schema.delivery.c
    as_seen = (delivery.id == row.id) & (delivery.attempts == row.attempts)
    if row.next_at_ms is None or (row.webhook_id is not None and row.url is None):
        return False
    taken = connection.execute(
        update(schema.delivery)
        .where(as_seen, delivery.next_at_ms == row.next_at_ms)
        .values(next_at_ms=now_ms + CLAIM_MS, attempts=row.attempts + 1)
    )
    return taken.rowcount == 1


def _message(row: Row[Any]) -> Message:
    return Message(
        id=row.id,
        webhook_id=row.webhook_id or BY_MAIL,
        url=row.url,
        private_allowed=bool(row.private_allowed),
        secret_number=row.secret_number or 0,
        rotated_at_ms=row.rotated_at_ms,
        type=row.type,
        payload=row.payload,
        created_at_ms=row.created_at_ms,
        attempts=row.attempts + 1,
    )


def _bound(connection: Connection, webhook_id: str) -> None:
    """Give up the oldest messages that wait for one webhook, where there are more than `WAITING_MAX`."""
    delivery = schema.delivery.c
    newest = (
        select(delivery.id)
        .where(
            delivery.webhook_id == webhook_id if webhook_id else delivery.webhook_id.is_(None),
            delivery.next_at_ms.is_not(None),
        )
        .order_by(delivery.created_at_ms.desc(), delivery.id.desc())
        .offset(WAITING_MAX)
    )
    connection.execute(
        update(schema.delivery)
        .where(delivery.id.in_(newest))
        .values(next_at_ms=None, last_error=f"given up: more than {WAITING_MAX} newer ones wait")
    )


def _one_line(text: str) -> str:
    """The text as one short line: a receiver or a mail server may have sent anything."""
    shown = printable(text[: ERROR_CHARS_MAX + 1], " ")
    return shown if len(shown) <= ERROR_CHARS_MAX else f"{shown[: ERROR_CHARS_MAX - 3]}..."
