"""Alerts as administrators see and set them: what is raised now, the webhooks, and what was sent to them.

    with changing(store, actor="ada") as change:
        webhook = change.add("https://example.com/licet", tenant_id=None)

The rules:

- A webhook is of one tenant, or of all. Who looks after one tenant sees and changes the webhooks of that
  tenant only: that is `within`.
- It is reached by https; by http only on this machine, unless the settings allow more.
- Where who looks after one tenant set its URL, it goes to public addresses only: else they would learn from
  the answers what listens on this machine and in the network around it.
- Each change leaves an event. It tells the host of a URL only: what follows may be a secret.
- No secret is kept or handled here: `licet.credentials.webhook_signatures` makes it from the webhook's id and
  number.

What raises an alert is in `raising.py`, how a message goes its way in `outbox.py`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, func, select, tuple_, update

from licet.accounts.administrators import NotYours
from licet.alerts.destinations import check_url, place_of
from licet.alerts.evaluation import payload
from licet.alerts.licence_ends import raised_ends
from licet.alerts.outbox import TEST, disable, put
from licet.alerts.shared_seats import raised_shared
from licet.credentials.webhook_signatures import new_webhook_id
from licet.model import DENIED, EXPIRES, SHARED, Tenant, Value
from licet.refusal import Code, Subject
from licet.store import schema
from licet.store.contract import Purpose, Store, Transaction
from licet.store.errors import NotFound, StillInUse, unknown
from licet.store.events import Event, keep_events
from licet.store.paging import LIMIT, bounded, read_cursor, write_cursor

WEBHOOKS_MAX = 100  # a guess: each of them is told of each alert of its tenants
SECRET_OVERLAP_MS = 24 * 3_600_000  # for which the secret before signs too, after a rotation


class Webhook(Value, frozen=True, kw_only=True):
    """Where alerts are sent: those of one tenant, or of all when `tenant_id` is None.

    `disabled_why` tells why nobody disabled it. `rotated_at_ms` is when its secret got this number.
    """

    id: str
    tenant_id: int | None
    url: str
    secret_number: int
    rotated_at_ms: int | None
    enabled: bool
    disabled_why: str
    created_at_ms: int
    private_allowed: bool  # an owner of all tenants has set the URL

    @property
    def place(self) -> str:
        """Its URL as far as everybody may see it: what follows the host may be a secret."""
        return place_of(self.url)


class State(StrEnum):
    """How far a message is."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


class Delivery(Value, frozen=True, kw_only=True):
    """A message, and how far it is. `webhook_id` is None when it goes by e-mail."""

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


class Raised(Value, frozen=True, kw_only=True):
    """An alert that is raised now. `threshold` says which: `80`, `denied`, `expires`, `shared`.

    `expires_at_ms` is the end of the licence, where the alert is about that; where it is about a seat that is
    shared, `client_id` has it, and it was used from so many `addresses` when that was reported.
    """

    tenant: str
    pool: str
    threshold: str
    raised_at_ms: int
    told_at_ms: int | None
    seats: int
    in_use: int
    expires_at_ms: int | None = None
    client_id: str | None = None
    addresses: int | None = None


def raised(connection: Connection, tenants: Iterable[Tenant]) -> tuple[Raised, ...]:
    """What is raised now for these tenants, those that were raised last first."""
    names = {tenant.id: tenant.name for tenant in tenants}
    alert, pool = schema.alert.c, schema.pool.c
    rows = connection.execute(
        select(schema.alert, pool.name, pool.seats, pool.in_use)
        .join(schema.pool, pool.id == alert.pool_id)
        .where(alert.cleared_at_ms.is_(None))
    )
    found = (
        Raised(
            tenant=names[row.tenant_id],
            pool=row.name,
            threshold=row.threshold,
            raised_at_ms=row.raised_at_ms,
            told_at_ms=row.told_at_ms,
            seats=row.seats,
            in_use=row.in_use,
        )
        for row in rows
        if row.tenant_id in names
    )
    ends = (
        Raised(
            tenant=names[row.tenant_id],
            pool=row.name,
            threshold=EXPIRES,
            raised_at_ms=row.raised_at_ms,
            told_at_ms=row.raised_at_ms,
            seats=row.seats,
            in_use=row.in_use,
            expires_at_ms=row.expires_at_ms,
        )
        for row in raised_ends(connection)
        if row.tenant_id in names
    )
    shared = (
        Raised(
            tenant=names[row.tenant_id],
            pool=row.name,
            threshold=SHARED,
            raised_at_ms=row.raised_at_ms,
            told_at_ms=row.raised_at_ms,
            seats=row.seats,
            in_use=row.in_use,
            client_id=row.client_id,
            addresses=row.addresses,
        )
        for row in raised_shared(connection)
        if row.tenant_id in names
    )
    return tuple(sorted(chain(found, ends, shared), key=_standing))


def webhooks(connection: Connection, within: int | None = None) -> tuple[Webhook, ...]:
    """The webhooks, oldest first; with `within`, a tenant's id, those of that tenant only."""
    query = select(schema.webhook).order_by(schema.webhook.c.created_at_ms, schema.webhook.c.id)
    return tuple(_webhook(row) for row in connection.execute(query.where(*_of(within))))


def find_webhook(connection: Connection, webhook_id: str, within: int | None = None) -> Webhook:
    """The webhook of this id.

    Raises NotFound.
    """
    query = select(schema.webhook).where(schema.webhook.c.id == webhook_id, *_of(within))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise unknown(Subject("webhook", webhook_id))
    return _webhook(row)


def deliveries(
    connection: Connection,
    *,
    within: int | None = None,
    webhook_id: str | None = None,
    state: State | None = None,
    after: str | None = None,
    limit: int = LIMIT,
) -> DeliveryPage:
    """What was sent or is to be, newest first; `after` is the `next` of the page before.

    With `within`, a tenant's id, what goes to the webhooks of that tenant. Raises InvalidCursor.
    """
    delivery, limit = schema.delivery.c, bounded(limit)
    query = select(schema.delivery).where(*_of_page(within, webhook_id, state))
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
    """How many messages there are, by how far they are."""
    query = select(func.count()).select_from(schema.delivery)
    return {
        state: int(connection.execute(query.where(*_of_page(within, None, state))).scalar_one())
        for state in State
    }


@contextmanager
def changing(store: Store, actor: str, *, within: int | None = None) -> Iterator["WebhooksChange"]:
    """Change webhooks, all of the block or nothing of it. `actor` is who does it, for the events.

    With `within`, a tenant's id, there are the webhooks of that tenant and no others.
    Raises SetupError, InvalidValue, StoreUnavailable.
    """
    with store.transaction(Purpose.UPKEEP) as transaction:
        change = WebhooksChange(transaction, actor, within)
        yield change
        keep_events(transaction, change.events)


def redeliver(store: Store, actor: str, ids: Iterable[str], *, within: int | None = None) -> int:
    """Send these messages again, with their ids, from the first attempt on; how many there were.

    What is waiting anyway, and what goes to a webhook that is disabled, is left alone.
    Raises StoreUnavailable.
    """
    with changing(store, actor, within=within) as change:
        return change.redeliver(ids)


class WebhooksChange:
    """One change of the webhooks."""

    def __init__(self, transaction: Transaction, actor: str, within: int | None) -> None:
        self.events: list[Event] = []
        self._connection = transaction.connection
        self._now_ms = transaction.now_ms
        self._actor = actor
        self._reach = within

    def webhook(self, webhook_id: str) -> Webhook:
        """A webhook as it is in this transaction.

        Raises NotFound.
        """
        return find_webhook(self._connection, webhook_id, self._reach)

    def add(
        self, url: str, *, tenant_id: int | None, http_allowed: bool = False, private_allowed: bool = False
    ) -> Webhook:
        """A new webhook, of one tenant or all. What is allowed is as the settings have it.

        Raises InvalidValue, NotYours, NotFound for the tenant, StillInUse when there are too many.
        """
        self._check_url(url, http_allowed=http_allowed, private_allowed=private_allowed)
        if self._reach not in {None, tenant_id}:
            text = "who looks after one tenant adds webhooks of that tenant only"
            raise NotYours(text, code=Code.NOT_YOURS, field="tenant")
        self._tenant_name(tenant_id)
        there = self._connection.execute(select(func.count()).select_from(schema.webhook)).scalar_one()
        if there >= WEBHOOKS_MAX:
            text = f"there are {WEBHOOKS_MAX} webhooks already; remove one first"
            raise StillInUse(text, code=Code.TOO_MANY, subject=Subject("webhook"), limit=WEBHOOKS_MAX)
        added = Webhook(
            id=new_webhook_id(),
            tenant_id=tenant_id,
            url=url,
            secret_number=1,
            rotated_at_ms=None,
            enabled=True,
            disabled_why="",
            created_at_ms=self._now_ms,
            private_allowed=self._reach is None,
        )
        row = {field: getattr(added, field) for field in added.__struct_fields__}
        self._connection.execute(schema.webhook.insert().values(row))
        self._tell("add", added, added.place)
        return added

    def set(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        enabled: bool | None = None,
        http_allowed: bool = False,
        private_allowed: bool = False,
    ) -> bool:
        """Change a webhook; whether there was anything to change. What waits for a disabled one is given up.

        Raises NotFound, InvalidValue.
        """
        before, details = self.webhook(webhook_id), []
        if url is not None and url != before.url:
            self._check_url(url, http_allowed=http_allowed, private_allowed=private_allowed)
            self._update(webhook_id, url=url, private_allowed=self._reach is None)
            details.append(f"url {before.place} -> {place_of(url)}")
        if enabled is not None and enabled != before.enabled:
            if enabled:
                self._update(webhook_id, enabled=True, disabled_why="")
            else:
                disable(self._connection, webhook_id)
            details.append(f"enabled {'no -> yes' if enabled else 'yes -> no'}")
        if details:
            self._tell("set", before, ", ".join(details))
        return bool(details)

    def rotate(self, webhook_id: str) -> Webhook:
        """Give a webhook its next secret. For `SECRET_OVERLAP_MS` the one before signs too.

        Raises NotFound.
        """
        number = self.webhook(webhook_id).secret_number + 1
        self._update(webhook_id, secret_number=number, rotated_at_ms=self._now_ms)
        rotated = self.webhook(webhook_id)
        self._tell("rotate secret", rotated, f"number {number}")
        return rotated

    def remove(self, webhook_id: str) -> None:
        """Remove a webhook, with all that was sent to it.

        Raises NotFound.
        """
        webhook = self.webhook(webhook_id)
        self._connection.execute(delete(schema.webhook).where(schema.webhook.c.id == webhook_id))
        self._tell("remove", webhook, webhook.place)

    def test(self, webhook_id: str) -> str:
        """Queue a message that tells nothing, to see whether it arrives at the first attempt; its id.

        Raises NotFound, StillInUse when the webhook is disabled.
        """
        webhook = self.webhook(webhook_id)
        if not webhook.enabled:
            text = f"webhook {webhook_id} is disabled; enable it first"
            raise StillInUse(text, code=Code.DISABLED, subject=Subject("webhook", webhook_id))
        [message_id] = put(
            self._connection,
            webhook_ids=[webhook_id],
            tenant_id=webhook.tenant_id,
            type=TEST,
            payload=payload(TEST, self._now_ms, {"webhook": webhook_id}),
            now_ms=self._now_ms,
        )
        self._tell("test", webhook, webhook.place)
        return message_id

    def redeliver(self, ids: Iterable[str]) -> int:
        """Send these messages again, with their ids, from the first attempt on; how many there were.

        What is waiting anyway, and what goes to a webhook that is disabled, is left alone.
        """
        delivery, webhook = schema.delivery.c, schema.webhook.c
        disabled = select(webhook.id).where(webhook.enabled.is_(False))
        found = (
            update(schema.delivery)
            .where(
                delivery.id.in_(list(ids)),
                delivery.next_at_ms.is_(None),
                *_of_page(self._reach, None, None),
                func.coalesce(delivery.webhook_id, "").not_in(disabled),
            )
            .values(next_at_ms=self._now_ms, attempts=0, delivered_at_ms=None)
        )
        times = int(self._connection.execute(found).rowcount)
        if times:
            detail = f"{times} message{'' if times == 1 else 's'}"
            event = Event(
                actor=self._actor,
                tenant=self._tenant_name(self._reach),
                action="send again",
                target="alerts",
                detail=detail,
            )
            self.events.append(event)
        return times

    def _check_url(self, url: str, *, http_allowed: bool, private_allowed: bool) -> None:
        allowed = self._reach is None or private_allowed
        check_url(url, http_allowed=http_allowed, private_allowed=allowed)

    def _update(self, webhook_id: str, **values: object) -> None:
        self._connection.execute(
            update(schema.webhook).where(schema.webhook.c.id == webhook_id).values(**values)
        )

    def _tenant_name(self, tenant_id: int | None) -> str:
        if tenant_id is None:
            return ""
        query = select(schema.tenant.c.name).where(schema.tenant.c.id == tenant_id)
        name: str | None = self._connection.execute(query).scalar_one_or_none()
        if name is None:
            text = "there is no such tenant any more"
            raise NotFound(text, code=Code.NOT_FOUND, field="tenant", subject=Subject("tenant"))
        return name

    def _tell(self, action: str, webhook: Webhook, detail: str) -> None:
        event = Event(
            actor=self._actor,
            tenant=self._tenant_name(webhook.tenant_id),
            action=action,
            target=f"webhook {webhook.id}",
            detail=detail,
        )
        self.events.append(event)


def _standing(it: Raised) -> tuple[int, str, str, int]:
    """The newest first; of one pool the end of its licence, denials, and then the highest threshold."""
    level = {EXPIRES: 102, DENIED: 101, SHARED: 200}.get(it.threshold) or int(it.threshold)
    return (-it.raised_at_ms, it.tenant, it.pool, -level)


def _of(within: int | None) -> list[ColumnElement[bool]]:
    return [] if within is None else [schema.webhook.c.tenant_id == within]


def _of_page(
    within: int | None, webhook_id: str | None, state: State | None
) -> Iterator[ColumnElement[bool]]:
    delivery = schema.delivery.c
    if within is not None:
        of_tenant: Select[Any] = select(schema.webhook.c.id).where(*_of(within))
        yield delivery.webhook_id.in_(of_tenant)
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


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(**{field: getattr(row, field) for field in Webhook.__struct_fields__})


def _delivery(row: Row[Any]) -> Delivery:
    fields = {field: getattr(row, field) for field in Delivery.__struct_fields__ if field != "state"}
    state = State.GIVEN_UP
    if row.next_at_ms is not None:
        state = State.WAITING
    elif row.delivered_at_ms is not None:
        state = State.DELIVERED
    return Delivery(**fields, state=state)
