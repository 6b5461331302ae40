"""The guard's protocol in other languages: a program for each gives the same answers as the test vectors.

One whose tools are missing fails, with `PASS_OVER=1` is skipped.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interop.installing import may_be_passed_over

GUARDS = Path(__file__).parent / "guards"
VECTORS = Path(__file__).parent.parent / "docs" / "reference" / "guard-vectors.json"
PATIENCE_S = 300.0  # a cold build
Run = Callable[[Path], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The program in Go, built once."""
    if shutil.which("go") is None:
        if may_be_passed_over():
            pytest.skip("go is missing")
        pytest.fail("go is missing; PASS_OVER=1 leaves out what cannot be run")
    program = tmp_path_factory.mktemp("go") / "guard"
    for command in (["go", "vet", "."], ["go", "build", "-o", str(program), "."]):
        subprocess.run(command, cwd=GUARDS / "go", check=True, timeout=PATIENCE_S)

    def run(vectors: Path) -> subprocess.CompletedProcess[str]:
        command = [str(program), str(vectors)]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    return run


def test_go_gives_every_answer_of_the_vectors(go: Run) -> None:
    """With the standard library alone."""
    found = go(VECTORS)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.endswith(" 0 wrong\n")


@pytest.mark.parametrize(
    ("section", "at"), [("verdicts", 2), ("signed", 0), ("who", 0), ("scenarios", 3)], ids=str
)
def test_go_finds_an_answer_that_is_another(go: Run, tmp_path: Path, section: str, at: int) -> None:
    """Else it would compare nothing."""
    content: Any = json.loads(VECTORS.read_text(encoding="utf-8"))
    changed = content[section][at]
    match section:
        case "verdicts":
            changed["reason"] = None
        case "signed":
            changed["terms"]["signed"] += 1
        case "who":
            changed["who"] = "A" * 43
        case _:
            changed["requests"][1]["retry_after"] += 1
    file = tmp_path / "vectors.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    found = go(file)
    assert found.returncode == 1
    assert found.stdout.endswith(" 1 wrong\n"), found.stdout
