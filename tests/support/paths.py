"""Where the files of the project are, for tests that look at them."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TESTS = ROOT / "tests"
DOCS = ROOT / "docs"
FIXTURES = TESTS / "fixtures"


def text_of(page: Path) -> str:
    """A page without its blocks, whose brackets are no links."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


_FENCE = re.compile(r"^```(\w*)(?: (\w+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
