"""The page of standards names tests and modules that exist, and leaves no statement out."""

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from support.paths import DOCS, TESTS

PAGE = DOCS / "reference" / "standards.md"
TEXT = PAGE.read_text(encoding="utf-8")
STATEMENTS = [f"S{number:02}" for number in range(1, 43)]
STANDARDS = (
    "6455",
    "6749",
    "6750",
    "7009",
    "7515",
    "7517",
    "7518",
    "7521",
    "7523",
    "7617",
    "7638",
    "7662",
    "8414",
    "8725",
    "9068",
    "9110",
    "9700",
)
WITHOUT_TEST: set[str] = set()

ROWS = {
    row[0]: row[1:] for row in re.findall(r"^\| (S\d\d) \| (.+) \| (?:`(\w+)`|none) \|$", TEXT, re.MULTILINE)
}


def names(path: Path) -> dict[str, str]:
    """The docstrings of a file's tests, by name; those of a class stand under `Class::test`."""
    found: dict[str, str] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            inner = [it for it in node.body if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef)]
            found |= {f"{node.name}::{it.name}": ast.get_docstring(it) or "" for it in inner}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = ast.get_docstring(node) or ""
    return found


STATED = {
    name: text
    for file in (TESTS / "end_to_end" / "tokens").glob("test_statements_*.py")
    for name, text in names(file).items()
}


def test_every_statement_is_there_once_and_in_order() -> None:
    """None is forgotten, and none is told twice."""
    assert re.findall(r"^\| (S\d\d) \|", TEXT, re.MULTILINE) == STATEMENTS == list(ROWS)


@pytest.mark.parametrize("statement", [it for it in STATEMENTS if it not in WITHOUT_TEST])
def test_a_statement_names_a_test_whose_docstring_names_the_statement(statement: str) -> None:
    """Who reads one finds the other."""
    _, test = ROWS[statement]
    assert STATED[test].startswith(f"{statement}. RFC ")


def test_a_statement_without_a_test_says_why() -> None:
    """It does not apply here."""
    assert {statement for statement, (_, test) in ROWS.items() if not test} == WITHOUT_TEST
    assert all(ROWS[statement][0].startswith("Does not apply: ") for statement in WITHOUT_TEST)


def test_every_test_of_a_statement_is_on_the_page() -> None:
    """A statement that is added there is added here."""
    assert {name for name in STATED if name.startswith("test_")} == {
        test for _, test in ROWS.values() if test
    }


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`([\w/]*test_\w+\.py::[\w:]+)`", TEXT))))
def test_a_test_that_is_named_exists(named: str) -> None:
    """Whatever was renamed since."""
    file, _, test = named.partition("::")
    assert test in names(TESTS / file)


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(licet\.[\w.]+)`", TEXT))))
def test_a_module_that_is_named_exists(named: str) -> None:
    """Whatever was moved since."""
    assert find_spec(named) is not None


@pytest.mark.parametrize("standard", STANDARDS)
def test_a_standard_has_a_row_with_a_module_and_a_test(standard: str) -> None:
    """Those that Licet implements."""
    assert re.search(
        rf"^\| RFC {standard} [^|]+\|[^|]+\| `licet\.[\w.]+` \| `[\w/]*test_\w+\.py::[\w:]+` \|$",
        TEXT,
        re.MULTILINE,
    )
