"""Measures the start of a server: the time until its first answer, and its memory while it is idle.

    start -> first answered grant -> idle -> first page of the dashboard -> idle

The rules:

- Elapsed time depends on what else the machine does. The processor time of all processes of the server, which
  is given beside it, depends on that far less.
- Memory is the kernel's figure for each process: resident, and proportional, where a page that several
  processes share is divided among them. It is read after the server was idle for IDLE_S.
"""

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.measured.processes import PATIENCE_S, cpu_s, families, free_port, until_listening
from bench.measured.stores import Kind, Place, keyring
from bench.measured.targets import serving
from bench.measured.tenants import Plan, Site
from bench.measured.wire import Request, ask_all

TENANT: Final = "Many"
IDLE_S: Final = 2.0  # a server counts as idle after this: every background loop has run once
_PACKAGES_MAX: Final = 25
_MB: Final = 1e6


class Process(NamedTuple):
    """The memory of one process, in MB."""

    name: str
    resident: float
    proportional: float
    private: float


class Idle(NamedTuple):
    """The memory of the processes of an idle server."""

    processes: list[Process]

    @property
    def resident(self) -> float:
        """The sum in MB; shared pages count once for each process."""
        return sum(it.resident for it in self.processes)

    @property
    def proportional(self) -> float:
        """The sum in MB; shared pages count once."""
        return sum(it.proportional for it in self.processes)


class Start(NamedTuple):
    """The figures of one start."""

    elapsed_s: float  # until the first grant was answered
    cpu_s: float  # processor time of all processes, until then
    before_page: Idle
    page_s: float  # from the request for the first page of the dashboard to its answer
    page_cpu_s: float
    after_page: Idle


def measure(kind: Kind, rounds: int) -> Iterator[Start]:
    """Measure starts of a server with one tenant of 100 clients; the first one does not count."""
    keys = keyring()
    site = Site(keys, [Plan(TENANT, 100)])
    place = kind.make(keys)
    site.fill(place)
    for number in range(rounds + 1):
        found = _start(place, site.grant(TENANT, number))
        if number:
            yield found
    kind.remove(place)


def _start(place: Place, request: Request) -> Start:
    port = free_port()
    log = place.data / "log"
    log.unlink(missing_ok=True)
    began_s = time.perf_counter()
    with serving(place, port, {"LICET_LOG_FORMAT": "json"}) as process:
        until_listening(port, process, log)
        [answer] = ask_all(f"http://127.0.0.1:{port}", [request])
        elapsed_s = time.perf_counter() - began_s
        spent_s = cpu_s(families([process.pid]))
        assert answer.status < 400, answer
        admin_url = _admin_url(log)
        time.sleep(IDLE_S)
        before = idle(process.pid)
        before_cpu_s = cpu_s(families([process.pid]))
        began_s = time.perf_counter()
        [page] = ask_all(admin_url, [Request("GET", "/sign-in", ())])
        page_s = time.perf_counter() - began_s
        page_cpu_s = cpu_s(families([process.pid])) - before_cpu_s
        assert page.status < 400, page
        time.sleep(IDLE_S)
        return Start(elapsed_s, spent_s, before, page_s, page_cpu_s, idle(process.pid))


def _admin_url(log: Path) -> str:
    """Wait until the log has the URL of the dashboard, and return it."""
    give_up_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_s:
        for line in log.read_text(errors="replace").splitlines():
            if '"admin_started"' in line:
                url: str = json.loads(line)["url"]
                return url
        time.sleep(0.01)
    raise RuntimeError(f"the dashboard does not start: {log.read_text(errors='replace')[-2000:]}")


def idle(pid: int) -> Idle:
    """The current memory of a server and its child processes."""
    return Idle([_memory(it, "server" if it == pid else "committer") for it in families([pid])])


def _memory(pid: int, name: str) -> Process:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kb = {key: int(value) for key, value in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)}
    private = kb["Private_Clean"] + kb["Private_Dirty"]
    return Process(name, *(it * 1024 / _MB for it in (kb["Rss"], kb["Pss"], private)))


def report(name: str, starts: list[Start]) -> Iterator[str]:
    """The result in lines: medians of the times, and the memory of the last start."""
    yield (
        f"{name}: first grant after {middle([it.elapsed_s for it in starts]):.2f} s,"
        f" {middle([it.cpu_s for it in starts]):.2f} s of the processor;"
        f" first page of the dashboard after {middle([it.page_s for it in starts]):.2f} s,"
        f" {middle([it.page_cpu_s for it in starts]):.2f} s of the processor"
    )
    for when, found in (("idle", starts[-1].before_page), ("after a page", starts[-1].after_page)):
        parts = ", ".join(f"{it.name} {it.resident:.1f} ({it.proportional:.1f})" for it in found.processes)
        yield f"  {when}: {found.resident:.1f} MB resident ({found.proportional:.1f} proportional): {parts}"


def middle(values: list[float]) -> float:
    """The median."""
    return sorted(values)[len(values) // 2]


def as_json(starts: list[Start]) -> list[dict[str, Any]]:
    """The starts as they are in a result file."""
    return [
        it._asdict()
        | {
            when: [process._asdict() for process in found.processes]
            for when, found in (("before_page", it.before_page), ("after_page", it.after_page))
        }
        for it in starts
    ]


def imports(module: str) -> Iterator[str]:
    """The time to import a module, by package, in milliseconds, the slowest first."""
    command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
    spent: Counter[str] = Counter()
    for line in lines:
        if (found := re.fullmatch(r"import time: +(\d+) \| +\d+ \| +(\S+)", line)) is not None:
            parts = found[2].split(".")
            spent[".".join(parts[: 2 if parts[0] == "licet" else 1])] += int(found[1])
    yield f"import {module}: {sum(spent.values()) / 1000:.0f} ms, {len(lines) - 1} modules"
    yield from (f"  {us / 1000:7.1f} {package}" for package, us in spent.most_common(_PACKAGES_MAX))
