"""Takes a client's place in the queue of a pool away, for an administrator (L19).

The client may ask again, and is then at the end of the line.
"""

from sqlalchemy import delete

from licet.refusal import Subject
from licet.setup.change import SetupChange
from licet.store import schema
from licet.store.errors import unknown


def remove_place(change: SetupChange, tenant: str, pool: str, client_id: str) -> bool:
    """Take away the place that a client has in the queue of a pool; whether it had one.

    Raises NotFound.
    """
    setup = change.tenant(tenant)
    of, client = setup.pool(pool), setup.clients.get(client_id)
    if client is None:
        raise unknown(Subject("client", client_id, tenant), setup.clients)
    place = schema.queue_place.c
    here = (place.pool_id == of.id) & (place.client_key == client.key)
    found = change.transaction.connection.execute(
        delete(schema.queue_place).where(here).returning(place.until_ms)
    ).all()
    if not any(row.until_ms > change.transaction.now_ms for row in found):
        return False
    change.record(tenant, "remove place", f"client {client_id}", f"in the queue of pool {pool}")
    return True
