"""Lays out the pages of the site from those of the project, as the generator reads them.

The rules:

- Nothing is written into docs/: a git host shows it as it is.
- The generator's markdown is read like that of a git host: `_adapted` writes the few things differently that
  it would read otherwise, and `checking.difference` finds those that are left.
- A picture in light and in dark (`<picture>`) follows the switch of the site, not only the system's setting.
"""

import re
import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path

import tomlkit

from website import diagrams
from website.navigation import navigation
from website.places import DOCS, FRONT, ROOT, is_raw, links_of, place_of, rewritten
from website.refused import Refused

HERE = Path(__file__).parent
PROJECT_PAGES = tuple(
    ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "ARCHITECTURE.md")
)
_SHOWN_BYTES = 200_000  # of a file that a page shows
_LANGUAGES = {".py": "python", ".cs": "csharp", ".go": "go", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}
_LANGUAGES |= {
    ".json": "json",
    ".sh": "bash",
    ".java": "java",
    ".php": "php",
    ".js": "javascript",
    ".conf": "nginx",
}
_PICTURE = re.compile(
    r'<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">\s*'
    r'<img alt="([^"]*)" src="([^"]+)">\s*</picture>'
)


def pages() -> list[Path]:
    """Every file of the project that the site needs: docs/, and what its pages link to, and so on.

    Raises Refused.
    """
    waiting = [*DOCS.rglob("*.md"), *PROJECT_PAGES]
    found: set[Path] = set()
    while waiting:
        page = waiting.pop()
        if page not in found:
            found.add(page)
            if page.suffix == ".md":
                waiting.extend(links_of(page, page.read_text(encoding="utf-8")))
    return sorted(found)


def lay_out(place: Path) -> None:
    """Write the generator's configuration and every page below `place`, which is emptied.

    Raises Refused.
    """
    shutil.rmtree(place, ignore_errors=True)
    files = pages()
    for file in files:
        to = place / "pages" / place_of(file)
        to.parent.mkdir(parents=True, exist_ok=True)
        if is_raw(file):
            shutil.copyfile(file, to)
        else:
            to.write_text(_as_page(file), encoding="utf-8")
    shutil.copytree(HERE / "assets", place / "pages" / "assets")
    shutil.copytree(diagrams.HERE, place / "pages" / "assets" / "diagrams")
    shutil.copyfile(
        ROOT / "src" / "licet" / "admin" / "static" / "icon.svg", place / "pages" / "assets" / "icon.svg"
    )
    (place / "zensical.toml").write_text(_configuration(files), encoding="utf-8")


def _configuration(files: Iterable[Path]) -> str:
    """website/zensical.toml with the navigation."""
    settings = tomllib.loads((HERE / "zensical.toml").read_text(encoding="utf-8"))
    outside = [file for file in files if file.suffix == ".md" and not file.is_relative_to(DOCS)]
    first = [page for page in PROJECT_PAGES if page in outside]
    inside = [file for file in files if file.suffix == ".md" and file.is_relative_to(DOCS)]
    outside = [*first, *(page for page in outside if page not in first)]
    settings["project"]["nav"] = navigation(FRONT.read_text(encoding="utf-8"), inside, outside)
    return tomlkit.dumps(settings)


def _as_page(file: Path) -> str:
    if file.suffix == ".md":
        text = _pictures(rewritten(file, file.read_text(encoding="utf-8")))
        return _adapted(diagrams.with_pictures(text, "../" * place_of(file).count("/")))
    name = file.relative_to(ROOT).as_posix()
    if file.is_dir():
        inside = sorted(it.name for it in file.iterdir() if not it.name.startswith((".", "__")))
        return f"# {name}/\n\n" + "".join(f"- `{it}`\n" for it in inside)
    if file.stat().st_size > _SHOWN_BYTES:
        raise Refused(f"{name} is too long to be shown on a page")
    text = file.read_text(encoding="utf-8")
    fence = "`" * max(3, *(len(it) + 1 for it in re.findall(r"`+", text)), 3)
    return f"# {name}\n\n{fence}{_LANGUAGES.get(file.suffix, 'text')}\n{text.rstrip()}\n{fence}\n"


def _pictures(text: str) -> str:
    """Two pictures, of which the style sheet shows the one for the colours that are chosen."""
    return _PICTURE.sub(r"![\2](\3#only-light)![\2](\1#only-dark)", text)


def _adapted(text: str) -> str:
    """What the generator's markdown would read otherwise than CommonMark, in other words.

    Inside a list it wants four columns, not two or three; a block has one word behind its fence; a `#` at the
    end of a heading closes it; and a pipe in code needs no backslash in a table.
    """
    lines: list[str] = []
    fence, more = "", 0
    for line in text.splitlines():
        stripped = line.lstrip(" ")
        indent = len(line) - len(stripped)
        if fence:
            is_end = stripped.startswith(fence)
            lines.append(" " * more + line if line else line)
            fence = "" if is_end else fence
            continue
        more = 4 - indent if indent in {2, 3} else 0
        if opened := re.match(r"(`{3,})(\w*)", stripped):
            fence = opened[1]
            stripped = opened[0]
        elif re.match(r"#+ .*#$", stripped):
            stripped = stripped.removesuffix("#") + "\\#"
        elif stripped.startswith("|"):
            stripped = re.sub(r"`[^`]+`", lambda found: found[0].replace("\\|", "|"), stripped)
        lines.append(" " * (more + indent) + stripped)
    return "\n".join(lines) + "\n"
