"""The paths of the project's files, for tests that read them."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TESTS = ROOT / "tests"
DOCS = ROOT / "docs"
FIXTURES = TESTS / "fixtures"


def text_of(page: Path) -> str:
    """The text of a page without its code blocks, whose brackets are not links."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


_FENCE = re.compile(r"^```(\w*)(?: (\w+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
