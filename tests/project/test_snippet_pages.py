"""The programs on the pages "write a client" are files of interop/snippets, which the interop suite runs."""

import re
import sys
from pathlib import Path

import pytest

from support.paths import DOCS, ROOT, text_of

sys.path.append(str(DOCS))
from make_snippets import renewed, shown

SNIPPETS = ROOT / "interop" / "snippets"
CODE = {".cs", ".go", ".java", ".mjs", ".php", ".py", ".sh"}
MADE = {"build", "target", "__pycache__"}
PAGES = sorted((DOCS / "how-to").glob("write-a-client*.md"))
FIRST_TOKEN = DOCS / "how-to" / "get-a-first-token.md"
INTEGRATE = DOCS / "how-to" / "integrate-from-csharp.md"


@pytest.mark.parametrize("page", [*PAGES, FIRST_TOKEN, INTEGRATE], ids=lambda page: page.stem)
def test_a_page_shows_programs_as_they_are(page: Path) -> None:
    """`python docs/make_snippets.py` renews it."""
    text = page.read_text(encoding="utf-8")
    assert renewed(text) == text


def test_every_program_is_on_a_page() -> None:
    """And on one only."""
    files = (path for path in SNIPPETS.rglob("*") if path.suffix in CODE and MADE.isdisjoint(path.parts))
    there = sorted(str(it.relative_to(ROOT)) for it in files)
    pages = [page.read_text(encoding="utf-8") for page in PAGES]
    assert len(there) > 10
    assert there == sorted(name for page in pages for name, _ in shown(page))


def test_the_page_of_the_first_token_shows_what_the_dashboard_shows() -> None:
    """All of it, once."""
    lines = ROOT / "src" / "licet" / "admin" / "connect"
    there = sorted(str(it.relative_to(ROOT)) for it in lines.glob("*.txt"))
    assert len(there) == 6
    assert there == sorted(name for name, _ in shown(FIRST_TOKEN.read_text(encoding="utf-8")))


def test_every_example_in_csharp_is_linked_or_shown_and_run() -> None:
    """On the page for integrators who write C#; `make interop` runs them all."""
    page = INTEGRATE.read_text(encoding="utf-8")
    suite = (ROOT / "interop" / "test_csharp_examples.py").read_text(encoding="utf-8")
    names = [path.stem for path in (ROOT / "examples" / "csharp").glob("*.cs")]
    assert len(names) == 3
    assert all(f"examples/csharp/{name}.cs" in page and f'"{name}"' in suite for name in names)
    assert {name for name, _ in shown(page)} <= {f"examples/csharp/{name}.cs" for name in names}


def test_every_program_is_run_by_the_interop_suite() -> None:
    """Its list names them all."""
    suite = (ROOT / "interop" / "test_snippets.py").read_text(encoding="utf-8")
    for page in PAGES:
        for name, _ in shown(page.read_text(encoding="utf-8")):
            stem = name.removeprefix("interop/snippets/")
            assert stem in suite or _by_name(stem) in suite, name


def test_no_program_has_a_secret_in_it() -> None:
    """It comes from the environment, as does who the program is."""
    for page in PAGES:
        for name, code in shown(page.read_text(encoding="utf-8")):
            assert {"TENANT_URL", "API_URL", "CLIENT_ID", "CLIENT_SECRET"} <= set(
                re.findall(r"\b[A-Z_]+\b", code)
            ), name
            assert "lcs_" not in code
            assert "127.0.0.1" not in code


def test_the_index_names_every_language() -> None:
    """One page for each."""
    index = text_of(DOCS / "how-to" / "write-a-client.md")
    for page in PAGES:
        assert page.stem == "write-a-client" or f"({page.name})" in index, page.name


def _by_name(stem: str) -> str:
    """How the list spells a program of which a language has two."""
    kind, _, name = stem.partition("/")
    return f'_{kind}("{name.removesuffix(".cs").partition("/")[0]}")'
