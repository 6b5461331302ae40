"""Tests how a release is made: the same bytes twice, tried as a user would, refused where not complete."""

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from release.__main__ import main, version_to_release
from release.packages import build_twice
from release.refused import Refused
from support.paths import ROOT

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "licet"
version = "0.2.0"
[tool.hatch.build.targets.wheel]
packages = ["src/licet"]
"""
CLOSED = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2027-01-31\n"
# Some build steps write down where or when they ran.
HOOK = """
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
class CustomBuildHook(BuildHookInterface):
    def initialize(self, version, build_data):
        import os, pathlib
        {writes}
"""
WITH_HOOK = '[tool.hatch.build.hooks.custom]\n[tool.hatch.build]\nartifacts = ["src/licet/made.txt"]\n'


def git(repository: Path, *arguments: str) -> None:
    """Run git without the settings of whoever runs the tests."""
    who = ["-c", "user.name=A Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=repository, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small project, as it is committed when it can be released."""
    place = tmp_path / "project"
    (place / "src" / "licet").mkdir(parents=True)
    (place / "src" / "licet" / "__init__.py").touch()
    (place / "src" / "licet" / "store").mkdir()
    (place / "src" / "licet" / "store" / "migrate.py").write_text('HEAD = "0002"  # the last pre step\n')
    (place / "tests" / "fixtures").mkdir(parents=True)
    (place / "tests" / "fixtures" / "statements-0002.json").touch()
    (place / "pyproject.toml").write_text(PROJECT)
    (place / "CHANGELOG.md").write_text(CLOSED)
    git(tmp_path, "init", "--quiet", str(place))
    keep(place)
    return place


def keep(repository: Path) -> None:
    """Commit what lies there."""
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "Try")


@pytest.mark.wide
def test_a_commit_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    """In another directory, time zone and locale, under another umask; the wheel has the whole package."""
    packages = build_twice(ROOT, "HEAD", tmp_path / "work")
    with zipfile.ZipFile(packages.wheel) as wheel:
        names = set(wheel.namelist())
    assert {"licet/__init__.py", "licet/py.typed", "licet/admin/templates/base.html"} <= names
    assert not [name for name in names if not name.startswith("licet")]
    with tarfile.open(packages.sdist) as sdist:
        files = {name.partition("/")[2] for name in sdist.getnames()}
    installed = {"requirements.lock", ".dockerignore", "deploy/systemd/licet.service", "deploy/compose.yaml"}
    assert installed <= files  # what the guides install, from a release as from a clone


@pytest.mark.wide
@pytest.mark.parametrize(
    "writes",
    [
        "pathlib.Path('src/licet/made.txt').write_text(os.getcwd())",
        "pathlib.Path('src/licet/made.txt').write_text(os.environ.get('TZ', ''))",
    ],
)
def test_a_build_that_depends_on_where_it_ran_is_refused(
    repository: Path, tmp_path: Path, writes: str
) -> None:
    """So a release can be built again by whoever does not trust it."""
    (repository / "pyproject.toml").write_text(PROJECT + WITH_HOOK)
    (repository / "hatch_build.py").write_text(HOOK.format(writes=writes))
    keep(repository)
    with pytest.raises(Refused, match="two builds of licet"):
        build_twice(repository, "HEAD", tmp_path / "work")


def test_what_is_committed_is_built_and_nothing_else(repository: Path, tmp_path: Path) -> None:
    """A file that lies beside, as a key might, is not in the packages."""
    (repository / "src" / "licet" / "secrets.json").write_text("{}")
    packages = build_twice(repository, "HEAD", tmp_path / "work")
    with zipfile.ZipFile(packages.wheel) as wheel:
        assert "licet/secrets.json" not in wheel.namelist()


def test_a_closed_changelog_and_a_clean_tree_can_be_released(repository: Path) -> None:
    """The version is that of pyproject.toml."""
    assert version_to_release(repository) == "0.2.0"


def test_changes_that_are_not_committed_are_no_release(repository: Path) -> None:
    """Nobody could build it again."""
    (repository / "CHANGELOG.md").write_text(CLOSED + "more\n")
    with pytest.raises(Refused, match="not committed; commit them"):
        version_to_release(repository)


@pytest.mark.parametrize("text", ["# Changelog\n\n## [Unreleased]\n", CLOSED.replace("2027-01-31", "soon")])
def test_an_open_changelog_is_no_release(repository: Path, text: str) -> None:
    """It says for whom what has changed, and since when."""
    (repository / "CHANGELOG.md").write_text(text)
    keep(repository)
    with pytest.raises(Refused, match=r"'## \[0.2.0\] - YYYY-MM-DD'"):
        version_to_release(repository)


def test_a_version_whose_statements_are_not_recorded_is_no_release(repository: Path) -> None:
    """The next version could not be tried on what it says to its store during an upgrade."""
    (repository / "tests" / "fixtures" / "statements-0002.json").unlink()
    keep(repository)
    with pytest.raises(Refused, match=r"record it: .* > tests/fixtures/statements-0002.json"):
        version_to_release(repository)


@pytest.mark.wide
def test_what_a_version_says_to_its_store_can_be_recorded() -> None:
    """It is needed at a release only, when nobody has time to mend it."""
    command = [sys.executable, str(ROOT / "tests" / "support" / "store" / "statements.py")]
    recorded = subprocess.run(command, check=True, capture_output=True, timeout=100)
    assert json.loads(recorded.stdout)["made"]


def test_a_version_is_released_once(repository: Path) -> None:
    """A tag of its name says that it was."""
    git(repository, "tag", "v0.2.0")
    with pytest.raises(Refused, match="exists; raise the version"):
        version_to_release(repository)


@pytest.mark.wide
def test_a_release_is_built_tried_and_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make release`, for a commit that closes the changelog."""
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(ROOT), str(clone))
    version = version_of(clone)
    changelog = (clone / "CHANGELOG.md").read_text()
    (clone / "CHANGELOG.md").write_text(f"{changelog}\n## [{version}] - 2027-01-31\n")
    keep(clone)
    for module in ("release.__main__", "release.environment"):
        monkeypatch.setattr(f"{module}.ROOT", clone)
    monkeypatch.setattr("release.__main__.DIST", clone / "dist")
    assert main() == 0, capsys.readouterr().err
    names = {f"licet-{version}{end}" for end in (".tar.gz", "-py3-none-any.whl", ".cdx.json")}
    assert {it.name for it in (clone / "dist").iterdir()} == names | {"SHA256SUMS"}
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=clone / "dist", check=True)
    sbom = json.loads((clone / "dist" / f"licet-{version}.cdx.json").read_text())
    assert (sbom["bomFormat"], sbom["metadata"]["component"]["version"]) == ("CycloneDX", version)
    listed = {it["name"].lower() for it in sbom["components"]}
    assert {"sqlalchemy", "uvicorn", "psycopg"} <= listed
    assert listed.isdisjoint({"pytest", "hatchling", "pip"})


def version_of(clone: Path) -> str:
    """The version of pyproject.toml."""
    lines = (clone / "pyproject.toml").read_text().splitlines()
    return next(it for it in lines if it.startswith("version = ")).split('"')[1]
