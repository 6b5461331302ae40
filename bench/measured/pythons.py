"""Another Python beside the one that measures: the floor and Licet on both, in the rounds of one cell.

How an interpreter was built makes a fifth of its speed. The other one is that of the system, of the same
minor version; it imports the packages of the one that measures. Distributions build theirs with
profile-guided and link-time optimisation, and do not all say so: so both are timed on a short program of
plain Python, and the other one is left out if it is not clearly faster.
"""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
SCENARIOS = ("grant", "refresh", "introspect", "denial")  # what they are compared in
OTHER = "other python, "  # before the name of a contender that runs on it
_FASTER = 0.95  # of the time of the one that measures; above that it is no other build
_PROBE = """
import json, platform, time
import licet, uvloop, httptools, msgspec

class Point:
    def __init__(self, x):
        self.x = x

def work():
    seen = {}
    for at in range(60_000):
        point = Point(at)
        seen[at % 977] = seen.get(at % 991, 0) + point.x
        text = "%d:%s" % (at, "seat")
        seen[text[:2]] = len(text.split(":"))
    return seen

def timed():
    began = time.process_time()
    work()
    return time.process_time() - began

print(json.dumps([platform.python_version(), min(timed() for _ in range(7))]))
"""
_PATIENCE_S = 60


class Python(NamedTuple):
    """An interpreter: what starts it, what it needs in its environment, and the time of a short program."""

    executable: str
    variables: Mapping[str, str]
    version: str
    seconds: float


def places() -> Iterator[Path]:
    """Where the system has its Python of this minor version."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for directory in ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"):
        yield Path(directory) / name


def other(candidates: Sequence[Path] = ()) -> tuple[Python, float] | None:
    """The first Python of the system that is clearly faster than this one; and its share of the time."""
    here = probed(Path(sys.executable))
    assert here is not None, "the one that measures has all that it needs"
    for path in candidates or [*places()]:
        found = probed(path)
        if found is not None and (share := found.seconds / here.seconds) < _FASTER:
            return found, share
    return None


def probed(path: Path) -> Python | None:
    """This interpreter, if it is there and can import Licet with its packages."""
    variables = {"PYTHONPATH": f"{ROOT / 'src'}:{sysconfig.get_path('purelib')}", "PYTHONNOUSERSITE": "1"}
    try:
        ran = subprocess.run(
            [path, "-c", _PROBE], env=variables, capture_output=True, timeout=_PATIENCE_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version, seconds = json.loads(ran.stdout)
    return Python(str(path), variables, version, seconds)


def table(found: Mapping[str, Any], names: Mapping[str, str], titles: Mapping[str, str]) -> Iterator[str]:
    """The part of the page; `names` are those of the stores, `titles` of the scenarios."""
    python, machine = found["python_other"], found["machine"]
    yield (
        f"The same on the Python of the system, {python['version']} (as its distribution builds it: a short"
        f" program of plain Python takes {python['share']:.2f} of the time), in the rounds of the one above,"
        f" {machine['python']} ({machine['python_build']}):"
    )
    yield ""
    yield (
        "| request | server | requests a second | on the other | processor time of a request | on the other"
        " | times as fast |"
    )
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for cell in found["python_cells"]:
        targets = cell["targets"]
        for name, target in targets.items():
            if (beside := targets.get(OTHER + name)) is not None:
                who = f"Licet on {names[name]}" if name in names else name
                yield (
                    f"| {titles[cell['scenario']]} | {who} | {target['rate']:,.0f} | {beside['rate']:,.0f}"
                    f" | {_cpu(target)} | {_cpu(beside)} | {beside['ratio'] / target['ratio']:.2f} |"
                )


def _cpu(target: Mapping[str, Any]) -> str:
    database = f" + {target['database_cpu_us']:,.0f}" if target["database_cpu_us"] else ""
    return f"{target['cpu_us']:,.0f}{database} us"
