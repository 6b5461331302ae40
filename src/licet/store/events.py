"""Records the event of a change of the set-up: who did what, to what, in which tenant."""

from collections.abc import Sequence

from sqlalchemy import insert

from licet.model import Value
from licet.store import schema
from licet.store.contract import Transaction

ACTOR_CHARS_MAX = 200


class Event(Value, frozen=True, kw_only=True):
    """Who did what, to what, in which tenant. `detail` contains no secret."""

    actor: str
    tenant: str
    action: str  # add, set, remove, ...
    target: str  # "client TestClientId"
    detail: str


def keep_events(transaction: Transaction, events: Sequence[Event]) -> None:
    """Write the events of what this transaction changed."""
    rows = [
        {
            "at_ms": transaction.now_ms,
            "actor": event.actor[:ACTOR_CHARS_MAX],
            "tenant": event.tenant,
            "action": event.action,
            "target": event.target,
            "detail": event.detail,
        }
        for event in events
    ]
    if rows:
        transaction.connection.execute(insert(schema.event), rows)
