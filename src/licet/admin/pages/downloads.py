"""Writes what a list shows as a CSV file (RFC 4180), with times in the reader's zone.

The rules:

- A text that a spreadsheet would read as a formula gets an apostrophe before it (OWASP, CSV injection),
  because people choose the names.
- A file has `ROWS_MAX` rows at most; the name of one that was cut there says so.
- A time has its offset (ISO 8601), a number no separators, and what there is none of is empty.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from io import StringIO
from itertools import islice
from typing import TypeVar
from zoneinfo import ZoneInfo

from fastapi.responses import Response

from licet.formats import csv_cell

ROWS_MAX = 10_000  # a guess: programs read more in pages, from the admin API

Row = TypeVar("Row")


def csv_file(name: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """The answer with a file of these rows, of which no more are read than it has, and one."""
    shown = list(islice(rows, ROWS_MAX + 1))
    if len(shown) > ROWS_MAX:
        name, shown = f"{name}-first-{ROWS_MAX}", shown[:ROWS_MAX]
    file = StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows([csv_cell(value) for value in row] for row in shown)
    headers = {
        "content-disposition": f'attachment; filename="{name}.csv"',
        "cache-control": "no-store",
    }
    return Response(file.getvalue().encode(), headers=headers, media_type="text/csv; charset=utf-8")


def file_name(*words: str) -> str:
    """A file name of these words, without special characters."""
    kept = (
        "".join(char for char in word if char.isascii() and (char.isalnum() or char in "_.-"))
        for word in words
    )
    return "-".join(filter(None, kept))


def all_pages(read: Callable[[str | None], tuple[Sequence[Row], str | None]]) -> Iterator[Row]:
    """The rows of a list, page after page; `read` gives the rows after a cursor, and the next cursor."""
    after = None
    while True:
        rows, after = read(after)
        yield from rows
        if after is None:
            return


def moment(at_ms: int | None, zone: str) -> str:
    """An instant in this zone, with its offset (ISO 8601, RFC 3339); none is empty."""
    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)).isoformat(timespec="seconds")
