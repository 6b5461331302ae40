"""Runs `licet alerts`: lists the alerts that are raised now."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from licet.cli import completing
from licet.cli.options import AsJson, Data
from licet.cli.output import Instant, Record, note, show_list, when
from licet.cli.stores import chosen_tenant, opened
from licet.seat_sources import counted_addresses

if TYPE_CHECKING:
    from licet.alerts.raised import Raised

# No variable: without the option it is for all tenants.
OfTenant = Annotated[
    str | None,
    typer.Option("--tenant", metavar="NAME", help="Of this tenant only.", autocompletion=completing.tenants),
]

_HEADINGS = {
    "tenant": "tenant",
    "pool": "pool",
    "alert": "alert",
    "in_use": "in use",
    "seats": "seats",
    "raised_at": "since",
    "told_at": "reported",
}


def alerts(*, tenant: OfTenant = None, data: Data = None, as_json: AsJson = False) -> None:
    """Show which pools have reached a threshold, deny grants, have a full queue, or lose a licence.

    An alert about a percentage ends when use was more than 5 points below it for 10 minutes, so that a busy
    hour is one alert. A server checks every few seconds. To choose where alerts are sent:
    [bold]licet webhook[/].

    Example: [bold]licet alerts[/]
    """
    records = _records(data, tenant)
    show_list(records, _HEADINGS, as_json=as_json, empty="Nothing is raised.")
    if any(record["is_lower_now"] for record in records) and not as_json:
        note("Less is in use by now: an alert stays until that was so for 10 minutes.")


def _records(data: Path | None, tenant: str | None) -> list[Record]:
    from licet.alerts.raised import raised

    with opened(data) as store:
        tenants = list(store.tenants().values()) if tenant is None else [chosen_tenant(store, tenant)]
        with store.reading() as connection:
            found = raised(connection, tenants, store.clock.now_ms())
    return [
        {
            "tenant": alert.tenant,
            "pool": alert.pool,
            "alert": _alert(alert),
            "in_use": alert.in_use,
            "seats": alert.seats,
            "is_lower_now": alert.threshold.isdigit()
            and alert.in_use * 100 < int(alert.threshold) * alert.seats,
            "raised_at": Instant(alert.raised_at_ms),
            "told_at": when(alert.told_at_ms),
        }
        for alert in found
    ]


def _alert(alert: "Raised") -> str:
    if alert.addresses is not None:
        return f"{alert.client_id}: {counted_addresses(alert.addresses)} addresses"
    if alert.licence is not None:
        return f"licence {alert.licence} gives no seats"
    return f"{alert.threshold}%" if alert.threshold.isdigit() else alert.threshold.replace("_", " ")
