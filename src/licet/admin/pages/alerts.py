"""Serves the page of alerts: which are raised now, and the deliveries of their messages.

A message that was given up is a dead letter: it stays, with the reason, and can be sent again. Where messages
go is set under Set-up, Webhooks; what raises an alert, at each pool.
"""

import json
from collections.abc import Callable, Collection
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy import Connection

from licet.admin.context import AdminContext
from licet.admin.pages.alert_rows import AlertRow, alert_rows, of_pools, reported_at
from licet.admin.pages.filters import cleaned, tenant_or_all
from licet.admin.pages.frame import link, page, posting, see, visiting
from licet.admin.problems import not_found
from licet.alerts.deliveries import Delivery, State, counts, deliveries, message_instants
from licet.alerts.raised import raised
from licet.alerts.webhooks import Webhook, redeliver, webhooks
from licet.formats import counted
from licet.model import Role, Tenant
from licet.store.paging import InvalidCursor

HERE = "Alerts"
PATH = "/alerts"
SENT_AGAIN_MAX = 100  # at once: a page of the list
STATES = {State.WAITING: "on their way", State.DELIVERED: "delivered", State.GIVEN_UP: "given up"}
_LOOKS = {State.WAITING: "", State.DELIVERED: "on", State.GIVEN_UP: "bad"}
_WORDS = {State.WAITING: "on its way", State.DELIVERED: "delivered", State.GIVEN_UP: "given up"}


def router(context: AdminContext) -> APIRouter:
    """`/alerts`, and sending a message again."""
    routes = APIRouter()
    routes.add_api_route(PATH, _show(context), methods=["GET"])
    routes.add_api_route(PATH, _send_again(context), methods=["POST"])
    routes.add_api_route(f"{PATH}/badge", _badge(context), methods=["GET"])
    return routes


def _show(context: AdminContext) -> Callable[[Request], Any]:
    seen = visiting(context)

    async def show(request: Request) -> Response:
        visit = await seen(request)
        tenant = tenant_or_all(visit)
        query = request.query_params
        state = State(query["state"]) if query.get("state") in set(State) else None
        webhook, after = cleaned(query.get("webhook", "")) or None, query.get("after") or None
        within = visit.identity.tenant_id

        def read(connection: Connection) -> dict[str, Any]:
            return {
                "raised": _rows(connection, [tenant] if tenant else visit.tenants, within, visit.now_ms),
                "hooks": {it.id: it for it in webhooks(connection, within)},
                "found": deliveries(connection, within=within, webhook_id=webhook, state=state, after=after),
                "numbers": counts(connection, within),
            }

        try:
            found = await context.read(read)
        except InvalidCursor:
            raise not_found("This page of the list is not there; begin with the first.") from None

        held = {"state": state.value if state else None, "webhook": webhook}

        def to(**changes: object) -> str:
            return link(visit, PATH, **(held | changes))

        page_after = found["found"].next
        return page(
            request,
            visit,
            "alerts.html",
            here=HERE,
            **found,
            tenant=tenant,
            state=state,
            webhook=webhook,
            states=[(state, text, to(state=state.value)) for state, text in STATES.items()],
            all_link=to(state=None),
            without_webhook=to(webhook=None),
            of_pools=of_pools,
            has_receiver=bool(found["hooks"]) or (context.by_mail and within is None),
            place_text=lambda delivery: place_text(delivery, found["hooks"]),
            about=about_text,
            look_of=_LOOKS.__getitem__,
            word_of=_WORDS.__getitem__,
            download=link(visit, f"{PATH}/download.csv"),
            messages_download=link(visit, f"{PATH}/messages/download.csv", **held),
            may_send=visit.may(Role.OPERATOR),
            newer=to() if after else None,
            older=to(after=page_after) if page_after else None,
        )

    return show


def _badge(context: AdminContext) -> Callable[[Request], Any]:
    """How many pools have an alert, for the navigation; empty where none has."""
    seen = visiting(context)

    async def show(request: Request) -> Response:
        visit = await seen(request)
        tenants = [visit.the_tenant] if visit.the_tenant else visit.tenants
        found = await context.read(lambda connection: raised(connection, tenants, visit.now_ms))
        rows = alert_rows(found, visit.now_ms)
        words = of_pools(rows).partition(" ")[2]
        text = f'<span class="badge">{len(rows):,}<span class="hidden"> {words}</span></span>' if rows else ""
        return HTMLResponse(text, headers={"cache-control": "no-store"})

    return show


def _rows(
    connection: Connection, tenants: Collection[Tenant], within: int | None, now_ms: int
) -> list[AlertRow]:
    """What is raised for these tenants, as a row for each pool."""
    found = raised(connection, tenants, now_ms)
    return alert_rows(found, now_ms, message_instants(connection, within, reported_at(found)))


def _send_again(context: AdminContext) -> Callable[[Request], Any]:
    sent = posting(context, Role.OPERATOR)

    async def send(request: Request) -> Response:
        posted = await sent(request)
        identity = posted.visit.identity
        ids = list(dict.fromkeys(map(cleaned, posted.texts("id"))))[:SENT_AGAIN_MAX]
        times = await context.run(redeliver, context.store, identity.actor, ids, within=identity.tenant_id)
        return see(request, link(posted.visit, PATH), _said(times, len(ids)))

    return send


def _said(times: int, asked: int) -> str:
    if not times:
        return "Nothing was sent again: it is on its way already, or its webhook is disabled."
    left = f" {counted(asked - times, 'message')} left alone." if times < asked else ""
    return f"{counted(times, 'message')} on the way again.{left}"


def place_text(delivery: Delivery, hooks: dict[str, Webhook]) -> str:
    """Where a message goes."""
    if delivery.webhook_id is None:
        return "e-mail"
    return hooks[delivery.webhook_id].place if delivery.webhook_id in hooks else delivery.webhook_id


def about_text(delivery: Delivery) -> str:
    """The subject of a message, in a few words."""
    try:
        data = json.loads(delivery.payload).get("data", {})
    except (ValueError, AttributeError):
        return ""
    return " ".join(str(data[name]) for name in ("tenant", "pool") if name in data)
