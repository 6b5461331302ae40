"""Describes the alerts that are raised, and the messages about them, as files."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from fastapi import Request
from sqlalchemy import Connection

from licet.admin.pages.alert_rows import text_of
from licet.admin.pages.alerts import about_text, place_text
from licet.admin.pages.downloads import all_pages, moment
from licet.admin.pages.files.listed import Listed
from licet.admin.pages.filters import cleaned, tenant_or_all
from licet.admin.pages.frame import Visit
from licet.admin.pages.reader_zone import zone_of
from licet.alerts.deliveries import Delivery, State, deliveries
from licet.alerts.raised import raised
from licet.alerts.webhooks import webhooks
from licet.store.paging import LIMIT_MAX


def alerts_listed(request: Request, visit: Visit) -> Listed:
    """The alerts that are raised, each in a row of its own."""
    tenant, zone = tenant_or_all(visit), zone_of(request)
    tenants = [tenant] if tenant else visit.tenants
    return Listed(
        ("licet", tenant.name if tenant else "", "alerts"),
        (
            ("tenant", lambda it: it.tenant),
            ("pool", lambda it: it.pool),
            ("alert", lambda it: it.threshold),
            ("text", lambda it: text_of(it, visit.now_ms)),
            ("in_use", lambda it: it.in_use),
            ("seats", lambda it: it.seats),
            ("since", lambda it: moment(it.raised_at_ms, zone)),
            ("expires", lambda it: moment(it.expires_at_ms, zone)),
            ("client_id", lambda it: it.client_id),
            ("licence", lambda it: it.licence),
        ),
        lambda connection: raised(connection, tenants, visit.now_ms),
    )


def messages_listed(request: Request, visit: Visit) -> Listed:
    """The messages that `/alerts` shows at the same filters, newest first."""
    zone, query, within = zone_of(request), request.query_params, visit.identity.tenant_id
    places: dict[str, str] = {}
    only = {
        "state": State(query["state"]) if query.get("state") in set(State) else None,
        "webhook_id": cleaned(query.get("webhook", "")) or None,
    }

    def rows(connection: Connection) -> Iterable[Delivery]:
        hooks = {it.id: it for it in webhooks(connection, within)}
        for delivery in all_pages(partial(_page_after, connection, within, only)):
            places[delivery.id] = place_text(delivery, hooks)
            yield delivery

    return Listed(
        ("licet", "messages"),
        (
            ("message", lambda it: it.id),
            ("created", lambda it: moment(it.created_at_ms, zone)),
            ("type", lambda it: it.type),
            ("about", about_text),
            ("to", lambda it: places[it.id]),
            ("state", lambda it: it.state.value),
            ("attempts", lambda it: it.attempts),
            ("last_attempt", lambda it: moment(it.last_at_ms, zone)),
            ("next_attempt", lambda it: moment(it.next_at_ms, zone)),
            ("delivered", lambda it: moment(it.delivered_at_ms, zone)),
            ("last_error", lambda it: it.last_error),
        ),
        rows,
    )


def _page_after(
    connection: Connection, within: int | None, only: Mapping[str, object], after: str | None
) -> tuple[Sequence[Delivery], str | None]:
    found = deliveries(connection, within=within, **only, after=after, limit=LIMIT_MAX)  # type: ignore[arg-type]
    return found.deliveries, found.next
