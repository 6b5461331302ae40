"""Writes what a list shows as a CSV file, with times in the reader's zone.

A text that a spreadsheet would read as a formula gets an apostrophe before it (OWASP, CSV injection), because
people choose the names.
"""

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime
from io import StringIO
from zoneinfo import ZoneInfo

from fastapi.responses import Response

ROWS_MAX = 10_000  # a guess: programs read more in pages, from the admin API

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_file(name: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """The answer with a file of these rows."""
    file = StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows([_cell(value) for value in row] for row in rows)
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


def moment(at_ms: int, zone: str) -> str:
    """An instant in this zone, with its offset (RFC 3339)."""
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)).isoformat(timespec="seconds")


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
