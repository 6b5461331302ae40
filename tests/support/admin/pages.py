"""What tests read of a page: its text, its links."""

import re
from html import unescape
from typing import Any


def text_of(page: Any) -> str:
    """What a page says, without its marks."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text.partition("<main")[2])))


def links_of(page: Any) -> list[str]:
    """Where a page leads."""
    return [unescape(it) for it in _LINK.findall(page.text.partition("<main")[2])]


_LINK = re.compile(r'href="([^"]*)"')
