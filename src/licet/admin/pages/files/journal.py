"""Describes the journal as a file: the words of the page, and beside them what programs compare."""

from collections.abc import Iterator, Sequence

from fastapi import Request
from sqlalchemy import Connection

from licet.admin.pages.downloads import all_pages, moment
from licet.admin.pages.files.listed import Listed
from licet.admin.pages.filters import Filters, tenant_or_all
from licet.admin.pages.frame import Visit
from licet.admin.pages.journal import NAMES, PATH, Line, line_of, only_of
from licet.admin.pages.reader_zone import zone_of
from licet.journal.history import EventEntry, JournalEntry, history
from licet.store.paging import LIMIT_MAX

Entry = JournalEntry | EventEntry
Shown = tuple[Entry, Line]


def journal_listed(request: Request, visit: Visit) -> Listed:
    """The entries that `/journal` shows at the same filters, newest first."""
    tenant, zone = tenant_or_all(visit), zone_of(request)
    only = only_of(visit, Filters(visit, PATH, request.query_params, NAMES))

    def rows(connection: Connection) -> Iterator[Shown]:
        def page_after(after: str | None) -> tuple[Sequence[Entry], str | None]:
            found = history(connection, tenant, only=only, after=after, limit=LIMIT_MAX)
            return found.entries, found.next

        return ((entry, line_of(visit, entry)) for entry in all_pages(page_after))

    return Listed(
        ("licet", tenant.name if tenant else "", "journal"),
        (
            ("tenant", lambda shown: shown[1].tenant),
            ("kind", lambda shown: _kind(shown[0])),
            ("first", lambda shown: moment(shown[1].at_ms, zone)),
            ("last", lambda shown: moment(shown[1].until_ms, zone)),
            ("who", lambda shown: shown[1].subject),
            ("user", lambda shown: shown[1].initials),
            ("what", lambda shown: shown[1].what),
            ("times", lambda shown: shown[1].times),
            ("pool", lambda shown: _of_journal(shown[0], "pool")),
            ("reason", lambda shown: _of_journal(shown[0], "reason")),
            ("address", lambda shown: _of_journal(shown[0], "address")),
            ("detail", lambda shown: shown[0].detail if isinstance(shown[0], EventEntry) else ""),
        ),
        rows,
    )


def _kind(entry: Entry) -> str:
    return "event" if isinstance(entry, EventEntry) else entry.kind.value


def _of_journal(entry: Entry, name: str) -> str:
    """What an event has not."""
    return "" if isinstance(entry, EventEntry) else str(getattr(entry, name))
