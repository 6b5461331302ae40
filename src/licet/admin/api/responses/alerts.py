"""Defines the answers about webhooks and what is sent to them."""

from typing import Annotated

from licet.admin.api.wire import Instant, Shape, Tenants, about, example, like, tenant_name
from licet.alerts.deliveries import Delivery as StoredDelivery
from licet.alerts.deliveries import State
from licet.alerts.webhooks import Webhook as StoredWebhook

_JIM, _AT = "Jim_Test", "2027-01-01T00:00:00Z"


class Webhook(Shape, frozen=True, kw_only=True):
    """Where alerts are sent."""

    id: Annotated[str, example("wh_1f2e3d4c5b6a")]
    tenant: Annotated[str | None, about("The tenant of the alerts; null is all.", None)]
    place: Annotated[str, about("The URL without its path.", "https://example.com")]
    url: Annotated[str | None, about("For owners only.", "https://example.com/alerts")]
    enabled: Annotated[bool, example(True)]
    disabled_why: Annotated[str, about("Why it is disabled, if no administrator did it.", "")]
    secret_number: Annotated[int, example(1)]
    rotated_at: Annotated[Instant | None, example(None)]
    created_at: Annotated[Instant, example(_AT)]
    private_allowed: Annotated[
        bool, about("Whether it also goes to private addresses: an owner of all tenants set it.")
    ]


class WebhookSecret(Shape, frozen=True, kw_only=True):
    """What messages to a webhook are signed with."""

    webhook: Annotated[str, example("wh_1f2e3d4c5b6a")]
    secret: Annotated[str, example("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret_number: Annotated[int, example(1)]


class Queued(Shape, frozen=True, kw_only=True):
    """Messages that a server sends as soon as it can."""

    messages: Annotated[int, example(1)]


class Delivery(Shape, frozen=True, kw_only=True):
    """A message about an alert, and what became of it."""

    id: Annotated[str, example("msg_0123456789abcdef0123456789abcdef")]
    webhook: Annotated[
        str | None, about("The webhook to which it goes; null is by e-mail.", "wh_1f2e3d4c5b6a")
    ]
    tenant: Annotated[str | None, about("Its tenant; null is none.", _JIM)]
    type: Annotated[str, example("seats.in_use")]
    payload: Annotated[str, about("The message itself, which is JSON.")]
    state: State
    created_at: Annotated[Instant, example(_AT)]
    attempts: Annotated[int, example(1)]
    last_at: Annotated[Instant | None, about("The last attempt.", _AT)]
    last_error: Annotated[str, example("")]
    next_at: Annotated[Instant | None, about("The next attempt.", None)]
    delivered_at: Annotated[Instant | None, example(_AT)]


def webhook(value: StoredWebhook, tenants: Tenants, *, has_url: bool) -> Webhook:
    """A webhook, shown; its URL to owners only."""
    return like(
        Webhook,
        value,
        tenant=tenant_name(value.tenant_id, tenants),
        url=value.url if has_url else None,
        private_allowed=value.private_allowed or value.tenant_id is None,
    )


def delivery(value: StoredDelivery, tenants: Tenants) -> Delivery:
    """A message, shown."""
    return like(Delivery, value, webhook=value.webhook_id, tenant=tenant_name(value.tenant_id, tenants))
