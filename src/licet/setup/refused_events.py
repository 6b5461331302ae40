"""Records that a file was refused, in a transaction of its own, as that of the change is rolled back.

The rules:

- Of each tenant at most `REFUSED_MAX` are recorded within `WITHIN_MS`, so that whoever sends bad files again
  and again does not fill the store. The last one says that others are not recorded.
- The detail is cut: it may repeat a little of what the file says.
- Where the store does not answer, nothing is recorded: the refusal itself is what the caller has to know.
"""

from contextlib import suppress
from typing import Final

from msgspec.structs import replace
from sqlalchemy import func, select

from licet.store import schema
from licet.store.contract import Store
from licet.store.errors import StoreUnavailable
from licet.store.events import Event, keep_events
from licet.units import HOUR_MS

REFUSE: Final = "refuse"
REFUSED_MAX: Final = 10
WITHIN_MS: Final = HOUR_MS
DETAIL_CHARS_MAX: Final = 300


def keep_refused(store: Store, event: Event) -> None:
    """Record a refusal, unless as many were recorded as may be."""
    row = schema.event.c
    with suppress(StoreUnavailable), store.transaction() as transaction:
        since_ms = transaction.now_ms - WITHIN_MS
        earlier = select(func.count()).where(
            row.at_ms > since_ms, row.action == REFUSE, row.tenant == event.tenant
        )
        left = REFUSED_MAX - transaction.connection.execute(earlier).scalar_one()
        detail = event.detail[:DETAIL_CHARS_MAX]
        if left == 1:
            detail += "; others of this hour are not recorded"
        if left > 0:
            keep_events(transaction, [replace(event, detail=detail)])
