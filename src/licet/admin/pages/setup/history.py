"""Finds in the journal who changed what of the set-up last."""

from collections.abc import Sequence

from sqlalchemy import Connection

from licet.journal import history
from licet.journal.history import EventEntry, HistoryFilter
from licet.model import Tenant
from licet.store.paging import LIMIT_MAX

CHANGES = 5  # that a page shows


def changes_of(
    connection: Connection, tenant: Tenant | None, word: str, name: str | None
) -> Sequence[EventEntry]:
    """The last changes of this noun, or of one of it, newest first."""
    only = HistoryFilter(
        kinds=frozenset({history.Kind.EVENT}),
        pool=name or "" if word == "pool" else "",
        client=name or "" if word == "client" else "",
        user=name or "" if word == "user" else "",
    )
    entries = history.history(connection, tenant, only=only, limit=LIMIT_MAX).entries
    events = [entry for entry in entries if isinstance(entry, EventEntry)]
    if name is None:
        return [event for event in events if event.target.startswith(f"{word} ")][:CHANGES]
    return [event for event in events if event.target == f"{word} {name}"][:CHANGES]
