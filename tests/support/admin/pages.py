"""The text and the links of a page, for tests."""

import re
from html import unescape
from typing import Any


def text_of(page: Any) -> str:
    """The text of a page, without tags."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text.partition("<main")[2])))


def links_of(page: Any) -> list[str]:
    """The targets of a page's links."""
    return [unescape(it) for it in _LINK.findall(page.text.partition("<main")[2])]


_LINK = re.compile(r'href="([^"]*)"')
