"""Pages, counts and exports the list of denials or failed authentications, the same way for both pages.

A list is read by `Read`: ranges after a cursor, newest first, at most so many. The headline counts the
newest `LIMIT_MAX` of them.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from fastapi import Request
from fastapi.responses import Response
from sqlalchemy import Connection

from licet.admin.context import AdminContext
from licet.admin.pages.chosen_times import chosen_times
from licet.admin.pages.downloads import all_pages, csv_file
from licet.admin.pages.filters import WITHIN_OPTIONS, Filters
from licet.admin.problems import not_found
from licet.journal.ranges import Most
from licet.store.paging import LIMIT, LIMIT_MAX, InvalidCursor

Range = TypeVar("Range")
Range_co = TypeVar("Range_co", covariant=True)


class RangePage(Protocol[Range_co]):
    """A page of a list; `next` is the cursor of the next page, None at the end."""

    @property
    def ranges(self) -> Sequence[Range_co]:
        """Its ranges, newest first."""

    @property
    def next(self) -> str | None:
        """The cursor."""


Read = Callable[[Connection, str | None, int], RangePage[Range]]


class Seen(NamedTuple, Generic[Range]):
    """A page of the list, its newest ranges, which the headline counts, and who is in it most often."""

    shown: RangePage[Range]
    newest: RangePage[Range]
    most: Sequence[Most]


async def look(
    context: AdminContext, read: Read[Range], most: Callable[[Connection], Sequence[Most]], after: str | None
) -> Seen[Range]:
    """The page of a list after a cursor.

    Raises Problem.
    """

    def seen(connection: Connection) -> Seen[Range]:
        shown = read(connection, after, LIMIT)
        is_whole = after is None and shown.next is None
        return Seen(shown, shown if is_whole else read(connection, None, LIMIT_MAX), most(connection))

    try:
        return await context.read(seen)
    except InvalidCursor:
        raise not_found("This page of the list is not there; begin with the first.") from None


def list_context(
    request: Request, filters: Filters, path: str, seen: Seen[Any], after: str | None
) -> dict[str, Any]:
    """The values for the templates of both pages."""
    newest, next_ = seen.newest, seen.shown.next
    return {
        "path": path,
        "ranges": seen.shown.ranges,
        "newest": newest.ranges[0] if newest.ranges else None,
        "times": sum(range_.times for range_ in newest.ranges),
        "is_more": newest.next is not None,
        "most": seen.most,
        "filters": filters,
        "within": WITHIN_OPTIONS,
        "times_chosen": chosen_times(request, filters.from_ms, filters.until_ms),
        "download": filters.link_to(f"{path}/download.csv"),
        "newer": filters.link() if after else None,
        "older": filters.link(after=next_) if next_ else None,
    }


async def csv_of(
    context: AdminContext,
    read: Read[Range],
    row: Callable[[Range], Sequence[object]],
    name: str,
    headings: Sequence[str],
) -> Response:
    """The whole list as a file of this name."""

    def make(connection: Connection) -> Response:
        def page_after(after: str | None) -> tuple[Sequence[Range], str | None]:
            found = read(connection, after, LIMIT_MAX)
            return found.ranges, found.next

        return csv_file(name, headings, map(row, all_pages(page_after)))

    return await context.read(make)
