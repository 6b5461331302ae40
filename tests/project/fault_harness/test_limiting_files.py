"""A full disk of the fault harness is full for all processes of a server, and when it is mended, for none."""

import resource
import subprocess
from collections.abc import Iterator

import pytest

from chaos.site.processes import limit_files

QUOTA_BYTES = 1 << 20


@pytest.fixture
def pids() -> Iterator[list[int]]:
    """Two processes, which do nothing."""
    with subprocess.Popen(["sleep", "600"]) as first, subprocess.Popen(["sleep", "600"]) as second:
        yield [first.pid, second.pid]
        first.kill()
        second.kill()


def _limits(pids: list[int]) -> list[int]:
    return [resource.prlimit(pid, resource.RLIMIT_FSIZE)[0] for pid in pids]


@pytest.mark.parametrize(("before", "after"), [(None, QUOTA_BYTES), (QUOTA_BYTES, None)])
def test_a_process_that_is_started_while_others_are_limited_is_no_exception(
    pids: list[int], before: int | None, after: int | None
) -> None:
    """It has inherited the old limit: with it a PostgreSQL in recovery would end when all is mended."""
    limit_files(lambda: pids, before)
    found = iter([pids[:1]])
    limit_files(lambda: next(found, pids), after)
    assert _limits(pids) == [resource.RLIM_INFINITY if after is None else after] * 2
