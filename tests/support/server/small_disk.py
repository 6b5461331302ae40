"""A disk of a few megabytes that a test can fill: a file system in memory, mounted only for the test."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEGABYTES = 8


class SmallDisk:
    """A disk that is mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Use all the free space."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (65536, 4096, 1):
                try:
                    while ballast.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Free what `fill` has used."""
        self._ballast.unlink()

    def make_read_only(self) -> None:
        """Mount it read-only. No process may have a file of it open for writing."""
        subprocess.run(["mount", "-o", "remount,ro", self.path], check=True)


@contextmanager
def small_disk(at: Path, megabytes: int = MEGABYTES) -> Iterator[SmallDisk]:
    """Mount a small disk in a new directory. Skips the test if mounting is not permitted."""
    at.mkdir()
    options = f"size={megabytes}m,mode=700,uid={os.geteuid()}" if hasattr(os, "geteuid") else ""
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "licet-test", at], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as refused:
        pytest.skip(
            f"a small disk cannot be mounted here, which root may where mounts are allowed: {refused}"
        )
    try:
        yield SmallDisk(at)
    finally:
        subprocess.run(["umount", "--lazy", at], check=True)
