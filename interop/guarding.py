"""Builds the programs of `guards/`, which count the seats of a licence at an API, and runs them."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interop.dotnet import dotnet
from interop.installing import HERE, Missing

GUARDS = HERE / "guards"
PATIENCE_S = 300.0  # a cold build
_MONO_SQLITE = Path("/usr/lib/mono/4.5/Mono.Data.Sqlite.dll")  # ADO.NET's driver; .NET Core loads it as well


@dataclass(frozen=True, kw_only=True)
class Built:
    """A program that is there, and with which variables it runs."""

    command: tuple[str, ...]
    environment: Mapping[str, str]

    def compare(self, vectors: Path) -> subprocess.CompletedProcess[str]:
        """What it says of vectors."""
        command = [*self.command, "vectors", str(vectors)]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )

    @contextmanager
    def serving(self, what: Mapping[str, Any]) -> Iterator[str]:
        """Its API behind its guard, as its URL; `what` is what its vendor and its customer give it."""
        process = subprocess.Popen(
            [*self.command, "serve"],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(what) + "\n")
            process.stdin.flush()
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0


def go(folder: Path) -> Built:
    """The program in Go.

    Raises Missing.
    """
    if shutil.which("go") is None:
        raise Missing("there is no go")
    program = folder / "guard"
    for command in (["go", "vet", "."], ["go", "build", "-o", str(program), "."]):
        subprocess.run(command, cwd=GUARDS / "go", check=True, timeout=PATIENCE_S)
    return Built(command=(str(program),), environment=os.environ)


def csharp(folder: Path) -> Built:
    """The program in C#.

    Raises Missing.
    """
    net, program = dotnet(), folder / "guard.dll"
    net.build(program, sorted((GUARDS / "csharp").glob("*.cs")), _MONO_SQLITE)
    return Built(command=tuple(net.command(program)), environment=net.environment)


PROGRAMS: Mapping[str, Callable[[Path], Built]] = {"go": go, "csharp": csharp}
