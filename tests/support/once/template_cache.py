"""One cache of compiled templates for all processes of a test run.

To compile the dashboard's templates takes most of a second, in each test process and in each process from
which servers are forked. The key of an entry is the text of a template, and `licet` has one environment: an
entry of one process is valid in another.
"""

from typing import Any

from jinja2 import Environment, FileSystemBytecodeCache

from support.once.made_once import directory_of_run


def share() -> None:
    """Make every environment use this cache."""
    cache = FileSystemBytecodeCache(str(directory_of_run("templates")))
    Environment.bytecode_cache = property(lambda _: cache, _forget)  # type: ignore[assignment]


def _forget(_: Environment, __: Any) -> None:
    """Ignore the environment's own cache."""
