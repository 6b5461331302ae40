"""One run of the suite: what each part came to, and what is not as expected."""

import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from interop import protecting, scenarios
from interop.installing import Missing, filled_in, installed
from interop.manifest import Manifest
from interop.program import Program
from interop.site import Site, opened

_AT_ONCE = 2  # each has a server and a program; more would only wait for two processors
_SHOWN_CHARS = 3000  # of what went wrong


@dataclass(frozen=True, kw_only=True)
class Part:
    """A client or a resource server after its run. One that was `missing` has not been run."""

    manifest: Manifest
    version: str = ""
    runtime: str = ""
    outcomes: dict[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    missing: str = ""


def run(manifests: list[Manifest], report: Callable[[Part], None], *, check_versions: bool) -> list[Part]:
    """Run parts, each on a server of its own; in the order given. `report` is called with each at its end."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(partial(_run, report, check_versions=check_versions), manifests))


def _run(report: Callable[[Part], None], manifest: Manifest, *, check_versions: bool) -> Part:
    try:
        installed(manifest)
        with tempfile.TemporaryDirectory(prefix="licet-interop-") as folder:
            part = _driven(manifest, Path(folder), check_versions=check_versions)
    except Missing as why:
        part = Part(manifest=manifest, missing=str(why))
    except Exception:  # noqa: BLE001 - one that fails keeps no other from being run
        part = Part(manifest=manifest, faults=(traceback.format_exc()[-_SHOWN_CHARS:],))
    report(part)
    return part


def _driven(manifest: Manifest, folder: Path, *, check_versions: bool) -> Part:
    data = folder / "data"
    data.mkdir(mode=0o700)
    numbers = count(1)

    def start() -> Program:
        return Program(filled_in(manifest.run), manifest.folder, folder / f"errors-{next(numbers)}")

    with opened(data) as site, start() as program:
        hello = program.ask("hello")
        outcomes = _outcomes(manifest, site, program, start)
    return Part(
        manifest=manifest,
        version=hello["version"],
        runtime=hello["runtime"],
        outcomes=outcomes,
        faults=tuple(_faults(manifest, hello["version"] if check_versions else manifest.version, outcomes)),
    )


def _faults(manifest: Manifest, version: str, outcomes: dict[str, str]) -> Iterator[str]:
    for name, outcome in outcomes.items():
        if outcome != manifest.expect[name]:
            yield f"{name}: seen was {outcome!r}, expected {manifest.expect[name]!r}"
    if manifest.pinned and version != manifest.version:
        yield f"version: seen was {version!r}, expected {manifest.version!r}; make interop WRITE=1 writes it"


def _outcomes(
    manifest: Manifest, site: Site, program: Program, start: Callable[[], Program]
) -> dict[str, str]:
    if not manifest.tenant:
        return scenarios.run(scenarios.Case(program, site))
    protected = protecting.Protected(site, manifest.tenant, program, start, credentials=manifest.credentials)
    return protecting.run(protected)
