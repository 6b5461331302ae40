"""No page, message or example has anybody install Licet by its name alone, which is not ours on an index."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from licet import extras
from licet.extras import how_to_install
from support.paths import ROOT

# Behind `--from` and `--spec` stands a package, and behind that the command in it.
_LINE = re.compile(
    r"\b(?:pip|pip3|pipx|uv|uvx|poetry)\b[^\n`]*?"
    r"(?: --(?:from|spec)[ =]([^\s`]*)|\b(?:install|add|run)\b(?! --spec)([^\n`]*))"
)
_NAME = re.compile(r"^licet(\[[\w,-]+\])?([=<>~!].*)?$")
_LEFT_OUT = {".venv", ".git", "node_modules", "build", "dist", "target", "obj", "vendor"}


def texts() -> list[Path]:
    """Everything that a reader may copy from."""
    kinds = {".md", ".py", ".toml", ".txt", ".yml", ".yaml", ".sh", ".js", ".html", ".in"}
    found = [path for path in ROOT.rglob("*") if path.suffix in kinds or path.name == "Makefile"]
    return [it for it in found if _LEFT_OUT.isdisjoint(it.relative_to(ROOT).parts) and it != Path(__file__)]


def named_alone(text: str) -> list[str]:
    """What a text would have a package index look for, of our name."""
    lines = (found[1] or found[2] for found in _LINE.finditer(text.replace("\\\n", " ")))
    words = (word.strip("'\"()., ") for line in lines for word in line.split())
    return [word for word in words if _NAME.match(word)]


@pytest.mark.parametrize(
    "line",
    [
        "pip install licet",
        "python -m pip install 'licet[server]' pytest",
        "uv add licet",
        "uvx --from licet licet demo",
        "pipx run --spec 'licet[server]' licet demo",
        "pip install licet>=0.1",
        "f\"{missing} is missing: pip install 'licet[jwt]'\"",
    ],
)
def test_the_test_knows_a_name_alone_when_it_sees_one(line: str) -> None:
    """So that the one below finds what there is."""
    assert named_alone(line)


@pytest.mark.parametrize(
    "line",
    [
        "pip install ./licet",
        "pip install './licet[jwt]' pytest",
        "pip install -e .",
        "licet init",
        "uvx --from './licet.whl[server]' licet demo",
        "pipx run --spec './licet.whl[server]' licet demo",
    ],
)
def test_a_path_is_no_name(line: str) -> None:
    """Pip looks up nothing of it."""
    assert not named_alone(line)


def test_nothing_tells_anybody_to_install_a_package_of_our_name() -> None:
    """Whoever registers it on an index would be installed by our readers."""
    found = {
        str(path.relative_to(ROOT)): alone
        for path in texts()
        if (alone := named_alone(path.read_text(encoding="utf-8")))
    }
    assert not found


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        ({"url": "file:///srv/a%20clone", "dir_info": {}}, "'/srv/a clone[jwt]'"),
        ({"url": "file:///srv/licet", "dir_info": {"editable": True}}, "-e '/srv/licet[jwt]'"),
        (
            {"url": "file:///srv/licet-0.1.0-py3-none-any.whl", "archive_info": {}},
            "'/srv/licet-0.1.0-py3-none-any.whl[jwt]'",
        ),
        (
            {"url": "https://git.example.com/licet.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "'licet[jwt] @ git+https://git.example.com/licet.git@abc'",
        ),
        ({}, "'./licet[jwt]', from your clone or wheel"),
    ],
)
def test_an_extra_is_installed_from_where_licet_came_from(
    monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any], told: str
) -> None:
    """PEP 610: a clone, an editable one, a wheel, a repository, or nobody knows."""
    monkeypatch.setattr(extras, "_origin", lambda: json.loads(json.dumps(origin)))
    assert how_to_install("jwt") == f"pip install {told}"


def test_where_this_licet_came_from_is_known() -> None:
    """The tests run in a clone."""
    _, _, *rest = shlex.split(how_to_install("server"))
    assert rest == ["-e", f"{ROOT}[server]"]
