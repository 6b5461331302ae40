"""Checks a built site: its links lead somewhere, nothing comes from another host, and it reads as the clone.

The rules:

- A link leads to a file of the site, and where it names a place on a page, to an element with that id.
- What a page loads (scripts, styles, pictures, fonts) is a file of the site.
- No script of the theme names a host from which it could load more.
- A page has the headings, lists, tables, blocks and words that CommonMark reads in the page of the clone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt

_LOADING = {
    "img": "src",
    "script": "src",
    "iframe": "src",
    "source": "srcset",
    "audio": "src",
    "video": "src",
}
_LOADING_RELATIONS = frozenset(
    {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch", "modulepreload"}
)
_BLOCKS = frozenset({"h1", "h2", "h3", "h4", "ul", "ol", "li", "table", "tr", "pre"})
_APART = frozenset({"p", "td", "th", "br"})  # no blocks here, but their words are apart
_STYLE_URL = re.compile(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)")
_HOST = re.compile(
    r"(?:https?:)?//(?!www\.w3\.org/)(?:[\w-]+\.)+(?:com|net|org|io|dev)/[^\"'`\s]*"
)  # w3.org: names of XML


@dataclass
class Page:
    """What is of interest in a page of the site."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    words: str = ""


class _Reader(HTMLParser):
    """Reads a page; blocks and words are those of the article, or of all when it has none."""

    def __init__(self, *, is_article: bool) -> None:
        super().__init__()
        self.page = Page()
        self._is_inside = is_article
        self._left_out = 0  # how deep in what the theme adds

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names."""
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.page.ids.add(given["id"])
        self._note_addresses(tag, given)
        if tag == "article":
            self._is_inside = True
        elif self._is_inside and (self._left_out or "headerlink" in given.get("class", "")):
            self._left_out += 1
        elif self._is_inside and tag in _BLOCKS | _APART:
            self.page.words += " "
            self.page.blocks += [tag] if tag in _BLOCKS else []

    def handle_endtag(self, tag: str) -> None:
        """Leave an article, or what the theme adds."""
        if tag == "article":
            self._is_inside = False
        elif self._left_out:
            self._left_out -= 1

    def handle_data(self, data: str) -> None:
        """Note the words."""
        if self._is_inside and not self._left_out:
            self.page.words += data

    def _note_addresses(self, tag: str, given: dict[str, str]) -> None:
        if tag == "a" and "href" in given:
            self.page.links.append(given["href"])
        if tag == "link" and _LOADING_RELATIONS & set(given.get("rel", "").split()):
            self.page.loaded.append(given["href"])
        if tag in _LOADING and _LOADING[tag] in given:
            self.page.loaded.append(given[_LOADING[tag]])
        self.page.loaded += [found[1] or found[2] for found in _STYLE_URL.finditer(given.get("style", ""))]


def read(html: str, *, is_article: bool = False) -> Page:
    """A page of the site; `is_article` when it is the article alone."""
    reader = _Reader(is_article=is_article)
    reader.feed(html)
    reader.close()
    return reader.page


def without_hosts(script: str) -> str:
    """A script that cannot load from the hosts that it names."""
    return _HOST.sub("about:blank", script)


def complaints(site: Path) -> Iterator[str]:
    """Each link that leads nowhere, and each thing that would come from another host."""
    pages = {path: read(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        for link in page.links:
            if why := _broken(site, path, link, pages):
                yield f"{name}: {link} {why}"
        for address in page.loaded:
            if _is_elsewhere(address):
                yield f"{name}: {address} comes from another host"
            elif why := _broken(site, path, address.partition("#")[0], pages):
                yield f"{name}: {address} {why}"
    yield from _named_hosts(site)


def _named_hosts(site: Path) -> Iterator[str]:
    """What the style sheets load from elsewhere, and what the theme's scripts could."""
    for path in sorted(site.rglob("*.css")):
        for found in _STYLE_URL.finditer(path.read_text(encoding="utf-8")):
            if _is_elsewhere(found[1] or found[2]):
                yield f"{path.relative_to(site)}: {found[1] or found[2]} comes from another host"
    for path in sorted((site / "assets").rglob("*.js")):
        for found in _HOST.finditer(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)}: it could load {found[0]}"


def _is_elsewhere(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme not in {"", "data"}


def _broken(site: Path, path: Path, link: str, pages: dict[Path, Page]) -> str:
    """Why a link leads nowhere; nothing when it leads somewhere, or out of the site."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return ""
    # The page for what is not found does not know where it stands, and names the top of the site.
    start = site if parts.path.startswith("/") else path.parent
    target = (start / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_relative_to(site.resolve()) or not target.is_file():
        return "leads to no file of the site"
    place = unquote(parts.fragment)
    if place and target.suffix == ".html" and place not in pages[target].ids:
        return "names no place on that page"
    return ""


def difference(markdown: str, html: str) -> str:
    """How a page of the site differs from what CommonMark reads in its markdown; nothing when it does not."""
    expected = read(MarkdownIt("commonmark").enable("table").render(markdown), is_article=True)
    found = read(html)
    if expected.blocks != found.blocks:
        at = next(
            (
                at
                for at, two in enumerate(zip(expected.blocks, found.blocks, strict=False))
                if two[0] != two[1]
            ),
            min(len(expected.blocks), len(found.blocks)),
        )
        return f"block {at} is {found.blocks[at : at + 3]}, not {expected.blocks[at : at + 3]}"
    theirs, ours = expected.words.split(), found.words.split()
    for at, (one, other) in enumerate(zip(theirs, ours, strict=False)):
        if one != other:
            return f"it reads {' '.join(ours[at : at + 8])!r}, not {' '.join(theirs[at : at + 8])!r}"
    return "" if len(theirs) == len(ours) else f"it has {len(ours)} words, not {len(theirs)}"
