"""Starts and ends server processes, and reads the processor time and memory of them and their children."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection, socket

PATIENCE_S = 30.0  # for what must happen
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """A port on which no program listens."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str], log: Path, *, variables: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process during a `with` block; its output goes to `log`."""
    # The server must not take settings from the environment of this process.
    others = {key: value for key, value in os.environ.items() if not key.startswith("LICET_")}
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=cwd, env={**others, **(variables or {})}, stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until_listening(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a program accepts connections at a port.

    Raises RuntimeError if the process ends before, or takes too long.
    """
    give_up = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < give_up:
        with suppress(OSError), create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.005)
    raise RuntimeError(f"{process.args!r} does not listen: {log.read_text(errors='replace')[-2000:]}")


def families(roots: Sequence[int]) -> list[int]:
    """These processes and their living descendants, each once."""
    found = list(roots)
    for parent in found:
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                children = map(int, (task / "children").read_text().split())
                found += [pid for pid in children if pid not in found]
    return found


def cpu_s(pids: Sequence[int]) -> float:
    """The processor time of these processes and of their ended children, in seconds."""
    return sum(_ticks(pid) for pid in pids) / _TICKS


def fine_cpu_s(pids: Sequence[int]) -> dict[int, float]:
    """The processor time of each process to the nanosecond, without ended children and threads."""
    return {pid: sum(map(_spent_ns, _tasks(pid))) / 1e9 for pid in pids}


def used_s(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """The processor time that processes have used between two readings; ended processes are left out."""
    return sum(spent_s - before.get(pid, 0.0) for pid, spent_s in after.items())


def _tasks(pid: int) -> list[Path]:
    with suppress(OSError):
        return [*Path(f"/proc/{pid}/task").iterdir()]
    return []


def _spent_ns(task: Path) -> int:
    with suppress(OSError):
        return int((task / "schedstat").read_text().split()[0])
    return 0


def _ticks(pid: int) -> int:
    try:
        # The name stands in brackets and may have anything in it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime


def resident_mb(pids: Sequence[int]) -> float:
    """Resident memory of these processes together, in MB; what they share counts for each."""
    pages = 0
    for pid in pids:
        with suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * _PAGE_BYTES / 1e6
