"""The version stands once, in pyproject.toml; a page that shows it shows that one."""

import json
import re
import tomllib

import pytest
import yaml  # type: ignore[import-untyped]

from support.paths import DOCS, ROOT

VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])
# A wheel to install, what `licet --version` prints, a row of `licet check`.
_SHOWN = re.compile(
    r"licet-(\d+\.\d+\.\d+)|^licet (\d+\.\d+\.\d+)$|^\w+:8080 +(\d+\.\d+\.\d+) ", re.MULTILINE
)


def shown(text: str) -> set[str]:
    """The versions of Licet that a page has its readers install or expect."""
    return {version for found in _SHOWN.findall(text) for version in found if version}


@pytest.mark.parametrize(
    "line", ["./licet-9.1.0-py3-none-any.whl", "licet 9.1.0", "licence1:8080  9.1.0    0006    2027"]
)
def test_a_version_is_found_however_it_is_shown(line: str) -> None:
    assert shown(f"before\n{line}\n") == {"9.1.0"}


def test_every_page_shows_the_version_of_the_package() -> None:
    """Who pastes the line of another version finds no such file."""
    found = {str(page.relative_to(ROOT)): shown(page.read_text(encoding="utf-8")) for page in PAGES}
    assert {page: versions for page, versions in found.items() if versions - {VERSION}} == {}
    assert found["README.md"] == {VERSION}


def test_the_openapi_document_has_the_version_of_the_package() -> None:
    document = json.loads((DOCS / "reference" / "openapi.json").read_text(encoding="utf-8"))
    assert document["info"]["version"] == VERSION


def test_the_chart_has_the_version_of_the_package() -> None:
    """Its version is the tag of the image, where nobody says another."""
    chart = yaml.safe_load((ROOT / "deploy" / "helm" / "licet" / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == VERSION
