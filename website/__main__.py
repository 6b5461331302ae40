"""Builds the site from docs/ into dist/site, and checks it.

The site there is replaced only when the new one is right: each link leads somewhere, nothing comes from
another host, and each page reads as the markdown does. It works from files and from any static host.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from website.checking import complaints, difference, without_hosts
from website.diagrams import DIAGRAM
from website.environment import generator
from website.places import ROOT, place_of
from website.refused import Refused
from website.staging import lay_out, pages

SITE = ROOT / "dist" / "site"
STAGE = ROOT / "build" / "website"
_PATIENCE_S = 300
_SHOWN = 20  # complaints, of a site that is broken in many places


def main() -> int:
    """Build the site; return the exit code."""
    try:
        build(SITE)
    except Refused as refused:
        print(f"No site: {refused}", file=sys.stderr)
        return 1
    print(
        f"The site is in {SITE.relative_to(ROOT)}. Look at it: make site-serve, or open {SITE / 'index.html'}"
    )
    return 0


def build(site: Path) -> None:
    """Build the site at `site`, in place of what is there.

    Raises Refused.
    """
    lay_out(STAGE)
    _generate()
    built = STAGE / "site"
    _confine(built)
    wrong = [*complaints(built), *_differences(built)]
    if wrong:
        more = f"\n  and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise Refused(f"{len(wrong)} mistakes\n  " + "\n  ".join(wrong[:_SHOWN]) + more)
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(built, site)


def _generate() -> None:
    command = [
        str(generator()),
        "build",
        "--clean",
        "--strict",
        "--config-file",
        str(STAGE / "zensical.toml"),
    ]
    done = subprocess.run(
        command,
        cwd=STAGE,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=_PATIENCE_S,
        check=False,
    )
    if done.returncode:
        raise Refused(f"the generator says\n{done.stdout}{done.stderr}")


def _confine(site: Path) -> None:
    """Take the addresses of other hosts out of the theme's scripts.

    They would load what no page here uses (galleries, editors, counts of stars); a host without a network, or
    with a strict policy, must not see them asked for.
    """
    for script in (site / "assets").rglob("*.js"):
        script.write_text(without_hosts(script.read_text(encoding="utf-8")), encoding="utf-8")


def _differences(site: Path) -> list[str]:
    found = []
    for page in pages():
        if page.suffix == ".md":
            html = (site / place_of(page)).with_suffix(".html").read_text(encoding="utf-8")
            # A diagram is a picture here, and its text in the clone.
            if how := difference(DIAGRAM.sub("", page.read_text(encoding="utf-8")), html):
                found.append(f"{page.relative_to(ROOT)} reads otherwise than in the clone: {how}")
    return found


if __name__ == "__main__":
    sys.exit(main())
