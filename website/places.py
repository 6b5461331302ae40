"""Decides where a file of the project stands on the site, and how a link to it is written there.

The rules:

- docs/ is the site; docs/README.md is its front page.
- A page that stands elsewhere (README.md, CHANGELOG.md, deploy/README.md) stands on the site below project/.
- Any other file that a page links to (a configuration, a program) gets a page below project/ that shows it.
- A link in a page is written for the clone, where a git host shows it, and is rewritten for the site.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

from website.refused import Refused

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FRONT = DOCS / "README.md"
_PICTURE_KINDS = frozenset({".png", ".svg", ".webp"})
_FENCE = re.compile(r"(^ *```.*?^ *```[^\n]*$)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")  # of a picture as well
_ATTRIBUTE = re.compile(r'(?<=(?:src)=")([^"]+)(?=")|(?<=srcset=")([^"]+)(?=")|(?<=href=")([^"]+)(?=")')
_CODE = re.compile(r"(`+[^`\n]+`+)")


def is_raw(file: Path) -> bool:
    """Whether the site has the file itself, byte for byte, and no page that shows it."""
    return file.suffix in _PICTURE_KINDS or (file.is_relative_to(DOCS) and file.suffix == ".json")


def place_of(file: Path) -> str:
    """Where a file stands, relative to the top of the site's pages."""
    if file == FRONT:
        return "index.md"
    if file.is_relative_to(DOCS):
        return file.relative_to(DOCS).as_posix()
    inside = file.relative_to(ROOT).as_posix()
    if is_raw(file):
        return f"project/{inside}"
    # A page of that name would be taken for the index of its folder.
    return "project/" + (
        re.sub(r"README\.md$", "about.md", inside) if file.suffix == ".md" else f"{inside}.md"
    )


def target_of(page: Path, link: str) -> Path | None:
    """The file of the project that a link of this page leads to; None when it leads out of it.

    Raises Refused.
    """
    name = link.partition("#")[0]
    if "://" in link or link.startswith("mailto:"):
        return None
    if not name:
        return page
    found = Path(os.path.normpath(page.parent / name))
    if not found.exists() or not found.is_relative_to(ROOT):
        raise Refused(f"{page.relative_to(ROOT)}: {link} leads to nothing in the project")
    if found.is_dir() and (found / "README.md").exists():
        return found / "README.md"
    return found


def links_of(page: Path, text: str) -> set[Path]:
    """The other files of the project that this page needs: what it links to, and its pictures."""
    found: set[Path] = set()

    def note(link: str) -> str:
        target = target_of(page, link)
        if target is not None:
            found.add(target)
        return link

    for_each_link(text, note)
    return found - {page}


def rewritten(page: Path, text: str) -> str:
    """A page with its links as the site needs them."""
    here = Path(place_of(page)).parent

    def rewrite(link: str) -> str:
        target = target_of(page, link)
        if target is None or target == page:
            return link
        mark = link.partition("#")
        return os.path.relpath(place_of(target), here).replace(os.sep, "/") + mark[1] + mark[2]

    return for_each_link(text, rewrite)


def for_each_link(text: str, rewrite: Callable[[str], str]) -> str:
    """The text of a page with each of its links replaced; what is code stays."""

    def prose(part: str) -> str:
        with_links = _LINK.sub(lambda found: rewrite(found[0]), part)
        return _ATTRIBUTE.sub(lambda found: rewrite(found[0]), with_links)

    pieces = _FENCE.split(text)
    for at in range(0, len(pieces), 2):
        # A span of code may stand in the text of a link, but no link in a span of code.
        spans = _CODE.split(pieces[at])
        held = [f"\0{number}\0" if number % 2 else span for number, span in enumerate(spans)]
        done = prose("".join(held))
        pieces[at] = re.sub(r"\0(\d+)\0", lambda found, spans=spans: spans[int(found[1])], done)  # type: ignore[misc]
    return "".join(pieces)
