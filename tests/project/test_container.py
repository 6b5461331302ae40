"""Tests what the image of a container is made of: files that there are, known settings, and no rights."""

import fnmatch
import re
from pathlib import Path

from licet.settings.model import Settings
from support.paths import ROOT

TEXT = (ROOT / "deploy" / "container" / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
IGNORED = [
    line
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def is_sent(path: str) -> bool:
    """Whether it reaches the build: the last rule that matches decides."""
    found = [rule for rule in IGNORED if fnmatch.fnmatch(path, rule.removeprefix("!"))]
    return bool(found) and found[-1].startswith("!")


def copied() -> list[str]:
    """What is copied from here."""
    words = [line.split()[1:-1] for line in LINES if line.startswith("COPY ") and "--from=" not in line]
    return [word for line in words for word in line]


def test_what_is_copied_is_there_and_reaches_the_build() -> None:
    """And it is what the package is built of."""
    assert {"src", "pyproject.toml", "requirements.lock"} <= set(copied())
    for name in copied():
        assert (ROOT / name).exists(), name
        assert is_sent(name), name


def test_no_data_directory_reaches_the_build() -> None:
    """A layer keeps a secret for good."""
    for name in ("licet-data", "licet-demo", "secrets.json", ".venv", ".git", "licet.toml", "vendor"):
        assert not is_sent(name), name


def test_the_variables_are_settings() -> None:
    """A word that Licet does not know would stop it."""
    names = re.findall(r"\bLICET_([A-Z_]+)=", next(line for line in LINES if line.startswith("ENV ")))
    assert names
    assert {name.lower() for name in names} <= set(Settings.model_fields)


def test_it_runs_as_a_user_who_owns_nothing_but_the_data() -> None:
    """By a number, so that a cluster can see that it is not root."""
    [user] = [line for line in LINES if line.startswith("USER ")]
    assert user == "USER 10001:10001"
    assert LINES.index(user) < LINES.index('ENTRYPOINT ["licet"]')
    assert not [line for line in LINES if "chown" in line]


def test_what_builds_packages_is_not_left_in_the_image() -> None:
    """The names are those of the lock file."""
    [line] = [it for it in LINES if "uninstall" in it]
    removed = line.partition("uninstall --yes ")[2].partition("&&")[0].split()
    locked = re.findall(r"^([a-z0-9-]+)==", Path(ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert set(removed) - {"pip"} <= set(locked)
    assert {"hatchling", "editables", "pip"} <= set(removed)
