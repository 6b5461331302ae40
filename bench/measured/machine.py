"""Describes the machine of a measurement, as far as a reader needs it to judge the figures, and unnamed."""

import os
import platform
import sqlite3
import statistics
import sysconfig
import time
from importlib.metadata import version
from pathlib import Path

_SYNCS = 200
_BYTES = 4096
_PACKAGES = ("licet", "uvicorn", "uvloop", "httptools", "msgspec", "psycopg")


def describe(directory: Path) -> dict[str, object]:
    """Processor, system, Python and its build, SQLite, packages, and the time of a sync to the disk."""
    return {
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_mb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6),
        "system": platform.system(),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "python_build": _build(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: _version(name) for name in _PACKAGES},
        "sync_ms": sync_ms(directory),
        "load": os.getloadavg()[0],
    }


def sync_ms(directory: Path) -> float:
    """The median of some appends of 4 KiB, each synced to disk, in milliseconds."""
    path, times = directory / "sync", []
    with path.open("wb") as file:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            file.write(bytes(_BYTES))
            file.flush()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    path.unlink()
    return statistics.median(times) * 1000


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _build() -> str:
    """The optimisations with which Python was built, which are worth a fifth of its speed."""
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    found = [name for name in ("enable-optimizations", "with-lto", "disable-gil") if name in arguments]
    return ", ".join(found) or "without profile-guided and link-time optimisation"


def _version(name: str) -> str:
    try:
        return version(name)
    except ImportError:
        return ""
