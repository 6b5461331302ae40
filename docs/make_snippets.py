"""Puts the programs of interop/snippets and examples into the pages that show them, word for word.

.venv/bin/python docs/make_snippets.py

A block of code behind a line like `<!-- interop/snippets/go/main.go -->` is that file. The lines for a first
token are files of `src/licet/admin/connect`, which the dashboard shows too.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
_SHOWN = re.compile(
    r"^<!-- ((?:interop/snippets|examples/csharp|src/licet/admin/connect)/[\w./-]+) -->\n+"
    r"```(\w+)\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def shown(page: str) -> list[tuple[str, str]]:
    """The files that a page shows, and what it shows of them."""
    return [(found[1], found[3]) for found in _SHOWN.finditer(page)]


def renewed(page: str) -> str:
    """A page with its blocks as the files are now."""
    return _SHOWN.sub(_block, page)


def _block(found: re.Match[str]) -> str:
    code = (ROOT / found[1]).read_text(encoding="utf-8")
    return f"<!-- {found[1]} -->\n\n```{found[2]}\n{code}```"


def main() -> None:
    """Renew all pages."""
    for path in sorted((ROOT / "docs").rglob("*.md")):
        page = path.read_text(encoding="utf-8")
        made = renewed(page)
        if made != page:
            path.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
