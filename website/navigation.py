"""Makes the site's navigation from docs/README.md, so that nobody lists a page twice.

The rules:

- A heading of docs/README.md that is one of the four kinds is a part of the navigation; a heading below it
  is a section of that part. The pages stand in the order of their links.
- The name of a page is its own first heading.
- What stands outside docs/ and is on the site because a page links to it is the part "Project".
- A page that is in none of these is refused.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from website.places import DOCS, FRONT, ROOT, for_each_link, place_of, target_of
from website.refused import Refused

KINDS = ("Tutorials", "How-to guides", "Reference", "Explanation")
Entry: TypeAlias = dict[str, "str | list[Entry]"]


def title_of(page: Path) -> str:
    """What the page calls itself, without marks.

    Raises Refused.
    """
    found = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise Refused(f"{page.relative_to(ROOT)} has no first heading")
    return re.sub(r"[`*]", "", found[1])


def navigation(front: str, inside: Iterable[Path], outside: Iterable[Path]) -> list[Entry]:
    """The navigation for the generator, from the front page's text and the pages in and outside docs/.

    Raises Refused.
    """
    parts: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
    listed = {FRONT}
    for kind, section, page in _listed(front):
        if page not in listed:
            listed.add(page)
            _entries(parts[kind], section).append({title_of(page): place_of(page)})
    if forgotten := sorted(set(inside) - listed):
        names = ", ".join(page.relative_to(ROOT).as_posix() for page in forgotten)
        raise Refused(f"docs/README.md lists below none of {', '.join(KINDS)}: {names}")
    project: list[Entry] = [{title_of(page): place_of(page)} for page in outside]
    whole: list[Entry] = [{"Home": place_of(FRONT)}]
    whole += [{kind: entries} for kind, entries in parts.items() if entries]
    return [*whole, {"Project": project}]


def _entries(part: list[Entry], section: str) -> list[Entry]:
    """Those of a section, which is added when it is new; of the part itself when there is no section."""
    if not section:
        return part
    if not part or section not in part[-1]:
        part.append({section: []})
    entries = part[-1][section]
    assert isinstance(entries, list)
    return entries


def _listed(front: str) -> list[tuple[str, str, Path]]:
    """Kind, section and page of each link of the front page that stands below one of the kinds."""
    found: list[tuple[str, str, Path]] = []
    kind = section = ""

    def note(link: str) -> str:
        page = target_of(FRONT, link)
        if page is not None and page.suffix == ".md" and page.is_relative_to(DOCS):
            found.append((kind, section, page))
        return link

    for line in front.splitlines():
        if line.startswith("## "):
            kind, section = line.removeprefix("## "), ""
        elif line.startswith("### "):
            section = line.removeprefix("### ")
        elif kind in KINDS:
            for_each_link(line, note)
    return found
