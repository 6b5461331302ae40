"""The bounds of the house: how long a file, a function and a line may be, and how many modules a room has."""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from support.paths import ROOT

LINES_MAX = 500  # of a file: what can be read at one sitting
FUNCTION_LINES_MAX = 60
MODULES_MAX = 24  # of a room: what can be looked over
TEMPLATE_CHARS_MAX = 120
SRC = ROOT / "src" / "licet"
MIGRATIONS = SRC / "store" / "migrations"  # each is one step from top to bottom, and is never changed again
MODULES = sorted(SRC.rglob("*.py"))
TEMPLATES = sorted((SRC / "admin" / "templates").rglob("*.html"))
BESIDE = ("bench", "chaos", "interop", "release", "tests")


class Read(NamedTuple):
    """What is asked of a module: its docstring, and its functions with their numbers of lines."""

    docstring: str | None
    functions: list[tuple[str, int]]


@cache
def read(module: Path) -> Read:
    """What it has. Its tree is not kept: the collector would pass through a million nodes from then on."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return Read(ast.get_docstring(tree), list(functions(tree, module)))


def functions(tree: ast.Module, module: Path) -> Iterator[tuple[str, int]]:
    """The functions of a module, each with its number of lines from `def` to its end."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{module.relative_to(ROOT)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


def python_in(*folders: str) -> list[Path]:
    """The modules of these, without those of others that are installed there for peers."""
    found = (it.relative_to(ROOT) for folder in folders for it in (ROOT / folder).rglob("*.py"))
    return [
        ROOT / it
        for it in found
        if not any(part.startswith(".") or part == "node_modules" for part in it.parts)
    ]


def line_count(file: Path) -> int:
    """How many lines a file has."""
    return len(file.read_text(encoding="utf-8").splitlines())


def test_no_file_is_longer_than_can_be_read_at_one_sitting() -> None:
    """A file has one subject, also one of tests, which is found by its path."""
    files = [*MODULES, *python_in(*BESIDE)]
    assert len(files) > len(MODULES)
    assert not {str(it.relative_to(ROOT)): line_count(it) for it in files if line_count(it) > LINES_MAX}


def test_no_test_needs_another_test() -> None:
    """What they share stands in tests/support/; conftest.py gives its fixtures by their names."""
    imports = re.compile(r"^\s*(?:from|import) (?:test_|conftest)", re.MULTILINE)
    files = sorted((ROOT / "tests").rglob("*.py"))
    assert len(files) > 200
    assert not [str(it.relative_to(ROOT)) for it in files if imports.search(it.read_text(encoding="utf-8"))]


def test_no_function_is_longer_than_a_screen() -> None:
    """Migrations apart."""
    modules = [module for module in MODULES if MIGRATIONS not in module.parents]
    found = [function for module in modules for function in read(module).functions]
    assert len(found) > len(modules)
    assert not [(where, lines) for where, lines in found if lines > FUNCTION_LINES_MAX]


def test_no_room_has_more_modules_than_can_be_looked_over() -> None:
    """The command line has folders for that, and tests have those of their subjects. Migrations only grow."""
    modules = [it for it in [*MODULES, *python_in(*BESIDE)] if it.name != "__init__.py"]
    modules = [it for it in modules if MIGRATIONS not in it.parents]
    rooms = Counter(str(it.parent.relative_to(ROOT)) for it in modules)
    assert not {room: count for room, count in rooms.items() if count > MODULES_MAX}


def test_every_module_says_first_what_it_does() -> None:
    """Its first line is a sentence, with a blank line behind it where there is more to say."""
    for module in MODULES:
        text = read(module).docstring
        assert text, f"{module}: it has no docstring"
        first = text.splitlines()[0]
        assert re.fullmatch(r"[A-Z`][^\n]{8,}[.:]", first), f"{module}: {first}"
        assert len(first.split()) > 2, f"{module}: {first}"


def test_no_line_of_a_template_is_longer_than_a_screen_is_wide() -> None:
    """A change of one element is then a change of one line."""
    assert TEMPLATES
    for template in TEMPLATES:
        for number, line in enumerate(template.read_text(encoding="utf-8").splitlines(), 1):
            assert len(line) <= TEMPLATE_CHARS_MAX, f"{template.relative_to(ROOT)}:{number}"


def test_every_room_has_its_floor() -> None:
    """import-linter then sees each import, also one of a room that is new."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = tables["tool"]["importlinter"]["contracts"]
    floors, *beside = (it for it in contracts if it["type"] == "layers")
    assert [it["containers"] for it in beside] == [["chaos"], ["bench"]]
    assert not [it for it in beside if not it["exhaustive"] or "exhaustive_ignores" in it]
    assert floors["exhaustive"] is True
    assert set(floors["exhaustive_ignores"]) == {"__main__", "admin_client", "client", "guard"}
    # `exhaustive` holds for the rooms of `containers`, which have to be all of Licet.
    assert floors["containers"] == ["licet"]


def test_the_rooms_of_what_tests_share_import_one_way() -> None:
    """As those of the code, of which import-linter says it: what a room needs, needs nothing of that room."""
    support = ROOT / "tests" / "support"
    imports = re.compile(r"^\s*(?:from|import) support(?:\.| import )(\w+)", re.MULTILINE)
    needs: dict[str, set[str]] = {}
    for module in python_in("tests/support"):
        room = module.relative_to(support).parts[0].removesuffix(".py")
        others = {*imports.findall(module.read_text(encoding="utf-8"))} - {room}
        needs.setdefault(room, set()).update(others)
    assert len(needs) > 10
    assert list(TopologicalSorter(needs).static_order())  # else it raises CycleError, which names them


def test_who_stands_apart_may_import_no_room() -> None:
    """The lists of what they must not import are made by hand. The guard may read licences."""
    allowed = {
        "admin_client": set[str](),
        "client": set[str](),
        "guard": {"licences"},
        "licences": set[str](),
    }
    rooms = {it.stem for it in SRC.iterdir() if it.suffix == ".py" or (it / "__init__.py").exists()}
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    forbidden = {
        source.removeprefix("licet."): set(contract["forbidden_modules"])
        for contract in tables["tool"]["importlinter"]["contracts"]
        for source in contract.get("source_modules", ())
        if len(contract["source_modules"]) == 1
    }
    for apart, may in allowed.items():
        others = {f"licet.{room}" for room in rooms - {apart, "__init__", "__main__"} - may}
        assert others <= forbidden[apart], apart


def test_the_rooms_of_the_tests_are_rooms_of_the_code() -> None:
    """A test is found by the path of its subject."""
    beside = {"browser", "end_to_end", "fixtures", "project", "support"}
    rooms = {it.name for it in (ROOT / "tests").iterdir() if it.is_dir() and not it.name.startswith("_")}
    assert rooms - beside <= {it.name for it in SRC.iterdir() if it.is_dir()}
