"""The Makefile does what its list says: each target runs each time, and options reach the program."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from support.paths import ROOT

TARGETS = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def rehearsed(*arguments: str, directory: Path = ROOT, **variables: str) -> str:
    """What make would run."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "-f", str(ROOT / "Makefile"), *arguments],
        cwd=directory,
        env=clean | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


class TestTargets:
    """What `make help` lists."""

    @pytest.mark.parametrize("target", TARGETS)
    def test_a_target_runs_though_something_of_its_name_is_there(self, target: str, tmp_path: Path) -> None:
        """`interop`, `docs`, `bench` and `chaos` are also folders, which make would take for what is made."""
        for name in (target, "requirements.lock", "requirements-dev.lock", "pyproject.toml"):
            (tmp_path / name).touch()
        (tmp_path / ".venv").mkdir()
        for stamp in ("server.stamp", "dev.stamp"):
            (tmp_path / ".venv" / stamp).touch()
        told = rehearsed(target, directory=tmp_path)
        assert told.strip()
        assert "up to date" not in told
        assert "Nothing to be done" not in told


class TestServe:
    """`make serve` hands its options over."""

    def test_ports_host_and_directory_reach_the_demo(self) -> None:
        """As they are written behind it."""
        told = rehearsed("serve", "PORT=9000", "ADMIN_PORT=9001", "HOST=127.0.0.2", "DATA=kept")
        for option in ("--port 9000", "--admin-port 9001", "--host 127.0.0.2", "--data kept"):
            assert option in told

    def test_a_demo_with_history_is_asked_for_with_a_variable(self) -> None:
        """An option without a value; without the variable it is left out."""
        assert "--with-history" in rehearsed("serve", "HISTORY=1")
        assert "--with-history" not in rehearsed("serve", HISTORY="1")

    def test_a_variable_of_the_environment_is_nobodys_wish(self) -> None:
        """Some shells export HOST: a demo whose every password is known would listen to the network."""
        told = rehearsed("serve", HOST="0.0.0.0", PORT="3000")  # noqa: S104 - what must not be heeded
        assert "--host" not in told
        assert "--port" not in told

    def test_where_a_port_is_in_use_it_says_how_to_choose_another_with_make(self, tmp_path: Path) -> None:
        """The demo's own advice is an option, which make does not take."""
        licet = tmp_path / ".venv" / "bin" / "licet"
        licet.parent.mkdir(parents=True)
        licet.write_text("#!/bin/sh\nexit 2\n", encoding="ascii")
        licet.chmod(0o700)
        for name in ("requirements.lock", "pyproject.toml"):
            (tmp_path / name).touch()
        (tmp_path / ".venv" / "server.stamp").touch()
        done = subprocess.run(
            ["make", "-f", str(ROOT / "Makefile"), "serve"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert "make serve PORT=9000 ADMIN_PORT=9001" in done.stderr
