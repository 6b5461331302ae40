"""Serves alerts: which are raised, the webhooks they are sent to, and the deliveries.

A URL may have a secret in it, so that only an owner sees all of it. Who is of one tenant has the webhooks of
that tenant.
"""

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.api import openapi, requests, responses
from licet.admin.api.call import (
    Call,
    Content,
    NamePath,
    Operating,
    Owning,
    Paged,
    Reading,
    answer,
    at,
    created,
    edited,
    there,
)
from licet.admin.api.conditional import must_match, represent
from licet.alerts import webhooks as alerts
from licet.alerts.deliveries import DeliveryPage, State
from licet.alerts.deliveries import deliveries as read_deliveries
from licet.alerts.raised import Raised
from licet.alerts.raised import raised as raised_now
from licet.alerts.webhooks import WebhooksChange
from licet.credentials.keyring import read_keyring
from licet.credentials.webhook_signatures import WebhookSecrets
from licet.model import Role
from licet.refusal import Subject
from licet.store.errors import NotFound, unknown

now = APIRouter(prefix="/alerts", tags=["Alerts"])
webhooks = APIRouter(prefix="/webhooks", tags=["Alerts"])
deliveries = APIRouter(prefix="/deliveries", tags=["Alerts"])

Made = TypeVar("Made")

_IDENTITY = r"^[A-Za-z0-9_]*$"


@now.get("", operation_id="listAlerts", **openapi.many(Raised))
async def list_alerts(call: Reading) -> Response:
    """What is raised now."""

    def make() -> tuple[Raised, ...]:
        tenants = call.desk.tenants_now(call.identity)
        return call.desk.read_now(lambda connection: raised_now(connection, tenants))

    return await call.show(make)


# Webhooks


@webhooks.get("", operation_id="listWebhooks", **openapi.listed(responses.Webhook))
async def list_webhooks(call: Reading, page: Paged) -> Response:
    """The webhooks."""
    return await call.show_list(
        lambda: call.desk.read_now(lambda connection: alerts.webhooks(connection, call.identity.tenant_id)),
        lambda webhook: webhook.id,
        lambda webhook: _shape(call, webhook),
        page,
    )


@webhooks.post("", operation_id="addWebhook", **openapi.added(responses.Webhook))
async def add_webhook(call: Owning, body: requests.WebhookNew) -> Response:
    """Add a webhook."""
    given = call.given(body)

    def do(change: WebhooksChange) -> alerts.Webhook:
        tenant_id = call.identity.tenant_id
        if given.get("tenant") is not None:
            tenant_id = _tenant_id(call, given["tenant"])
        return change.add(given["url"], tenant_id=tenant_id, **_allowed(call))

    made = await _change(call, do)
    return created(represent(*_shown(call, made)), at("webhooks", made.id))


@webhooks.get("/{webhook}", operation_id="getWebhook", **openapi.shown(responses.Webhook))
async def get_webhook(call: Reading, webhook: NamePath) -> Response:
    """A webhook."""
    return await call.show_edited(lambda: _shown(call, _found(call, webhook)))


@webhooks.patch("/{webhook}", operation_id="changeWebhook", **openapi.edited(responses.Webhook))
async def change_webhook(call: Owning, webhook: NamePath, body: requests.WebhookPatch) -> Response:
    """Change it; what waits for one that is disabled is given up."""
    condition, given = call.condition(), call.given(body)

    def do(change: WebhooksChange) -> Content:
        must_match(condition, represent(*_shown(call, _of(change, webhook))))
        change.set(webhook, url=given.get("url"), enabled=given.get("enabled"), **_allowed(call))
        return _shown(call, change.webhook(webhook))

    return edited(represent(*await _change(call, do)))


@webhooks.delete("/{webhook}", operation_id="removeWebhook", **openapi.removed())
async def remove_webhook(call: Owning, webhook: NamePath) -> Response:
    """Remove it, with what was sent to it."""
    condition = call.condition()

    def do(change: WebhooksChange) -> None:
        try:
            found = change.webhook(webhook)
        except NotFound:
            return
        must_match(condition, represent(*_shown(call, found)))
        change.remove(webhook)

    await _change(call, do)
    return Response(status_code=204)


@webhooks.get(
    "/{webhook}/secret", operation_id="getWebhookSecret", **openapi.one(responses.WebhookSecret, 404)
)
async def get_secret(call: Owning, webhook: NamePath) -> Response:
    """The secret that its messages are signed with."""
    return await call.show(lambda: _secret(call, _found(call, webhook)))


@webhooks.post(
    "/{webhook}/rotate", operation_id="rotateWebhookSecret", **openapi.one(responses.WebhookSecret, 404)
)
async def rotate_secret(call: Owning, webhook: NamePath) -> Response:
    """Give it another secret; for a day the one before signs too."""

    def do(change: WebhooksChange) -> alerts.Webhook:
        _of(change, webhook)
        return change.rotate(webhook)

    rotated = await _change(call, do)
    return await call.show(lambda: _secret(call, rotated))


@webhooks.post(
    "/{webhook}/test", operation_id="testWebhook", **openapi.one(responses.Queued, 404, 409, status=202)
)
async def test_webhook(call: Owning, webhook: NamePath) -> Response:
    """Send it a message that tells nothing, once."""

    def do(change: WebhooksChange) -> str:
        _of(change, webhook)
        return change.test(webhook)

    await _change(call, do)
    return answer(responses.Queued(messages=1), 202)


# What became of the messages


@deliveries.get("", operation_id="listDeliveries", **openapi.paged(DeliveryPage))
async def list_deliveries(
    call: Reading,
    page: Paged,
    webhook: Annotated[str | None, Query(max_length=64, pattern=_IDENTITY)] = None,
    state: State | None = None,
) -> Response:
    """What was sent, is to be or was given up, newest first."""

    def read(connection: Connection) -> DeliveryPage:
        return read_deliveries(
            connection,
            within=call.identity.tenant_id,
            webhook_id=webhook,
            state=state,
            after=page.after,
            limit=page.limit,
        )

    def work() -> Response:
        found = call.desk.read_now(read)
        return call.page(found, found.next)

    return await call.desk.run(work)


@deliveries.post(
    "/send-again", operation_id="sendDeliveriesAgain", **openapi.one(responses.Queued, 413, 415, status=202)
)
async def send_again(call: Operating, body: requests.SendAgain) -> Response:
    """Send messages again, with their ids; what is waiting, and for a disabled webhook, is left alone."""
    call.given(body)
    times = await _change(call, lambda change: change.redeliver(body.messages))
    return answer(responses.Queued(messages=times), 202)


async def _change(call: Call, do: Callable[[WebhooksChange], Made]) -> Made:
    """Raises SetupError, InvalidValue, StoreUnavailable."""

    def work() -> Made:
        identity = call.identity
        with alerts.changing(call.desk.store, identity.actor, within=identity.tenant_id) as change:
            return do(change)

    return await call.desk.run(work)


def _found(call: Call, webhook_id: str) -> alerts.Webhook:
    """Raises NotThere."""

    def read(connection: Connection) -> alerts.Webhook | None:
        try:
            return alerts.find_webhook(connection, webhook_id, call.identity.tenant_id)
        except NotFound:
            return None

    return there(call.desk.read_now(read), "webhook", webhook_id)


def _of(change: WebhooksChange, webhook_id: str) -> alerts.Webhook:
    """Raises NotThere."""
    try:
        return change.webhook(webhook_id)
    except NotFound:
        return there(None, "webhook", webhook_id)


def _tenant_id(call: Call, name: str) -> int:
    """Raises Problem."""
    found = call.desk.store.tenant(name)
    if found is None or not call.identity.sees(found.id):
        raise unknown(Subject("tenant", name), field="tenant")
    return found.id


def _allowed(call: Call) -> dict[str, bool]:
    """Where a webhook may go, as the settings have it."""
    return {"http_allowed": call.desk.webhook_http, "private_allowed": call.desk.webhook_private}


def _secret(call: Call, webhook: alerts.Webhook) -> responses.WebhookSecret:
    secrets = WebhookSecrets(read_keyring(call.desk.keyring_path).pepper)
    return responses.WebhookSecret(
        webhook=webhook.id,
        secret=secrets.spelt(webhook.id, webhook.secret_number),
        secret_number=webhook.secret_number,
    )


def _shown(call: Call, webhook: alerts.Webhook) -> Content:
    return _shape(call, webhook), b""


def _shape(call: Call, webhook: alerts.Webhook) -> responses.Webhook:
    return responses.webhook(webhook, call.desk.store.tenants(), has_url=call.identity.may(Role.OWNER))
