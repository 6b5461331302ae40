"""Reads the newest client addresses from the journal, so that a restarted server knows good ones."""

from typing import NamedTuple

from sqlalchemy import select

from licet.store import schema
from licet.store.contract import Store


class Origin(NamedTuple):
    """A client that got a token at an address."""

    tenant_id: int
    client_id: str
    address: str


def recent_origins(store: Store, most: int) -> set[Origin]:
    """The client and address of the newest sessions in the journal, at most so many.

    Raises StoreUnavailable.
    """
    session, client = schema.session.c, schema.client.c
    query = (
        select(session.tenant_id, client.client_id, session.address)
        .join_from(schema.session, schema.client, client.key == session.client_key)
        .order_by(session.number.desc())
        .limit(most)
    )
    with store.reporting() as connection:
        return {Origin(*row) for row in connection.execute(query)}
