"""Gives clients names that were taken before only characters that can be seen were."""

from sqlalchemy import update

from licet.setup.change import SetupChange
from licet.store import schema


def rename(change: SetupChange, before: str, client_id: str) -> None:
    """Give a client a name that no face takes any more, as stores of before have it."""
    client = schema.client.c
    change.transaction.connection.execute(
        update(schema.client).where(client.client_id == before).values(client_id=client_id)
    )
