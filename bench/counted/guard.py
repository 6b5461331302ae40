"""Guards against regressions: compares the counts of each kind of request with a recorded baseline.

`baseline.json` has the counts for each version of Python. A count may grow by LOSS_MAX. A change that
deliberately makes the server do more or less renews the baseline in the same commit, whose difference shows
the cost. An unknown version of Python is compared with the nearest known one, scaled by the instructions
that each needs for code that never changes; that is rough, and so is its bound.
"""

import json
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.counted.counting import Counts

BASELINE = Path(__file__).parents[1] / "baseline.json"
LOSS_MAX = 0.15
LOSS_MAX_ROUGH = 0.40
_LEAST = {"instructions": 1.0, "sqlite_loops": 5.0, "wal_pages": 0.1}  # less does not count as growth from 0
_FILES_SHOWN = 5


class Compared(NamedTuple):
    """One count of one kind of request, in the baseline and now."""

    kind: str
    name: str
    then: float
    now: float
    bound: float

    @property
    def change(self) -> float:
        """The growth as a share of the baseline."""
        return self.now / self.then - 1 if self.then else 0.0

    @property
    def is_loss(self) -> bool:
        """Whether it grew by more than the bound."""
        return self.now > self.then * (1 + self.bound) + _LEAST[self.name] * (self.then == 0)

    @property
    def is_gain(self) -> bool:
        """Whether it shrank so much that the old baseline would not notice if the gain were lost again."""
        return self.now < self.then * (1 - self.bound)


class Baseline:
    """The recorded counts."""

    def __init__(self, path: Path = BASELINE) -> None:
        self._path = path
        self._versions: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def compare(self, counts: Mapping[str, Counts], calibration: float) -> list[Compared]:
        """Compare each count with the baseline.

        Raises LookupError if the baseline lacks the kind of request.
        """
        return [figure for kind, now in counts.items() for figure in self._compare(kind, now, calibration)]

    def _compare(self, kind: str, now: Counts, calibration: float) -> Iterator[Compared]:
        version = self._nearest(kind)
        then, factor, bound = self._versions[version], 1.0, LOSS_MAX
        if version != _version():
            factor, bound = calibration / then["calibration"], LOSS_MAX_ROUGH
        for name in _LEAST:
            before = then["kinds"][kind][name] * (factor if name == "instructions" else 1.0)
            yield Compared(kind, name, before, getattr(now, name), bound)

    def of(self, kind: str) -> Counts:
        """The recorded counts of a kind of request, for this version of Python or the nearest.

        Raises LookupError.
        """
        return Counts(**self._versions[self._nearest(kind)]["kinds"][kind])

    def _nearest(self, kind: str) -> str:
        """The nearest version of Python whose baseline has this kind."""
        known = [version for version, then in self._versions.items() if kind in then["kinds"]]
        if not known:
            raise LookupError(f"there is no baseline of {kind}: make bench-guard WITH=--renew")
        return min(known, key=lambda version: abs(_minor(version) - _minor(_version())))

    def files(self, kind: str, now: Counts) -> Iterator[str]:
        """The files in which a kind of request needs more instructions than before, the worst first."""
        then = self._versions.get(_version(), {}).get("kinds", {}).get(kind, {}).get("files", {})
        more = sorted(((count - then.get(file, 0), file) for file, count in now.files.items()), reverse=True)
        for difference, file in more[:_FILES_SHOWN]:
            if difference >= 1:
                yield f"{file}: {then.get(file, 0):,.0f} then, {now.files[file]:,.0f} now"

    def renew(self, counts: Mapping[str, Counts], calibration: float) -> None:
        """Record these counts for this version of Python."""
        kinds = {kind: now._asdict() for kind, now in counts.items()}
        self._versions[_version()] = {"calibration": calibration, "kinds": kinds}
        self._path.write_text(json.dumps(self._versions, indent=1, sort_keys=True) + "\n")


def report(baseline: Baseline, counts: Mapping[str, Counts], compared: list[Compared]) -> Iterator[str]:
    """The comparison in lines; after a regression, the files that cause it."""
    yield f"{'':16}{'instructions':>24}{'SQLite loops':>24}{'pages written':>24}"
    for kind, now in counts.items():
        mine = [figure for figure in compared if figure.kind == kind]
        yield f"{kind:16}" + "".join(f"{figure.now:14,.1f} ({figure.change:+6.1%})" for figure in mine)
        for figure in mine:
            if figure.is_loss:
                values = f"{figure.then:,.1f} then, {figure.now:,.1f} now"
                yield f"  LOSS: {figure.name}: {values} ({figure.change:+.1%})"
        if any(figure.is_loss and figure.name == "instructions" for figure in mine):
            yield from (f"    {line}" for line in baseline.files(kind, now))
    if any(figure.is_gain for figure in compared):
        yield "There is a gain that the baseline does not have: make bench-guard WITH=--renew"


def _version() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _minor(version: str) -> int:
    return int(version.split(".")[1])
