"""Makes a release of the commit that is checked out: builds it, tries it, and describes it.

What is in dist/ afterwards: the sdist, the wheel, the SBOM (CycloneDX, JSON) and SHA256SUMS. Each step says
what it does; the first that fails ends it, and dist/ stays as it was.
"""

import hashlib
import re
import shutil
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from release.environment import ROOT, run, with_tools, with_wheel
from release.packages import Packages, build_twice
from release.refused import Refused
from release.trial import try_base, try_server, try_without_installing

DIST = ROOT / "dist"


def main() -> int:
    """Make the release; return the exit code."""
    try:
        version = version_to_release(ROOT)
        with TemporaryDirectory(prefix="licet-release-") as work:
            files = _make(Path(work), version)
            DIST.mkdir(exist_ok=True)
            for file in files:
                shutil.copy(file, DIST)
    except Refused as refused:
        print(f"No release: {refused}", file=sys.stderr)
        return 1
    print(f"Licet {version} is in dist/:")
    for file in files:
        print(f"  {(DIST / file.name).stat().st_size:>9,} bytes  {file.name}")
    print(
        f"Next: git tag v{version}, and publish the four files. `sha256sum --check SHA256SUMS` checks them."
    )
    return 0


def _make(work: Path, version: str) -> list[Path]:
    def step(number: int, what: str) -> None:
        print(f"{number} of 6: {what}", flush=True)

    step(1, "build the sdist and the wheel of this commit, twice, and compare the bytes")
    packages = build_twice(ROOT, "HEAD", work)
    step(2, "install the base of the wheel into an empty environment, and import client and guard")
    try_base(packages, work / "base")
    step(3, "install the server into an empty environment, by the lock file")
    programs = with_wheel(packages.wheel, work / "server")
    step(4, "run its demo: a grant, and the dashboard")
    try_server(programs, version)
    step(5, "run the wheel by uvx and pipx, which install what it needs from the package index")
    tools = with_tools(work / "tools")
    try_without_installing(packages, tools, version, Path(sys.executable).with_name("uvx"))
    step(6, "write the SBOM of the server and the checksums")
    sbom = work / f"licet-{version}.cdx.json"
    write_sbom(tools, programs, sbom)
    return [packages.sdist, packages.wheel, sbom, write_sums(work, packages, sbom)]


def write_sbom(tools: Path, programs: Path, into: Path) -> None:
    """Write which packages of which versions the server consists of, as CycloneDX (ECMA-424).

    Raises Refused if it does not keep to the schema.
    """
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--validate"]
    run([str(tools / "cyclonedx-py"), "environment", *options, "-o", str(into), str(programs / "python")])


def write_sums(work: Path, packages: Packages, sbom: Path) -> Path:
    """Write the SHA-256 of each file, in the form that `sha256sum --check` reads."""
    sums = work / "SHA256SUMS"
    digests = [
        (hashlib.sha256(it.read_bytes()).hexdigest(), it.name)
        for it in (packages.sdist, packages.wheel, sbom)
    ]
    sums.write_text("".join(f"{digest}  {name}\n" for digest, name in digests), encoding="ascii")
    return sums


def version_to_release(repository: Path) -> str:
    """The version of pyproject.toml, if what is checked out can be released.

    Raises Refused.
    """
    if run(["git", "status", "--porcelain"], repository):
        raise Refused("there are changes that are not committed; commit them, as a commit is released")
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version: str = project["version"]
    changelog = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        raise Refused(f"CHANGELOG.md has no heading '## [{version}] - YYYY-MM-DD'; close it for this version")
    recording = f"tests/fixtures/statements-{_schema(repository)}.json"
    if not (repository / recording).exists():
        raise Refused(
            "what this version says to its store is not recorded, so that no later one is tried with it;"
            f" record it: .venv/bin/python tests/support/store/statements.py > {recording}"
        )
    if run(["git", "tag", "--list", f"v{version}"], repository):
        raise Refused(f"the tag v{version} exists; raise the version in pyproject.toml")
    return version


def _schema(repository: Path) -> str:
    """The number of the tables that this version needs."""
    text = (repository / "src" / "licet" / "store" / "migrate.py").read_text(encoding="utf-8")
    found = re.search(r'^HEAD = "(\d+)"', text, re.MULTILINE)
    assert found is not None
    return found[1]


if __name__ == "__main__":
    sys.exit(main())
