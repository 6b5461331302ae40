"""Gives clients names with invisible characters, which only older versions accepted."""

from sqlalchemy import update

from licet.setup.change import SetupChange
from licet.store import schema


def rename(change: SetupChange, before: str, client_id: str) -> None:
    """Give a client a name that is refused today, but may be in an older store."""
    client = schema.client.c
    change.transaction.connection.execute(
        update(schema.client).where(client.client_id == before).values(client_id=client_id)
    )
