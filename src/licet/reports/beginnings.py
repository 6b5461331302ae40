"""Finds when a tenant was made, so that a report does not count the time before."""

from sqlalchemy import Connection, func, select

from licet.model import Tenant
from licet.store import schema


def made_at_ms(connection: Connection, tenant: Tenant) -> int | None:
    """When this tenant was added; None where the events do not reach back so far."""
    event = schema.event.c
    added = (
        (event.tenant == tenant.name) & (event.action == "add") & (event.target == f"tenant {tenant.name}")
    )
    found: int | None = connection.execute(select(func.max(event.at_ms)).where(added)).scalar_one()
    return found
