"""All files that are made from the results that are kept, for `make bench-page` and for the test of it."""

import json
from pathlib import Path

from bench import neighbours_page, page, scale_page


def made(results: Path) -> dict[Path, str]:
    """What each file should be."""
    files: dict[Path, str] = {}
    for name, make in (("run", page.files), ("scale", scale_page.files)):
        path = results / f"kept-{name}.json"
        if path.exists():
            files |= make(json.loads(path.read_text(encoding="utf-8")))
    if (path := results / "kept-neighbours.json").exists():
        text = files.get(page.PAGE) or page.PAGE.read_text(encoding="utf-8")
        files[page.PAGE] = neighbours_page.page(text, json.loads(path.read_text(encoding="utf-8")))
    return files
