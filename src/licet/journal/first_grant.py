"""Finds the first token that was granted: to a tenant's first client, or to one client of late.

A page asks every few seconds while somebody waits for it: each query reads a few rows, or those of an hour.
"""

from sqlalchemy import Connection, func, select

from licet.model import Value
from licet.store import schema
from licet.units import HOUR_MS, MINUTE_MS

GRANTED = "granted"


class FirstGrant(Value, frozen=True, kw_only=True):
    """The client that got a token first, and when."""

    client_id: str
    at_ms: int


def first_grant(connection: Connection, tenant_id: int) -> FirstGrant | None:
    """The first grant of a tenant that the journal has."""
    journal, entry = schema.journal.c, schema.journal_entry.c
    folded = (
        select(journal.client_id, journal.first_at_ms.label("at_ms"))
        .where(journal.tenant_id == tenant_id, journal.kind == GRANTED)
        .order_by(journal.minute)
        .limit(1)
    )
    added = (
        select(entry.client_id, entry.at_ms)
        .where(entry.tenant_id == tenant_id, entry.kind == GRANTED)
        .order_by(entry.number)
        .limit(1)
    )
    for query in (folded, added):
        if (row := connection.execute(query).first()) is not None:
            return FirstGrant(client_id=row.client_id, at_ms=row.at_ms)
    return None


def grant_lately(connection: Connection, tenant_id: int, client_id: str, now_ms: int) -> FirstGrant | None:
    """The first grant of a client within the last hour."""
    whole = schema.whole_journal.c
    query = select(func.min(whole.first_at_ms)).where(
        whole.tenant_id == tenant_id,
        whole.minute >= (now_ms - HOUR_MS) // MINUTE_MS,
        whole.kind == GRANTED,
        whole.client_id == client_id,
    )
    at_ms = connection.execute(query).scalar()
    return None if at_ms is None else FirstGrant(client_id=client_id, at_ms=at_ms)
