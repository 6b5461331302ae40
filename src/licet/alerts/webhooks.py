"""Reads and changes webhooks: adds, sets, rotates their secrets, tests and removes them.

    with changing(store, actor="ada") as change:
        webhook = change.add("https://example.com/licet", tenant_id=None)

The rules:

- A webhook is of one tenant, or of all. An administrator of one tenant sees and changes the webhooks of
  that tenant only: that is `within`.
- It is reached by https; by http only on this machine, unless the settings allow more.
- A URL that an administrator of one tenant set is reached at public addresses only: else they would learn
  from the answers what listens on this machine and in the network around it.
- Each change records an event. It has only the host of a URL: what follows may be a secret.
- No secret is stored or handled here: `licet.credentials.webhook_signatures` derives it from the webhook's id
  and number.

What raises an alert is in `evaluation.py`, how a message is delivered in `outbox.py`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from licet.accounts.account import NotYours
from licet.alerts.deliveries import fitting, of_tenant
from licet.alerts.destinations import check_url, place_of
from licet.alerts.evaluation import payload
from licet.alerts.outbox import TEST, disable, put
from licet.credentials.webhook_signatures import new_webhook_id
from licet.model import Value
from licet.refusal import Code, Subject
from licet.store import schema
from licet.store.contract import Purpose, Store, Transaction
from licet.store.errors import NotFound, StillInUse, unknown
from licet.store.events import Event, keep_events

WEBHOOKS_MAX = 100  # a guess: each of them gets each alert of its tenants
SECRET_OVERLAP_MS = 24 * 3_600_000  # for which the secret before signs too, after a rotation


class Webhook(Value, frozen=True, kw_only=True):
    """Where alerts are sent: those of one tenant, or of all when `tenant_id` is None.

    `disabled_why` is the reason where no administrator disabled it. `rotated_at_ms` is when its secret got
    this number.
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
        """The part of its URL that everybody may see: what follows the host may be a secret."""
        return place_of(self.url)


def webhooks(connection: Connection, within: int | None = None) -> tuple[Webhook, ...]:
    """The webhooks, oldest first; with `within`, a tenant's id, those of that tenant only."""
    query = select(schema.webhook).order_by(schema.webhook.c.created_at_ms, schema.webhook.c.id)
    return tuple(_webhook(row) for row in connection.execute(query.where(*of_tenant(within))))


def find_webhook(connection: Connection, webhook_id: str, within: int | None = None) -> Webhook:
    """The webhook of this id.

    Raises NotFound.
    """
    query = select(schema.webhook).where(schema.webhook.c.id == webhook_id, *of_tenant(within))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise unknown(Subject("webhook", webhook_id))
    return _webhook(row)


@contextmanager
def changing(store: Store, actor: str, *, within: int | None = None) -> Iterator["WebhooksChange"]:
    """Change webhooks in one transaction. `actor` is who makes the change, for the events.

    With `within`, a tenant's id, only the webhooks of that tenant can be seen and changed.
    Raises SetupError, InvalidValue, StoreUnavailable.
    """
    with store.transaction(Purpose.UPKEEP) as transaction:
        change = WebhooksChange(transaction, actor, within)
        yield change
        keep_events(transaction, change.events)


def redeliver(store: Store, actor: str, ids: Iterable[str], *, within: int | None = None) -> int:
    """Send these messages again, with their ids, from the first attempt on; return how many.

    Messages that wait anyway, and those to a disabled webhook, are left alone.
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
        """Add a webhook, of one tenant or all; the settings say what is allowed.

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
        self._record("add", added, added.place)
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
        """Change a webhook; return whether anything changed. Disabling it gives up the messages that wait.

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
            self._record("set", before, ", ".join(details))
        return bool(details)

    def rotate(self, webhook_id: str) -> Webhook:
        """Give a webhook its next secret. For `SECRET_OVERLAP_MS` the previous one signs too.

        Raises NotFound.
        """
        number = self.webhook(webhook_id).secret_number + 1
        self._update(webhook_id, secret_number=number, rotated_at_ms=self._now_ms)
        rotated = self.webhook(webhook_id)
        self._record("rotate secret", rotated, f"number {number}")
        return rotated

    def remove(self, webhook_id: str) -> None:
        """Remove a webhook, with all that was sent to it.

        Raises NotFound.
        """
        webhook = self.webhook(webhook_id)
        self._connection.execute(delete(schema.webhook).where(schema.webhook.c.id == webhook_id))
        self._record("remove", webhook, webhook.place)

    def test(self, webhook_id: str) -> str:
        """Queue a test message, to see whether it arrives at the first attempt; return its id.

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
        self._record("test", webhook, webhook.place)
        return message_id

    def redeliver(self, ids: Iterable[str]) -> int:
        """Send these messages again, with their ids, from the first attempt on; return how many.

        Messages that wait anyway, and those to a disabled webhook, are left alone.
        """
        delivery, webhook = schema.delivery.c, schema.webhook.c
        disabled = select(webhook.id).where(webhook.enabled.is_(False))
        found = (
            update(schema.delivery)
            .where(
                delivery.id.in_(list(ids)),
                delivery.next_at_ms.is_(None),
                *fitting(self._reach, None, None),
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

    def _record(self, action: str, webhook: Webhook, detail: str) -> None:
        event = Event(
            actor=self._actor,
            tenant=self._tenant_name(webhook.tenant_id),
            action=action,
            target=f"webhook {webhook.id}",
            detail=detail,
        )
        self.events.append(event)


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(**{field: getattr(row, field) for field in Webhook.__struct_fields__})
