"""Records that a store was restored from a copy, which may not know every assertion that was used.

The rules:

- `licet session end --all --after-restore` records the instant as an event, before a server starts on the
  store.
- A server reads it when it starts (`recalled.py`), and refuses assertions that may have been used before
  that moment.
"""

from sqlalchemy import Connection, select

from licet.journal.recalled import RESTORE, THE_STORE
from licet.store import schema
from licet.store.contract import Purpose, Store
from licet.store.events import Event, keep_events


def keep_restore(store: Store, actor: str, detail: str) -> None:
    """Record that the store was restored, at this instant.

    Raises StoreUnavailable.
    """
    with store.transaction(Purpose.UPKEEP) as transaction:
        event = Event(actor=actor, tenant="", action=RESTORE, target=THE_STORE, detail=detail)
        keep_events(transaction, [event])


def restores(connection: Connection, from_ms: int, until_ms: int) -> list[int]:
    """The instants in a span at which the store was restored, in milliseconds since 1970."""
    event = schema.event.c
    query = select(event.at_ms).where(
        event.at_ms >= from_ms,
        event.at_ms < until_ms,
        event.action == RESTORE,
        event.target == THE_STORE,
        event.tenant == "",
    )
    return [row.at_ms for row in connection.execute(query.order_by(event.at_ms))]
