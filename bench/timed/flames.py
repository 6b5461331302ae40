"""Flame graphs of a server under load: where its processes spend their time, as py-spy samples it.

py-spy samples the memory of another process without stopping it, so that it changes the result little. It
needs permission for that: root, or `kernel.yama.ptrace_scope=0`.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.measured.processes import families
from bench.measured.stores import keyring, kinds
from bench.measured.tables import read_journal
from bench.measured.targets import licet
from bench.measured.tenants import CLIENTS_MANY, Filled, Site, begin_sessions, plans
from bench.timed import wrk
from bench.timed.contenders import Cell, on_store
from bench.timed.scenarios import SCENARIOS

CONNECTIONS = 32
SECONDS = 10
_SAMPLES = 250  # a second
_RATE = 20_000  # requests a second that may be sent
_PROCESSES = ("server", "commits")
_TITLE = re.compile(r'(<text id="title"[^>]*>)[^<]*')
_READS = ("introspect", "verify")  # nothing is committed for these


class NoPySpy(Exception):
    """The profiler py-spy is missing or cannot read the server; the message says what to do."""


def draw(store: str, scenarios: Sequence[str], directory: Path, scratch: Path) -> Iterator[Path]:
    """Flame graphs of these scenarios, one for each process that a server has.

    Raises NoPySpy, NoWrk.
    """
    wrk.must_be_there()
    with ExitStack() as stack:
        [kind] = stack.enter_context(kinds(scratch, (store,)))
        keys = keyring()
        site, place = Site(keys, plans(CLIENTS_MANY)), kind.make(keys)
        site.fill(place)
        with licet(kind, place) as target:
            held = begin_sessions(site, target.url)
        filled = Filled(place, held, read_journal(place))
        for name in scenarios:
            cell = Cell(SCENARIOS[name], CONNECTIONS, many=True)
            with on_store(cell, site, kind, filled) as contender:
                rows = [row.request for row in contender.rows(0, _RATE * SECONDS)]
                sent = wrk.write_rows(scratch / "rows", contender.target.url, rows)
                pids = families(contender.target.roots)
                seen = _PROCESSES[:1] if name in _READS else _PROCESSES[: len(pids)]
                files = [directory / f"flame-{name}-{store}-{it}.svg" for it in seen]
                recording = [_record(pid, path) for pid, path in zip(pids, files, strict=False)]
                found = wrk.load(contender.target.url, sent, connections=CONNECTIONS, seconds=SECONDS)
                contender.was_sent(found.answers, found.refused)
                for recorder in recording:
                    if recorder.wait():
                        raise NoPySpy("py-spy could not read the server: it needs root, or ptrace_scope=0")
                for process, path in zip(seen, files, strict=True):
                    _entitle(path, f"{name} on {store}, {CONNECTIONS} connections: {process}")
                    yield path


def _entitle(path: Path, title: str) -> None:
    """Replace the title, which py-spy makes of its command line with the paths of this machine."""
    drawn = path.read_text(encoding="utf-8")
    path.write_text(_TITLE.sub(lambda found: found[1] + title, drawn, count=1), encoding="utf-8")


def _record(pid: int, path: Path) -> "subprocess.Popen[bytes]":
    command = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if command is None:
        raise NoPySpy("this needs py-spy, a profiler: pip install py-spy")
    options = ["--nonblocking", "--format", "flamegraph"]
    options += ["--rate", str(_SAMPLES), "--duration", str(SECONDS - 1)]
    return subprocess.Popen(
        [command, "record", *options, "--output", str(path), "--pid", str(pid)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
