"""Makes all files of the documentation that come from kept results, for `make bench-page` and its test."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.pages import neighbours_page, page, scale_page, sessions_page
from bench.simulation import paper

SIMULATION = "simulation"


def made(results: Path) -> dict[Path, str]:
    """The content of each file."""
    files: dict[Path, str] = {}
    if run := kept(results, "run"):
        files |= page.files(run)
    if scale := kept(results, "scale"):
        files |= scale_page.files(scale, kept(results, SIMULATION))
    if sessions := kept(results, "sessions"):
        text = files.get(scale_page.PAGE) or scale_page.PAGE.read_text(encoding="utf-8")
        files[scale_page.PAGE] = sessions_page.page(text, sessions)
    if neighbours := kept(results, "neighbours"):
        text = files.get(page.PAGE) or page.PAGE.read_text(encoding="utf-8")
        files[page.PAGE] = neighbours_page.page(text, neighbours)
    return files


def simulate_anew(results: Path) -> bool:
    """Simulate again if the kept simulation has other inputs than the kept results; return whether it did."""
    run, scale = kept(results, "run"), kept(results, "scale")
    if not run or not scale or is_simulated(results):
        return False
    found = paper.made(run, scale)
    (results / f"kept-{SIMULATION}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return True


def is_simulated(results: Path) -> bool:
    """Whether the kept simulation was made from the kept results."""
    run, scale, found = (kept(results, name) for name in ("run", "scale", SIMULATION))
    return bool(found) and found["inputs"] == paper.inputs(run, scale)


def kept(results: Path, name: str) -> Mapping[str, Any]:
    """A kept result; empty if there is none."""
    path = results / f"kept-{name}.json"
    if not path.exists():
        return {}
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
