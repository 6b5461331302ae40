"""Draws the diagrams of the pages (Mermaid), which git hosts draw by themselves, for the site.

.venv/bin/python -m website.diagrams     # needs npm and Chromium

The rules:

- A picture's name has the digest of the diagram's text, so a picture of an older text is never shown: the
  build fails until it is drawn anew.
- Mermaid is one version, and its package has one digest. It runs here and not on the site, which would load
  three megabytes for a picture.
"""

import base64
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

from website.places import DOCS, ROOT
from website.refused import Refused

DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
HERE = Path(__file__).parent / "diagrams"
THEMES = {"light": "neutral", "dark": "dark"}
_PACKAGE = "mermaid@11.16.0"
_SHA512 = "Zvm3kbstgdpvIJPPItlL7fppIZ3kibvc1oZIGxdvk9t6UFz6flv+Jw7FtRGKwfcI8OckmH04LqG6LlS6X4B1pA=="
_BROWSERS = (
    "chromium",
    "chromium-headless-shell",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
)
_DRAW = """async ([text, theme]) => {
  const plain = { htmlLabels: false, useMaxWidth: false };
  mermaid.initialize({ startOnLoad: false, deterministicIds: true, theme, state: plain, flowchart: plain,
    fontFamily: "system-ui, sans-serif" });
  return (await mermaid.render("diagram", text)).svg;
}"""


def name_of(text: str, colours: str) -> str:
    """The file with the picture of a diagram."""
    return f"{hashlib.sha256(text.encode()).hexdigest()[:16]}-{colours}.svg"


def with_pictures(text: str, to_top: str) -> str:
    """A page with the pictures of its diagrams; `to_top` leads from it to the top of the site.

    Raises Refused.
    """

    def picture(found: re.Match[str]) -> str:
        names = {colours: name_of(found[1], colours) for colours in THEMES}
        if not all((HERE / name).exists() for name in names.values()):
            raise Refused("a diagram has changed: .venv/bin/python -m website.diagrams draws it")
        shown = (
            f"![Diagram]({to_top}assets/diagrams/{name}#only-{colours})" for colours, name in names.items()
        )
        return "".join(shown) + "\n"

    return DIAGRAM.sub(picture, text)


def main() -> int:
    """Draw every diagram; return the exit code."""
    pages = [page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md")]
    texts = sorted({found[1] for page in pages for found in DIAGRAM.finditer(page)})
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        print(f"No diagrams: there is no Chromium; looked for {', '.join(_BROWSERS)}", file=sys.stderr)
        return 1
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"]).new_page()
        page.add_script_tag(content=_mermaid())
        for text in texts:
            for colours, theme in THEMES.items():
                file = HERE / name_of(text, colours)
                file.write_text(page.evaluate(_DRAW, [text, theme]), encoding="utf-8")
                print(f"{file.stat().st_size:>9,} bytes  {file.relative_to(ROOT)}")
    return 0


def _mermaid() -> str:
    """The program, from its npm package.

    Raises Refused.
    """
    with TemporaryDirectory() as work:
        subprocess.run(["npm", "pack", "--silent", _PACKAGE], cwd=work, check=True, stdout=subprocess.DEVNULL)
        (package,) = Path(work).glob("*.tgz")
        if base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode() != _SHA512:
            raise Refused(f"{_PACKAGE} is not the package that was looked at")
        with tarfile.open(package) as inside:
            file = inside.extractfile("package/dist/mermaid.min.js")
            assert file is not None
            return file.read().decode()


if __name__ == "__main__":
    sys.exit(main())
