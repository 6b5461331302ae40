"""Finds the reader's time zone, in which a day begins on every page and in every downloaded file.

`app.js` writes the name of the browser's zone into a cookie, percent-encoded. An unknown zone counts as UTC.
"""

from urllib.parse import unquote

from fastapi import Request

from licet.zones import find_zone

ZONE_COOKIE = "licet-zone"
_ENCODED_CHARS_MAX = 200  # a longer text is not a zone


def zone_of(request: Request) -> str:
    """The name of the reader's zone; UTC where the browser named none that is known."""
    zone = find_zone(unquote(request.cookies.get(ZONE_COOKIE, "")[:_ENCODED_CHARS_MAX]))
    return "UTC" if zone is None else zone.key
