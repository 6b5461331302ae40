"""The test vectors of the guard's protocol: made by this guard, for guards in other languages."""

import json
from typing import Any

from licet.guard.coverage import Why
from support.guard import guard_vectors
from support.paths import ROOT

FILE = ROOT / "docs" / "reference" / "guard-vectors.json"


def vectors() -> dict[str, Any]:
    """As they are published."""
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def test_the_vectors_are_what_the_guard_does() -> None:
    """`PYTHONPATH=tests python -m support.guard.guard_vectors` prints them anew."""
    assert FILE.read_text(encoding="utf-8") == guard_vectors.made()


def test_every_answer_and_reason_is_among_them() -> None:
    """A guard in another language that gives these answers gives all of them."""
    content = vectors()
    requests = [it for scenario in content["scenarios"] for it in scenario["requests"]]
    assert {it["status"] for it in requests} == {200, 401, 403, 503}
    reasons = {it.get("reason") for it in [*content["verdicts"], *content["signed"], *requests]}
    assert reasons - {None} == {
        "not_this_installation",
        "updates_ended",
        "not_this_tenant",
        "not_this_product",
        "licence_unreadable",
        "unknown_vendor",
        "wrong_pool",
        "counted_otherwise",
        "beyond_licence",
        "licence_over",
    }


def test_the_page_names_every_reason_and_number() -> None:
    """docs/reference/guard-protocol.md."""
    page = (ROOT / "docs" / "reference" / "guard-protocol.md").read_text(encoding="utf-8")
    for why in Why:
        assert f"`{why.value}`" in page, why
    for number in ("262,144", "256 licences", "300 seconds", "10 seconds", "86,400 seconds", "16,384"):
        assert number in page, number


def test_every_row_of_the_threat_page_names_tests_that_exist() -> None:
    """docs/explanation/licence-threats.md."""
    page = (ROOT / "docs" / "explanation" / "licence-threats.md").read_text(encoding="utf-8")
    written = "".join(it.read_text(encoding="utf-8") for it in (ROOT / "tests").rglob("test_*.py"))
    named = {part.strip("`") for part in page.replace("\n", " ").split(" ") if part.startswith("`test_")}
    named = {it.strip("`,.;|") for it in named}
    assert len(named) > 15
    assert not [it for it in named if f"def {it}(" not in written]
