"""Serves alerts: which are raised, the webhooks they are sent to, and the deliveries.

A URL may have a secret in it, so that only an owner sees all of it. Who is of one tenant has the webhooks of
that tenant.
"""

from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.api import openapi, requests
from licet.admin.api.call import OWNING, Call, Operating, Owning, Reading, answer, created
from licet.admin.api.collection import OfStore, Owner
from licet.admin.api.noun_endpoints import Endpoints, Given
from licet.admin.api.parameters import NamePath, Paged
from licet.admin.api.responses import alerts as shapes
from licet.alerts import webhooks as alerts
from licet.alerts.deliveries import State
from licet.alerts.deliveries import deliveries as read_deliveries
from licet.alerts.raised import Raised
from licet.alerts.raised import raised as raised_now
from licet.alerts.webhooks import WebhooksChange
from licet.credentials.keyring import read_keyring
from licet.credentials.webhook_signatures import WebhookSecrets
from licet.formats import INSTANT_MS_MAX
from licet.model import Role

now = APIRouter(prefix="/alerts", tags=["Alerts"])
deliveries = APIRouter(prefix="/deliveries", tags=["Alerts"])

_IDENTITY = r"^[A-Za-z0-9_]*$"


@now.get("", operation_id="listAlerts", **openapi.listed(Raised))
async def list_alerts(call: Reading, page: Paged) -> Response:
    """The alerts that are raised now, the newest first."""

    def found() -> dict[str, Raised]:
        tenants = call.context.tenants_now(call.identity)
        now_ms = call.context.clock.now_ms()
        every = call.context.read_now(lambda connection: raised_now(connection, tenants, now_ms))
        return {_place(it): it for it in every}

    return await call.show_list(found, lambda it: it, page)


def _place(it: Raised) -> str:
    """Where it stands in the list."""
    since = INSTANT_MS_MAX - it.raised_at_ms
    about = (it.tenant, it.pool, it.threshold, it.client_id or "", it.licence or "", str(it.expires_at_ms))
    return f"{since:020} {' '.join(about)}"


# Webhooks


def _allowed(call: Call) -> dict[str, bool]:
    """Where a webhook may go, as the settings have it."""
    return {"http_allowed": call.context.webhook_http, "private_allowed": call.context.webhook_private}


async def _as_allowed(call: Call, owner: Owner, name: str, given: Given) -> Given:  # noqa: ARG001
    return given | _allowed(call)


webhooks = Endpoints(
    "Webhook",
    OfStore(alerts.webhooks, lambda webhook: webhook.id, alerts.changing, WebhooksChange.webhook),
    path="/webhooks",
    tag="Alerts",
    key="webhook",
    word="webhook",
    shape=shapes.Webhook,
    show=lambda call, webhook: shapes.webhook(
        webhook, call.context.store.tenants(), has_url=call.identity.may(Role.OWNER)
    ),
)
webhooks.lists("The webhooks.")


@webhooks.router.post("", operation_id="addWebhook", **openapi.added(shapes.Webhook))
async def add_webhook(call: Owning, body: requests.WebhookNew) -> Response:
    """Add a webhook."""
    # An owner of one tenant who says nothing means that one; null is all tenants, which is not theirs to say.
    is_said = "tenant" in call.given(body)
    tenant_id = await call.context.run(call.tenant_id, body.tenant) if is_said else call.identity.tenant_id
    made = await webhooks.collection.change(
        call, (), lambda change: change.add(body.url, tenant_id=tenant_id, **_allowed(call))
    )
    return created(webhooks.shown(call, made), call.below(made.id))


webhooks.shows("A webhook.")
webhooks.changes(
    "Change it; disabling it gives up its waiting messages.",
    OWNING,
    requests.WebhookPatch,
    WebhooksChange.set,
    prepare=_as_allowed,
)
webhooks.removes("Remove it and its messages.", OWNING, WebhooksChange.remove)


@webhooks.router.get(
    "/{webhook}/secret", operation_id="getWebhookSecret", **openapi.one(shapes.WebhookSecret, 404)
)
async def get_secret(call: Owning, webhook: NamePath) -> Response:
    """The secret that its messages are signed with."""
    return await call.show(lambda: _secret(call, webhooks.find(call, (), webhook)))


@webhooks.router.post(
    "/{webhook}/rotate", operation_id="rotateWebhookSecret", **openapi.one(shapes.WebhookSecret, 404)
)
async def rotate_secret(call: Owning, webhook: NamePath) -> Response:
    """Give it a new secret; the previous one also signs for a day."""
    rotated = await webhooks.change_one(call, (), webhook, WebhooksChange.rotate)
    return await call.show(lambda: _secret(call, rotated))


@webhooks.router.post(
    "/{webhook}/test", operation_id="testWebhook", **openapi.one(shapes.Queued, 404, 409, status=202)
)
async def test_webhook(call: Owning, webhook: NamePath) -> Response:
    """Send it a test message, once."""
    await webhooks.change_one(call, (), webhook, WebhooksChange.test)
    return answer(shapes.Queued(messages=1), 202)


# What became of the messages


class _Deliveries(NamedTuple):
    items: tuple[shapes.Delivery, ...]
    next: str | None


@deliveries.get("", operation_id="listDeliveries", **openapi.listed(shapes.Delivery))
async def list_deliveries(
    call: Reading,
    page: Paged,
    webhook: Annotated[str | None, Query(max_length=64, pattern=_IDENTITY)] = None,
    state: State | None = None,
) -> Response:
    """The messages that were sent, are waiting or were given up, newest first."""
    within = call.identity.tenant_id

    def read(connection: Connection, **part: Any) -> _Deliveries:
        found = read_deliveries(connection, within=within, webhook_id=webhook, state=state, **part)
        tenants = call.context.store.tenants()
        return _Deliveries(tuple(shapes.delivery(it, tenants) for it in found.deliveries), found.next)

    return await call.show_page(page, "items", read)


@deliveries.post(
    "/send-again",
    operation_id="sendDeliveriesAgain",
    **openapi.one(shapes.Queued, 413, 415, status=202),
)
async def send_again(call: Operating, body: requests.SendAgain) -> Response:
    """Send messages again, with the same ids, except waiting ones and those for disabled webhooks."""
    call.given(body)
    times = await webhooks.collection.change(call, (), lambda change: change.redeliver(body.messages))
    return answer(shapes.Queued(messages=times), 202)


def _secret(call: Call, webhook: alerts.Webhook) -> shapes.WebhookSecret:
    secrets = WebhookSecrets(read_keyring(call.context.keyring_path).pepper)
    return shapes.WebhookSecret(
        webhook=webhook.id,
        secret=secrets.spelt(webhook.id, webhook.secret_number),
        secret_number=webhook.secret_number,
    )
