"""One cache of compiled templates for all processes of a run of tests.

To compile the templates of the dashboard takes most of a second; each process of tests has them, and each one
that servers are forked from. An entry is found by the text of a template, and `licet` has one environment, so
what one process compiled is right for another.
"""

from typing import Any

from jinja2 import Environment, FileSystemBytecodeCache

from support.once.made_once import directory_of_run


def share() -> None:
    """Have every environment use it."""
    cache = FileSystemBytecodeCache(str(directory_of_run("templates")))
    Environment.bytecode_cache = property(lambda _: cache, _forget)  # type: ignore[assignment]


def _forget(_: Environment, __: Any) -> None:
    """An environment's own cache is not used."""
