"""Sends signals to the processes of a node or a database server by their ids, and limits their files."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def with_children(pid: int) -> list[int]:
    """The ids of a process and of all its descendants that are alive."""
    if not lives(pid):
        return []
    found = [pid]
    for parent in found:  # The list grows during the loop.
        with suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                with suppress(OSError):
                    found += map(int, (thread / "children").read_text(encoding="ascii").split())
    return found


def lives(pid: int) -> bool:
    """Whether a process is alive, and not a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to those that are still alive."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def limit_files(processes: Callable[[], Iterable[int]], size: int | None) -> None:
    """Let no file of these processes grow beyond so many bytes, as a quota does; None removes the limit.

    They are asked for until there is no new one: what one of them starts before its own limit is changed
    keeps the old one.
    """
    changed: set[int] = set()
    while new := [pid for pid in processes() if pid not in changed]:
        for pid in new:
            _limit_files_of(pid, size)
        changed.update(new)


def _limit_files_of(pid: int, size: int | None) -> None:
    """`prlimit` runs as the owner of the process, because in a container not even root may limit others."""
    with suppress(FileNotFoundError):
        owner = Path(f"/proc/{pid}").stat()
        as_owner: Mapping[str, Any] = {}
        if os.geteuid() == 0:
            as_owner = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": ()}
        limit = "unlimited" if size is None else str(size)
        command = ["prlimit", f"--fsize={limit}:", "--pid", str(pid)]
        done = subprocess.run(command, capture_output=True, check=False, **as_owner)
        if done.returncode and Path(f"/proc/{pid}").exists():
            raise RuntimeError(f"{command}: {done.stderr.decode()}")
